"""Audit any model from a file of its predictions, without images, torch or Snakemake.

``medaudit score predictions.csv --groups patients.csv`` on the command line, `score` in a
notebook. Both call the functions that the workflow calls, so the numbers are the same.

In:  a file of predictions, and optionally a file of patients and their groups.
Out: metrics, gaps, figures and a report, as the workflow makes them.
May import: `medaudit.core`, `medaudit.data`, `medaudit.metrics`, `medaudit.adapt`,
     `medaudit.audit`, `medaudit.report`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from medaudit.adapt.predictions.columns import Choice
from medaudit.core.audit_tables import CONDITIONAL
from medaudit.core.entry_types.evaluation import (
    Evaluation,
    EvaluationMinimum,
    EvaluationThreshold,
)
from medaudit.core.errors import MedauditError
from medaudit.core.intersections import join_names
from medaudit.core.margins import Margins
from medaudit.score.assemble import Study, assemble

if TYPE_CHECKING:
    from medaudit.metrics.audit_settings import AuditSettings

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
MINIMUM: EvaluationMinimum = {"n": 10, "n_pos": 3, "n_neg": 3}


@dataclass
class Result:
    """The tables of an audit, with the study that was audited.

    Parameters
    ----------
    study : Study
        The audited cohort and predictions; ``study.detected`` says how the files were read.
    metrics, gaps, dialects, rankings : pandas.DataFrame
        Tables of `medaudit.core.table_io`: ``METRICS``, ``GAPS``, ``DIALECTS``, ``RANKINGS``.
    conditional, sensitivity : pandas.DataFrame
        Tables of `medaudit.core.audit_tables`: ``CONDITIONAL`` (empty without `control`) and
        ``SENSITIVITY``.
    lint : pandas.DataFrame
        Findings of the protocol lint: check, severity, message, count, where.
    equivalence : pandas.DataFrame
        The gaps that have a margin, with ``margin`` and ``equivalence``: the verdict, one of
        `medaudit.report.equivalence.Equivalence`. Empty where no margin was declared.
    evaluation : dict
        The evaluation settings.
    replicates : dict of (str, str) to numpy.ndarray
        Bootstrap replicates of the rows of `metrics`, by model and method.
    nulls : dict of (str, str) to numpy.ndarray
        Permuted gaps of the summary rows of `gaps`, by model and method.
    """

    study: Study
    metrics: pd.DataFrame
    gaps: pd.DataFrame
    dialects: pd.DataFrame
    rankings: pd.DataFrame
    conditional: pd.DataFrame
    sensitivity: pd.DataFrame
    lint: pd.DataFrame
    equivalence: pd.DataFrame
    evaluation: Evaluation
    replicates: dict[tuple[str, str], np.ndarray]
    nulls: dict[tuple[str, str], np.ndarray]

    def write(self, folder: str | Path) -> Path:
        """Write tables, figures and report into `folder` and return the report's path."""
        from medaudit.score.writing import write

        return write(self, Path(folder))


def score(
    predictions: str | Path | pd.DataFrame | Sequence[Path | pd.DataFrame],
    groups: str | Path | pd.DataFrame | None = None,
    *,
    labels: str | Path | pd.DataFrame | None = None,
    columns: Mapping[str, Any] | str | Path | None = None,
    attributes: list[str] | None = None,
    control: list[str] | None = None,
    age_threshold: float | list[float] = 60,
    scores: str = "auto",
    task_type: str = "auto",
    positive: str | None = None,
    threshold: EvaluationThreshold | None = None,
    metrics: tuple[str, ...] = METRICS,
    draws: int = 1000,
    minimum: EvaluationMinimum | None = None,
    margins: Margins | None = None,
    threads: int = 1,
    yes: bool = False,
    announce: Callable[[list[Choice]], None] | None = None,
) -> Result:
    """Audit predictions by group and return metrics, gaps, dialects and lint findings.

    Parameters
    ----------
    predictions : str, Path, pandas.DataFrame, or sequence of them
        CSV, TSV, Parquet, JSON or a spreadsheet; long (columns label and score, optionally task
        and model) or wide (``label_x`` and ``score_x`` for each task; or one label and a score for
        each class or model). Several files, or a pattern (``fold*.csv``): models if they hold the
        same images, otherwise parts of one test set.
    groups : str, Path or pandas.DataFrame, optional
        One row per image or patient. Default: the other columns of `predictions`.
    labels : str, Path or pandas.DataFrame, optional
        Labels in a file of their own, one row per image or patient.
    columns : dict, str or Path, optional
        What is not detected, or detected wrongly: the column of each role (``id``, ``patient``,
        ``split``, ``label``, ``score``, ``model``, ``method``, ``task``, ``seed``, ``decision``,
        ``age``), and ``not_a_role``, ``ignore``, ``groups``, ``missing``, ``classes``, ``sheet``,
        ``event``, ``time``, ``horizon`` (`medaudit.score.reading.Reading`); or the file
        ``columns.yaml`` of an earlier audit.
    attributes : list of str, optional
        Attributes to compare; intersections as ``sex & age_group``. Default: every column with
        2 to 20 levels.
    control : list of str, optional
        Attributes at whose equal values gaps are compared as well (`Result.conditional`), e.g.
        ``["age_group", "view"]``.
    age_threshold : float or list of float
        Age in years at which ``age_group`` is cut, or several ages.
    scores : str
        ``auto``, ``probabilities`` or ``logits``.
    task_type : str
        ``auto``, ``multilabel`` or ``multiclass``; one task is binary.
    positive : str, optional
        The label value that counts as 1.
    threshold : dict, optional
        ``{"rule": "best_f1"}`` (default if there are validation rows), ``youden``; ``sensitivity``,
        ``specificity`` or ``fpr`` with the ``value`` to reach; or ``{"rule": "fixed", "value":
        0.5}`` (default if there are none). ``value`` may be a dict by task.
    metrics : tuple of str
        Names of `medaudit.metrics.definitions.METRICS`.
    draws : int
        Number of bootstrap draws and of permutations.
    minimum : dict, optional
        ``n``, ``n_pos``, ``n_neg`` that a group must reach to be estimated.
    margins : dict, optional
        The largest gap that is still acceptable, by metric, e.g. ``{"tpr": 0.1}``, or by attribute,
        ``{"tpr": {"sex": 0.05, "default": 0.1}}``; in (0, 1). Only with a margin can a gap be
        called fair. Its metrics are added to `metrics`.
    threads : int
        Number of threads; does not change any number.
    yes : bool
        Audit also labels and scores that look wrong (AUC 1, AUC near 0, no score below 0.5).
    announce : callable, optional
        It gets the role of each column (`Choice`) before anything that depends on it can fail.

    Returns
    -------
    Result
        Undefined values are missing, with a status that says why.

    Raises
    ------
    MedauditError
        The files lack something that is needed, a margin is not valid, or the protocol lint finds
        an error.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"id": range(80), "sex": ["female", "male"] * 40})
    >>> frame["label"] = [0, 0, 1, 1] * 20
    >>> frame["score"] = [0.2, 0.4, 0.9, 0.3] * 20
    >>> table = score(frame, draws=50).metrics.set_index(["metric", "attribute", "group", "seed"])
    >>> float(table.loc[("auc", "sex", "female", "mean"), "value"])
    1.0
    >>> float(table.loc[("auc", "sex", "male", "mean"), "value"])
    0.0
    """
    study = assemble(
        Path(predictions) if isinstance(predictions, str) else predictions,
        Path(groups) if isinstance(groups, str) else groups,
        columns,
        {
            "attributes": attributes,
            "control": control or [],
            "age_threshold": age_threshold,
            "scores": scores,
            "task_type": task_type,
            "positive": positive,
            "yes": yes,
        },
        Path(labels) if isinstance(labels, str) else labels,
        announce,
    )
    from medaudit.score.margins import check_margins

    check_margins(margins or {}, map(join_names, study.attributes))
    evaluation: Evaluation = {
        "metrics": list(dict.fromkeys([*metrics, *(margins or {})])),
        "gaps": list(GAPS),
        "threshold": _threshold(threshold, study),
        "bootstrap": {"draws": _at_least_two(draws), "level": 0.95},
        "null": {"draws": draws},
        "minimum": {**MINIMUM, **(minimum or MINIMUM)},
        "control": control or [],
        "ece_bins": 15,
        "margins": dict(margins or {}),
    }
    return _audit(study, evaluation, threads)


def _threshold(given: EvaluationThreshold | None, study: Study) -> EvaluationThreshold:
    """Return the rule for thresholds: the user's, or the default for this study."""
    if given is None:
        return {"rule": "best_f1"} if study.has_validation else {"rule": "fixed", "value": 0.5}
    value = given.get("value")
    unknown = sorted(set(value) - set(study.tasks)) if isinstance(value, dict) else []
    if unknown:
        raise MedauditError(
            f"threshold: there is no task {', '.join(map(repr, unknown))}; name some of {study.tasks}"
        )
    return given


def _at_least_two(draws: int) -> int:
    if draws < 2:
        raise MedauditError(f"{draws} bootstrap draws give no interval; use at least 2 (--draws)")
    return draws


def _audit(study: Study, evaluation: Evaluation, threads: int) -> Result:
    # Statistics and their compiled code are loaded only once the files were read: a file that
    # cannot be audited is refused in a fraction of a second.
    from medaudit.audit.dialects import score_dialects
    from medaudit.audit.dialects.rankings import rank_measures
    from medaudit.audit.dialects.same_quantity import quote_audit
    from medaudit.audit.disparity import find_gaps
    from medaudit.audit.lint.problems import Finding, as_json, fail_on_errors
    from medaudit.audit.sensitivity import ask
    from medaudit.metrics.group_audit import audit
    from medaudit.metrics.sample import read_sample
    from medaudit.report.equivalence import judged_rows
    from medaudit.score.protocol_lint import lint_study

    findings = lint_study(study, evaluation)
    fail_on_errors(findings, study.name)
    tables: dict[str, list[pd.DataFrame]] = {"metrics": [], "gaps": [], "dialects": []}
    tables |= {"conditional": [], "sensitivity": []}
    replicates, nulls = {}, {}
    for run, rows in study.predictions.items():
        settings = _settings(study, *run, evaluation)
        sample = read_sample(rows, study.cohort, settings)
        metrics, drawn = audit(rows, study.cohort, settings, threads, sample)
        gaps, null = find_gaps(rows, study.cohort, settings, metrics, drawn, threads, sample)
        replicates[run], nulls[run] = drawn, null
        tables["metrics"].append(metrics)
        tables["gaps"].append(gaps)
        scored = score_dialects(metrics, drawn, study.task_type)
        tables["dialects"].append(quote_audit(scored, metrics, gaps))
        tables["conditional"].append(_conditional(rows, study, settings, threads))
        tables["sensitivity"].append(ask(rows, study.cohort, settings, sample))
    merged = {name: pd.concat(parts, ignore_index=True) for name, parts in tables.items()}
    return Result(
        study=study,
        **merged,
        rankings=rank_measures(merged["dialects"]),
        equivalence=judged_rows(merged["gaps"], evaluation["margins"]),
        lint=pd.DataFrame(as_json(findings)["findings"], columns=list(Finding.__annotations__)),
        evaluation=evaluation,
        replicates=replicates,
        nulls=nulls,
    )


def _conditional(
    rows: pd.DataFrame, study: Study, settings: "AuditSettings", threads: int
) -> pd.DataFrame:
    from medaudit.audit.conditional_gaps import find_conditional_gaps

    if not settings["evaluation"]["control"]:
        return pd.DataFrame(columns=list(CONDITIONAL.columns))
    found = find_conditional_gaps(rows, study.cohort, settings, threads)
    if found.empty:
        control = ", ".join(settings["evaluation"]["control"])
        raise MedauditError(
            f"control: there is nothing left to compare at equal {control}; name other attributes "
            "with --attributes, or metrics that are rates or the AUC"
        )
    return found


def _settings(study: Study, model: str, method: str, evaluation: Evaluation) -> "AuditSettings":
    return {
        "cohort": study.name,
        "model": model,
        "method": method,
        "task_type": study.task_type,
        "tasks": study.tasks,
        "attributes": study.attributes,
        "strata": study.declared,
        "evaluation": evaluation,
    }
