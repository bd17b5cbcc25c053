"""Series to watch: a metric of one group by period, or the difference between two groups.

A series is a value for each period, its weight, and what each patient adds to it (its influence),
so that the images of a patient count together wherever they lie.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from medaudit.core.errors import MedauditError

Arrays = tuple[np.ndarray, np.ndarray]
"""Which images count, and which of them are counted."""

RATES: dict[str, Callable[[np.ndarray, np.ndarray], Arrays]] = {
    "tpr": lambda y, decision: (y == 1, decision == 1),
    "fpr": lambda y, decision: (y == 0, decision == 1),
    "tnr": lambda y, decision: (y == 0, decision == 0),
    "ppv": lambda y, decision: (decision == 1, y == 1),
    "npv": lambda y, decision: (decision == 0, y == 0),
    "accuracy": lambda y, decision: (np.ones(len(y), bool), decision == y),
    "selection_rate": lambda y, decision: (np.ones(len(y), bool), decision == 1),
}
"""Metric to its denominator and numerator, of images with a label and a decision."""

METRICS = (*RATES, "auc")
"""Metrics that can be watched."""


@dataclass(frozen=True)
class Part:
    """One group's metric by period.

    Parameters
    ----------
    value, weight : ndarray, shape (periods,)
        The metric, NaN where a period has none, and its weight: the denominator of a rate; for AUC
        positives x negatives / (positives + negatives). 0 where there is no value.
    add, share : ndarray, shape (patients, periods)
        The influence of a patient at centre c is ``add - c * share``.
    errors : ndarray, shape (2, periods)
        Images counted and not counted by a rate; positives and negatives for AUC.
    """

    value: np.ndarray
    weight: np.ndarray
    add: np.ndarray
    share: np.ndarray
    errors: np.ndarray

    def centre(self, end: int) -> float:
        """Return the weighted mean of the periods before `end`."""
        known = self.weight[:end] > 0
        total = self.weight[:end][known].sum()
        return (
            float((self.weight[:end] * self.value[:end])[known].sum() / total) if total else np.nan
        )

    @cached_property
    def _moments(self) -> np.ndarray:
        """Sums over patients of add², add x share and share², shape (3, periods)."""
        pairs = ((self.add, self.add), (self.add, self.share), (self.share, self.share))
        return np.array([np.einsum("pt,pt->t", a, b) for a, b in pairs])

    def variance(self, end: int) -> np.ndarray:
        """Return the variance of each period before `end`, at their common mean."""
        centre = self.centre(end)
        squares, products, shares = self._moments[:, :end]
        return np.maximum(squares - 2 * centre * products + centre**2 * shares, 0)

    def influence(self, end: int) -> np.ndarray:
        """Return the influence in the periods before `end`, at their common mean."""
        return self.add[:, :end] - self.centre(end) * self.share[:, :end]


@dataclass(frozen=True)
class Series:
    """A metric of one group, or its difference between two groups, by period.

    Parameters
    ----------
    task, metric, attribute, group : str
        Names; `group` of a difference is ``first - second``.
    parts : tuple of Part
        One, or the two groups of a difference.
    """

    task: str
    metric: str
    attribute: str
    group: str
    parts: tuple[Part, ...]

    @property
    def is_gap(self) -> bool:
        """Whether this is a difference between two groups."""
        return len(self.parts) == 2

    @property
    def value(self) -> np.ndarray:
        """Value by period."""
        return self.parts[0].value - self.parts[1].value if self.is_gap else self.parts[0].value

    @property
    def weight(self) -> np.ndarray:
        """Weight by period; of a difference, that of its variance, 0 where a group is absent."""
        first = self.parts[0].weight
        if not self.is_gap:
            return first
        total = first + self.parts[1].weight
        return np.divide(
            first * self.parts[1].weight, total, out=np.zeros(len(first)), where=total > 0
        )

    def influence(self, end: int) -> np.ndarray:
        """Return each patient's influence in the periods before `end`, shape (patients, end)."""
        first = self.parts[0].influence(end)
        return first - self.parts[1].influence(end) if self.is_gap else first

    @cached_property
    def shares_patients(self) -> bool:
        """Whether a patient comes in several periods, or is in both groups."""
        counts = sum((part.share > 0).sum(axis=1) for part in self.parts)
        return bool((counts > 1).any())

    def variance_of_a_unit(self, end: int) -> float:
        """Return the variance of one unit of weight, pooled over the periods before `end`."""
        own = sum(part.variance(end) for part in self.parts)
        weight = self.weight[:end]
        return float((weight**2 * own).sum() / weight.sum())


def make_part(
    metric: str,
    arrays: dict[str, np.ndarray],
    chosen: np.ndarray,
    period: np.ndarray,
    n_periods: int,
) -> Part:
    """Return a metric of the images in `chosen` by period.

    Parameters
    ----------
    metric : str
        One of `METRICS`.
    arrays : dict of str to ndarray, shape (images,)
        ``y`` and ``decision`` (1, 0 or NaN), ``score``, ``patient`` (whole numbers).
    chosen : ndarray of bool, shape (images,)
        The group.
    period : ndarray of int, shape (images,)
        Period of each image.
    n_periods : int
        Number of periods.

    Raises
    ------
    MedauditError
        The metric cannot be watched.
    """
    if metric not in METRICS:
        raise MedauditError(f"{metric} cannot be watched; choose from {', '.join(METRICS)}")
    known = chosen & np.isfinite(arrays["y"])
    if metric == "auc":
        return _auc_part(arrays, known, period, n_periods)
    known &= np.isfinite(arrays["decision"])
    counts, hits = RATES[metric](arrays["y"], arrays["decision"])
    return _rate_part(known & counts, hits, arrays["patient"], period, n_periods)


def _rate_part(
    counted: np.ndarray, hits: np.ndarray, patient: np.ndarray, period: np.ndarray, n_periods: int
) -> Part:
    rows, times = np.unique(patient[counted], return_inverse=True)[1], period[counted]
    n = np.bincount(times, minlength=n_periods).astype(float)
    right = np.bincount(times, hits[counted].astype(float), minlength=n_periods)
    shape = (int(rows.max()) + 1 if len(rows) else 0, n_periods)
    own = np.repeat(1.0, len(rows)) / n[times]
    share, add = np.zeros(shape), np.zeros(shape)
    np.add.at(share, (rows, times), own)
    np.add.at(add, (rows, times), own * hits[counted])
    value = np.divide(right, n, out=np.full(n_periods, np.nan), where=n > 0)
    return _aligned(Part(value, n, add, share, np.array([right, n - right])), patient, counted)


def _auc_part(
    arrays: dict[str, np.ndarray], known: np.ndarray, period: np.ndarray, n_periods: int
) -> Part:
    y, score, patient = arrays["y"], arrays["score"], arrays["patient"]
    shared = np.unique(patient[known], return_inverse=True)[1]
    shape = (int(shared.max()) + 1 if len(shared) else 0, n_periods)
    add, share = np.zeros(shape), np.zeros(shape)
    value, weight = np.full(n_periods, np.nan), np.zeros(n_periods)
    counts = np.zeros((2, n_periods))
    place = np.full(len(y), -1)
    place[known] = shared
    for time in range(n_periods):
        positive = np.flatnonzero(known & (period == time) & (y == 1))
        negative = np.flatnonzero(known & (period == time) & (y == 0))
        counts[:, time] = len(positive), len(negative)
        if not (len(positive) and len(negative)):
            continue
        won = _placements(score[positive], score[negative])
        lost = 1 - _placements(score[negative], score[positive])
        value[time] = won.mean()
        weight[time] = len(positive) * len(negative) / (len(positive) + len(negative))
        for images, placed in ((positive, won), (negative, lost)):
            rows, size = place[images], len(images)
            add[:, time] += np.bincount(rows, placed / size, minlength=shape[0])
            share[:, time] += np.bincount(rows, minlength=shape[0]) / size
    return _aligned(Part(value, weight, add, share, counts), patient, known)


def _placements(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the share of `others` below each of `own`, ties counting half (DeLong et al. 1988)."""
    ordered = np.sort(others)
    below = np.searchsorted(ordered, own, "left") + np.searchsorted(ordered, own, "right")
    return below / (2 * len(others))


def _aligned(part: Part, patient: np.ndarray, counted: np.ndarray) -> Part:
    """Return the part with one row for every patient, so that two parts can be subtracted."""
    everyone = np.zeros((2, int(patient.max()) + 1, len(part.value)))
    rows = np.unique(patient[counted])
    everyone[0, rows], everyone[1, rows] = part.add, part.share
    return Part(part.value, part.weight, everyone[0], everyone[1], part.errors)
