"""Metrics of every group for plain training and every remedy, over the same draws of patients."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from medaudit.core.audit_tables import SPREAD, WORST
from medaudit.core.entry_types import Evaluation
from medaudit.core.intersections import split_name
from medaudit.core.statuses import Status
from medaudit.metrics.attributes import find_strata, read_attributes
from medaudit.metrics.audit_settings import ECE_BINS
from medaudit.metrics.definitions import METRICS as DEFINITIONS
from medaudit.metrics.group_metrics import ALL, GroupMetrics
from medaudit.metrics.replicates import bootstrap_metrics
from medaudit.metrics.sample import Sample, name_images

MEASURED = ("auc", "tpr", "fpr", "ece")
"""Discrimination, sensitivity, false alarms and calibration of each group."""


@dataclass(frozen=True)
class Arm:
    """Plain training, a remedy or a control, selected by one rule.

    Parameters
    ----------
    rule, remedy : str
        Names.
    score, decision : numpy.ndarray
        ``[seeds, n]``, of the test images; decisions are 1, 0 or NaN.
    after_training : bool
        Whether it is made from the runs of plain training.
    """

    rule: str
    remedy: str
    score: np.ndarray
    decision: np.ndarray
    after_training: bool = False


@dataclass(frozen=True)
class Measured:
    """Means over seeds ``[arms, groups, metrics]``, and their draws with a last axis.

    ``by_seed`` has one array ``[groups, metrics, seeds]`` per arm.
    """

    groups: tuple[str, ...]
    value: np.ndarray
    draws: np.ndarray
    by_seed: list[np.ndarray]
    status: np.ndarray
    counts: np.ndarray


def measure_arms(
    arms: Sequence[Arm],
    images: pd.DataFrame,
    attribute: str,
    task: str,
    evaluation: Evaluation,
    threads: int,
) -> Measured:
    """Return the metrics of every arm and group; parameters as of `compare_arms`."""
    wanted: Evaluation = {
        "metrics": list(MEASURED),
        "bootstrap": evaluation["bootstrap"],
        "minimum": evaluation["minimum"],
        "ece_bins": evaluation.get("ece_bins", ECE_BINS),
    }
    sample = _sample(arms, images, attribute, task)
    metrics = bootstrap_metrics(sample, wanted, threads)[1][0]
    ends = np.cumsum([0, *(len(arm.score) for arm in arms)])
    runs = [slice(*pair) for pair in zip(ends[:-1], ends[1:], strict=True)]
    status = np.stack([_first_reason(metrics, run) for run in runs])
    single = [g for g, name in enumerate(metrics.groups) if name != ALL]
    kept = [
        [g for g in single if (status[:, g, m] == Status.OK).all()] for m in range(len(MEASURED))
    ]
    values, draws = metrics.value[:, :, 0], metrics.replicates[:, :, 0]
    counts = metrics.counts[:, 0]
    whole = counts[metrics.groups.index(ALL)]
    return Measured(
        groups=(*metrics.groups, WORST, SPREAD),
        value=np.stack([_extended(values[:, run].mean(axis=1), kept) for run in runs]),
        draws=np.stack([_extended(draws[:, run].mean(axis=1), kept) for run in runs]),
        by_seed=[_extended(np.moveaxis(values[:, run], 1, 2), kept) for run in runs],
        status=_extended_statuses(status, kept),
        counts=np.vstack([counts, whole, whole]),
    )


def _extended(array: np.ndarray, kept: list[list[int]]) -> np.ndarray:
    """Add the worst group and the largest difference to values ``[groups, metrics, ...]``."""
    extremes = np.full((2, *array.shape[1:]), np.nan)
    for m, groups in enumerate(kept):
        if len(groups) > 1:
            worst = np.min if DEFINITIONS[MEASURED[m]].target == 1 else np.max
            extremes[0, m] = worst(array[groups, m], axis=0)
            extremes[1, m] = np.ptp(array[groups, m], axis=0)
    return np.concatenate([array.astype(float), extremes])


def _extended_statuses(status: np.ndarray, kept: list[list[int]]) -> np.ndarray:
    own = [str(Status.OK if len(groups) > 1 else Status.TOO_FEW) for groups in kept]
    extremes = np.broadcast_to(np.array(own, object), (len(status), 2, len(own)))
    return np.concatenate([status, extremes], axis=1)


def _first_reason(metrics: GroupMetrics, run: slice) -> np.ndarray:
    """Return per group and metric ``ok``, or the reason of the first seed that has one."""
    found = metrics.status[:, run, 0]
    bad = found != Status.OK
    first = np.take_along_axis(found, bad.argmax(axis=1)[:, None], axis=1)[:, 0]
    return np.where(bad.any(axis=1), first, str(Status.OK))


def _sample(arms: Sequence[Arm], images: pd.DataFrame, attribute: str, task: str) -> Sample:
    """Return the arms' seeds as the seeds of one sample: they share every draw of patients."""
    attributes = read_attributes(images, np.ones(len(images), bool), [split_name(attribute)])
    y = images[[f"y_{task}"]].to_numpy(float)
    score = np.concatenate([arm.score for arm in arms])[..., None]
    decision = np.concatenate([arm.decision for arm in arms])[..., None]
    patient = pd.factorize(images["patient_id"], sort=True)[0]
    return Sample(
        tasks=(task,),
        seeds=tuple(map(str, range(len(score)))),
        y=y,
        score=score,
        decision=decision,
        threshold=np.full((len(score), 1), np.nan),
        val_counts=np.zeros((3, 1), int),
        patient=patient,
        identity=np.arange(int(patient.max()) + 1),
        stratum=find_strata(patient, attributes[1:], y),
        attributes=attributes,
        weights={},
        stream=name_images(images),
    )
