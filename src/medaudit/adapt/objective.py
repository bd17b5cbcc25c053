"""What a search improves: a metric of the whole validation split, over one attribute's groups.

The numbers are those of the audit (`medaudit.metrics`), so a search's objective and the audit's
metric of the same predictions are the same number. Decisions are by the largest score, which for a
task with two answers is a probability of at least 0.5 (Dutt et al. 2024, table 3); no threshold is
chosen on the data that the search looks at. The mean over tasks is taken first, then the groups
are compared. Groups with too few images take no part.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from medaudit.adapt.probe.probe_losses import probabilities
from medaudit.core.errors import MedauditError
from medaudit.metrics.attributes import Attribute, read_attributes
from medaudit.metrics.definitions import METRICS, WHOLE_DECISION
from medaudit.metrics.fairness_definitions import (
    equalized_odds_difference,
    largest,
    smallest,
    spread,
)
from medaudit.metrics.gaps import Parts, measure
from medaudit.metrics.group_metrics import ALL, make_plans, score_groups

OWN = {"eoddsd": ("tpr", "fpr"), "dpd": ("selection_rate",), "dto": ("auc",)}
"""Objectives with a name of their own, and the metrics they are made of."""

REDUCTIONS = {"min": smallest, "max": largest, "gap": spread}
"""Ends of an objective's name, and how groups become one number."""


@dataclass(frozen=True)
class Validation:
    """The validation split as `medaudit.metrics.group_metrics` reads a sample.

    Parameters
    ----------
    tasks : tuple of str
    y : ndarray, shape (images, tasks)
        1, 0 or NaN.
    score, decision : ndarray, shape (1, images, tasks)
    patient : ndarray of int, shape (images,)
    multiclass : bool
    seeds : tuple of str
    weights : dict
        Empty: every image counts once.
    """

    tasks: tuple[str, ...]
    y: np.ndarray
    score: np.ndarray
    decision: np.ndarray
    patient: np.ndarray
    multiclass: bool
    seeds: tuple[str, ...] = ("0",)
    weights: dict = field(default_factory=dict)


@dataclass(frozen=True)
class Measurement:
    """The objective of one epoch.

    Parameters
    ----------
    value : float
        NaN where undefined.
    status : str
        ``ok``, or why there is no value.
    """

    value: float
    status: str


class Objective:
    """A metric of the validation split.

    Parameters
    ----------
    objective : dict
        ``metric``: a metric of `medaudit.metrics.definitions` over everybody (``auc``), its worst
        group (``auc_min``, ``brier_max``) or its spread over groups (``auc_gap``); ``eoddsd`` (the
        larger of the spreads of TPR and FPR), ``dpd`` (the spread of the selection rate) or
        ``dto`` (distance of the groups' AUC to 1). ``attribute``: its name, or the names of an
        intersection. ``minimum``: ``n``, ``n_pos``, ``n_neg`` of a group that takes part.
    frame : pandas.DataFrame
        The validation rows: ``patient_id``, ``y_<task>``, ``a_<attribute>``.
    tasks : list of str
        Columns of the logits.
    task_type : str
        ``binary``, ``multilabel`` or ``multiclass``.

    Raises
    ------
    MedauditError
        The metric is unknown, or with these labels it never has a value.
    """

    def __init__(
        self, objective: dict, frame: pd.DataFrame, tasks: list[str], task_type: str
    ) -> None:
        self.name, self.multiclass = objective["metric"], task_type == "multiclass"
        self.metric, self.reduction = parse_objective(self.name)
        self.metrics = OWN.get(self.name, (self.metric,))
        self.evaluation = {
            "metrics": list(self.metrics),
            "minimum": objective["minimum"],
            "ece_bins": 15,
        }
        self.tasks = tuple(tasks)
        self.y = frame[[f"y_{task}" for task in tasks]].to_numpy(float)
        self.patient = pd.factorize(frame["patient_id"])[0]
        wanted = objective["attribute"]
        self.attribute = read_attributes(frame, np.ones(len(frame), bool), [wanted])[1]
        if self.name in METRICS:
            everybody = np.zeros(len(frame), np.int32)
            self.attribute = Attribute(ALL, (ALL,), everybody)
        self._check()

    def measure(self, logits: np.ndarray) -> Measurement:
        """Measure the logits [n_val, tasks] of the whole validation split."""
        if not np.isfinite(logits).all():
            return Measurement(np.nan, "the model's output is not finite")
        values, statuses = self._by_group(logits)
        value = self._compare(values[:, :, None])
        bad = [status for status in statuses.reshape(-1) if status != "ok"]
        return Measurement(value, "ok" if np.isfinite(value) else next(iter(bad), "undefined"))

    def by_group(self, logits: np.ndarray) -> dict[str, float | None]:
        """Return the objective's first metric of each group; None where it is undefined."""
        values = self._by_group(logits)[0][0] if np.isfinite(logits).all() else None
        found = dict.fromkeys(self.attribute.levels)
        if values is not None:
            pairs = zip(self.attribute.levels, values.tolist(), strict=True)
            found |= {group: value for group, value in pairs if np.isfinite(value)}
        return found

    def groups(self) -> list[dict]:
        """Return each group with its counts of the validation split and whether it takes part."""
        scores = self._scores(np.zeros(self.y.shape))
        statuses = scores.status[:, 0, self._task(scores)]
        return [
            {
                "group": group,
                "n": int(scores.counts[g, self._task(scores), 0]),
                "n_pos": [int(n) for n in scores.counts[g, : len(self.tasks), 1]],
                "status": next((s for s in statuses[g] if s != "ok"), "ok"),
            }
            for g, group in enumerate(self.attribute.levels)
        ]

    def _check(self) -> None:
        found = self.measure(np.zeros(self.y.shape))
        if found.status != "ok":
            raise MedauditError(
                f"the objective {self.name} over {self.attribute.name} has no value on the "
                f"validation split ({found.status}): {self.groups()}; it needs "
                f"{1 if self.name in METRICS else 2} groups with at least "
                f"{self.evaluation['minimum']}: take another attribute or metric, or a larger "
                "validation split"
            )

    def _by_group(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Values and statuses [metrics, groups]."""
        scores = self._scores(logits)
        task = self._task(scores)
        return scores.value[:, 0, task].T, scores.status[:, 0, task].T

    def _compare(self, values: np.ndarray) -> float:
        if self.name == "eoddsd":
            return float(equalized_odds_difference(*values)[0])
        if self.name == "dto":
            known = values[0][np.isfinite(values[0, :, 0])]
            few = len(known) < 2
            return np.nan if few else float(measure("dto", "auc", Parts(known, known, known))[0])
        if self.name == "dpd":
            return float(spread(values[0])[0])
        return float(self.reduction(values[0])[0]) if self.reduction else float(values[0, 0, 0])

    def _task(self, scores) -> int:
        whole = self.multiclass and self.metric in WHOLE_DECISION
        return scores.tasks.index(ALL) if whole else len(scores.tasks) - 1

    def _scores(self, logits: np.ndarray):
        score = probabilities(logits.astype(np.float64), self.multiclass)
        if self.multiclass:
            decision = score.argmax(axis=1)[:, None] == np.arange(score.shape[1])
        else:
            decision = score >= 0.5
        sample = Validation(
            tasks=self.tasks,
            y=self.y,
            score=score[None],
            decision=decision[None].astype(float),
            patient=self.patient,
            multiclass=self.multiclass,
        )
        levels, bins = self.attribute.levels, self.evaluation["ece_bins"]
        plans = make_plans(sample, self.attribute, self.attribute.codes, len(levels), bins)
        return score_groups(sample, self.attribute, levels, [(0, plans)], self.evaluation)


def direction_of(name: str) -> str:
    """Return whether an objective is to ``maximize`` or ``minimize``."""
    metric, reduction = parse_objective(name)
    gap = name in OWN or reduction is spread
    return "minimize" if gap or METRICS[metric].target == 0 else "maximize"


def parse_objective(name: str) -> tuple[str, Callable | None]:
    """Return an objective's metric and how its groups become one number (None: everybody).

    Raises
    ------
    MedauditError
        There is no such objective.
    """
    if name in OWN:
        return OWN[name][0], None
    metric, _, end = name.rpartition("_")
    if metric in METRICS and end in REDUCTIONS:
        worst = {"min": 1, "max": 0}.get(end, METRICS[metric].target)
        if worst == METRICS[metric].target is not None:
            return metric, REDUCTIONS[end]
    if name in METRICS and METRICS[name].target is not None:
        return name, None
    raise MedauditError(
        f"objective.metric: {name!r} is unknown; known: {', '.join(OWN)}, a metric with a best "
        "value over everybody (auc), of its worst group (auc_min, brier_max), or its spread over "
        "groups (auc_gap)"
    )
