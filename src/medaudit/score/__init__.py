"""Audit any model from a file of its predictions; needs neither images, torch nor Snakemake.

``medaudit score predictions.csv --groups patients.csv`` on the command line, `score` in a
notebook. Both call the functions of the workflow, so their numbers are the workflow's.

In:  a file of predictions, and perhaps one of patients and their groups.
Out: metrics, gaps, figures and a report, as the workflow makes them.
May import: `medaudit.core`, `medaudit.data`, `medaudit.metrics`, `medaudit.adapt`,
     `medaudit.audit`, `medaudit.report`.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.audit.dialects import score_dialects
from medaudit.audit.dialects.rankings import rank_measures
from medaudit.audit.disparity import find_gaps
from medaudit.audit.lint import check_cohort, check_predictions
from medaudit.audit.lint.problems import Finding, as_json, fail_on_errors
from medaudit.core.errors import MedauditError
from medaudit.metrics.group_audit import audit
from medaudit.score.assemble import Study, assemble

METRICS = (
    "auc",
    "average_precision",
    "accuracy",
    "f1",
    "tpr",
    "fpr",
    "ece",
    "selection_rate",
)
GAPS = ("max_min", "worst_rest")
MINIMUM = {"n": 10, "n_pos": 3, "n_neg": 3}


@dataclass
class Result:
    """An audit.

    Parameters
    ----------
    study : Study
        What was audited, and how the files were read (``study.detected``).
    metrics, gaps, dialects, rankings : pandas.DataFrame
        Tables of `medaudit.core.table_io`: ``METRICS``, ``GAPS``, ``DIALECTS``, ``RANKINGS``.
    lint : pandas.DataFrame
        Findings: check, severity, message, count, where.
    evaluation : dict
        The evaluation settings.
    replicates : dict of (str, str) to numpy.ndarray
        Bootstrap replicates of each model's and method's rows of `metrics`.
    nulls : dict of (str, str) to numpy.ndarray
        Permuted gaps of each model's and method's summing rows of `gaps`.
    """

    study: Study
    metrics: pd.DataFrame
    gaps: pd.DataFrame
    dialects: pd.DataFrame
    rankings: pd.DataFrame
    lint: pd.DataFrame
    evaluation: dict
    replicates: dict[tuple[str, str], np.ndarray]
    nulls: dict[tuple[str, str], np.ndarray]

    def write(self, folder: str | Path) -> Path:
        """Write tables, figures and report into `folder` and return the report's path."""
        from medaudit.score.writing import write

        return write(self, Path(folder))


def score(
    predictions: str | Path | pd.DataFrame,
    groups: str | Path | pd.DataFrame | None = None,
    *,
    columns: dict[str, str | list[str]] | None = None,
    attributes: list[str] | None = None,
    age_threshold: float = 60,
    scores: str = "auto",
    task_type: str = "auto",
    positive: str | None = None,
    threshold: dict | None = None,
    metrics: tuple[str, ...] = METRICS,
    draws: int = 1000,
    minimum: dict | None = None,
    threads: int = 1,
) -> Result:
    """Audit predictions by group.

    Parameters
    ----------
    predictions : str, Path or pandas.DataFrame
        CSV, TSV or Parquet, long (columns label and score, perhaps task and model) or wide
        (``label_x`` and ``score_x`` for each task; or one label and a score for each class or
        model).
    groups : str, Path or pandas.DataFrame, optional
        One row an image or a patient; else the other columns of `predictions`.
    columns : dict, optional
        Columns where names do not tell: ``id``, ``patient``, ``split``, ``label``, ``score``,
        ``model``, ``method``, ``task``, ``seed``.
    attributes : list of str, optional
        Groups to compare; intersections as ``sex & age_group``. Default: every column with 2 to
        20 levels.
    age_threshold : float
        Years at which ages become ``age_group``.
    scores : str
        ``auto``, ``probabilities`` or ``logits``.
    task_type : str
        ``auto``, ``multilabel`` or ``multiclass``; one task is binary.
    positive : str, optional
        The label's value that counts as 1.
    threshold : dict, optional
        ``{"rule": "best_f1"}`` (default where there are validation rows), ``youden``, ``fpr``
        with ``value``, or ``{"rule": "fixed", "value": 0.5}`` (default where there are none).
    metrics : tuple of str
        Names of `medaudit.metrics.definitions.METRICS`.
    draws : int
        Bootstrap draws and permutations.
    minimum : dict, optional
        ``n``, ``n_pos``, ``n_neg`` of a group that is estimated.
    threads : int
        Changes no number.

    Returns
    -------
    Result
        Undefined numbers are missing, with a status that says why.

    Raises
    ------
    MedauditError
        The files do not say what is needed, or a finding of the lint is an error.
    """
    study = assemble(
        Path(predictions) if isinstance(predictions, str) else predictions,
        Path(groups) if isinstance(groups, str) else groups,
        {k: [v] if isinstance(v, str) else list(v) for k, v in (columns or {}).items() if v},
        {
            "attributes": attributes,
            "age_threshold": age_threshold,
            "scores": scores,
            "task_type": task_type,
            "positive": positive,
        },
    )
    evaluation = {
        "metrics": list(metrics),
        "gaps": list(GAPS),
        "threshold": threshold or _default_threshold(study),
        "bootstrap": {"draws": _at_least_two(draws), "level": 0.95, "method": "percentile"},
        "null": {"draws": draws},
        "minimum": {**MINIMUM, **(minimum or {})},
        "ece_bins": 15,
    }
    return _audit(study, evaluation, threads)


def _default_threshold(study: Study) -> dict:
    return {"rule": "best_f1"} if study.has_validation else {"rule": "fixed", "value": 0.5}


def _at_least_two(draws: int) -> int:
    if draws < 2:
        raise MedauditError(f"{draws} bootstrap draws give no interval; give at least 2")
    return draws


def _audit(study: Study, evaluation: dict, threads: int) -> Result:
    findings = lint_study(study, evaluation)
    fail_on_errors(findings, study.name)
    tables, replicates = {"metrics": [], "gaps": [], "dialects": []}, {}
    nulls = {}
    for (model, method), rows in study.predictions.items():
        settings = {
            "cohort": study.name,
            "model": model,
            "method": method,
            "task_type": study.task_type,
            "tasks": study.tasks,
            "attributes": study.attributes,
            "evaluation": evaluation,
        }
        metrics, drawn = audit(rows, study.cohort, settings, threads)
        gaps, null = find_gaps(rows, study.cohort, settings, metrics, drawn, threads)
        replicates[model, method] = drawn
        nulls[model, method] = null
        tables["metrics"].append(metrics)
        tables["gaps"].append(gaps)
        tables["dialects"].append(score_dialects(metrics, drawn, study.task_type))
    merged = {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}
    return Result(
        study=study,
        **merged,
        rankings=rank_measures(merged["dialects"]),
        lint=pd.DataFrame(as_json(findings)["findings"], columns=list(Finding.__annotations__)),
        evaluation=evaluation,
        replicates=replicates,
        nulls=nulls,
    )


def lint_study(study: Study, evaluation: dict) -> list[Finding]:
    """Return the protocol lint's findings on a study, those on predictions by model."""
    found = check_cohort(study.cohort, study.attributes, evaluation["minimum"], study.tasks)
    if not study.has_patients:
        message = (
            "no column says which images are of one patient: each counts as a patient of their "
            "own, and intervals are too narrow where patients have several"
        )
        found.append(Finding("no_patients", "warning", message, len(study.cohort), "patient"))
    for (model, method), rows in study.predictions.items():
        for one in check_predictions(rows, study.cohort, study.task_type, evaluation["threshold"]):
            where = f"{model} / {method}: {one.where}" if len(study.predictions) > 1 else one.where
            found.append(Finding(one.check, one.severity, one.message, one.count, where))
    return found
