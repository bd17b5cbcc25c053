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
SAMPLES, HALVINGS = 1000, 12


def detectable(
    limits: Limits, contrasts: Contrasts, reach: float, pooled: float, groups: int, upward: bool
) -> float:
    """Return the smallest difference that is found in 80 % of samples of this cohort.

    By simulation at the alternative: every group has the value of all together but one, which is
    worse by this amount; values vary as proportions of their effective sizes do (normal on the
    arcsine scale), and a sample finds the gap if its statistic exceeds the critical value: the
    observed one, or that of equal groups simulated in the same way if it is larger, since the
    critical value of values near 0 or 1 is small and grows as a group gets worse. The worse
    group is the one with the smallest or the largest effective size, whichever needs more.

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

    Returns
    -------
    float
        NaN where even the worst possible value would not be found.
    """
    if not (limits.sized and np.isfinite(reach) and np.isfinite(pooled)):
        return np.nan
    sizes = limits.size[:groups]
    ends = {int(np.argmin(sizes)), int(np.argmax(sizes))}
    size = limits.size.astype(float)
    noise = generator("detectable", str(groups)).standard_normal((size.size, SAMPLES))
    error = noise / (2 * np.sqrt(size))[:, None]

    def found(worst: int, amount: float, reach: float) -> float:
        true = np.full(size.size, pooled)
        true[worst] += amount if upward else -amount
        angle = np.arcsin(np.sqrt(np.clip(true, 0, 1)))[:, None] + error
        value = np.sin(np.clip(angle, 0, np.pi / 2)) ** 2
        return count_found(value, size, *contrasts, reach) / SAMPLES

    reach = max(reach, _last(lambda c: found(0, 0.0, c) > ALPHA, 0.0, LARGEST_REACH))
    top = (1 - pooled) if upward else pooled
    if min(found(worst, top, reach) for worst in ends) < POWER:
        return np.nan
    return max(_last(lambda d: found(w, d, reach) < POWER, 0.0, top) for w in ends)  # noqa: B023


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
