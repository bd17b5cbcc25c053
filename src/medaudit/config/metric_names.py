"""Metrics in a configuration by any of their names, e.g. ``sensitivity`` for ``tpr``."""

from typing import Any

from medaudit.metrics.aliases import KNOWN, nearest, plain


def resolve_names(config: dict[str, Any]) -> None:
    """Replace other names of metrics by theirs, in place: metrics, margins, questions, lead.

    Unknown names and values of a wrong type stay as they are: the schema reports them.
    """
    evaluation = config.get("evaluation")
    if isinstance(evaluation, dict):
        _in_list(evaluation, "metrics")
        margins = evaluation.get("margins")
        if isinstance(margins, dict):
            evaluation["margins"] = {_resolved(name): value for name, value in margins.items()}
    studies = config.get("studies")
    for entry in studies.values() if isinstance(studies, dict) else ():
        if isinstance(entry, dict):
            _in_list(entry, "lead")
            questions = entry.get("questions")
            for question in questions if isinstance(questions, list) else ():
                if isinstance(question, dict) and "metric" in question:
                    question["metric"] = _resolved(question["metric"])


def _in_list(entry: dict[str, Any], key: str) -> None:
    if isinstance(entry.get(key), list):
        entry[key] = [_resolved(name) for name in entry[key]]


def _resolved(name: Any) -> Any:
    return KNOWN.get(plain(name), name) if isinstance(name, str) else name


def meant(name: object, metrics: list[str]) -> str | None:
    """Return the alias that an unknown name is near, and its metric; None if there is none."""
    close = nearest(str(name), n=1)
    metric = KNOWN[plain(close[0])] if close else None
    if metric not in metrics:
        return None
    return repr(close[0]) if close[0] == metric else f"{close[0]!r}, which is {metric!r}"
