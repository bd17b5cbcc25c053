"""The permutation test: group values when the group does not matter, given the label.

A *unit* is the images of one patient in one group; a patient has several only where an attribute
(an age group) changes between images. For each task, groups are permuted as a whole between units
with the same number of positives and of negatives (of images of each class, if multi-class), so
that every group keeps its patients, positives and negatives exactly, and images of one patient
stay together. Under the hypothesis that a patient's scores do not depend on the group given their
labels, units of one stratum are exchangeable, so the test holds its level whatever the dependence
within a patient. A unit whose numbers no other unit has keeps its group.

The classes of a multi-class task share one permutation. The tasks of a multi-label sample cannot
(no two patients are alike in all labels), so theirs are independent, and `disparity` restores the
dependence between tasks where it averages over them.
"""

from dataclasses import dataclass

import numpy as np

from medaudit.metrics.attributes import Attribute
from medaudit.metrics.audit_settings import ECE_BINS, AuditSettings
from medaudit.metrics.engine import permuted_group_values
from medaudit.metrics.group_metrics import (
    BySeedAndTask,
    GroupMetrics,
    importance_weights,
    task_columns,
)
from medaudit.metrics.resampling import cut_blocks, permute_groups, run_blocks
from medaudit.metrics.sample import Sample
from medaudit.metrics.sorted_scores import sort_images


@dataclass(frozen=True)
class Units:
    """The units of one attribute, ordered by patient.

    Parameters
    ----------
    of_image : ndarray of int, shape (images,)
        -1 where the group is not known.
    group : ndarray of int, shape (units,)
    """

    of_image: np.ndarray
    group: np.ndarray


def find_units(sample: Sample, attribute: Attribute) -> Units:
    """Find the units of an attribute."""
    known, size = attribute.codes >= 0, len(attribute.levels)
    key = sample.patient[known].astype(np.int64) * size + attribute.codes[known]
    keys, place = np.unique(key, return_inverse=True)
    of_image = np.full(known.size, -1, np.int64)
    of_image[known] = place
    return Units(of_image, (keys % size).astype(np.int16))


def find_patterns(sample: Sample, units: Units, t: int) -> np.ndarray:
    """Return the stratum of each unit for one task: its numbers of images with each label."""
    one = sample.y[:, min(t, len(sample.tasks) - 1)]
    y = sample.y if sample.multiclass else np.stack([one, 1 - one], axis=1)
    used = (units.of_image >= 0) & ~np.isnan(y).any(axis=1)
    code = np.zeros(units.group.size, np.int64)
    for column in y[used].T:
        counts = np.bincount(units.of_image[used], column, minlength=code.size).astype(np.int64)
        code = np.unique(code * (counts.max(initial=0) + 1) + counts, return_inverse=True)[1]
    empty = np.bincount(units.of_image[used], minlength=code.size) == 0
    return np.where(empty, -1, code)


def permuted_values(
    metrics: GroupMetrics,
    sample: Sample,
    attribute: Attribute,
    settings: AuditSettings,
    threads: int,
    rest: bool,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Compute group values, and those of each group's rest, under permuted groups.

    Parameters
    ----------
    metrics : GroupMetrics
        Gives the axes.
    sample : Sample
        The test split.
    attribute : Attribute
        Whose groups are permuted.
    settings : AuditSettings
        ``cohort`` and ``evaluation`` (``null``, ``ece_bins``).
    threads : int
        Blocks of permutations computed at once; changes no number.
    rest : bool
        Whether to compute the rests as well.

    Returns
    -------
    group, rest : ndarray of float32, shape (levels, seeds, tasks, metrics, draws)
        `rest` is None where it is not asked for.
    """
    evaluation = settings["evaluation"]
    draws, size = evaluation["null"]["draws"], len(attribute.levels)
    units, bins = find_units(sample, attribute), evaluation.get("ece_bins", ECE_BINS)
    tasks = [_read_task(sample, attribute, units, t, bins) for t in _task_indices(sample)]
    shape = (size, *metrics.value.shape[1:], draws)
    group = np.full(shape, np.nan, np.float32)
    others = np.full(shape, np.nan, np.float32) if rest else None

    def compute(block: slice) -> None:
        for task in tasks:
            stream = (settings["cohort"], attribute.name, task.stream)
            permuted = permute_groups(units.group, task.pattern, stream, block)
            for (s, t), scores in task.scores.items():
                places, names = metrics.metrics_of(t)
                inside, outside = permuted_group_values(
                    scores, names, permuted, task.mean_weight, rest
                )
                group[:, s, t, places, block] = np.moveaxis(inside, 0, 1)
                if others is not None and outside is not None:
                    others[:, s, t, places, block] = np.moveaxis(outside, 0, 1)

    run_blocks(compute, cut_blocks(draws, units.group.size, 2), threads)
    metrics.average(group)
    if others is not None:
        metrics.average(others)
    return group, others


@dataclass(frozen=True)
class _Task:
    """A task: scores (all images in one group, rows by unit), strata, stream and mean weights."""

    scores: BySeedAndTask
    pattern: np.ndarray
    stream: str
    mean_weight: np.ndarray


def _task_indices(sample: Sample) -> range:
    return range(len(sample.tasks) + sample.multiclass)


def _read_task(sample: Sample, attribute: Attribute, units: Units, t: int, bins: int) -> _Task:
    weights = importance_weights(sample, attribute, t)
    table = _mean_weight(sample, attribute, t, weights)
    scores = {}
    for column in task_columns(sample):
        if column.task == t:
            label = (column.y == 1).astype(int)
            mean = table[label, np.maximum(attribute.codes, 0)]
            scores[column.seed, t] = sort_images(
                unit=units.of_image,
                group=np.where(np.isnan(column.y) | (attribute.codes < 0), -1, 0),
                n_groups=1,
                positive=column.y == 1,
                score=column.score,
                decision=column.decision,
                factor=np.divide(weights, mean, out=np.zeros_like(mean), where=mean > 0),
                bins=bins,
                own_range=sample.own_range,
            )
    stream = "classes" if sample.multiclass else sample.tasks[t]
    return _Task(scores, find_patterns(sample, units, t), stream, table)


def _mean_weight(sample: Sample, attribute: Attribute, t: int, weights: np.ndarray) -> np.ndarray:
    """Return the mean importance weight by label and group, shape (2, groups).

    A weight is split in this mean, which goes with the group, and the rest, which stays with the
    image: weights that balance groups still balance them once groups are permuted.
    """
    size = len(attribute.levels)
    if (weights == 1).all():
        return np.ones((2, size))
    y = sample.y[:, t]
    used = (attribute.codes >= 0) & ~np.isnan(y)
    cell = y[used].astype(int) * size + attribute.codes[used]
    total = np.bincount(cell, weights[used], minlength=2 * size)
    count = np.bincount(cell, minlength=2 * size)
    return (total / np.maximum(count, 1)).reshape(2, size)
