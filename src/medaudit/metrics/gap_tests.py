"""Permutation p-values of gaps, and the smallest gap that a cohort can find."""

from collections.abc import Callable

import numpy as np

from medaudit.core.seeds import generator
from medaudit.metrics.gap_intervals import Limits
from medaudit.metrics.gap_statistics import Contrasts, count_found
from medaudit.metrics.gaps import GAPS

POWER = 0.8
ALPHA = 0.05
LARGEST_REACH = 6.0
"""Larger than the critical value of any number of pairs at the 5 % level."""
TIE = 1e-6
"""Permuted values are float32: what is closer than this is a tie."""
SAMPLES, HALVINGS = 1000, 10


def detectable(
    limits: Limits,
    contrasts: Contrasts,
    reach: float,
    pooled: float,
    groups: int,
    upward: bool,
    counted: bool = False,
) -> float:
    """Return the smallest difference that is found in 80 % of samples of this cohort.

    By simulation at the alternative: every group has the value of all together but one, which is
    worse by this amount; values vary as proportions of their effective sizes do (normal on the
    arcsine scale), and a sample finds the gap if its statistic exceeds the critical value: the
    observed one, or a larger one of equal groups simulated in the same way, with the value of all
    groups together as it is or as it becomes once a group is worse: the critical value of values
    near 0 or 1 is small and grows as a group gets worse. The worse group is the one with the
    smallest or the largest effective size, whichever needs more.

    Parameters
    ----------
    limits : Limits
        Gives the effective sizes.
    contrasts : Contrasts
        Pairs that the gap is the largest of.
    reach : float
        Critical value of the statistic at the 5 % level.
    pooled : float
        Value of all groups together.
    groups : int
        Number of groups; their rests follow.
    upward : bool
        Whether larger is worse.
    counted : bool
        Whether values are shares of whole numbers of images.

    Returns
    -------
    float
        NaN where even the worst possible value would not be found.
    """
    if not (limits.sized and np.isfinite(reach) and np.isfinite(pooled)):
        return np.nan
    sizes, sign = limits.size[:groups], 1 if upward else -1
    top = (1 - pooled) if upward else pooled
    future = _Future(limits.size.astype(float), contrasts, groups)
    equal, found = future.critical(pooled, reach), []
    for worst in {int(np.argmin(sizes)), int(np.argmax(sizes))}:
        amount = future.least(pooled, worst, sign, top, equal)
        moved = pooled + sign * amount * sizes[worst] / sizes.sum()
        larger = future.critical(moved, equal) if np.isfinite(amount) else equal
        if larger > equal:
            amount = future.least(pooled, worst, sign, top, larger)
        found.append(amount)
    # Permutations of two groups keep the number of successes: their difference moves in steps, and
    # an exact test is on average half a step from the level.
    step = (1 / sizes).sum() if counted and groups == 2 else 0.0
    amount = float(np.max(found)) + step / 2
    return amount if amount <= top else np.nan


class _Future:
    """Simulated values of rows with these effective sizes, each time with the same noise."""

    def __init__(self, size: np.ndarray, contrasts: Contrasts, groups: int) -> None:
        self.size, self.contrasts = size, contrasts
        noise = generator("detectable", str(groups)).standard_normal((size.size, SAMPLES))
        self.error = noise / (2 * np.sqrt(size))[:, None]

    def draw(self, true: np.ndarray) -> np.ndarray:
        """Return values, shape (rows, samples), around true ones."""
        angle = np.arcsin(np.sqrt(np.clip(true, 0, 1)))[:, None] + self.error
        return np.sin(np.clip(angle, 0, np.pi / 2)) ** 2

    def share(self, value: np.ndarray, reach: float) -> float:
        """Return the share of samples whose statistic exceeds a critical value."""
        return count_found(value, self.size, *self.contrasts, reach) / SAMPLES

    def critical(self, level: float, reach: float) -> float:
        """Return the critical value of rows that all have the value `level`, at least `reach`."""
        value = self.draw(np.full(self.size.size, level))
        if self.share(value, reach) <= ALPHA:
            return reach
        return _last(lambda c: self.share(value, c) > ALPHA, reach, LARGEST_REACH)

    def least(self, pooled: float, worst: int, sign: int, top: float, reach: float) -> float:
        """Return by how much one row must be worse to be found with `POWER`; NaN: by no amount."""

        def power(amount: float) -> float:
            true = np.full(self.size.size, pooled)
            true[worst] += sign * amount
            return self.share(self.draw(true), reach)

        return _last(lambda d: power(d) < POWER, 0.0, top) if power(top) >= POWER else np.nan


def _last(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Return the end of the range from `low` in which something holds, by halving."""
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return high


def p_value(observed: float, null: np.ndarray, gap: str) -> float:
    """Return the add-one permutation p-value (Phipson and Smyth 2010).

    One-sided toward unfairness.
    """
    null = null[np.isfinite(null)]
    if not null.size:
        return np.nan
    reached = null <= observed + TIE if GAPS[gap].fairer_when_large else null >= observed - TIE
    return float((1 + reached.sum()) / (1 + null.size))


def null_limit(null: np.ndarray, gap: str) -> float:
    """Return the limit of 95 % of the null.

    The 95 % quantile; the 5 % quantile where a larger gap is fairer.
    """
    null = null[np.isfinite(null)]
    if not null.size:
        return np.nan
    return float(np.quantile(null, 0.05 if GAPS[gap].fairer_when_large else 0.95))
