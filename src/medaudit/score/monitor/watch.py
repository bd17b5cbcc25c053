"""Watch a series: limits for every period that hold over all looks, and the first alarm."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from medaudit.metrics.effective_size import lattice_shift, wilson_limits
from medaudit.metrics.repeated_looks import critical_values
from medaudit.score.monitor.series import Part, Series

LEAST = 5
"""Expected images of either kind (right and wrong; positive and negative) in a group for a test."""


@dataclass(frozen=True)
class Look:
    """What one look at a series shows.

    Parameters
    ----------
    start, end : int
        The periods, both included, whose mean differs most from the baseline for its error.
    value, difference, low, high : float
        Mean of these periods, minus the baseline, with the limits that hold over all looks.
    z, critical : float
        The difference over its standard error, and the value that it must reach for an alarm.
    limit_low, limit_high : float
        Values of period `end` beyond which there would be an alarm; they may be impossible ones.
    overall, overall_low, overall_high : float
        Mean of all periods since the baseline, minus the baseline, with limits over all looks.
    """

    start: int
    end: int
    value: float
    difference: float
    low: float
    high: float
    z: float
    critical: float
    limit_low: float
    limit_high: float
    overall: float
    overall_low: float
    overall_high: float

    @property
    def alarms(self) -> bool:
        """Whether the statistic reaches its critical value."""
        return abs(self.z) >= self.critical


def watch(series: Series, n_baseline: int, spent: np.ndarray) -> dict[int, Look]:
    """Return the looks at a series, by period.

    Parameters
    ----------
    series : Series
        Values, weights and influence of all periods.
    n_baseline : int
        Number of first periods that are the baseline.
    spent : ndarray, shape (looks,)
        Probability of a false alarm to spend at each planned look; later periods have no look.

    Returns
    -------
    dict of int to Look
        Periods without data, without enough for a test, or beyond the planned looks are absent.
    """
    n_looks = min(len(series.value) - n_baseline, len(spent))
    weight, base = series.weight, float(series.weight[:n_baseline].sum())
    if n_looks < 1 or not can_watch(series, n_baseline):
        return {}
    after = weight[n_baseline : n_baseline + n_looks]
    critical = critical_values(after, base, spent[:n_looks])
    found = {}
    for look in np.flatnonzero(after > 0):
        at = _look(series, n_baseline, n_baseline + int(look), float(critical[look]))
        if at is not None:
            found[n_baseline + int(look)] = at
    return found


def can_watch(series: Series, n_baseline: int) -> bool:
    """Return whether the baseline has enough images; it does not depend on any later period."""
    has_weight = bool(series.weight[:n_baseline].sum() > 0)
    return has_weight and _enough(series.parts, slice(0, n_baseline), n_baseline)


def baseline_value(series: Series, n_baseline: int) -> float:
    """Return the weighted mean of a series over the baseline; NaN without data."""
    weight = series.weight[:n_baseline]
    known = weight > 0
    if not known.any():
        return np.nan
    return float((weight * np.nan_to_num(series.value[:n_baseline])).sum() / weight.sum())


def period_limits(part: Part, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the interval of each period by itself, for one look: Wilson's (1927).

    The size is the weight over the design effect that the influence of all periods shows.
    """
    end = len(part.value)
    centre = part.centre(end)
    spread = centre * (1 - centre)
    total = part.weight.sum()
    unit = float((part.weight**2 * part.variance(end)).sum() / total) if total > 0 else 0.0
    size = np.where(part.weight > 0, part.weight, np.nan)
    if unit > 0 and spread > 0:
        size = size * spread / unit
    return wilson_limits(part.value, size, float(ndtri((1 + level) / 2)), lattice_shift(size))


def _look(series: Series, n_baseline: int, end: int, critical: float) -> Look | None:
    weight = series.weight[: end + 1]
    value = np.nan_to_num(series.value[: end + 1])
    base = weight[:n_baseline].sum()
    reference = (weight * value)[:n_baseline].sum() / base
    starts = [
        start
        for start in range(n_baseline, end + 1)
        if weight[start] > 0 and _enough(series.parts, slice(start, end + 1), n_baseline)
    ]
    if not starts:
        return None
    error = _errors(series, n_baseline, end + 1)[np.array(starts) - n_baseline]
    total = np.array([weight[start:].sum() for start in starts])
    sums = np.array([(weight * value)[start:].sum() for start in starts])
    difference = sums / total - reference
    z = difference / error
    # The value of this period at which the mean since each start would reach its limit.
    earlier = sums - weight[end] * value[end]
    upper = ((reference + critical * error) * total - earlier) / weight[end]
    lower = ((reference - critical * error) * total - earlier) / weight[end]
    most = int(np.abs(z).argmax())
    reach, whole = critical * error[most], critical * error[0]
    return Look(
        start=starts[most],
        end=end,
        value=float(sums[most] / total[most]),
        difference=float(difference[most]),
        low=float(difference[most] - reach),
        high=float(difference[most] + reach),
        z=float(z[most]),
        critical=critical,
        limit_low=float(lower.max()),
        limit_high=float(upper.min()),
        overall=float(difference[0]),
        overall_low=float(difference[0] - whole),
        overall_high=float(difference[0] + whole),
    )


def _errors(series: Series, n_baseline: int, end: int) -> np.ndarray:
    """Return the standard error of mean since start minus baseline, for each start.

    Periods without a common patient are independent, with the variance per image that all of them
    show together. Where patients come again, it is the larger of this and of the patients' summed
    influence, in which each patient counts once.
    """
    weight = series.weight[:end]
    base = weight[:n_baseline].sum()
    total = np.cumsum(weight[n_baseline:][::-1])[::-1]
    total = np.where(total > 0, total, np.nan)
    pooled = series.variance_of_a_unit(end) * (1 / total + 1 / base)
    if not series.shares_patients:
        return np.sqrt(pooled)
    weighted = series.influence(end) * weight
    since = np.cumsum(weighted[:, n_baseline:][:, ::-1], axis=1)[:, ::-1]
    own = since / total - (weighted[:, :n_baseline].sum(axis=1) / base)[:, None]
    patients = np.maximum((np.abs(weighted[:, n_baseline:]) > 0).any(axis=1).sum(), 2)
    clustered = (own**2).sum(axis=0) * patients / (patients - 1)
    return np.sqrt(np.maximum(clustered, pooled))


def _enough(parts: tuple[Part, ...], window: slice, n_baseline: int) -> bool:
    """Return whether either kind of image is expected often enough in a window, in each group."""
    for part in parts:
        base = part.errors[:, :n_baseline].sum(axis=1)
        size = part.errors[:, window].sum()
        if base.sum() == 0 or (size * base / base.sum()).min() < LEAST:
            return False
    return True
