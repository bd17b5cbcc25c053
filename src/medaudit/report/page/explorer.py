"""The content of the chooser with its threshold slider: binned scores of all runs, packed."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from scipy.special import ndtri

from medaudit.report.page.packing import packed
from medaudit.report.scores.binning import LEAST, GroupBins, TaskBins, bin_scores
from medaudit.report.scores.runs import ScoredRun
from medaudit.report.wording import terms
from medaudit.report.wording.names import Names

LEVEL = 0.95


def explorer(
    runs: Iterable[ScoredRun], evaluation: Mapping[str, Any], names: Names
) -> dict[str, Any] | None:
    """Return what the page needs to draw curves by group and to move the threshold.

    Parameters
    ----------
    runs : iterable of ScoredRun
        The first run of a cohort is shown first.
    evaluation : mapping
        ``minimum`` (``n``) and ``bootstrap`` (``level``).
    names : Names
        Display names.

    Returns
    -------
    dict or None
        ``gzip`` (packed JSON), ``least`` (patients in a bin), ``level`` (per cent); None without
        a run. The JSON holds counts in bins, never a row of a patient.
    """
    minimum = int(evaluation.get("minimum", {}).get("n", 10))
    level = float(evaluation.get("bootstrap", {}).get("level", LEVEL))
    cohorts: dict[str, dict[str, Any]] = {}
    for run in runs:
        tasks = bin_scores(run.sample, minimum)
        if not tasks:
            continue
        cohort = cohorts.setdefault(run.cohort, _cohort(run, names))
        row = {"model": run.model, "method": run.method}
        cohort["runs"].append({"label": names.run(row), "tasks": _tasks(tasks, cohort)})
    if not cohorts:
        return None
    content = {"z": float(ndtri((1 + level) / 2)), "cohorts": list(cohorts.values())}
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    return {"gzip": packed(text), "least": LEAST, "level": f"{100 * level:g}"}


def _cohort(run: ScoredRun, names: Names) -> dict[str, Any]:
    attributes = [
        {
            "name": attribute.name,
            "label": terms.first_upper(terms.attribute(attribute.name)),
            "groups": [[group, _group_label(attribute.name, group)] for group in attribute.levels],
        }
        for attribute in run.sample.attributes
    ]
    return {
        "name": run.cohort,
        "label": names.cohort(run.cohort),
        "classes": run.sample.multiclass,
        "weighted": bool(run.sample.weights),
        "attributes": attributes[1:] or attributes,
        "runs": [],
    }


def _group_label(attribute: str, group: str) -> str:
    return "all patients" if attribute == "all" else terms.group(group)


def _tasks(tasks: dict[str, TaskBins], cohort: dict[str, Any]) -> dict[str, Any]:
    return {
        task: {
            "edges": [_short(edge, 6) for edge in found.edges[:-1]],
            "threshold": None if np.isnan(found.threshold) else _short(found.threshold, 6),
            "groups": {
                attribute["name"]: {
                    group: _group(found.groups[attribute["name"], group])
                    for group, _ in attribute["groups"]
                    if (attribute["name"], group) in found.groups
                }
                for attribute in cohort["attributes"]
            },
        }
        for task, found in tasks.items()
    }


def _group(bins: GroupBins) -> dict[str, Any]:
    return {
        "at": bins.at[:-1].tolist(),
        "pos": [_short(value) for value in bins.positive],
        "neg": [_short(value) for value in bins.negative],
        "mean": [None if np.isnan(value) else _short(value, 3) for value in bins.mean],
        "audit": None if np.isnan(bins.decided).any() else [_short(v) for v in bins.decided],
        "inflation": [_short(value) for value in bins.inflation],
    }


def _short(value: float, digits: int = 2) -> float | int:
    """Return a number rounded to `digits` decimals, whole where it is whole."""
    rounded = round(float(value), digits)
    return int(rounded) if rounded.is_integer() else rounded
