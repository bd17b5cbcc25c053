"""Metric values of every group, task and seed of one attribute, with counts and statuses."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from medaudit.metrics.attributes import Attribute
from medaudit.metrics.definitions import DIAGNOSIS, METRICS, applies
from medaudit.metrics.engine import values
from medaudit.metrics.sample import Sample
from medaudit.metrics.sorted_scores import Plan, make_plan

ALL, MEAN, MISSING = "all", "mean", "missing"


@dataclass
class Scores:
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


def make_plans(
    sample: Sample, attribute: Attribute, codes: np.ndarray, n_groups: int, bins: int
) -> dict[tuple[int, int], Plan]:
    """Return a plan for each seed and task of the images whose code is not negative."""
    return {
        (s, t): make_plan(
            sample.patient,
            np.where(np.isnan(y), -1, codes),
            n_groups,
            y == 1,
            score,
            decision,
            weights_of(sample, attribute, t),
            bins,
        )
        for s, t, y, score, decision in task_columns(sample)
    }


def task_columns(sample: Sample) -> Iterator[tuple]:
    """Yield seed, task, label, score and decision (None: no threshold), task ``all`` included."""
    for s in range(len(sample.seeds)):
        for t in range(len(sample.tasks)):
            decision = sample.decision[s, :, t]
            none = np.isnan(decision).any()
            yield s, t, sample.y[:, t], sample.score[s, :, t], None if none else decision == 1
        if sample.multiclass:
            right = (sample.decision[s] * sample.y).sum(axis=1)
            yield (
                s,
                len(sample.tasks),
                right,
                sample.score[s].max(axis=1),
                np.ones(right.size, bool),
            )


def weights_of(sample: Sample, attribute: Attribute, t: int) -> np.ndarray:
    """Return the importance weights of one task, 0 outside that test set."""
    task = (*sample.tasks, ALL)[t]
    found = sample.weights.get((attribute.name, task))
    return np.ones(sample.patient.size) if found is None else np.nan_to_num(found)


def score_groups(
    sample: Sample,
    attribute: Attribute,
    groups: Sequence[str],
    plans: Sequence[tuple[int, dict]],
    evaluation: dict,
) -> Scores:
    """Compute values, counts and statuses of groups.

    Parameters
    ----------
    sample : Sample
        The test split.
    attribute : Attribute
        The attribute that the groups belong to.
    groups : sequence of str
        Names along the group axis.
    plans : sequence of (int, dict)
        The place of a set of plans' first group along the group axis, and the plans.
    evaluation : dict
        ``metrics`` and ``minimum``.
    """
    scores = empty_scores(sample, attribute, groups, evaluation)
    ones = np.ones((sample.patient.max() + 1, 1), np.uint8)
    fill(scores, scores.value[..., None], plans, ones)
    selected = np.full(scores.value.shape[:3] + (2,), -1)
    for start, some in plans:
        for (s, t), plan in some.items():
            count_images(scores, selected, plan, start, s, t)
    set_statuses(scores, selected, evaluation["minimum"])
    scores.value[scores.status != "ok"] = np.nan
    scores.average(scores.value)
    spread_statuses(scores)
    return scores


def empty_scores(sample, attribute, groups, evaluation) -> Scores:
    """Return scores of NaN with their axes."""
    tasks = (*sample.tasks, *([ALL] if sample.multiclass else []))
    tasks += (MEAN,) if len(sample.tasks) > 1 else ()
    metrics = tuple(evaluation["metrics"])
    seeds = (*sample.seeds, MEAN)
    shape = (len(groups), len(seeds), len(tasks), len(metrics))
    return Scores(
        attribute.name,
        tuple(groups),
        seeds,
        tasks,
        metrics,
        value=np.full(shape, np.nan),
        status=np.full(shape, "", object),
        counts=np.zeros((len(groups), len(tasks), 3), int),
        missing=_count_missing(sample, attribute, len(tasks)),
    )


def fill(scores: Scores, target: np.ndarray, plans, weights: np.ndarray) -> None:
    """Compute every plan with `weights` into `target`, shape (groups, seeds, tasks, metrics, b)."""
    for start, some in plans:
        for (s, t), plan in some.items():
            index = [m for m, name in enumerate(scores.metrics) if applies(name, scores.tasks[t])]
            found = values(plan, [scores.metrics[m] for m in index], weights)
            target[start : start + plan.n_groups, s, t, index] = np.moveaxis(found, 0, 1)


def count_images(scores: Scores, selected: np.ndarray, plan: Plan, start, s, t) -> None:
    """Count images, positives, patients, and decisions of each group of a plan."""
    place, size = slice(start, start + plan.n_groups), plan.n_groups
    if plan.decision is not None:
        chosen = np.bincount(plan.group[plan.decision], minlength=size)
        selected[place, s, t, 0] = chosen
        selected[place, s, t, 1] = np.bincount(plan.group, minlength=size) - chosen
    if s == 0:
        pairs = np.unique(plan.group.astype(np.int64) * (plan.unit.max(initial=0) + 1) + plan.unit)
        owners = np.bincount(pairs // (plan.unit.max(initial=0) + 1), minlength=size)
        positives = np.bincount(plan.group[plan.positive], minlength=size)
        scores.counts[place, t, 0] = np.bincount(plan.group, minlength=size)
        scores.counts[place, t, 1] = positives if scores.tasks[t] != ALL else -1
        scores.counts[place, t, 2] = owners


def set_statuses(scores: Scores, selected: np.ndarray, minimum: dict) -> None:
    """Set the status of every single task and seed; the worst reason wins, n first."""
    n, n_pos = scores.counts[:, :, 0], scores.counts[:, :, 1]
    for m, name in enumerate(scores.metrics):
        for t, task in enumerate(scores.tasks):
            if not applies(name, task) or task == MEAN:
                continue
            fallback = "no_fit" if name.startswith("calibration") else "no_decision"
            undefined = np.isnan(scores.value[:, :-1, t, m])
            status = np.where(undefined, f"undefined:{fallback}", "ok").astype(object)
            counts = {
                "n_selected": (selected[:, :-1, t, 0], "no_decision", minimum["n_pos"]),
                "n_rejected": (selected[:, :-1, t, 1], "no_decision", minimum["n_neg"]),
                "n_pos": (n_pos[:, t, None], "one_class", minimum["n_pos"]),
                "n_neg": (n[:, t, None] - n_pos[:, t, None], "one_class", minimum["n_neg"]),
                "n": (n[:, t, None], None, minimum["n"]),
            }
            for count, (found, reason, least) in counts.items():
                if count in METRICS[name].counts:
                    found = np.broadcast_to(found, status.shape)
                    status[(found >= 0) & (found < least)] = "too_few"
                    if reason:
                        status[found == 0] = f"undefined:{reason}"
            scores.status[:, :-1, t, m] = status


def spread_statuses(scores: Scores) -> None:
    """Give means over seeds and tasks the first status among theirs that is not ``ok``."""
    scores.status[:, -1] = _first_bad(scores.status[:, :-1], axis=1)
    if scores.tasks[-1] == MEAN:
        single = [t for t, task in enumerate(scores.tasks[:-1]) if task != ALL]
        scores.status[:, :, -1] = _first_bad(scores.status[:, :, single], axis=2)
        scores.counts[:, -1] = scores.counts[:, single].max(axis=1)
        scores.counts[:, -1, 1] = -1
        own = [m for m, name in enumerate(scores.metrics) if name in DIAGNOSIS]
        scores.status[:, :, -1, own] = ""


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


def tabulate(scores: Scores) -> tuple[pd.DataFrame, np.ndarray]:
    """Return the rows of a metrics table, and for each its place in the flattened values.

    Rows of the group ``missing`` have place -1.
    """
    used = np.flatnonzero(scores.status.reshape(-1) != "")
    g, s, t, m = np.unravel_index(used, scores.status.shape)
    lost = (
        np.flatnonzero((scores.status[0] != "").reshape(-1)) if scores.missing[:, 0].any() else []
    )
    lost_s, lost_t, lost_m = np.unravel_index(np.asarray(lost, int), scores.status.shape[1:])
    counts = np.concatenate([scores.counts[g, t], scores.missing[lost_t]])
    frame = pd.DataFrame(
        {
            "seed": np.array(scores.seeds, object)[np.append(s, lost_s)],
            "task": np.array(scores.tasks, object)[np.append(t, lost_t)],
            "attribute": scores.attribute,
            "group": np.append(np.array(scores.groups, object)[g], [MISSING] * len(lost)),
            "metric": np.array(scores.metrics, object)[np.append(m, lost_m)],
            "value": np.append(scores.value.reshape(-1)[used], np.full(len(lost), np.nan)),
            "n": counts[:, 0],
            "n_pos": pd.array(counts[:, 1], "Int64"),
            "n_patients": counts[:, 2],
            "status": np.append(scores.status.reshape(-1)[used], [MISSING] * len(lost)),
        }
    )
    frame.loc[frame["n_pos"] < 0, "n_pos"] = pd.NA
    return frame, np.append(used, np.full(len(lost), -1))
