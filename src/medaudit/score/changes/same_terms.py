"""Whether two audits can be compared: thresholds, definitions, tasks, groups, and whose ids match."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.metrics.definitions import METRICS
from medaudit.score.changes.audits import Audit

DISAGREEING = 0.05
"""Share of patients with one id and other groups above which ids are not those of the same people."""


@dataclass(frozen=True)
class Terms:
    """What two audits have in common.

    Parameters
    ----------
    tasks, attributes : set of str
        Those of both; ``all`` and ``mean`` only where all single tasks agree.
    left_out : dict of str to set of str
        Metrics that are not compared, by task.
    paired : bool
        Whether the same id means the same patient.
    remarks : list of str
        What differs, one sentence each.
    """

    tasks: set[str]
    attributes: set[str]
    left_out: dict[str, set[str]]
    paired: bool
    remarks: list[str]


def find_terms(earlier: Audit, now: Audit) -> Terms:
    """Return what can be compared, and say what cannot.

    Raises
    ------
    MedauditError
        The audits have no task or no metric in common.
    """
    remarks: list[str] = []
    tasks = _tasks(earlier, now, remarks)
    left_out = {task: set[str]() for task in tasks}
    _compare_thresholds(earlier, now, left_out, remarks)
    _compare_bins(earlier, now, left_out, remarks)
    first, second = (set(audit.metrics["attribute"]) for audit in (earlier, now))
    if first != second:
        only = ", ".join(sorted(first ^ second))
        remarks.append(f"Only one of the audits has the attributes {only}: not compared.")
    return Terms(tasks, first & second, left_out, _same_people(earlier, now, remarks), remarks)


def _tasks(earlier: Audit, now: Audit, remarks: list[str]) -> set[str]:
    first, second = (set(audit.sample.tasks) for audit in (earlier, now))
    common = first & second
    if not common:
        if len(first) == len(second) == 1:
            advice = "rename the task in one of the files"
        else:
            advice = "compare audits of the same findings"
        raise MedauditError(
            f"--against: the earlier audit has the tasks {', '.join(sorted(first))}, this one "
            f"{', '.join(sorted(second))}: {advice}"
        )
    if first != second:
        only = ", ".join(sorted(first ^ second))
        remarks.append(f"Only one of the audits has the tasks {only}: not compared, nor are means.")
        return common
    return common | {"all", "mean"}


def _compare_thresholds(
    earlier: Audit, now: Audit, left_out: dict[str, set[str]], remarks: list[str]
) -> None:
    """Leave out metrics of decisions where a fixed threshold differs; say where a chosen one does."""
    decided = {name for name, metric in METRICS.items() if "confusion" in metric.needs}
    if earlier.sample.multiclass != now.sample.multiclass:
        raise MedauditError("--against: only one of the audits is of a multi-class task")
    if now.sample.multiclass:
        return
    rules = [audit.evaluation["threshold"]["rule"] for audit in (earlier, now)]
    for task in sorted(set(left_out) - {"all", "mean"}):
        then, present = (
            np.nanmean(audit.sample.threshold[:, audit.sample.tasks.index(task)])  # type: ignore[index]
            for audit in (earlier, now)
        )
        if rules[0] != rules[1] or (rules[0] == "fixed" and then != present):
            left_out[task] |= decided
            if "mean" in left_out:
                left_out["mean"] |= decided
            remarks.append(
                f"{task}: the threshold was {then:.3g} ({rules[0]}) and is {present:.3g} ({rules[1]}). "
                "TPR, FPR and all other measures of decisions are not compared; use the same "
                f"threshold, e.g. --threshold {then:.3g}."
            )
        elif then != present:
            remarks.append(
                f"{task}: the rule {rules[0]} chose the threshold {then:.3g} then and {present:.3g} "
                "now; changes of decisions include that."
            )


def _compare_bins(
    earlier: Audit, now: Audit, left_out: dict[str, set[str]], remarks: list[str]
) -> None:
    bins = [audit.evaluation.get("ece_bins", 15) for audit in (earlier, now)]
    if bins[0] != bins[1]:
        for task in left_out:
            left_out[task] |= {"ece", "ece_debiased"}
        remarks.append(f"ECE had {bins[0]} bins and has {bins[1]}: not compared.")


def _same_people(earlier: Audit, now: Audit, remarks: list[str]) -> bool:
    """Return whether the same id is the same patient, judged by groups that do not change."""
    shared = np.intersect1d(earlier.patients, now.patients)
    if not len(shared):
        return True
    if not (earlier.has_patients and now.has_patients):
        remarks.append(
            "At least one of the files has no column of patients; ids of images stand for them."
        )
    for column in sorted(set(earlier.cohort.columns) & set(now.cohort.columns)):
        if not column.startswith("a_") or column == "a_age_group":
            continue
        then, present = (
            audit.cohort.drop_duplicates("patient_id")
            .set_index("patient_id")[column]
            .reindex(shared)
            for audit in (earlier, now)
        )
        known = then.notna() & present.notna()
        wrong = int((then[known] != present[known]).sum())
        if wrong > DISAGREEING * max(int(known.sum()), 1):
            remarks.append(
                f"{wrong} of {int(known.sum())} patients with the same id have another "
                f"{column.removeprefix('a_')}: the ids are not taken to be of the same people, and the "
                "comparison is unpaired."
            )
            return False
    _say_other_labels(earlier.cohort, now.cohort, remarks)
    return True


def _say_other_labels(earlier: pd.DataFrame, now: pd.DataFrame, remarks: list[str]) -> None:
    both = earlier.merge(now, on="image_id", suffixes=("_then", "_now"))
    labels = [c for c in earlier.columns if c.startswith("y_") and c in now.columns]
    for column in labels:
        then, present = both[f"{column}_then"], both[f"{column}_now"]
        changed = int((then.notna() & present.notna() & (then != present)).sum())
        if changed:
            remarks.append(
                f"{changed} of {len(both)} images in both audits have another label of "
                f"{column.removeprefix('y_')}: changes include that."
            )
