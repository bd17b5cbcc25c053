"""Audit any model from a file of its predictions, without images, torch or Snakemake.

``medaudit score predictions.csv --groups patients.csv`` on the command line, `score` in a
notebook. Both call the functions that the workflow calls, so the numbers are the same.

In:  a file of predictions, and optionally a file of patients and their groups.
Out: metrics, gaps, figures and a report, as the workflow makes them.
May import: `medaudit.core`, `medaudit.data`, `medaudit.metrics`, `medaudit.adapt`,
     `medaudit.audit`, `medaudit.report`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from medaudit.adapt.predictions.columns import Choice
from medaudit.core.entry_types.evaluation import (
    Evaluation,
    EvaluationMinimum,
    EvaluationThreshold,
)
from medaudit.core.margins import Margins
from medaudit.metrics.aliases import resolve_metrics
from medaudit.score.assemble import Study
from medaudit.score.assemble_any import ANSWER_METRICS, assemble_any
from medaudit.score.settings import DEFAULT_GAPS, DEFAULT_METRICS, Asked, evaluation_of

if TYPE_CHECKING:
    from medaudit.report.answers.structure import StudyAnswers


@dataclass(repr=False)
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
    remedies : pandas.DataFrame
        ``REMEDIES``: what group thresholds and recalibration change; empty without `mitigate`.
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
    remedies: pd.DataFrame = field(default_factory=pd.DataFrame)

    @cached_property
    def answers(self) -> "StudyAnswers":
        """What the audit says about each model, in plain data and in sentences."""
        from medaudit.score.answering import answers_of

        return answers_of(self)

    def __repr__(self) -> str:
        """Return what was audited, in a few lines."""
        return self._view("__repr__")

    def _repr_html_(self) -> str:
        return self._view("_repr_html_")

    def _view(self, method: str) -> str:
        from medaudit.score.audit_result import Audit

        return getattr(Audit(self), method)()

    def write(self, folder: str | Path, audit_card: str | Path | None = None) -> Path:
        """Write tables, figures and report into `folder` and return the report's path.

        `audit_card` is a YAML file (`medaudit.config.audit_card`) that the report shows.
        """
        from medaudit.score.writing import write

        return write(self, Path(folder), Path(audit_card) if audit_card else None)


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
    metrics: Sequence[str] = DEFAULT_METRICS,
    gaps: Sequence[str] = DEFAULT_GAPS,
    draws: int = 1000,
    level: float = 0.95,
    minimum: EvaluationMinimum | None = None,
    margins: Margins | None = None,
    reference: Mapping[str, str] | None = None,
    threads: int = 1,
    yes: bool = False,
    announce: Callable[[list[Choice]], None] | None = None,
    answers: str | Sequence[str] | None = None,
    refusals: Sequence[str] = (),
    mitigate: bool = False,
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
        ``age``; ``weight`` for weights of images), and ``not_a_role``, ``ignore``, ``groups``,
        ``missing``, ``classes``, ``sheet``, ``event``, ``time``, ``horizon``
        (`medaudit.score.reading.Reading`); or the file ``columns.yaml`` of an earlier audit.
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
    metrics : sequence of str
        Names of `medaudit.metrics.definitions.METRICS`, or others of theirs, e.g. ``sensitivity``
        (`medaudit.metrics.aliases`).
    gaps : sequence of str
        Names of `medaudit.metrics.gaps.GAPS`.
    draws : int
        Number of bootstrap draws and of permutations.
    level : float
        Confidence level of all intervals, in (0.5, 1).
    minimum : dict, optional
        ``n``, ``n_pos``, ``n_neg`` that a group must reach to be estimated.
    margins : dict, optional
        The largest gap that is still acceptable, by metric, e.g. ``{"tpr": 0.1}``, or by attribute,
        ``{"tpr": {"sex": 0.05, "default": 0.1}}``; in (0, 1). Only with a margin can a gap be
        called fair. Its metrics are added to `metrics`.
    reference : dict, optional
        Reference group by attribute, e.g. ``{"sex": "male"}``: the gap ``reference`` is added.
    threads : int
        Number of threads; does not change any number.
    yes : bool
        Audit also labels and scores that look wrong (AUC 1, AUC near 0, no score below 0.5).
    announce : callable, optional
        It gets the role of each column (`Choice`) before anything that depends on it can fail.
    answers : str or sequence of str, optional
        Columns of yes and no (or 1 and 0) instead of scores, e.g. of a vision-language model;
        blanks and refusals are counted. The AUC is then ``undefined:no_score``.
    refusals : sequence of str
        Further words in `answers` that are refusals.
    mitigate : bool
        Also try group thresholds and recalibration, fitted on the validation rows
        (`Result.remedies`).

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
    metrics = resolve_metrics(metrics)  # a name that is not known must not wait for the file
    study = assemble_any(
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
        [answers] if isinstance(answers, str) else list(answers or []),
        refusals,
    )
    if not study.scored and tuple(metrics) == DEFAULT_METRICS:
        metrics = list(ANSWER_METRICS)
    asked: Asked = {
        "metrics": metrics,
        "gaps": gaps,
        "threshold": threshold,
        "draws": draws,
        "level": level,
        "minimum": minimum,
        "margins": margins,
        "reference": reference,
        "control": control,
    }
    evaluation = evaluation_of(study, asked)
    # Statistics and their compiled code are loaded only once the files were read: a file that
    # cannot be audited is refused in a fraction of a second.
    from medaudit.score.audit_runs import audit_runs

    found = Result(study=study, evaluation=evaluation, **audit_runs(study, evaluation, threads))
    if mitigate:
        from medaudit.score.mitigation import try_remedies

        found.remedies = try_remedies(study, evaluation, threads)
    return found
