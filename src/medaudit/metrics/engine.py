"""From scores, labels, groups and replicate weights to metric values.

A `Plan` holds the images of one task, one seed and one way of cutting them into groups, sorted
once by score. `values` then computes every metric of every group for a block of replicates, whose
weights have one row a unit (a patient) and one column a replicate.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from medaudit.metrics import kernels
from medaudit.metrics.definitions import METRICS, Sums

EPSILON = 1e-6


@dataclass(frozen=True)
class Plan:
    """Images of one task and seed in ascending order of score.

    Parameters
    ----------
    unit : ndarray of int, shape (n,)
        Row of the replicate weights.
    group : ndarray of int, shape (n,)
        Group of each image, 0 to ``n_groups - 1``.
    n_groups : int
    positive : ndarray of bool, shape (n,)
    score : ndarray of float, shape (n,)
        Probabilities in [0, 1], ascending.
    decision : ndarray of bool, shape (n,), or None
        None where there is no threshold.
    factor : ndarray of float, shape (n,)
        Importance weights, above 0.
    bins : int
        Number of calibration bins, fixed and of equal width on [0, 1].
    """

    unit: np.ndarray
    group: np.ndarray
    n_groups: int
    positive: np.ndarray
    score: np.ndarray
    decision: np.ndarray | None
    factor: np.ndarray
    bins: int

    @cached_property
    def ends(self) -> np.ndarray:
        """Ends of the runs of equal scores."""
        if not self.score.size:
            return np.empty(0, int)
        return np.append(np.flatnonzero(np.diff(self.score) != 0) + 1, self.score.size)

    @cached_property
    def weighted(self) -> bool:
        """Whether any importance weight differs from 1."""
        return bool((self.factor != 1).any())

    @cached_property
    def fit(self) -> np.ndarray:
        """Calibration of each group: intercept and slope, and intercept at slope 1."""
        fits = [
            fit_calibration(
                *(part[self.group == g] for part in (self.score, self.positive)),
                self.factor[self.group == g],
            )
            for g in range(self.n_groups)
        ]
        return np.array(fits).reshape(self.n_groups, 3)

    def keep(self, group: np.ndarray, n_groups: int) -> "Plan":
        """Return the same images cut into other groups; those with a negative group are left."""
        kept = group >= 0
        decision = None if self.decision is None else self.decision[kept]
        return replace(
            self,
            group=group[kept].astype(np.int32),
            n_groups=n_groups,
            decision=decision,
            **{name: getattr(self, name)[kept] for name in ("unit", "positive", "score", "factor")},
        )


def make_plan(unit, group, n_groups, positive, score, decision, factor, bins) -> Plan:
    """Sort images by score; those with a negative group or no weight are left out.

    Parameters are those of `Plan`, in any order of images.
    """
    kept = np.flatnonzero((group >= 0) & (factor > 0))
    order = kept[np.argsort(score[kept], kind="stable")]
    return Plan(
        unit[order].astype(np.int32),
        group[order].astype(np.int32),
        n_groups,
        positive[order].astype(bool),
        score[order].astype(float),
        None if decision is None else decision[order].astype(bool),
        factor[order].astype(float),
        bins,
    )


def values(plan: Plan, metrics: Sequence[str], weights: np.ndarray) -> np.ndarray:
    """Compute metrics of every group for every replicate.

    Parameters
    ----------
    plan : Plan
    metrics : sequence of str
        Names in `medaudit.metrics.definitions.METRICS`.
    weights : ndarray of uint8 or float, shape (units, replicates)
        How often each unit was drawn.

    Returns
    -------
    ndarray of float64, shape (len(metrics), n_groups, replicates)
        NaN where a metric is undefined.
    """
    needed = {need for name in metrics for need in METRICS[name].needs}
    if plan.decision is None:
        needed.discard("confusion")
    sums: Sums = {need: _SUMS[need](plan, weights) for need in sorted(needed)}
    if "calibration" in needed:
        sums["fit"] = plan.fit
    result = np.full((len(metrics), plan.n_groups, weights.shape[1]), np.nan)
    for index, name in enumerate(metrics):
        if needed.issuperset(METRICS[name].needs):
            result[index] = METRICS[name].compute(sums)
    return result


def fit_calibration(score, positive, factor) -> tuple[float, float, float]:
    """Fit ``logit P(y = 1) = a + b logit(score)``, and ``a`` alone with ``b = 1``.

    Parameters
    ----------
    score : ndarray of float, shape (n,)
        Clipped to [1e-6, 1 - 1e-6] before the logit.
    positive : ndarray of bool, shape (n,)
    factor : ndarray of float, shape (n,)
        Importance weights.

    Returns
    -------
    tuple of float
        Intercept and slope (Cox 1958), intercept at slope 1 ("calibration in the large"); NaN
        where the maximum-likelihood fit does not exist (one class, or classes that the score
        separates) or the scores are all equal.
    """
    if positive.all() or not positive.any():
        return (np.nan,) * 3
    x = _logit(score)
    intercept = _newton(np.ones((x.size, 1)), x, positive, factor)[0]
    separated = x[positive].min() >= x[~positive].max() or x[positive].max() <= x[~positive].min()
    if separated:
        return np.nan, np.nan, intercept
    line = _newton(np.column_stack([np.ones_like(x), x]), np.zeros_like(x), positive, factor)
    return line[0], line[1], intercept


def _newton(design, offset, positive, factor, steps: int = 100) -> np.ndarray:
    beta = np.zeros(design.shape[1])
    loss = np.inf
    step = np.zeros_like(beta)
    for _ in range(steps):
        p = 1 / (1 + np.exp(-(design @ beta + offset)))
        now = -np.sum(factor * np.log(np.where(positive, p, 1 - p) + 1e-300))
        if not now <= loss + 1e-9 * abs(loss):
            step /= 2
            beta = beta - step
            continue
        loss = now
        slope = design.T @ (factor * (positive - p))
        curve = (design * (factor * p * (1 - p))[:, None]).T @ design
        try:
            step = np.linalg.solve(curve, slope)
        except np.linalg.LinAlgError:
            return np.full_like(beta, np.nan)
        beta = beta + step
        if np.abs(step).max() < 1e-12 * (1 + np.abs(beta).max()):
            return beta
    return beta if np.abs(step).max() < 1e-6 else np.full_like(beta, np.nan)


def _logit(score: np.ndarray) -> np.ndarray:
    clipped = np.clip(score, EPSILON, 1 - EPSILON)
    return np.log(clipped / (1 - clipped))


def _gather(plan: Plan, weights, slot, coefficient, slots: int) -> np.ndarray:
    out = np.zeros((slots, coefficient.shape[1], weights.shape[1]))
    kernels.add_rows(out, slot, np.ascontiguousarray(coefficient), plan.unit, weights)
    return out


def _label(plan: Plan, weights) -> np.ndarray:
    slot = plan.group * 2 + plan.positive
    sums = _gather(plan, weights, slot, plan.factor[:, None], plan.n_groups * 2)
    return sums.reshape(plan.n_groups, 2, -1)


def _confusion(plan: Plan, weights) -> np.ndarray:
    slot = plan.group * 4 + plan.positive * 2 + plan.decision
    sums = _gather(plan, weights, slot, plan.factor[:, None], plan.n_groups * 4)
    return sums.reshape(plan.n_groups, 4, -1)


def _brier(plan: Plan, weights) -> np.ndarray:
    coefficient = plan.factor * (plan.score - plan.positive) ** 2
    return _gather(plan, weights, plan.group, coefficient[:, None], plan.n_groups)


def _bins(plan: Plan, weights) -> np.ndarray:
    bin_ = np.minimum((plan.score * plan.bins).astype(np.int32), plan.bins - 1)
    columns = [plan.factor, plan.factor * plan.score, plan.factor * plan.positive]
    if plan.weighted:
        columns.append(plan.factor**2)
    sums = _gather(
        plan,
        weights,
        plan.group * plan.bins + bin_,
        np.column_stack(columns),
        plan.n_groups * plan.bins,
    )
    return sums.reshape(plan.n_groups, plan.bins, len(columns), -1)


def _calibration(plan: Plan, weights) -> np.ndarray:
    x = _logit(plan.score)
    a, b, level = plan.fit[plan.group].T
    p = 1 / (1 + np.exp(-(a + b * x)))
    p_level = 1 / (1 + np.exp(-(level + x)))
    spread = p * (1 - p)
    residual = plan.positive - p
    parts = [residual, residual * x, spread, spread * x, spread * x * x]
    parts += [plan.positive - p_level, p_level * (1 - p_level)]
    return _gather(
        plan, weights, plan.group, np.column_stack(parts) * plan.factor[:, None], plan.n_groups
    )


def _pairs(plan: Plan, weights) -> np.ndarray:
    pairs, below = np.zeros((2, plan.n_groups, weights.shape[1]))
    kernels.rank_pairs(
        pairs, below, plan.ends, plan.group, plan.positive, plan.factor, plan.unit, weights
    )
    return pairs


def _precision(plan: Plan, weights) -> np.ndarray:
    total, found, chosen, fresh = np.zeros((4, plan.n_groups, weights.shape[1]))
    kernels.sum_precision(
        total, found, chosen, fresh,
        plan.ends, plan.group, plan.positive, plan.factor, plan.unit, weights,
    )  # fmt: skip
    return total


_SUMS = {
    "label": _label,
    "confusion": _confusion,
    "brier": _brier,
    "bins": _bins,
    "calibration": _calibration,
    "pairs": _pairs,
    "precision": _precision,
}
