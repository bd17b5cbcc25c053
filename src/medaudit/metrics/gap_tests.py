"""Permutation tests of gaps: p-value, 95 % limit and smallest detectable difference."""

import numpy as np

from medaudit.metrics.gaps import GAPS, OTHERS, Parts, harm, parse_gap

POWER = 0.8
TIE = 1e-6
"""Permuted values are float32: what is closer than this is a tie."""


def detectable(gap: str, metric: str, null: Parts, limit: float) -> float:
    """Return the smallest detectable difference, in units of the metric.

    One group must be worse by this amount so that, whichever group it is, the gap exceeds `limit`
    (the 95 % quantile of the null) in at least 80 % of samples: the minimum detectable effect of
    Bloom (1995), with the permutations as the distribution of the noise.

    Parameters
    ----------
    gap : str
        ``max_min`` or ``worst_rest``; NaN for all others.
    metric : str
        Gives the direction.
    null : Parts
        Permuted values, shape (groups, draws).
    limit : float
        The 95 % quantile of the permuted gaps.

    Returns
    -------
    float
        The largest amount that any of the groups needs.
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
    above = (1 + (null >= observed - TIE).sum()) / (1 + null.size)
    below = (1 + (null <= observed + TIE).sum()) / (1 + null.size)
    kind = parse_gap(gap).kind
    if kind == OTHERS:
        return float(min(1, 2 * min(above, below)))
    return float(below if GAPS[kind].fairer_when_large else above)


def null_limit(null: np.ndarray, gap: str) -> float:
    """Return the limit of 95 % of the null.

    The 95 % quantile; the 5 % quantile where a larger gap is fairer; the 95 % quantile of the
    absolute value of a signed contrast.
    """
    null = null[np.isfinite(null)]
    if not null.size:
        return np.nan
    kind = parse_gap(gap).kind
    if kind == OTHERS:
        return float(np.quantile(np.abs(null), 0.95))
    return float(np.quantile(null, 0.05 if GAPS[kind].fairer_when_large else 0.95))
