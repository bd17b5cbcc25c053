"""Margins of gaps as a user gives them, checked before anything is computed."""

import math
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from medaudit.core.errors import MedauditError
from medaudit.core.margins import DEFAULT, Margins
from medaudit.metrics.definitions import METRICS


def parse_margins(texts: Iterable[str]) -> dict[str, Any]:
    """Read margins from the command line.

    Parameters
    ----------
    texts : iterable of str
        ``metric=margin`` or ``metric:attribute=margin``.

    Returns
    -------
    dict
        As ``evaluation.margins`` of a configuration.

    Raises
    ------
    MedauditError
        A text is not of this form, or one margin is given twice.

    Examples
    --------
    >>> parse_margins(["auc=0.05", "tpr=0.1", "tpr:sex & age_group=0.2"])
    {'auc': 0.05, 'tpr': {'default': 0.1, 'sex & age_group': 0.2}}
    """
    found: dict[str, dict[str, float]] = {}
    for text in texts:
        name, equals, number = text.rpartition("=")
        metric, _, attribute = (part.strip() for part in name.partition(":"))
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not equals or math.isnan(value):
            raise MedauditError(
                f"--margin {text}: write METRIC=MARGIN, e.g. tpr=0.1, or METRIC:ATTRIBUTE=MARGIN, "
                "e.g. tpr:sex=0.05"
            )
        by_attribute = found.setdefault(metric, {})
        if (attribute or DEFAULT) in by_attribute:
            raise MedauditError(f"--margin {text}: {name} is given twice; give it once")
        by_attribute[attribute or DEFAULT] = value
    return {metric: by[DEFAULT] if list(by) == [DEFAULT] else by for metric, by in found.items()}


def check_margins(margins: Margins, attributes: Iterable[str]) -> None:
    """Check metrics, attributes and values.

    Parameters
    ----------
    margins : mapping
        As ``evaluation.margins`` of a configuration.
    attributes : iterable of str
        Attributes of the study, intersections by their name.

    Raises
    ------
    MedauditError
        Lists every problem.
    """
    known = [*attributes, DEFAULT]
    problems = []
    for metric, margin in margins.items():
        if metric not in METRICS:
            problems.append(f"{metric!r} is no metric{_hint(metric, METRICS)}")
        by = margin if isinstance(margin, Mapping) else {DEFAULT: margin}
        for attribute, value in by.items():
            if attribute not in known:
                problems.append(f"{attribute!r} is no attribute{_hint(attribute, known)}")
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1:
                problems.append(f"the margin {value!r} of {metric} is not between 0 and 1")
    if problems:
        raise MedauditError("the margins are not valid:", problems)


def _hint(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    close = get_close_matches(str(name), names, n=1)
    meant = f" (did you mean {close[0]!r}?)" if close else ""
    return f"{meant}; known: {', '.join(names)}"
