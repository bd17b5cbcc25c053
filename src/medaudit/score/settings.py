"""The evaluation settings of a file's audit, from what its user asks for."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict

from medaudit.core.entry_types.evaluation import (
    Evaluation,
    EvaluationMinimum,
    EvaluationThreshold,
)
from medaudit.core.errors import MedauditError
from medaudit.core.intersections import join_names
from medaudit.core.margins import DEFAULT, Margins
from medaudit.metrics.aliases import resolve_metric, resolve_metrics
from medaudit.metrics.gaps import GAPS, REFERENCE
from medaudit.score.assemble import Study
from medaudit.score.margins import check_margins
from medaudit.score.names import match_name, match_names

DEFAULT_METRICS = (
    "auc",
    "average_precision",
    "accuracy",
    "f1",
    "tpr",
    "fpr",
    "ece",
    "selection_rate",
)
DEFAULT_GAPS = ("max_min", "worst_rest")
MINIMUM: EvaluationMinimum = {"n": 10, "n_pos": 3, "n_neg": 3}


class Asked(TypedDict):
    """What a user asks for, as `medaudit.score.score` documents it."""

    metrics: Sequence[str]
    gaps: Sequence[str]
    threshold: EvaluationThreshold | None
    draws: int
    level: float
    minimum: EvaluationMinimum | None
    margins: Margins | None
    reference: Mapping[str, str] | None
    control: list[str] | None


def evaluation_of(study: Study, asked: Asked) -> Evaluation:
    """Return the evaluation settings of a study.

    Parameters
    ----------
    study : Study
        Gives the tasks, attributes and groups that names must be among.
    asked : dict
        See `Asked`. Metrics and margins by any name of `medaudit.metrics.aliases`.

    Raises
    ------
    MedauditError
        A name or number is not valid; the message says what to write.
    """
    attributes = [join_names(name) for name in study.attributes]
    kept = [column[2:] for column in study.cohort.columns if column.startswith("a_")]
    margins = _margins(asked["margins"] or {}, attributes)
    reference = _reference(asked["reference"] or {}, study, attributes)
    gaps = match_names(asked["gaps"], GAPS, "gap")
    return {
        "metrics": list(dict.fromkeys([*resolve_metrics(asked["metrics"]), *margins])),
        "gaps": list(dict.fromkeys([*gaps, *([REFERENCE] if reference else [])])),
        "threshold": _threshold(asked["threshold"], study),
        "bootstrap": {"draws": _at_least_two(asked["draws"]), "level": _level(asked["level"])},
        "null": {"draws": asked["draws"]},
        "minimum": {**MINIMUM, **(asked["minimum"] or MINIMUM)},
        "control": match_names(asked["control"] or [], kept, "attribute"),
        "ece_bins": 15,
        "margins": margins,
        "reference": reference,
    }


def _margins(given: Margins, attributes: list[str]) -> dict[str, Any]:
    """Return margins by metric and attribute, under their own names."""
    found: dict[str, Any] = {}
    for name, margin in given.items():
        metric = resolve_metric(name)
        if metric in found:
            raise MedauditError(f"margins: {metric} is given twice, also as {name!r}")
        if isinstance(margin, Mapping):
            known = [*attributes, DEFAULT]
            margin = {match_name(a, known, "attribute"): value for a, value in margin.items()}
        found[metric] = margin
    check_margins(found, attributes)
    return found


def _reference(given: Mapping[str, str], study: Study, attributes: Iterable[str]) -> dict[str, str]:
    found = {}
    for name, level in given.items():
        attribute = match_name(name, list(attributes), "attribute")
        levels = _levels(study, attribute)
        found[attribute] = match_name(str(level), levels, f"group of {attribute}")
    return found


def _levels(study: Study, attribute: str) -> list[str]:
    from medaudit.metrics.attributes import read_attributes

    entry = next(name for name in study.attributes if join_names(name) == attribute)
    test = (study.cohort["split"] == "test").to_numpy()
    return list(read_attributes(study.cohort, test, [entry])[-1].levels)


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


def _level(level: float) -> float:
    if not 0.5 < level < 1:
        raise MedauditError(
            f"the level {level} of intervals is not between 0.5 and 1; write e.g. 0.95 (--level)"
        )
    return level
