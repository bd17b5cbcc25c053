"""The measures of each paper: what they need, how tasks are averaged, and which way is fair."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from medaudit.metrics import fairness_definitions as definitions

CLIP_NIH, HOW_FAIR, FAIRTUNE = "CLIP on NIH 6x200", "How fair", "FairTune"
MEDFAIR, FAIRMEDFM, TEXTBOOK = "MEDFAIR", "FairMedFM", "textbook"
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
        When tasks are averaged: ``before`` the groups are compared (gap of means) or ``after``
        (mean of gaps). ``whole`` takes the multi-class decision as a whole (task ``all``), and is
        ``after`` in other task types.
    task_types : tuple of str
        Where it is defined.
    overall : bool
        Whether `compute` also takes the metrics over all groups together.
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
    Measure(
        HOW_FAIR, "fairness gap (gap of means)", ("auc",), definitions.spread, average="before"
    ),
    Measure(HOW_FAIR, "fairness gap (mean of gaps)", ("auc",), definitions.spread),
    Measure(FAIRTUNE, "min AUC", ("auc",), definitions.smallest, "higher", "before"),
    Measure(FAIRTUNE, "gap AUC", ("auc",), definitions.spread, average="before"),
    Measure(FAIRTUNE, "EOddsD (fairlearn)", _RATES, definitions.equalized_odds_difference),
    Measure(FAIRTUNE, "DPD (fairlearn)", ("selection_rate",), definitions.spread),
    Measure(CLIP_NIH, "EqOdds", _RATES, definitions.mean_odds_difference),
    Measure(
        CLIP_NIH,
        "mean |p - y| delta (its ECE)",
        ("absolute_error",),
        definitions.spread,
        average="whole",
    ),
    Measure(TEXTBOOK, "F1 delta", ("f1",), definitions.spread, average="before"),
    Measure(TEXTBOOK, "EqOdds", _RATES, definitions.equalized_odds_difference),
    Measure(TEXTBOOK, "ECE delta", ("ece",), definitions.spread, average="whole"),
    Measure(MEDFAIR, "EqOdds score", _RATES, definitions.equalized_odds_score, "higher"),
    Measure(FAIRMEDFM, "eod", _RATES, definitions.equalized_odds_score, "higher"),
    Measure(FAIRMEDFM, "eo", ("tpr",), definitions.spread),
    Measure("FairCLIP", "ES-AUC", ("auc",), definitions.equity_scaled, "higher", overall=True),
    Measure("FairDisCo", "PQD", ("accuracy",), definitions.disparity_ratio, "higher", "whole"),
    Measure(
        "FairDisCo",
        "DPM",
        ("selection_rate",),
        definitions.demographic_parity_ratio,
        "higher",
        task_types=TWO_CLASSES,
    ),
    Measure(
        "FairDisCo",
        "DPM",
        ("selection_rate",),
        definitions.disparity_ratio,
        "higher",
        task_types=("multiclass",),
    ),
    Measure(
        "FairDisCo",
        "EOM",
        _RATES,
        definitions.equal_opportunity_ratio,
        "higher",
        task_types=TWO_CLASSES,
    ),
    Measure(
        "FairDisCo",
        "EOM",
        ("tpr",),
        definitions.disparity_ratio,
        "higher",
        task_types=("multiclass",),
    ),
)
_ARGMAX_NAMES = {
    "EOddsD (fairlearn)": "EOddsD (argmax)",
    "DPD (fairlearn)": "DPD (argmax)",
}
ARGMAX_MEASURES = tuple(
    replace(measure, name=_ARGMAX_NAMES[measure.name])
    for measure in MEASURES
    if measure.dialect == FAIRTUNE and measure.name in _ARGMAX_NAMES
)
"""Measures of FairTune with the paper's own decisions: the largest score decides, so the threshold
is 0.5 where a task has two answers. In multi-class tasks all decisions are made so."""

ARGMAX_METRICS = tuple(dict.fromkeys(need for one in ARGMAX_MEASURES for need in one.needs))

STRICT_MEASURES = tuple(
    replace(measure, name=f"{measure.name} (score > threshold)")
    for measure in MEASURES
    if measure.dialect == FAIRMEDFM
)
"""Measures of FairMedFM with its code's decisions: a score must exceed the threshold, although the
threshold is one of the scores and its F1 counts that score as decided 1."""
STRICT_METRICS = tuple(dict.fromkeys(need for one in STRICT_MEASURES for need in one.needs))

OWN_RANGE_BINS = 10
OWN_RANGE_MEASURES = (
    Measure(MEDFAIR, "ECE gap", ("ece",), definitions.spread),
    Measure(FAIRMEDFM, "ece-gap", ("ece",), definitions.spread),
)
"""Calibration as in the code of MEDFAIR and FairMedFM: `OWN_RANGE_BINS` bins between the lowest and
the highest score of each group, so that the groups' bins differ."""

F1_DELTA, VAR_F1 = "F1 delta", "Var_F1"
METRICS_NEEDED = (
    *("auc", "accuracy", "f1", "tpr", "fpr", "ece", "selection_rate"),
    "absolute_error",
)
"""Metrics of groups that the measures are made of."""
