"""The measures of each paper: what they need, how tasks are averaged, and which way is fair."""

from collections.abc import Callable
from dataclasses import dataclass

from medaudit.metrics import fairness_definitions as d

CLIP_NIH, HOW_FAIR, FAIRTUNE = "CLIP on NIH 6x200", "How fair", "FairTune"
TEXTBOOK = "textbook"
ALL_TYPES = ("binary", "multilabel", "multiclass")
TWO_CLASSES = ("binary", "multilabel")


@dataclass(frozen=True)
class Measure:
    """One number of one paper.

    Parameters
    ----------
    dialect, name : str
        The paper's short name and the measure's.
    needs : tuple of str
        Metrics of the groups that `compute` takes, ``[tasks, groups, draws]``.
    compute : callable
        Reduces the groups, see `medaudit.metrics.fairness_definitions`.
    better : str
        ``higher`` or ``lower``.
    average : str
        Over the tasks: ``before`` the groups are compared (gap of means) or ``after`` (mean of
        gaps); ``whole`` takes the multi-class decision as one (task ``all``), and is ``after``
        elsewhere.
    task_types : tuple of str
        Where it is defined.
    overall : bool
        `compute` also takes the metrics over all groups together.
    """

    dialect: str
    name: str
    needs: tuple[str, ...]
    compute: Callable
    better: str = "lower"
    average: str = "after"
    task_types: tuple[str, ...] = ALL_TYPES
    overall: bool = False


_RATES = ("tpr", "fpr")

MEASURES = (
    Measure(HOW_FAIR, "fairness gap (gap of means)", ("auc",), d.spread, average="before"),
    Measure(HOW_FAIR, "fairness gap (mean of gaps)", ("auc",), d.spread),
    Measure(FAIRTUNE, "min AUC", ("auc",), d.smallest, "higher", "before"),
    Measure(FAIRTUNE, "gap AUC", ("auc",), d.spread, average="before"),
    Measure(FAIRTUNE, "EOddsD (fairlearn)", _RATES, d.equalized_odds_difference),
    Measure(FAIRTUNE, "DPD (fairlearn)", ("selection_rate",), d.spread),
    Measure(CLIP_NIH, "EqOdds", _RATES, d.mean_odds_difference),
    Measure(
        CLIP_NIH, "mean |p - y| delta (its ECE)", ("absolute_error",), d.spread, average="whole"
    ),
    Measure(TEXTBOOK, "F1 delta", ("f1",), d.spread, average="before"),
    Measure(TEXTBOOK, "EqOdds", _RATES, d.equalized_odds_difference),
    Measure(TEXTBOOK, "ECE delta", ("ece",), d.spread, average="whole"),
    Measure("MEDFAIR", "EqOdds score", _RATES, d.equalized_odds_score, "higher"),
    Measure("FairMedFM", "eod", _RATES, d.equalized_odds_score, "higher"),
    Measure("FairMedFM", "eo", ("tpr",), d.spread),
    Measure("FairCLIP", "ES-AUC", ("auc",), d.equity_scaled, "higher", overall=True),
    Measure("FairDisCo", "PQD", ("accuracy",), d.disparity_ratio, "higher", "whole"),
    Measure(
        "FairDisCo",
        "DPM",
        ("selection_rate",),
        d.demographic_parity_ratio,
        "higher",
        task_types=TWO_CLASSES,
    ),
    Measure(
        "FairDisCo",
        "DPM",
        ("selection_rate",),
        d.disparity_ratio,
        "higher",
        task_types=("multiclass",),
    ),
    Measure(
        "FairDisCo", "EOM", _RATES, d.equal_opportunity_ratio, "higher", task_types=TWO_CLASSES
    ),
    Measure("FairDisCo", "EOM", ("tpr",), d.disparity_ratio, "higher", task_types=("multiclass",)),
)
ARGMAX = {
    "EOddsD (fairlearn)": "EOddsD (argmax)",
    "DPD (fairlearn)": "DPD (argmax)",
}
"""Measures of FairTune that are also scored with its decisions: the largest score, so 0.5 where a
task has two answers, instead of the audit's threshold. Multi-class decisions are always so."""

F1_DELTA, VAR_F1 = "F1 delta", "Var_F1"
METRICS_NEEDED = (
    *("auc", "accuracy", "f1", "tpr", "fpr", "ece", "selection_rate"),
    "absolute_error",
)
