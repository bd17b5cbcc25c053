"""Intervals of gaps from bootstrap replicates; ``docs/statistics.md`` says why they hold."""

import numpy as np

from medaudit.metrics.gaps import Parts, harm, measure
from medaudit.metrics.intervals import ENOUGH, maximum_interval


def bound(
    gap: str, metric: str, parts: Parts, replicates: Parts, level: float
) -> tuple[float, float]:
    """Return the interval of a gap.

    Parameters
    ----------
    gap : str
        As for `measure`.
    metric : str
        As for `measure`.
    parts : Parts
        Values, shape (groups,).
    replicates : Parts
        Bootstrap replicates, shape (groups, draws).
    level : float
        Confidence level, e.g. 0.95.

    Returns
    -------
    tuple of float
        ``max_min``, ``worst_rest`` and ``ratio`` (by logarithms) have the interval of a largest
        contrast (`maximum_interval`), ``std`` and ``es`` that of a distance (`_around`), ``dto``
        and single contrasts the percentile interval. NaN where not estimable.
    """
    if gap == "max_min":
        return maximum_interval(_pairs(parts.group), _pairs(replicates.group), level)
    if gap == "worst_rest":
        contrast, moved = (
            harm(metric, p.group) - harm(metric, p.rest) for p in (parts, replicates)
        )
        return maximum_interval(contrast, moved, level)
    if gap == "ratio":
        logs, moved = _log(parts.group), _log(replicates.group)
        if np.isnan(logs).any():
            return np.nan, np.nan
        low, high = maximum_interval(_pairs(logs), _pairs(moved), level)
        return float(np.exp(-high)), float(np.exp(-low))
    if gap in ("std", "es"):
        return _around(gap, parts, replicates, level)
    return percentile(measure(gap, metric, replicates), level)


def percentile(replicates: np.ndarray, level: float) -> tuple[float, float]:
    """Return the percentile interval of one row; NaN if less than 90 % of it is defined."""
    kept = replicates[np.isfinite(replicates)]
    if kept.size < max(ENOUGH * replicates.size, 2):
        return np.nan, np.nan
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _log(value: np.ndarray) -> np.ndarray:
    return np.log(value, out=np.full(value.shape, np.nan), where=value > 0)


def _pairs(group: np.ndarray) -> np.ndarray:
    first, second = np.nonzero(~np.eye(len(group), dtype=bool))
    return group[first] - group[second]


def _around(gap: str, parts: Parts, replicates: Parts, level: float) -> tuple[float, float]:
    """Return the interval of a distance by the triangle inequality, which also holds at 0.

    A distance changes by at most the distance of the errors: ``|d(v*) - d(v)| <= d(v* - v)``.
    """
    error = replicates.group - parts.group[:, None]
    if gap == "std":
        value, moved = parts.group.std(), error.std(axis=0)
    else:
        apart = parts.whole - parts.group
        value = np.abs(apart).sum()
        moved = np.abs((replicates.whole - parts.whole) - error).sum(axis=0)
    moved = moved[np.isfinite(moved)]
    if moved.size < ENOUGH * error.shape[1]:
        return np.nan, np.nan
    reach = np.quantile(moved, (1 + level) / 2)
    near, far = max(value - reach, 0.0), value + reach
    if gap == "std":
        return near, far
    low, high = percentile(replicates.whole, level)
    return low / (1 + far), high / (1 + near)
