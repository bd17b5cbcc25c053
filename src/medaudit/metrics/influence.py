"""Effective sizes of group values, from what each patient adds to them.

The variance of a metric is the sum over units (a patient's images in one group) of their squared
influence, so that images of one patient count together (Liang and Zeger 1986; for the AUC DeLong
et al. 1988 with the clusters of Obuchowski 1997). `medaudit.metrics.effective_size` turns it into
a number of trials. Values and permutations take the same path: a studentised permutation test is
exact under exchangeability only if the observed statistic is computed as the permuted ones are.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from medaudit.metrics.effective_size import ranking_size, shrink_size
from medaudit.metrics.influence_kernels import add_units, rank_units, square_influence
from medaudit.metrics.sorted_scores import SortedScores

CELLS = ("tn", "fp", "fn", "tp")
PAIRS = [(a, b) for a in range(4) for b in range(a, 4)]
LABEL = np.array([0, 0, 1, 1])
"""Label of each cell."""
OWN_CELLS = {
    "tpr": (2, 3),
    "overdiagnosis": (2, 3),
    "fpr": (0, 1),
    "tnr": (0, 1),
    "underdiagnosis": (0, 1),
    "ppv": (1, 3),
    "npv": (0, 2),
    "f1": (1, 2, 3),
    "accuracy": (0, 1, 2, 3),
    "selection_rate": (0, 1, 2, 3),
}
"""Cells that a metric is a share of."""
SIZED = (*OWN_CELLS, "balanced_accuracy", "auc", "average_precision")
"""Metrics that have an effective size under permutation."""


@dataclass(frozen=True)
class Sizes:
    """Effective sizes along the axes metric, group and column.

    Parameters
    ----------
    size : ndarray, shape (metrics, groups, columns)
        NaN where a metric has none.
    patients : ndarray, shape (metrics, groups, columns)
        Effective number of patients that it was estimated from.
    ratio : ndarray, shape (metrics, groups, columns)
        Squared weights of patients over those of images: above 1 where images cluster.
    inflation : ndarray, shape (metrics, groups, columns)
        Design effect: independent images over the effective size.
    """

    size: np.ndarray
    patients: np.ndarray
    ratio: np.ndarray
    inflation: np.ndarray


class UnitSums:
    """What the units of one task and seed hold: weights by label and by cell of the confusion.

    Parameters
    ----------
    scores : SortedScores
        All images in one group; their ``unit`` is the row of `permuted`.
    units : int
        Number of units.
    """

    def __init__(self, scores: SortedScores, units: int) -> None:
        self.scores, self.units = scores, units
        self.cell = scores.positive * 2 + (0 if scores.decision is None else scores.decision)
        images = np.bincount(scores.unit, minlength=units)
        self.alone = bool((images <= 1).all())
        self.independent = self.alone and not scores.weighted

    @cached_property
    def by_cell(self) -> np.ndarray:
        """Weights of each unit in each cell, shape (units, 4)."""
        place = self.scores.unit.astype(np.int64) * 4 + self.cell
        return np.bincount(place, self.scores.factor, minlength=4 * self.units).reshape(-1, 4)

    @cached_property
    def squares(self) -> np.ndarray:
        """Squared weights of the images of each unit in each cell, shape (units, 4)."""
        place = self.scores.unit.astype(np.int64) * 4 + self.cell
        weights = self.scores.factor**2
        return np.bincount(place, weights, minlength=4 * self.units).reshape(-1, 4)

    @cached_property
    def columns(self) -> np.ndarray:
        """Weights, squared weights and products of cells: what `Moments` adds up by group."""
        if self.independent:
            return self.by_cell
        if self.alone:
            return np.concatenate([self.by_cell, self.squares], axis=1)
        products = [self.by_cell[:, a] * self.by_cell[:, b] for a, b in PAIRS]
        return np.column_stack([self.by_cell, self.squares, *products])


class Moments:
    """Sums of `UnitSums.columns` by group.

    Parameters
    ----------
    sums : UnitSums
        The units.
    permuted : ndarray of int, shape (units, columns)
        Group of each unit, -1: takes no part.
    share : ndarray, shape (2, groups)
        Mean importance weight by label and group, which the units' weights lack.
    """

    def __init__(self, sums: UnitSums, permuted: np.ndarray, share: np.ndarray) -> None:
        columns = np.ascontiguousarray(sums.columns)
        groups = share.shape[1]
        found = np.zeros((columns.shape[1], groups, permuted.shape[1]))
        add_units(found, columns, permuted)
        scale = share[LABEL][:, :, None]
        self.cells = found[:4] * scale
        self.squares = (found[:4] if sums.independent else found[4:8]) * scale**2
        self.products = np.zeros((4, 4, *found.shape[1:]))
        for place, (a, b) in enumerate(PAIRS):
            if len(found) > 8:
                value = found[8 + place] * scale[a] * scale[b]
            else:
                value = self.squares[a] if a == b else 0.0
            self.products[a, b] = self.products[b, a] = value

    def weights(self, cells: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the sum of weights, of images' squared and of units' squared weights of cells."""
        cells = list(cells)
        own = self.products[np.ix_(cells, cells)].sum(axis=(0, 1))
        return self.cells[cells].sum(axis=0), self.squares[cells].sum(axis=0), own

    def variance(self, metric: str) -> np.ndarray:
        """Return the variance of a metric by the delta method, shape (groups, columns)."""
        slope = _gradient(metric, self.cells)
        return np.einsum("agb,cgb,acgb->gb", slope, slope, self.products)


def _divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    shape = np.broadcast_shapes(np.shape(top), np.shape(bottom))
    return np.divide(top, bottom, out=np.full(shape, np.nan), where=bottom > 0)


def _gradient(metric: str, cells: np.ndarray) -> np.ndarray:
    """Return the derivatives of a metric with respect to the four cells, shape as `cells`."""
    slope = np.zeros_like(cells)
    if metric == "balanced_accuracy":
        return (_gradient("tpr", cells) + _gradient("tnr", cells)) / 2
    own = list(OWN_CELLS[metric])
    if metric == "f1":
        whole = cells[1] + cells[2] + 2 * cells[3]
        value = _divide(2 * cells[3], whole)
        slope[own] = -value / whole
        slope[3] = 2 * (1 - value) / whole
        return slope
    right = [cell for cell in own if cell in RIGHT[metric]]
    whole = cells[own].sum(axis=0)
    value = _divide(cells[right].sum(axis=0), whole)
    slope[own] = -value / whole
    slope[right] = (1 - value) / whole
    return slope


RIGHT = {
    "tpr": (3,),
    "overdiagnosis": (2,),
    "fpr": (1,),
    "underdiagnosis": (1,),
    "tnr": (0,),
    "ppv": (3,),
    "npv": (0,),
    "accuracy": (0, 3),
    "selection_rate": (1, 3),
}
"""Cells that a metric counts."""


@dataclass(frozen=True)
class _Base:
    """What a metric's size is made of: that of independent images, effective patients, ratio."""

    size: np.ndarray
    patients: np.ndarray
    ratio: np.ndarray


def _base(metric: str, moments: Moments) -> _Base:
    if metric in OWN_CELLS:
        whole, squares, own = moments.weights(OWN_CELLS[metric])
        return _Base(_divide(whole**2, squares), _divide(whole**2, own), _divide(own, squares))
    parts = [_base("tpr", moments), _base("fpr", moments)]
    patients = np.minimum(parts[0].patients, parts[1].patients)
    ratio = (parts[0].ratio + parts[1].ratio) / 2
    size = 4 / (1 / parts[0].size + 1 / parts[1].size)
    if metric == "average_precision":
        size = parts[0].size
    return _Base(size, patients, ratio)


def sizes(
    sums: UnitSums,
    metrics: Sequence[str],
    permuted: np.ndarray,
    share: np.ndarray,
    values: np.ndarray,
    rho: np.ndarray | None = None,
    spread: np.ndarray | None = None,
) -> Sizes:
    """Return the effective sizes of group values.

    Parameters
    ----------
    sums : UnitSums
        The units of one task and seed.
    metrics : sequence of str
        Those that are not in `SIZED` get NaN.
    permuted : ndarray of int, shape (units, columns)
        Group of each unit in each column.
    share : ndarray, shape (2, groups)
        As for `Moments`.
    values : ndarray, shape (metrics, groups, columns)
        Values of the metrics.
    rho : ndarray, shape (metrics,), optional
        Correlation within patients, from all groups together; default 0.
    spread : ndarray, shape (metrics,), optional
        Design effect of metrics whose variance is not computed here (average precision).
    """
    found = np.full((4, *values.shape), np.nan)
    moments = Moments(sums, permuted, share)
    rho = np.zeros(len(metrics)) if rho is None else rho
    for m, metric in enumerate(metrics):
        decided = metric in OWN_CELLS or metric == "balanced_accuracy"
        if metric not in SIZED or (decided and sums.scores.decision is None):
            continue
        base, value = _base(metric, moments), values[m]
        expected = 1 + rho[m] * (base.ratio - 1)
        independent = base.size
        if metric == "auc":
            independent, variance = _ranking(sums, moments, permuted, value, base)
        elif decided:
            variance = moments.variance(metric)
            if not sums.independent:
                variance = variance * unbiased(base.patients)
        if metric == "average_precision":
            size = independent / (expected if spread is None else spread[m])
        else:
            size = shrink_size(value, variance, independent, expected)
        found[:, m] = size, base.patients, base.ratio, independent / size
    return Sizes(*found)


def unbiased(patients: np.ndarray) -> np.ndarray:
    """Return what a variance estimated from few patients is multiplied by."""
    return patients / np.maximum(patients - 1, 0.5)


def _ranking(
    sums: UnitSums, moments: Moments, permuted: np.ndarray, value: np.ndarray, base: _Base
) -> tuple[np.ndarray, np.ndarray]:
    """Return the size of an AUC of independent images, and its variance."""
    units, columns = permuted.shape
    below, seen = np.zeros((2, *value.shape))
    own = np.zeros((units, columns), np.float32)
    rank_units(below, seen, own, sums.scores.images, permuted)
    negatives, positives = sums.by_cell[:, :2].sum(axis=1), sums.by_cell[:, 2:].sum(axis=1)
    kind = np.where(negatives == 0, 0, np.where(positives == 0, 1, 2))
    squared = np.zeros((3, *value.shape))
    square_influence(
        squared, own, positives, negatives, kind, permuted, below, seen, np.nan_to_num(value)
    )
    by_label = [_base("tpr", moments), _base("fpr", moments)]
    scale = [unbiased(one.patients) for one in by_label] + [unbiased(base.patients)]
    variance = sum(s * part for s, part in zip(scale, squared, strict=True))
    return ranking_size(value, by_label[0].size, by_label[1].size), variance
