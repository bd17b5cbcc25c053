"""The images of one task and seed, sorted once by score, and what each image adds to a sum."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy.special import expit

from medaudit.metrics.bootstrap_kernels import Images
from medaudit.metrics.calibration import fit_calibration, logit

Summands = tuple[np.ndarray, int, list[np.ndarray]]


@dataclass(frozen=True)
class SortedScores:
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
        Number of calibration bins of equal width.
    own_range : bool
        Whether the bins lie between the lowest and the highest score of each group, as in the
        code of MEDFAIR and FairMedFM (``pandas.cut``), instead of on [0, 1]. Replicates keep the
        bins of the images themselves.
    """

    unit: np.ndarray
    group: np.ndarray
    n_groups: int
    positive: np.ndarray
    score: np.ndarray
    decision: np.ndarray | None
    factor: np.ndarray
    bins: int
    own_range: bool = False

    @cached_property
    def images(self) -> Images:
        """What the compiled loops take."""
        ends = np.append(np.flatnonzero(np.diff(self.score) != 0) + 1, self.score.size)
        ends = ends if self.score.size else np.empty(0, int)
        return Images(ends, self.group, self.positive, self.factor, self.unit)

    @cached_property
    def weighted(self) -> bool:
        """Whether any importance weight differs from 1."""
        return bool((self.factor != 1).any())

    @cached_property
    def by_unit(self) -> np.ndarray:
        """Images in the order of their units: sums that need no order of scores are faster so."""
        return np.argsort(self.unit, kind="stable")

    @cached_property
    def fit(self) -> np.ndarray:
        """Calibration of each group (`fit_calibration`), shape (groups, 3)."""
        parts = (self.score, self.positive, self.factor)
        fits = [
            fit_calibration(*(part[self.group == g] for part in parts))
            for g in range(self.n_groups)
        ]
        return np.array(fits).reshape(self.n_groups, 3)

    def regroup(self, group: np.ndarray, n_groups: int) -> "SortedScores":
        """Return the same images in other groups; those with a negative group are left out."""
        kept = group >= 0
        return replace(
            self,
            unit=self.unit[kept],
            group=group[kept].astype(np.int32),
            n_groups=n_groups,
            positive=self.positive[kept],
            score=self.score[kept],
            decision=None if self.decision is None else self.decision[kept],
            factor=self.factor[kept],
        )

    def merge_groups(self) -> "SortedScores":
        """Return the same images in one group."""
        return self.regroup(np.zeros_like(self.group), 1)


def sort_images(
    *,
    unit: np.ndarray,
    group: np.ndarray,
    n_groups: int,
    positive: np.ndarray,
    score: np.ndarray,
    decision: np.ndarray | None,
    factor: np.ndarray,
    bins: int,
    own_range: bool = False,
) -> SortedScores:
    """Sort images by score; those with a negative group or no weight are left out.

    Parameters are those of `SortedScores`, the images in any order.
    """
    kept = np.flatnonzero((group >= 0) & (factor > 0))
    order = kept[np.argsort(score[kept], kind="stable")]
    return SortedScores(
        unit=unit[order].astype(np.int32),
        group=group[order].astype(np.int32),
        n_groups=n_groups,
        positive=positive[order].astype(bool),
        score=score[order].astype(float),
        decision=None if decision is None else decision[order].astype(bool),
        factor=factor[order].astype(float),
        bins=bins,
        own_range=own_range,
    )


def summands(scores: SortedScores, need: str) -> tuple[np.ndarray, int, np.ndarray]:
    """Return what each image adds to a sum that does not depend on the order of scores.

    Parameters
    ----------
    scores : SortedScores
        The images.
    need : {"label", "confusion", "brier", "absolute", "bins", "calibration"}
        Which sum.

    Returns
    -------
    slot : ndarray of int, shape (n,)
        Where an image adds within its group.
    slots : int
        Number of slots per group.
    coefficient : ndarray of float, shape (n, k)
        What it adds there, in k separate sums.
    """
    slot, slots, columns = _SUMMANDS[need](scores)
    return slot, slots, np.ascontiguousarray(np.stack(columns, axis=1))


def _label(scores: SortedScores) -> Summands:
    return scores.positive.astype(np.int64), 2, [scores.factor]


def _confusion(scores: SortedScores) -> Summands:
    return scores.positive * 2 + scores.decision, 4, [scores.factor]


def _one_slot(scores: SortedScores) -> np.ndarray:
    return np.zeros(scores.unit.size, np.int64)


def _brier(scores: SortedScores) -> Summands:
    return _one_slot(scores), 1, [scores.factor * (scores.score - scores.positive) ** 2]


def _absolute(scores: SortedScores) -> Summands:
    return _one_slot(scores), 1, [scores.factor * np.abs(scores.score - scores.positive)]


def _bins(scores: SortedScores) -> Summands:
    if scores.own_range:
        place = _place_in_own_range(scores)
    else:
        place = np.minimum((scores.score * scores.bins).astype(np.int64), scores.bins - 1)
    columns = [scores.factor, scores.factor * scores.score, scores.factor * scores.positive]
    return place, scores.bins, columns + ([scores.factor**2] if scores.weighted else [])


def _place_in_own_range(scores: SortedScores) -> np.ndarray:
    """Return each image's bin as ``pandas.cut`` gives it: closed on the right, the first on both."""
    place = np.zeros(scores.score.size, np.int64)
    for g in range(scores.n_groups):
        own = scores.group == g
        if own.any():
            values = scores.score[own]  # ascending
            edges = np.linspace(values[0], values[-1], scores.bins + 1)
            place[own] = np.clip(edges.searchsorted(values, side="left") - 1, 0, scores.bins - 1)
    return place


def _calibration(scores: SortedScores) -> Summands:
    x = logit(scores.score)
    a, b, level = scores.fit[scores.group].T
    p = expit(a + b * x)
    p_level = expit(level + x)
    spread, residual = p * (1 - p), scores.positive - p
    columns = [residual, residual * x, spread, spread * x, spread * x * x]
    columns += [scores.positive - p_level, p_level * (1 - p_level)]
    return _one_slot(scores), 1, [scores.factor * column for column in columns]


_SUMMANDS: dict[str, Callable[[SortedScores], Summands]] = {
    "label": _label,
    "confusion": _confusion,
    "brier": _brier,
    "absolute": _absolute,
    "bins": _bins,
    "calibration": _calibration,
}
