"""The images of one task and seed, sorted once by score, and the terms they add to sums."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.special import expit

from medaudit.metrics.calibration import fit_calibration, logit


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
    def by_unit(self) -> np.ndarray:
        """The images in the order of their units, which is fast to walk where order is free."""
        return np.argsort(self.unit, kind="stable")

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


def features(plan: Plan, need: str) -> tuple[np.ndarray, int, np.ndarray]:
    """Return what each image adds to a sum that does not depend on the order of scores.

    Parameters
    ----------
    plan : Plan
        The images.
    need : {"label", "confusion", "brier", "absolute", "bins", "calibration"}
        Which sum.

    Returns
    -------
    slot : ndarray of int, shape (n,)
        Where within its group an image adds.
    slots : int
        Number of slots of a group.
    coefficient : ndarray of float, shape (n, k)
        What it adds there; the k columns are sums of their own.
    """
    slot, slots, columns = _FEATURES[need](plan)
    return slot, slots, np.ascontiguousarray(np.stack(columns, axis=1))


def _label(plan: Plan):
    return plan.positive.astype(np.int64), 2, [plan.factor]


def _confusion(plan: Plan):
    return plan.positive * 2 + plan.decision, 4, [plan.factor]


def _nowhere(plan: Plan) -> np.ndarray:
    return np.zeros(plan.unit.size, np.int64)


def _brier(plan: Plan):
    return _nowhere(plan), 1, [plan.factor * (plan.score - plan.positive) ** 2]


def _absolute(plan: Plan):
    return _nowhere(plan), 1, [plan.factor * np.abs(plan.score - plan.positive)]


def _bins(plan: Plan):
    place = np.minimum((plan.score * plan.bins).astype(np.int64), plan.bins - 1)
    columns = [plan.factor, plan.factor * plan.score, plan.factor * plan.positive]
    return place, plan.bins, columns + ([plan.factor**2] if plan.weighted else [])


def _calibration(plan: Plan):
    x = logit(plan.score)
    a, b, level = plan.fit[plan.group].T
    p = expit(a + b * x)
    p_level = expit(level + x)
    spread, residual = p * (1 - p), plan.positive - p
    columns = [residual, residual * x, spread, spread * x, spread * x * x]
    columns += [plan.positive - p_level, p_level * (1 - p_level)]
    return _nowhere(plan), 1, [plan.factor * column for column in columns]


_FEATURES = {
    "label": _label,
    "confusion": _confusion,
    "brier": _brier,
    "absolute": _absolute,
    "bins": _bins,
    "calibration": _calibration,
}
