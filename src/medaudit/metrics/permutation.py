"""The distribution of group values when group does not matter, given the label.

A *unit* is the images of one patient in one group; a patient has several only where an attribute
(an age group) changes between images. For each task, groups are permuted as a whole between units
with the same number of positives and of negatives (of images of each class, if multi-class), so
that every group keeps its patients, positives and negatives exactly, and images of one patient
stay together. Under the hypothesis that a patient's scores do not depend on the group given their
labels, units of one stratum are exchangeable, so the test holds its level whatever the dependence
within a patient. Units with a pattern of their own keep their group.

The classes of a multi-class task share one permutation. The tasks of a multi-label sample cannot
(no two patients are alike in all labels), so theirs are independent, and `disparity` restores the
dependence between tasks where it averages over them.
"""

from dataclasses import dataclass

import numpy as np

from medaudit.metrics.attributes import Attribute
from medaudit.metrics.definitions import applies
from medaudit.metrics.engine import dealt_values
from medaudit.metrics.group_metrics import Scores, task_columns, weights_of
from medaudit.metrics.resampling import cut_blocks, permute_groups, run_blocks
from medaudit.metrics.sample import Sample
from medaudit.metrics.sorted_scores import Plan, make_plan


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
    scores: Scores,
    sample: Sample,
    attribute: Attribute,
    settings: dict,
    threads: int,
    rest: bool,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Compute group values, and those of each group's rest, under permuted groups.

    Parameters
    ----------
    scores : Scores
        Gives the axes.
    sample : Sample
        The test split.
    attribute : Attribute
        Whose groups are permuted.
    settings : dict
        ``cohort`` and ``evaluation``.
    threads : int
        Blocks of permutations computed at once; changes no number.
    rest : bool
        Whether the rest is wanted.

    Returns
    -------
    group, rest : ndarray of float32, shape (levels, seeds, tasks, metrics, draws)
        `rest` is None where it is not wanted.
    """
    draws, size = settings["evaluation"]["null"]["draws"], len(attribute.levels)
    units = find_units(sample, attribute)
    tasks = [_plan_task(sample, attribute, units, t, settings) for t in _task_indices(sample)]
    shape = (size, *scores.value.shape[1:], draws)
    results = [np.full(shape, np.nan, np.float32) for _ in range(1 + rest)]

    def compute(block: slice) -> None:
        for task in tasks:
            names = (settings["cohort"], attribute.name, task.stream)
            dealt = permute_groups(units.group, task.pattern, names, block)
            for (s, t), plan in task.plans.items():
                index = [
                    m for m, name in enumerate(scores.metrics) if applies(name, scores.tasks[t])
                ]
                names = [scores.metrics[m] for m in index]
                found = dealt_values(plan, names, dealt, task.mean_weight, rest)
                for result, values in zip(results, found, strict=False):
                    result[:, s, t, index, block] = np.moveaxis(values, 0, 1)

    run_blocks(compute, cut_blocks(draws, units.group.size, 2), threads)
    for result in results:
        scores.average(result)
    return results[0], results[1] if rest else None


@dataclass(frozen=True)
class _Task:
    """One task: its plans (all images in one group, rows by unit), strata and mean weights."""

    plans: dict[tuple[int, int], Plan]
    pattern: np.ndarray
    stream: str
    mean_weight: np.ndarray


def _task_indices(sample: Sample) -> range:
    return range(len(sample.tasks) + sample.multiclass)


def _plan_task(sample, attribute, units: Units, t: int, settings: dict) -> _Task:
    weights = weights_of(sample, attribute, t)
    table = _mean_weight(sample, attribute, t, weights)
    plans = {}
    for s, task, y, score, decision in task_columns(sample):
        if task == t:
            mean = table[(y == 1).astype(int), attribute.codes]
            plans[s, t] = make_plan(
                units.of_image,
                np.where(np.isnan(y) | (attribute.codes < 0), -1, 0),
                1,
                y == 1,
                score,
                decision,
                np.divide(weights, mean, out=np.zeros_like(mean), where=mean > 0),
                settings["evaluation"].get("ece_bins", 15),
            )
    stream = "classes" if sample.multiclass else sample.tasks[t]
    return _Task(plans, find_patterns(sample, units, t), stream, table)


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
