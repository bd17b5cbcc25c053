"""Objective of a search: a metric of the whole validation split, over one attribute's groups.

It is computed by the code of the audit (`medaudit.metrics`), so the objective and the audit's metric
of the same predictions are the same number. Decisions are by the largest score, which for a binary
task means a probability of at least 0.5 (Dutt et al. 2024, table 3); no threshold is chosen on the
data that the search optimises. The metric is averaged over tasks first, then groups are compared.
Groups with too few images are left out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from medaudit.adapt.logits import ranked_probabilities
from medaudit.core.entry_types import Evaluation
from medaudit.core.entry_types.methods import MethodEntryObjective
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
from medaudit.metrics.group_metrics import ALL, GroupBlock, measure_groups, sort_scores
from medaudit.metrics.sample import Sample

COMPOSED = {"eoddsd": ("tpr", "fpr"), "dpd": ("selection_rate",), "dto": ("auc",)}
"""Objectives that are no plain metric, and the metrics they are computed from."""

ECE_BINS = 15

REDUCTIONS = {"min": smallest, "max": largest, "gap": spread}
"""How groups become one number, by the suffix of the objective's name: ``auc_min``."""


@dataclass(frozen=True)
class Measurement:
    """Value of the objective after one epoch.

    Parameters
    ----------
    value : float
        NaN if undefined.
    status : str
        ``ok``, or why the value is undefined.
    """

    value: float
    status: str


class Objective:
    """A metric of the validation split as a function of its logits.

    Parameters
    ----------
    objective : dict
        ``metric``: a metric of `medaudit.metrics.definitions` over all images (``auc``), in the
        worst group (``auc_min``, ``brier_max``) or its spread over groups (``auc_gap``);
        ``eoddsd`` (equalised odds difference: the larger of the spreads of TPR and FPR), ``dpd``
        (demographic parity difference: the spread of the selection rate) or ``dto`` (distance to
        optimum: of the groups' AUCs to 1). ``attribute``: its name, or the names of an
        intersection. ``minimum``: the fewest images ``n``, positives ``n_pos`` and negatives
        ``n_neg`` of a group that counts.
    frame : pandas.DataFrame
        The validation rows: ``patient_id``, ``y_<task>``, ``a_<attribute>``.
    tasks : list of str
        Tasks in the order of the columns of the logits.
    task_type : str
        ``binary``, ``multilabel`` or ``multiclass``.

    Raises
    ------
    MedauditError
        The metric is unknown, or it is undefined with these labels, whatever the logits.
    """

    def __init__(
        self, objective: MethodEntryObjective, frame: pd.DataFrame, tasks: list[str], task_type: str
    ) -> None:
        self.name, self.multiclass = objective["metric"], task_type == "multiclass"
        self.metric, self.reduction = parse_objective(self.name)
        self.metrics = COMPOSED.get(self.name, (self.metric,))
        self.minimum = objective["minimum"]
        self.evaluation: Evaluation = {
            "metrics": list(self.metrics),
            "minimum": self.minimum,
            "ece_bins": ECE_BINS,
        }
        self.tasks = tuple(tasks)
        self.y = frame[[f"y_{task}" for task in tasks]].to_numpy(float)
        self.patient = pd.factorize(frame["patient_id"])[0]
        chosen = objective["attribute"]
        assert chosen is not None  # the job's settings name the cohort's first attribute
        self.attribute = read_attributes(frame, np.ones(len(frame), bool), [chosen])[1]
        if self.name in METRICS:
            self.attribute = Attribute(ALL, (ALL,), np.zeros(len(frame), np.int32))
        self._check()

    def measure(self, logits: np.ndarray) -> Measurement:
        """Return the value for the logits [n_val, tasks] of the whole validation split."""
        if not np.isfinite(logits).all():
            return Measurement(np.nan, "the model's logits are not finite")
        values, statuses = self._by_group(logits)
        value = self._compare(values[:, :, None])
        reasons = [status for status in statuses.reshape(-1) if status != "ok"]
        return Measurement(value, "ok" if np.isfinite(value) else next(iter(reasons), "undefined"))

    def by_group(self, logits: np.ndarray) -> dict[str, float | None]:
        """Return the objective's (first) metric in each group; None where it is undefined."""
        values = self._by_group(logits)[0][0] if np.isfinite(logits).all() else None
        found = dict.fromkeys(self.attribute.levels)
        if values is not None:
            pairs = zip(self.attribute.levels, values.tolist(), strict=True)
            found |= {group: value for group, value in pairs if np.isfinite(value)}
        return found

    def groups(self) -> list[dict]:
        """Return each group's counts in the validation split, and ``ok`` or why it is left out."""
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
                f"objective {self.name} over {self.attribute.name} has no value on the "
                f"validation split ({found.status}). It needs "
                f"{1 if self.name in METRICS else 2} groups of at least "
                f"{self.minimum}; the groups are {self.groups()}. Choose another "
                "objective.attribute or objective.metric, lower objective.minimum, or enlarge the "
                "validation split"
            )

    def _by_group(self, logits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the metrics' values and statuses, each [metrics, groups]."""
        scores = self._scores(logits)
        task = self._task(scores)
        return scores.value[:, 0, task].T, scores.status[:, 0, task].T

    def _compare(self, values: np.ndarray) -> float:
        """Return the objective from values [metrics, groups, 1]; NaN in a group is left out."""
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
        """Return the task that represents all: the joint decision of classes, or the mean."""
        whole = self.multiclass and self.metric in WHOLE_DECISION
        return scores.tasks.index(ALL) if whole else len(scores.tasks) - 1

    def _scores(self, logits: np.ndarray):
        """Return the metrics of every group, computed as in the audit."""
        score = ranked_probabilities(logits, self.multiclass)
        if self.multiclass:
            decision = score.argmax(axis=1)[:, None] == np.arange(score.shape[1])
        else:
            decision = score >= 0.5
        sample = self._sample(score[None], decision[None].astype(float))
        levels, bins = self.attribute.levels, ECE_BINS
        groups = sort_scores(sample, self.attribute, self.attribute.codes, len(levels), bins)
        blocks = [GroupBlock(0, groups)]
        return measure_groups(sample, self.attribute, levels, blocks, self.evaluation)

    def _sample(self, score: np.ndarray, decision: np.ndarray) -> Sample:
        """Return the validation split as a sample of the audit: one seed, every image counts 1."""
        patients = int(self.patient.max(initial=-1)) + 1
        fixed = None if self.multiclass else np.full((1, len(self.tasks)), 0.5)
        return Sample(
            tasks=self.tasks,
            seeds=("0",),
            y=self.y,
            score=score,
            decision=decision,
            threshold=fixed,
            val_counts=np.zeros((3, len(self.tasks)), int),
            patient=self.patient,
            identity=np.arange(patients),
            stratum=np.zeros(patients, int),
            attributes=[self.attribute],
            weights={},
            stream="",
        )


def direction_of(name: str) -> Literal["maximize", "minimize"]:
    """Return ``maximize`` or ``minimize``, the direction in which an objective gets better."""
    metric, reduction = parse_objective(name)
    gap = name in COMPOSED or reduction is spread
    return "minimize" if gap or METRICS[metric].target == 0 else "maximize"


def parse_objective(name: str) -> tuple[str, Callable | None]:
    """Return an objective's metric, and how groups become one number (None: all images).

    Raises
    ------
    MedauditError
        The objective is unknown.
    """
    if name in COMPOSED:
        return COMPOSED[name][0], None
    metric, _, end = name.rpartition("_")
    if metric in METRICS and end in REDUCTIONS:
        # The worst group has the lowest value of a metric whose best value is 1, the highest if it is
        # 0; auc_max would be the best group, which is no objective.
        worst = {"min": 1, "max": 0}.get(end, METRICS[metric].target)
        if worst == METRICS[metric].target is not None:
            return metric, REDUCTIONS[end]
    if name in METRICS and METRICS[name].target is not None:
        return name, None
    raise MedauditError(
        f"objective.metric {name!r} is unknown; there are {', '.join(COMPOSED)}, and metrics that have "
        "a best value: over all images (auc), in the worst group (auc_min, brier_max), or as spread "
        "over groups (auc_gap)"
    )
