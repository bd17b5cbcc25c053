"""Metric values of every group, task and seed of one attribute, with counts and statuses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from medaudit.core.entry_types import Evaluation
from medaudit.core.statuses import Status
from medaudit.metrics.attributes import Attribute
from medaudit.metrics.definitions import DIAGNOSIS, METRICS, applies, needs_scores
from medaudit.metrics.engine import group_values
from medaudit.metrics.sample import Sample
from medaudit.metrics.sorted_scores import SortedScores, sort_images

ALL, MEAN, MISSING = "all", "mean", "missing"


@dataclass
class GroupMetrics:
    """Values along the axes group, seed, task, metric, and, in `replicates`, draw.

    Parameters
    ----------
    attribute : str
    groups, seeds, tasks, metrics : tuple of str
        `seeds` end with ``mean``; so do `tasks` where there are several.
    value, status : ndarray, shape (groups, seeds, tasks, metrics)
        A status other than ``ok`` goes with a NaN; an empty status is a metric that does not apply
        to the task.
    counts : ndarray of int, shape (groups, tasks, 3)
        Images, positives (-1: does not apply) and patients, not weighted.
    missing : ndarray of int, shape (tasks, 3)
        The same counts of those whose group is not known.
    replicates : ndarray of float32, shape (groups, seeds, tasks, metrics, draws)
    """

    attribute: str
    groups: tuple[str, ...]
    seeds: tuple[str, ...]
    tasks: tuple[str, ...]
    metrics: tuple[str, ...]
    value: np.ndarray
    status: np.ndarray
    counts: np.ndarray
    missing: np.ndarray
    replicates: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))

    def average(self, array: np.ndarray) -> np.ndarray:
        """Fill the rows of `array` that are means over seeds and over tasks, in place."""
        array[:, -1] = array[:, :-1].mean(axis=1)
        if self.tasks[-1] == MEAN:
            single = [t for t, task in enumerate(self.tasks[:-1]) if task != ALL]
            array[:, :, -1] = array[:, :, single].mean(axis=2)
        return array

    def metrics_of(self, t: int) -> tuple[list[int], list[str]]:
        """Return the places and names of the metrics that apply to task t."""
        places = [m for m, name in enumerate(self.metrics) if applies(name, self.tasks[t])]
        return places, [self.metrics[m] for m in places]


BySeedAndTask = dict[tuple[int, int], SortedScores]


class GroupBlock(NamedTuple):
    """Sorted scores of consecutive groups, and the place of the first along the group axis."""

    start: int
    scores: BySeedAndTask


class Column(NamedTuple):
    """Labels, scores and decisions (None: no threshold) of one seed and task, for all images."""

    seed: int
    task: int
    y: np.ndarray
    score: np.ndarray
    decision: np.ndarray | None


def sort_scores(
    sample: Sample, attribute: Attribute, codes: np.ndarray, n_groups: int, bins: int
) -> BySeedAndTask:
    """Sort the images whose code is not negative, for each seed and task."""
    return {
        (column.seed, column.task): sort_images(
            unit=sample.patient,
            group=np.where(np.isnan(column.y), -1, codes),
            n_groups=n_groups,
            positive=column.y == 1,
            score=column.score,
            decision=column.decision,
            factor=importance_weights(sample, attribute, column.task),
            bins=bins,
            own_range=sample.own_range,
        )
        for column in task_columns(sample)
    }


def task_columns(sample: Sample) -> Iterator[Column]:
    """Yield the columns of every seed and task, the task ``all`` of a multi-class one included."""
    for s in range(len(sample.seeds)):
        for t in range(len(sample.tasks)):
            decision = sample.decision[s, :, t]
            decided = None if np.isnan(decision).any() else decision == 1
            yield Column(s, t, sample.y[:, t], sample.score[s, :, t], decided)
        if sample.multiclass:
            right = (sample.decision[s] * sample.y).sum(axis=1)
            most = sample.score[s].max(axis=1)
            yield Column(s, len(sample.tasks), right, most, np.ones(right.size, bool))


def importance_weights(sample: Sample, attribute: Attribute, t: int) -> np.ndarray:
    """Return the importance weights of one task, 0 outside that test set."""
    task = (*sample.tasks, ALL)[t]
    found = sample.weights.get((attribute.name, task))
    return np.ones(sample.patient.size) if found is None else np.nan_to_num(found)


def group_names(attribute: Attribute) -> tuple[str, ...]:
    """Return the groups along the group axis: the levels, and all of them together."""
    return attribute.levels if attribute.name == ALL else (*attribute.levels, ALL)


def sort_attribute(sample: Sample, attribute: Attribute, bins: int) -> list[GroupBlock]:
    """Sort the scores of an attribute's groups and of all of them together."""
    size = len(attribute.levels)
    groups = sort_scores(sample, attribute, attribute.codes, size, bins)
    blocks = [GroupBlock(0, groups)]
    if attribute.name != ALL:
        merged = {key: scores.merge_groups() for key, scores in groups.items()}
        blocks.append(GroupBlock(size, merged))
    return blocks


def measure_groups(
    sample: Sample,
    attribute: Attribute,
    groups: Sequence[str],
    blocks: Sequence[GroupBlock],
    evaluation: Evaluation,
) -> GroupMetrics:
    """Compute values, counts and statuses of groups.

    Parameters
    ----------
    sample : Sample
        The test split.
    attribute : Attribute
        The attribute that the groups belong to.
    groups : sequence of str
        Names along the group axis.
    blocks : sequence of GroupBlock
        Their sorted scores.
    evaluation : Evaluation
        ``metrics`` and ``minimum``.
    """
    found = empty_metrics(sample, attribute, groups, evaluation["metrics"])
    ones = np.ones((sample.patient.max() + 1, 1), np.uint8)
    fill(found, found.value[..., None], blocks, ones)
    selected = count_groups(found, blocks)
    _set_statuses(found, selected, evaluation["minimum"])
    if not sample.scored:
        found.status[(found.status != "") & needs_scores(found.metrics)] = str(Status.NO_SCORE)
    found.value[found.status != "ok"] = np.nan
    found.average(found.value)
    _spread_statuses(found)
    return found


def empty_metrics(
    sample: Sample, attribute: Attribute, groups: Sequence[str], metrics: Sequence[str]
) -> GroupMetrics:
    """Return the axes, with NaN for every value and an empty status."""
    tasks = (*sample.tasks, *([ALL] if sample.multiclass else []))
    tasks += (MEAN,) if len(sample.tasks) > 1 else ()
    seeds = (*sample.seeds, MEAN)
    shape = (len(groups), len(seeds), len(tasks), len(metrics))
    return GroupMetrics(
        attribute.name,
        tuple(groups),
        seeds,
        tasks,
        tuple(metrics),
        value=np.full(shape, np.nan),
        status=np.full(shape, "", object),
        counts=np.zeros((len(groups), len(tasks), 3), int),
        missing=_count_missing(sample, attribute, len(tasks)),
    )


def fill(
    metrics: GroupMetrics, target: np.ndarray, blocks: Sequence[GroupBlock], weights: np.ndarray
) -> None:
    """Compute all blocks with `weights` into `target`, (groups, seeds, tasks, metrics, draws)."""
    for start, sorted_scores in blocks:
        for (s, t), scores in sorted_scores.items():
            places, names = metrics.metrics_of(t)
            found = group_values(scores, names, weights)
            target[start : start + scores.n_groups, s, t, places] = np.moveaxis(found, 0, 1)


def count_groups(metrics: GroupMetrics, blocks: Sequence[GroupBlock]) -> np.ndarray:
    """Fill in the counts of single tasks, and return further ones.

    Returns
    -------
    ndarray of int, shape (groups, seeds, tasks, 4)
        Images selected and rejected, -1 where there is no decision; patients with positive and
        with negative images.
    """
    selected = np.full(metrics.value.shape[:3] + (4,), -1)
    for start, sorted_scores in blocks:
        for (s, t), scores in sorted_scores.items():
            _count_images(metrics, selected, scores, (start, s, t))
    return selected


def _count_images(
    metrics: GroupMetrics, selected: np.ndarray, scores: SortedScores, at: tuple[int, int, int]
) -> None:
    """Count images, positives and patients of each group, and those selected and rejected."""
    start, s, t = at
    place, size = slice(start, start + scores.n_groups), scores.n_groups
    if scores.decision is not None:
        chosen = np.bincount(scores.group[scores.decision], minlength=size)
        selected[place, s, t, 0] = chosen
        selected[place, s, t, 1] = np.bincount(scores.group, minlength=size) - chosen
    if s == 0:
        units = scores.unit.max(initial=0) + 1
        key = scores.group.astype(np.int64) * units + scores.unit
        pairs = np.unique(key)
        for k, label in enumerate((True, False)):
            own = np.unique(key[scores.positive == label]) // units
            selected[place, :, t, 2 + k] = np.bincount(own, minlength=size)[:, None]
        positives = np.bincount(scores.group[scores.positive], minlength=size)
        metrics.counts[place, t, 0] = np.bincount(scores.group, minlength=size)
        metrics.counts[place, t, 1] = positives if metrics.tasks[t] != ALL else -1
        metrics.counts[place, t, 2] = np.bincount(pairs // units, minlength=size)


def _set_statuses(metrics: GroupMetrics, selected: np.ndarray, minimum: Any) -> None:
    """Set the status of every single task and seed; the worst reason wins, n first."""
    n = metrics.counts[:, :, 0]
    for m, name in enumerate(metrics.metrics):
        for t, task in enumerate(metrics.tasks):
            if not applies(name, task) or task == MEAN:
                continue
            fallback = "no_fit" if name.startswith("calibration") else "no_decision"
            undefined = np.isnan(metrics.value[:, :-1, t, m])
            status = np.where(undefined, f"undefined:{fallback}", "ok").astype(object)
            # Later reasons overwrite earlier ones: too few images says more than one class.
            counts = {
                "n_selected": (selected[:, :-1, t, 0], "no_decision", minimum["n_pos"]),
                "n_rejected": (selected[:, :-1, t, 1], "no_decision", minimum["n_neg"]),
                "n_pos": (selected[:, :-1, t, 2], "one_class", minimum["n_pos"]),
                "n_neg": (selected[:, :-1, t, 3], "one_class", minimum["n_neg"]),
                "n": (n[:, t, None], None, minimum["n"]),
            }
            for count, (found, reason, least) in counts.items():
                if count in METRICS[name].counts:
                    found = np.broadcast_to(found, status.shape)
                    status[(found >= 0) & (found < least)] = "too_few"
                    if reason:
                        status[found == 0] = f"undefined:{reason}"
            metrics.status[:, :-1, t, m] = status


def _spread_statuses(metrics: GroupMetrics) -> None:
    """Give means over seeds and tasks the first status among theirs that is not ``ok``."""
    metrics.status[:, -1] = _first_bad(metrics.status[:, :-1], axis=1)
    if metrics.tasks[-1] == MEAN:
        single = [t for t, task in enumerate(metrics.tasks[:-1]) if task != ALL]
        metrics.status[:, :, -1] = _first_bad(metrics.status[:, :, single], axis=2)
        metrics.counts[:, -1] = metrics.counts[:, single].max(axis=1)
        metrics.counts[:, -1, 1] = -1
        own = [m for m, name in enumerate(metrics.metrics) if name in DIAGNOSIS]
        metrics.status[:, :, -1, own] = ""


def _first_bad(status: np.ndarray, axis: int) -> np.ndarray:
    moved = np.moveaxis(status, axis, 0)
    first = (moved != "ok").argmax(axis=0)
    return np.take_along_axis(moved, first[None], axis=0)[0]


def _count_missing(sample: Sample, attribute: Attribute, n_tasks: int) -> np.ndarray:
    lacking = attribute.codes < 0
    counts = np.zeros((n_tasks, 3), int)
    for t, y in enumerate(sample.y.T):
        known = lacking & ~np.isnan(y)
        counts[t] = known.sum(), (y[known] == 1).sum(), np.unique(sample.patient[known]).size
    whole = [lacking.sum(), -1, np.unique(sample.patient[lacking]).size]
    counts[len(sample.tasks) :] = whole
    return counts
