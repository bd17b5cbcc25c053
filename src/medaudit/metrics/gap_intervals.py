"""Intervals and tests of gaps, from the limits of groups; ``docs/statistics.md`` says why.

Both come from one statistic (`medaudit.metrics.gap_statistics`), so that an interval excludes "no
gap" if and only if the test rejects, wherever the metric's null hypothesis is that groups have
equal values.
"""

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.special import ndtri
from scipy.stats import chi2

from medaudit.metrics.effective_size import wilson_limits
from medaudit.metrics.gap_statistics import (
    Contrasts,
    centred_statistic,
    critical,
    largest_limit,
    largest_statistic,
    p_value,
)

SMALLEST = 1e-6
"""Least lower limit of a gap that the test finds."""


@dataclass(frozen=True)
class Limits:
    """What the limits of rows (groups, and after them their rests) are made of.

    Parameters
    ----------
    value : ndarray, shape (rows,)
        Values, or estimates without their bias.
    size : ndarray, shape (rows,)
        Effective sizes; NaN where the limits are given instead.
    low, high : ndarray, shape (rows,)
        Limits at `reach` standard errors.
    reach : ndarray, shape (rows,)
        More than the normal quantile where the variance was estimated from few patients.
    raw : ndarray, shape (rows,)
        Values as they are reported.
    tested : ndarray, shape (rows,), optional
        Sizes of the test's statistic, made as those of permutations are; default: `size`.
    """

    value: np.ndarray
    size: np.ndarray
    low: np.ndarray
    high: np.ndarray
    reach: np.ndarray
    raw: np.ndarray
    tested: np.ndarray | None = None

    def take(self, rows: slice | np.ndarray) -> "Limits":
        """Return the limits of some rows."""
        given = {name: array for name, array in vars(self).items() if array is not None}
        return replace(self, **{name: array[rows] for name, array in given.items()})

    @property
    def sized(self) -> bool:
        """Whether every row has an effective size."""
        return bool(np.isfinite(self.size).all())

    def errors(self, level: float) -> np.ndarray:
        """Return a standard error of each row: its farther limit over the normal quantile."""
        far = np.maximum(self.value - self.low, self.high - self.value)
        return far / ndtri((1 + level) / 2)

    def widened(self, level: float) -> "Limits":
        """Return limits whose normal quantiles reach as far as Student's do.

        Tests do not need it: their critical values come from permutations.
        """
        normal = ndtri((1 + level) / 2)
        return replace(self, size=self.size * (normal / self.reach) ** 2)

    def largest(self, contrasts: Contrasts, reach: np.ndarray, upper: bool = False) -> np.ndarray:
        """Return the largest lower (or upper) limit of the contrasts at each reach."""
        if self.sized:
            value, size = self.value.astype(float), self.size.astype(float)
            return largest_limit(value, size, *contrasts, np.atleast_1d(reach).astype(float), upper)
        a, b = contrasts
        below, above = ((self.value - self.low), (self.high - self.value)) / self.reach
        near, far = (above[a], below[b]) if upper else (below[a], above[b])
        error = np.sqrt(near**2 + far**2)[:, None] * np.atleast_1d(reach)
        difference = (self.value[a] - self.value[b])[:, None]
        return (difference + error if upper else difference - error).max(axis=0)

    def ratios(self, contrasts: Contrasts, reach: float, upper: bool) -> float:
        """Return the smallest limit of second over first (Donner and Zou 2012, equation 2)."""
        low, high = self.low, self.high
        if self.sized:
            low, high = wilson_limits(self.value, self.size, reach)
        a, b = contrasts.second, contrasts.first
        top, bottom = self.value[a], self.value[b]
        end, other = (high[a], low[b]) if upper else (low[a], high[b])
        product, sign = top * bottom, 1 if upper else -1
        inner = product**2 - end * other * (2 * top - end) * (2 * bottom - other)
        scale = other * (2 * bottom - other)
        with np.errstate(divide="ignore", invalid="ignore"):
            found = (product + sign * np.sqrt(np.maximum(inner, 0))) / scale
        return float(np.min(np.where(scale > 0, found, np.inf if upper else 0.0)))


@dataclass(frozen=True)
class Assessed:
    """A gap's test and limits.

    Parameters
    ----------
    p_value : float
    low, high : float
        Limits of the largest contrast, at least 0.
    upper : float
        One-sided upper limit at the same level.
    limit : float
        The largest value that is not significant at 0.05.
    null : ndarray, shape (draws,)
        Permuted statistics on the scale of the gap: as far from the observed gap as the lower
        limit at that many standard errors.
    critical : float
        The statistic that the lower limit uses.
    mean : float
        Mean of the permuted gaps, where it is not that of `null`.
    edge : float
        The largest statistic that is not significant at 0.05; NaN where it is another statistic.
    """

    p_value: float
    low: float
    high: float
    upper: float
    limit: float
    null: np.ndarray
    critical: float
    mean: float = np.nan
    edge: float = np.nan


@lru_cache
def simultaneous(groups: int, level: float) -> float:
    """Return the critical value of the largest difference of independent normal groups (Tukey)."""
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(level, groups, np.inf) / np.sqrt(2))


def assess(
    limits: Limits,
    contrasts: Contrasts,
    null_value: np.ndarray,
    null_size: np.ndarray,
    level: float,
) -> Assessed:
    """Test the largest of several contrasts against permutations and bound it.

    Parameters
    ----------
    limits : Limits
        Rows with effective sizes.
    contrasts : Contrasts
        Ordered pairs of rows.
    null_value, null_size : ndarray, shape (rows, draws)
        Permuted values and effective sizes; NaN where there is no null.
    level : float
        Confidence level, e.g. 0.95.
    """
    high, upper = _upper_limits(limits, contrasts, level)
    given = limits
    limits = limits if limits.tested is None else replace(limits, size=limits.tested)
    value = _largest_value(limits, contrasts)
    one = limits.value.astype(float)[:, None], limits.size.astype(float)[:, None]
    statistic = float(largest_statistic(*one, *contrasts)[0])
    null = largest_statistic(null_value.astype(float), null_size.astype(float), *contrasts)
    p = p_value(statistic, null)
    if not np.isfinite(p):
        return _bounded(given, contrasts, level)
    reach = critical(null, round(1 - level, 9))
    low = 0.0
    if p <= round(1 - level, 9):
        low = max(float(limits.largest(contrasts, np.array([reach]))[0]), SMALLEST)
    shown = np.full(null.shape, np.nan)
    finite = np.isfinite(null)
    shown[finite] = value - limits.largest(contrasts, null[finite])
    edge = min(critical(null, 0.05), 1e6)
    limit = value - float(limits.largest(contrasts, np.array([edge]))[0])
    return Assessed(p, low, high, upper, limit, shown, reach, edge=edge)


def assess_equal_scores(
    limits: Limits, contrasts: Contrasts, null_value: np.ndarray, level: float
) -> Assessed:
    """Bound the largest contrast, and test whether it is what the groups' scores imply.

    The null hypothesis does not say that groups have equal values, so the interval may exclude 0
    without the test rejecting, and the other way round.

    Parameters
    ----------
    limits, contrasts, level
        As for `assess`.
    null_value : ndarray, shape (rows, draws)
        Values under groups permuted at equal scores.
    """
    bounded = _bounded(limits, contrasts, level)
    statistic, drawn = centred_statistic(limits.raw, null_value, contrasts)
    p = p_value(statistic, drawn)
    if not np.isfinite(p):
        return bounded
    first, second = contrasts
    apart = null_value[first].astype(float) - null_value[second]
    gaps = np.where(np.isfinite(apart), apart, -np.inf).max(axis=0)
    gaps = gaps[np.isfinite(gaps)]
    spread = float(gaps.std()) if gaps.size > 1 else 0.0
    value = float((limits.raw[first] - limits.raw[second]).max())
    # On the scale of the gap, so that all tests of a family can be compared: as far from the
    # value as the permuted statistics are from the observed one.
    shown = value + spread * (drawn - statistic)
    return replace(
        bounded,
        p_value=p,
        limit=float(np.quantile(gaps, 0.95)),
        mean=float(gaps.mean()),
        null=shown,
    )


def _largest_value(limits: Limits, contrasts: Contrasts) -> float:
    return float((limits.value[contrasts.first] - limits.value[contrasts.second]).max())


def _bounded(limits: Limits, contrasts: Contrasts, level: float) -> Assessed:
    """Return limits without a test."""
    groups = np.unique(np.append(contrasts.first, contrasts.second)).size
    reach = simultaneous(groups, level)
    low = max(float(_scaled(limits, level).largest(contrasts, np.array([reach]))[0]), 0.0)
    high, upper = _upper_limits(limits, contrasts, level)
    return Assessed(np.nan, low, high, upper, np.nan, np.full(0, np.nan), reach)


def _upper_limits(limits: Limits, contrasts: Contrasts, level: float) -> tuple[float, float]:
    reach = ndtri([(1 + level) / 2, level])
    high, upper = np.maximum(_scaled(limits, level).largest(contrasts, reach, upper=True), 0)
    return float(high), float(upper)


def _scaled(limits: Limits, level: float) -> Limits:
    """Return limits at normal quantiles, whatever they were given at."""
    if limits.sized:
        return limits.widened(level)
    return replace(limits, reach=np.full(limits.reach.shape, ndtri((1 + level) / 2)))


def bound_ratio(limits: Limits, assessed: Assessed, contrasts: Contrasts, level: float):
    """Return the limits of the smallest ratio, which excludes 1 if the test rejects."""
    low = _scaled(limits, level).ratios(contrasts, ndtri((1 + level) / 2), upper=False)
    high = 1.0
    if np.isfinite(assessed.critical) and assessed.low > 0:
        high = min(limits.ratios(contrasts, assessed.critical, upper=True), 1 - SMALLEST)
    return max(low, 0.0), high


def bound_spread(
    limits: Limits, assessed: Assessed, groups: int, level: float
) -> tuple[float, float]:
    """Return the limits of the standard deviation between groups.

    A deviation changes by at most the deviation of the errors, whose square is a weighted sum of
    squared normal errors. The lower end is 0 if the test does not reject, and at least what the
    largest difference implies if it does.
    """
    value, error = limits.value[:groups], limits.errors(level)[:groups]
    reach = np.sqrt(
        chi2.ppf((1 + level) / 2, max(groups - 1, 1)) / groups * (error**2).sum() / groups
    )
    near = max(float(value.std() - reach), assessed.low / np.sqrt(2 * groups))
    return (near if assessed.low > 0 else 0.0), float(value.std() + reach)


def bound_scaled(limits: Limits, whole: tuple[float, float, float], groups: int, level: float):
    """Return the limits of the equity-scaled value; `whole` is everybody's value and limits."""
    value, error = limits.value[:groups], limits.errors(level)[:groups]
    apart = np.abs(value - whole[0]).sum()
    # The mean and standard deviation of sums of absolute normal errors.
    reach = error.sum() * np.sqrt(2 / np.pi)
    reach += ndtri((1 + level) / 2) * np.sqrt((error**2).sum() * (1 - 2 / np.pi))
    return whole[1] / (1 + apart + reach), whole[2] / (1 + max(apart - reach, 0.0))


def bound_distance(limits: Limits, target: float, groups: int) -> tuple[float, float]:
    """Return the limits of the distance of all groups to `target`, by MOVER on the squares."""
    value, low, high = limits.value[:groups], limits.low[:groups], limits.high[:groups]
    near, far = np.sort((np.stack([low, high]) - target) ** 2, axis=0)
    near = np.where((low <= target) & (target <= high), 0, near)
    square = (value - target) ** 2
    under, over = (np.sqrt(((square - end) ** 2).sum()) for end in (near, far))
    return float(np.sqrt(max(square.sum() - under, 0))), float(np.sqrt(square.sum() + over))
