"""What a standardised value is made of: columns of images, each a rate or an AUC by stratum."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from medaudit.audit.conditional_gaps.cell_kernels import add_aucs, add_rates
from medaudit.metrics.bootstrap_kernels import Images


class Estimate(NamedTuple):
    """Values of the groups, each of shape (groups,) but `influence`, shape (units,)."""

    value: np.ndarray
    shrunk: np.ndarray
    floor: np.ndarray
    influence: np.ndarray


class Column(Protocol):
    """One seed and task of a metric."""

    def add(self, estimate: Estimate, group: np.ndarray) -> None:
        """Add the column's values, given the group of each unit (-1: takes no part)."""


@dataclass(frozen=True)
class RateColumn:
    """A ratio of sums over images; a row is the images of one unit in one stratum.

    Parameters
    ----------
    top, bottom, square : ndarray of float, shape (rows,)
        Sums of numerator and denominator, and of the squares of the latter.
    stratum, unit : ndarray of int32, shape (rows,)
    weight : ndarray of float, shape (strata,)
        Share of each stratum; they add up to 1.
    """

    top: np.ndarray
    bottom: np.ndarray
    square: np.ndarray
    stratum: np.ndarray
    unit: np.ndarray
    weight: np.ndarray

    def add(self, estimate: Estimate, group: np.ndarray) -> None:
        """Add the rates of the groups."""
        sums = (self.top, self.bottom, self.square)
        add_rates(*estimate, group, *sums, self.stratum, self.unit, self.weight)


@dataclass(frozen=True)
class AucColumn:
    """An AUC; `images` in ascending order of score, with the `stratum` of each."""

    images: Images
    stratum: np.ndarray
    weight: np.ndarray

    def add(self, estimate: Estimate, group: np.ndarray) -> None:
        """Add the AUCs of the groups."""
        add_aucs(*estimate, group, self.images, self.stratum, self.weight)


class Rate(NamedTuple):
    """A rate: functions of label, decision and score to what an image adds above and below."""

    top: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    bottom: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
    label: int | None = None
    """The only label of the images that count; None: both."""


_TPR = Rate(lambda y, d, p: y * d, lambda y, d, p: y, 1)
_FPR = Rate(lambda y, d, p: (1 - y) * d, lambda y, d, p: 1 - y, 0)
_TNR = Rate(lambda y, d, p: (1 - y) * (1 - d), lambda y, d, p: 1 - y, 0)

RATES: dict[str, tuple[Rate, ...]] = {
    "accuracy": (Rate(lambda y, d, p: y * d + (1 - y) * (1 - d), lambda y, d, p: y * 0 + 1),),
    "balanced_accuracy": (_TPR, _TNR),
    "f1": (Rate(lambda y, d, p: 2 * y * d, lambda y, d, p: y + d),),
    "tpr": (_TPR,),
    "fpr": (_FPR,),
    "tnr": (_TNR,),
    "ppv": (Rate(lambda y, d, p: y * d, lambda y, d, p: d),),
    "npv": (Rate(lambda y, d, p: (1 - y) * (1 - d), lambda y, d, p: 1 - d),),
    "selection_rate": (Rate(lambda y, d, p: d, lambda y, d, p: y * 0 + 1),),
    "underdiagnosis": (_FPR,),
    "overdiagnosis": (Rate(lambda y, d, p: y * (1 - d), lambda y, d, p: y, 1),),
    "brier": (Rate(lambda y, d, p: (p - y) ** 2, lambda y, d, p: y * 0 + 1),),
    "absolute_error": (Rate(lambda y, d, p: np.abs(p - y), lambda y, d, p: y * 0 + 1),),
}
"""Metrics that are a ratio of sums over images, or the mean of several."""

METRICS = ("auc", *RATES)
"""Metrics that have conditional gaps. Calibration errors and average precision have none: in the
few images of a stratum they are mostly bias."""

WITHOUT_DECISION = ("auc", "brier", "absolute_error")


def label_of(metric: str) -> int | None:
    """Return the label that all images of a metric have, or None."""
    labels = {rate.label for rate in RATES.get(metric, ())} or {None}
    return labels.pop() if len(labels) == 1 else None


def rate_columns(
    metric: str,
    arrays: tuple[np.ndarray, np.ndarray, np.ndarray],
    factor: np.ndarray,
    place: tuple[np.ndarray, np.ndarray],
    weight: np.ndarray,
) -> Sequence[RateColumn]:
    """Return the columns of a ratio metric of one seed and task.

    Parameters
    ----------
    metric : str
        A key of `RATES`.
    arrays : tuple of ndarray, shape (images,)
        Label (0 or 1), decision (0 or 1; anything where the metric needs none) and score.
    factor : ndarray, shape (images,)
        Importance weights.
    place : tuple of ndarray of int, shape (images,)
        Stratum and unit; images with a negative one take no part.
    weight : ndarray, shape (strata,)
        Share of each stratum.
    """
    used = np.flatnonzero((place[0] >= 0) & (place[1] >= 0) & (factor > 0))
    stratum, unit, factor = place[0][used], place[1][used], factor[used]
    label, decision, score = (array[used].astype(float) for array in arrays)
    columns = []
    for rate in RATES[metric]:
        top, bottom = (part(label, decision, score) for part in rate[:2])
        kept = bottom > 0
        key = unit[kept].astype(np.int64) * weight.size + stratum[kept]
        rows, at = np.unique(key, return_inverse=True)
        images = (factor * top, factor * bottom, factor**2 * bottom)
        above, below, square = (np.bincount(at, part[kept], minlength=rows.size) for part in images)
        of_row, of_unit = (p.astype(np.int32) for p in (rows % weight.size, rows // weight.size))
        columns.append(RateColumn(above, below, square, of_row, of_unit, weight))
    return columns
