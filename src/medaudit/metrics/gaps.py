"""Gaps: one number for how differently groups are treated.

`measure` turns values by group into a gap, `bound` gives its interval, `detectable` the smallest
difference the test set could show. Formulas stand in ``docs/metrics.md`` and
``docs/statistics.md``.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from medaudit.metrics.definitions import METRICS
from medaudit.metrics.intervals import ENOUGH, maximum_interval

POWER = 0.8
FAIRER_WHEN_LARGE = ("ratio", "es")
OTHERS = "others"


@dataclass(frozen=True)
class Parts:
    """What a gap is made of: values by group, of each group's rest, and of all groups together.

    Parameters
    ----------
    group, rest : ndarray, shape (groups, ...)
        `rest` holds NaN where no gap asks for it.
    whole : ndarray, shape (...)
    """

    group: np.ndarray
    rest: np.ndarray
    whole: np.ndarray


def harm(metric: str, value: np.ndarray) -> np.ndarray:
    """Return how bad values are: larger is worse.

    The distance to the target of the metric: 1 - value or value; for a calibration slope and
    intercept the distance to 1 and 0. A selection rate has no better end: there, the group that is
    selected least counts as the worst.
    """
    if metric == "calibration_slope":
        return np.abs(value - 1)
    if metric == "calibration_intercept":
        return np.abs(value)
    return value if METRICS[metric].target == 0 else -value


def measure(gap: str, metric: str, parts: Parts) -> np.ndarray:
    """Compute a gap.

    Parameters
    ----------
    gap : {"max_min", "ratio", "worst_rest", "std", "es", "dto"}
        What to compute; formulas in ``docs/metrics.md``.
    metric : str
        Gives the direction and the target.
    parts : Parts
        Values or replicates.

    Returns
    -------
    ndarray, shape (...)
        NaN where a part is NaN or the gap is undefined for this metric.
    """
    return _MEASURES[gap](metric, parts)


def _max_min(metric: str, parts: Parts) -> np.ndarray:
    return parts.group.max(axis=0) - parts.group.min(axis=0)


def _ratio(metric: str, parts: Parts) -> np.ndarray:
    low, high = parts.group.min(axis=0), parts.group.max(axis=0)
    valid = (low >= 0) & (high > 0) & (not metric.startswith("calibration"))
    return np.divide(low, high, out=np.full(np.shape(low), np.nan), where=valid)


def _worst_rest(metric: str, parts: Parts) -> np.ndarray:
    return (harm(metric, parts.group) - harm(metric, parts.rest)).max(axis=0)


def _std(metric: str, parts: Parts) -> np.ndarray:
    return parts.group.std(axis=0)


def _es(metric: str, parts: Parts) -> np.ndarray:
    if METRICS[metric].target != 1:
        return np.full(np.shape(parts.whole), np.nan)
    return parts.whole / (1 + np.abs(parts.group - parts.whole).sum(axis=0))


def _dto(metric: str, parts: Parts) -> np.ndarray:
    target = METRICS[metric].target
    if target is None:
        return np.full(np.shape(parts.whole), np.nan)
    return np.sqrt(((parts.group - target) ** 2).sum(axis=0))


_MEASURES: dict[str, Callable] = {
    "max_min": _max_min,
    "ratio": _ratio,
    "worst_rest": _worst_rest,
    "std": _std,
    "es": _es,
    "dto": _dto,
}
GAPS = (*_MEASURES, OTHERS)


def bound(gap: str, metric: str, parts: Parts, drawn: Parts, level: float) -> tuple[float, float]:
    """Return the interval of a gap.

    Parameters
    ----------
    gap : str
        As for `measure`.
    metric : str
        As for `measure`.
    parts : Parts
        Values, shape (groups,).
    drawn : Parts
        Replicates, shape (groups, draws).
    level : float
        E.g. 0.95.

    Returns
    -------
    tuple of float
        ``max_min``, ``worst_rest`` and ``ratio`` (by logarithms) have the interval of a largest
        contrast (`maximum_interval`), ``std`` and ``es`` that of a distance (`_around`), ``dto``
        and single contrasts the percentile interval. NaN where not estimable.
    """
    if gap == "max_min":
        return maximum_interval(_pairs(parts.group), _pairs(drawn.group), level)
    if gap == "worst_rest":
        contrast, moved = (harm(metric, p.group) - harm(metric, p.rest) for p in (parts, drawn))
        return maximum_interval(contrast, moved, level)
    if gap == "ratio":
        logs, moved = _log(parts.group), _log(drawn.group)
        if np.isnan(logs).any():
            return np.nan, np.nan
        low, high = maximum_interval(_pairs(logs), _pairs(moved), level)
        return float(np.exp(-high)), float(np.exp(-low))
    if gap in ("std", "es"):
        return _around(gap, parts, drawn, level)
    return percentile(measure(gap, metric, drawn), level)


def percentile(drawn: np.ndarray, level: float) -> tuple[float, float]:
    """Return the percentile interval of one row; NaN if under 90 % of it is defined."""
    kept = drawn[np.isfinite(drawn)]
    if kept.size < max(ENOUGH * drawn.size, 2):
        return np.nan, np.nan
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _log(value: np.ndarray) -> np.ndarray:
    return np.log(value, out=np.full(value.shape, np.nan), where=value > 0)


def _pairs(group: np.ndarray) -> np.ndarray:
    first, second = np.nonzero(~np.eye(len(group), dtype=bool))
    return group[first] - group[second]


def _around(gap: str, parts: Parts, drawn: Parts, level: float) -> tuple[float, float]:
    """Bound a distance by the triangle inequality, which holds at 0 too.

    A distance moves by at most the distance of the errors: ``|d(v*) - d(v)| <= d(v* - v)``.
    """
    error = drawn.group - parts.group[:, None]
    if gap == "std":
        value, moved = parts.group.std(), error.std(axis=0)
    else:
        apart = parts.whole - parts.group
        value = np.abs(apart).sum()
        moved = np.abs((drawn.whole - parts.whole) - error).sum(axis=0)
    moved = moved[np.isfinite(moved)]
    if moved.size < ENOUGH * error.shape[1]:
        return np.nan, np.nan
    reach = np.quantile(moved, (1 + level) / 2)
    near, far = max(value - reach, 0.0), value + reach
    if gap == "std":
        return near, far
    low, high = percentile(drawn.whole, level)
    return low / (1 + far), high / (1 + near)


def detectable(gap: str, metric: str, null: Parts, limit: float) -> float:
    """Return the smallest detectable difference.

    It is the smallest amount by which one group must be worse so that, whichever group it is, the
    gap exceeds `limit` (the 95 % quantile of the null) in at least 80 % of samples: the minimum
    detectable effect of Bloom (1995) with the permutations as the distribution of the noise.

    Parameters
    ----------
    gap : str
        ``max_min``, ``worst_rest``; others have none (NaN).
    metric : str
        Gives the direction.
    null : Parts
        Permuted values, shape (groups, draws).
    limit : float
        The 95 % quantile of the permuted gaps.

    Returns
    -------
    float
        In units of the metric.
    """
    if gap not in ("max_min", "worst_rest") or not np.isfinite(limit):
        return np.nan
    harmed = harm(metric, null.group)
    needed = []
    for g in range(len(harmed)):
        against = np.delete(harmed, g, axis=0)
        if gap == "max_min":
            excess = harmed[g] - against.min(axis=0)
            already = against.max(axis=0) - against.min(axis=0) >= limit
        else:
            rest = harm(metric, null.rest)
            excess = harmed[g] - rest[g]
            already = np.delete(harmed - rest, g, axis=0).max(axis=0) >= limit
        amount = np.where(already, 0, np.maximum(limit - excess, 0))
        needed.append(np.quantile(amount[np.isfinite(excess)], POWER, method="higher"))
    return float(max(needed))


def p_value(observed: float, null: np.ndarray, gap: str) -> float:
    """Return the add-one permutation p-value (Phipson and Smyth 2010).

    One-sided toward unfairness; two-sided (twice the smaller tail) for a signed contrast.
    """
    null = null[np.isfinite(null)]
    if not null.size:
        return np.nan
    slack = 1e-6  # permuted values are float32: what is closer than this is a tie
    above = (1 + (null >= observed - slack).sum()) / (1 + null.size)
    below = (1 + (null <= observed + slack).sum()) / (1 + null.size)
    if gap.startswith(OTHERS):
        return float(min(1, 2 * min(above, below)))
    return float(below if gap in FAIRER_WHEN_LARGE else above)


def null_limit(null: np.ndarray, gap: str) -> float:
    """Return the bound that 95 % of the null respects: an upper one, or of ``ratio`` and ``es`` a
    lower one, or of a signed contrast one of its absolute value."""
    null = null[np.isfinite(null)]
    if not null.size:
        return np.nan
    if gap.startswith(OTHERS):
        return float(np.quantile(np.abs(null), 0.95))
    return float(np.quantile(null, 0.05 if gap in FAIRER_WHEN_LARGE else 0.95))
