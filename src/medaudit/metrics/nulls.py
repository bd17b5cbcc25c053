"""Null hypotheses of permutation tests: which metric is tested against which, and who can move.

A *unit* is the images of one patient in one group. Under each hypothesis units of one stratum are
exchangeable, so groups are permuted within strata.

``separation``
    Given the finding, the group does not matter for the scores (equalised odds; Hardt et al.
    2016). Strata: units with positives alone, with negatives alone, with both.
``calibration``
    At equal scores the group does not matter for the finding (sufficiency; Barocas et al. 2023).
    Strata: units with similar mean scores; for predictive values also with the same decision.
``parity``
    The group does not matter for the scores at all (statistical parity). One stratum.
"""

from dataclasses import dataclass

import numpy as np

from medaudit.metrics.attributes import Attribute
from medaudit.metrics.calibration import logit
from medaudit.metrics.definitions import METRICS
from medaudit.metrics.sample import Sample

SEPARATION, CALIBRATION, PARITY = "separation", "calibration", "parity"
DECIDED = "calibration, decided"
"""Strata of the predictive values: those of `CALIBRATION`, cut at the decision."""
MOVABLE = 0.8
"""Share of each group's patients that must be able to exchange their group."""
MOVABLE_AT_EQUAL_SCORES = 0.5
"""The same for `CALIBRATION`: patients with scores that no other group has cannot be compared."""
BAND, BANDS = 20, 12
"""Least units of a stratum of scores, and most strata."""


def null_of(metric: str) -> str:
    """Return the null hypothesis that gaps of a metric are tested against.

    Returns
    -------
    {"separation", "calibration", "parity"}
    """
    return METRICS[metric].null


def strata_of(metric: str) -> str:
    """Return the kind of strata that a metric's groups are permuted in."""
    null = null_of(metric)
    return DECIDED if null == CALIBRATION and metric in ("ppv", "npv") else null


@dataclass(frozen=True)
class Units:
    """The units of one attribute, ordered by patient.

    Parameters
    ----------
    of_image : ndarray of int, shape (images,)
        -1 where the group is not known.
    group : ndarray of int, shape (units,)
    patient : ndarray of int, shape (units,)
    """

    of_image: np.ndarray
    group: np.ndarray
    patient: np.ndarray


def find_units(sample: Sample, attribute: Attribute) -> Units:
    """Find the units of an attribute."""
    known, size = attribute.codes >= 0, len(attribute.levels)
    key = sample.patient[known].astype(np.int64) * size + attribute.codes[known]
    keys, place = np.unique(key, return_inverse=True)
    of_image = np.full(known.size, -1, np.int64)
    of_image[known] = place
    return Units(of_image, (keys % size).astype(np.int16), keys // size)


def find_strata(sample: Sample, units: Units, weight: np.ndarray, t: int, kind: str) -> np.ndarray:
    """Return the stratum of each unit for one task; -1 takes no part.

    Parameters
    ----------
    sample : Sample
        The test split.
    units : Units
        Of one attribute.
    weight : ndarray, shape (images,)
        Importance weights; images of weight 0 take no part.
    t : int
        The task; the number of tasks: the decision of a multi-class sample as a whole.
    kind : str
        As `strata_of` returns it.
    """
    y = sample.y if sample.multiclass else sample.y[:, [t]]
    used = (units.of_image >= 0) & ~np.isnan(y).any(axis=1) & (weight > 0)
    place, size = units.of_image[used], units.group.size
    images = np.bincount(place, minlength=size)
    if kind == PARITY:
        code = np.zeros(size, np.int64)
    elif kind == SEPARATION:
        code = _label_strata(sample, y[used], place, size)
    else:
        code = _score_strata(sample, used, place, size, t)
        if kind == DECIDED and t < len(sample.tasks):
            chosen = np.nan_to_num(sample.decision[:, used, t]).mean(axis=0)
            mean = np.bincount(place, chosen, minlength=size) / np.maximum(images, 1)
            code = code * 3 + np.where(mean == 0, 0, np.where(mean == 1, 2, 1))
    return np.where(images == 0, -1, np.unique(code, return_inverse=True)[1])


def _label_strata(sample: Sample, y: np.ndarray, place: np.ndarray, size: int) -> np.ndarray:
    if sample.multiclass:
        # The classes share one permutation: a patient's most frequent class is its stratum.
        counts = [np.bincount(place, column, minlength=size) for column in y.T]
        return np.argmax(counts, axis=0)
    positive = np.bincount(place, y[:, 0], minlength=size) > 0
    negative = np.bincount(place, 1 - y[:, 0], minlength=size) > 0
    return positive * 2 + negative


def _score_strata(
    sample: Sample, used: np.ndarray, place: np.ndarray, size: int, t: int
) -> np.ndarray:
    """Cut units into bands of similar mean scores, each of about the same number of units."""
    score = (
        sample.score[:, used].max(axis=2) if t == len(sample.tasks) else sample.score[:, used, t]
    )
    images = np.maximum(np.bincount(place, minlength=size), 1)
    mean = np.bincount(place, logit(score).mean(axis=0), minlength=size) / images
    taking = np.bincount(place, minlength=size) > 0
    bands = int(np.clip(taking.sum() // BAND, 1, BANDS))
    if not taking.any():
        return np.zeros(size, np.int64)
    edges = np.quantile(mean[taking], np.arange(1, bands) / bands)
    return np.searchsorted(edges, mean, side="right")


@dataclass(frozen=True)
class Movable:
    """Patients by group, and those of them who share their stratum with another group.

    Parameters
    ----------
    patients, movable : ndarray of int, shape (3, groups)
        Of the units with positives, with negatives, and of all.
    units : Units
        Of one attribute.
    taking, mixed : ndarray of bool, shape (units,)
        Whether a unit takes part, and whether it can be exchanged.
    """

    patients: np.ndarray
    movable: np.ndarray
    units: Units
    taking: np.ndarray
    mixed: np.ndarray

    def of(self, metric: str, groups: np.ndarray) -> tuple[int, int, bool]:
        """Count over groups the patients that a metric is about.

        Returns
        -------
        movable, patients : int
            A patient who is in several groups counts once.
        enough : bool
            Whether `MOVABLE` of the patients of each of these groups can move.
        """
        counts = METRICS[metric].counts
        rows = [row for row, name in enumerate(("n_pos", "n_neg")) if name in counts] or [2]
        patients, movable = (a[rows][:, groups] for a in (self.patients, self.movable))
        calibration = METRICS[metric].null == CALIBRATION
        least = MOVABLE_AT_EQUAL_SCORES if calibration else MOVABLE
        enough = bool((movable >= least * patients).all() and (patients > 0).all())
        return self._distinct(self.mixed, groups), self._distinct(self.taking, groups), enough

    def _distinct(self, kept: np.ndarray, groups: np.ndarray) -> int:
        patient = self.units.patient[kept & np.isin(self.units.group, groups)]
        return int((np.diff(patient, prepend=-1) != 0).sum())  # units are ordered by patient


def count_movable(
    stratum: np.ndarray,
    taking: np.ndarray,
    units: Units,
    positive: np.ndarray,
    negative: np.ndarray,
    groups: int,
) -> Movable:
    """Count who can exchange groups: units whose stratum holds another group as well.

    Parameters
    ----------
    stratum : ndarray of int, shape (units,)
        -1: cannot be exchanged.
    taking : ndarray of bool, shape (units,)
        Whether a unit has images in the test.
    units : Units
        Of one attribute.
    positive, negative : ndarray of bool, shape (units,)
        Whether a unit has images of that label.
    groups : int
        Number of groups.
    """
    placed = stratum >= 0
    cells = np.zeros((stratum.max(initial=0) + 1, groups), bool)
    cells[stratum[placed], units.group[placed]] = True
    mixed = placed & (cells.sum(axis=1) > 1)[stratum]
    found = np.zeros((2, 3, groups), int)
    for row, own in enumerate((positive, negative, taking)):
        for place, kept in enumerate((taking & own, mixed & own)):
            found[place, row] = np.bincount(units.group[kept], minlength=groups)
    return Movable(found[0], found[1], units, taking, mixed)
