"""The test split of one model's predictions, aligned with its cohort."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.intersections import join_names
from medaudit.metrics.attributes import Attribute, find_strata, read_attributes
from medaudit.metrics.audit_settings import AuditSettings
from medaudit.metrics.thresholds import choose_threshold, value_for


@dataclass(frozen=True)
class Validation:
    """The validation split, on which thresholds are chosen.

    Parameters
    ----------
    y : ndarray, shape (images, tasks)
        1, 0 or NaN.
    score : ndarray, shape (seeds, images, tasks)
        NaN where an image has no score.
    patient : ndarray of int, shape (images,)
        In the order of ids, which does not depend on the model.
    stream : str
        Name of the validation images (`name_images`): runs share the draws of their patients.
    """

    y: np.ndarray
    score: np.ndarray
    patient: np.ndarray
    stream: str


@dataclass(frozen=True)
class Sample:
    """The test split: labels, scores, decisions, patients and groups.

    Parameters
    ----------
    tasks, seeds : tuple of str
        Names along the axes.
    y : ndarray, shape (images, tasks)
        1, 0 or NaN.
    score, decision : ndarray, shape (seeds, images, tasks)
        Decisions are 1, 0 or NaN (no threshold).
    threshold : ndarray, shape (seeds, tasks), or None for a multi-class sample
    val_counts : ndarray of int, shape (3, tasks)
        Images, positives and patients of the validation split, which chose the thresholds.
    patient : ndarray of int, shape (images,)
        Numbered by their mean score, so that loops over sorted scores read the rows of the
        weights nearly in order.
    identity : ndarray of int, shape (patients,)
        Place of each patient in the order of ids, which does not depend on the model.
    stratum : ndarray of int, shape (patients,)
    attributes : list of Attribute
    weights : dict of (attribute, task) to ndarray, shape (images,)
        Importance weights; NaN: outside that test set. Without an entry, all weights are 1.
    stream : str
        Name of the test images (`name_images`): all runs tested on them share their draws.
    validation : Validation, optional
        What chose the thresholds; None where the largest score decides.
    own_range : bool
        Whether calibration bins lie on each group's own range of scores
        (`medaudit.metrics.sorted_scores.SortedScores`); only dialects ask for it.
    scored : bool
        Whether scores are more than decisions.
    """

    tasks: tuple[str, ...]
    seeds: tuple[str, ...]
    y: np.ndarray
    score: np.ndarray
    decision: np.ndarray
    threshold: np.ndarray | None
    val_counts: np.ndarray
    patient: np.ndarray
    identity: np.ndarray
    stratum: np.ndarray
    attributes: list[Attribute]
    weights: dict[tuple[str, str], np.ndarray]
    stream: str
    validation: Validation | None = None
    own_range: bool = False
    scored: bool = True

    @property
    def multiclass(self) -> bool:
        """Whether the largest score decides."""
        return self.threshold is None


def read_sample(predictions: pd.DataFrame, cohort: pd.DataFrame, settings: AuditSettings) -> Sample:
    """Align predictions with their cohort and turn scores into decisions.

    Parameters
    ----------
    predictions : pandas.DataFrame
        Columns of `medaudit.core.table_io.PREDICTIONS`; splits ``test`` and, for thresholds, ``val``.
    cohort : pandas.DataFrame
        ``image_id``, ``patient_id``, ``split``, ``a_<attribute>`` and perhaps ``y_<task>`` and
        ``w_<attribute>_<task>``.
    settings : AuditSettings
        ``task_type``, ``tasks`` (default: those of the predictions), ``attributes``, ``strata``
        (those of the attributes that patients are drawn within; default: all),
        ``test_weights``, ``evaluation`` (``threshold``).

    Raises
    ------
    MedauditError
        Predictions and cohort do not fit each other: an image that the cohort does not have, or
        has in another split; a label that differs; a labelled test image without a score; a score
        outside [0, 1]; a task without predictions; a multi-class image without exactly one class.
    """
    present = sorted(predictions["task"].unique())
    tasks = tuple(settings.get("tasks") or present)
    _refuse(set(tasks) - set(present), "tasks without predictions", f"they hold {present}")
    predictions = predictions[predictions["task"].isin(tasks)]
    bad = predictions.loc[~predictions["score"].between(0, 1), "image_id"]
    _refuse(set(bad), "images with scores outside [0, 1]", "give probabilities")
    seeds = np.sort(predictions["seed"].unique())
    multiclass = settings["task_type"] == "multiclass"
    val, test = (_Part(predictions, cohort, split, tasks, seeds) for split in ("val", "test"))
    if not len(test.frame):
        raise MedauditError("the cohort has no image in the split `test`: nothing to audit")
    test.check_complete(tasks, multiclass)
    attributes = read_attributes(cohort, test.mask, settings["attributes"])
    patient, identity = _number_patients(test)
    decision, threshold = (
        _choose_classes(test) if multiclass else _apply_thresholds(val, test, tasks, settings)
    )
    return Sample(
        tasks=tasks,
        seeds=tuple(str(seed) for seed in seeds),
        y=test.y,
        score=test.score,
        decision=decision,
        threshold=threshold,
        val_counts=val.count(),
        patient=patient,
        identity=identity,
        stratum=find_strata(patient, _declared(attributes, settings), test.y),
        attributes=attributes,
        weights=_read_weights(test.frame, attributes, tasks, settings),
        stream=name_images(test.frame),
        validation=None if multiclass else val.validation(),
        scored=settings.get("scored", True),
    )


def _declared(attributes: list[Attribute], settings: AuditSettings) -> list[Attribute]:
    """Return the attributes that the bootstrap is stratified by; without ``strata``, all."""
    if "strata" not in settings:
        return attributes
    names = {join_names([e] if isinstance(e, str) else e) for e in settings["strata"]}
    return [attribute for attribute in attributes if attribute.name in names]


def name_images(frame: pd.DataFrame) -> str:
    """Return a name (SHA-256) of the images of `frame` and their patients, whatever their order."""
    lines = sorted(frame["image_id"] + "\t" + frame["patient_id"] + "\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _refuse(found: set, what: str, advice: str) -> None:
    if found:
        shown = ", ".join(sorted(map(str, found))[:5])
        raise MedauditError(f"predictions: {len(found)} {what}, e.g. {shown}; {advice}")


class _Part:
    """Scores and labels of one split, as arrays in the order of the cohort's rows."""

    def __init__(
        self,
        predictions: pd.DataFrame,
        cohort: pd.DataFrame,
        split: str,
        tasks: Sequence[str],
        seeds: np.ndarray,
    ) -> None:
        self.split = split
        self.mask = (cohort["split"] == split).to_numpy()
        self.frame = cohort[self.mask]
        rows = predictions[predictions["split"] == split]
        image = pd.Index(self.frame["image_id"]).get_indexer(rows["image_id"])
        _refuse(
            set(rows["image_id"][image < 0]),
            f"images of the split {split} that are not in that split of the cohort",
            "predictions and cohort must come from the same cohort",
        )
        task = pd.Index(tasks).get_indexer(rows["task"])
        seed = np.searchsorted(seeds, rows["seed"].to_numpy())
        shape = (len(seeds), len(self.frame), len(tasks))
        self.score, labels = np.full(shape, np.nan), np.full(shape, np.nan)
        self.score[seed, image, task] = rows["score"]
        labels[seed, image, task] = rows["y"].astype(float)
        self.y = self._agree(labels, tasks)

    def _agree(self, labels: np.ndarray, tasks: Sequence[str]) -> np.ndarray:
        y = labels[0].copy()
        for other in labels[1:]:
            y = np.where(np.isnan(y), other, y)
        if (~np.isin(y, (0, 1)) & ~np.isnan(y)).any():
            raise MedauditError("predictions: labels y must be 1, 0 or missing")
        differ = (~np.isnan(labels) & (labels != y)).any(axis=(0, 2))
        _refuse(
            set(self.frame["image_id"][differ]),
            "images whose y differs by seed",
            "correct the labels",
        )
        for t, task in enumerate(tasks):
            if f"y_{task}" in self.frame:
                owner = self.frame[f"y_{task}"].to_numpy(float)
                differ = ~np.isnan(y[:, t]) & (y[:, t] != owner)
                _refuse(
                    set(self.frame["image_id"][differ]),
                    f"images whose label {task} is not the cohort's",
                    "predict again, or use the cohort that the predictions were made from",
                )
                y[:, t] = owner
        return y

    def check_complete(self, tasks: Sequence[str], multiclass: bool) -> None:
        """Raise where a labelled image has no score."""
        for t, task in enumerate(tasks):
            lacks = (np.isnan(self.score[:, :, t]) & ~np.isnan(self.y[:, t])).any(axis=0)
            _refuse(
                set(self.frame["image_id"][lacks]),
                f"test images of the cohort without a score for {task}",
                "every labelled test image needs one: a metric of some of them is not the cohort's",
            )
        broken = ~(np.nansum(self.y, axis=1) == 1) | np.isnan(self.y).any(axis=1)
        if multiclass:
            _refuse(
                set(self.frame["image_id"][broken]),
                "images without exactly one class",
                "correct their labels",
            )

    def count(self) -> np.ndarray:
        """Return the numbers of images, positives and patients with a label, shape (3, tasks)."""
        known = ~np.isnan(self.y)
        patients = [self.frame["patient_id"][column].nunique() for column in known.T]
        return np.array([known.sum(axis=0), np.nansum(self.y, axis=0).astype(int), patients])

    def validation(self) -> Validation:
        """Return what thresholds are chosen from."""
        patient = pd.factorize(self.frame["patient_id"], sort=True)[0]
        return Validation(self.y, self.score, patient, name_images(self.frame))


def _number_patients(test: _Part) -> tuple[np.ndarray, np.ndarray]:
    by_id = pd.factorize(test.frame["patient_id"], sort=True)[0]
    score = np.nan_to_num(test.score[0]).mean(axis=1)
    mean = np.bincount(by_id, score) / np.bincount(by_id)
    identity = np.argsort(mean, kind="stable")
    number = np.empty_like(identity)
    number[identity] = np.arange(identity.size)
    return number[by_id], identity


def _choose_classes(test: _Part) -> tuple[np.ndarray, None]:
    chosen = test.score.argmax(axis=2)
    return (chosen[:, :, None] == np.arange(test.score.shape[2])).astype(float), None


def _apply_thresholds(
    val: _Part, test: _Part, tasks: Sequence[str], settings: AuditSettings
) -> tuple[np.ndarray, np.ndarray]:
    rule = settings["evaluation"]["threshold"]
    values = [value_for(rule, task) for task in tasks]
    threshold = np.full((test.score.shape[0], test.score.shape[2]), np.nan)
    for s, t in np.ndindex(*threshold.shape):
        known = ~np.isnan(val.y[:, t]) & ~np.isnan(val.score[s, :, t])
        threshold[s, t] = choose_threshold(
            val.score[s, known, t], val.y[known, t] == 1, rule["rule"], values[t]
        )
    decision = (test.score >= threshold[:, None, :]).astype(float)
    return np.where(np.isnan(threshold)[:, None, :], np.nan, decision), threshold


def _read_weights(frame, attributes, tasks, settings) -> dict[tuple[str, str], np.ndarray]:
    if settings.get("test_weights", "none") in (None, "none"):
        return {}
    weights = {}
    for attribute in attributes:
        for task in (*tasks, "all"):  # "all": the decision of a multi-class sample as a whole
            column = f"w_{attribute.name}_{task}"
            if column in frame:
                weights[attribute.name, task] = frame[column].to_numpy(float)
                if (weights[attribute.name, task] < 0).any():
                    raise MedauditError(f"cohort: {column} has negative weights; they must be >= 0")
    return weights
