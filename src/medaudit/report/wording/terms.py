"""Names of metrics, attributes and runs as a reader sees them."""

import re

from medaudit.core.intersections import SEPARATOR, split_name
from medaudit.metrics.definitions import METRICS
from medaudit.metrics.gaps import GAPS, REFERENCE, parse_gap

_LIMIT = re.compile(r"^(<=|>=|<|>)(\d+)$")
_LIMITS = {"<": "under {}", "<=": "{} and younger", ">": "over {}", ">=": "{} and older"}


def measure(name: str, long: bool = False) -> str:
    """Return the name of a measure for a reader: a metric, perhaps with its dialect in brackets."""
    metric, _, dialect = name.partition(" (")
    shown = metric.replace("_", " ")
    if metric in METRICS:
        shown = (METRICS[metric].long_label if long else "") or METRICS[metric].label
    return f"{shown} ({dialect}" if dialect else shown


PLAIN = {
    "tpr": "sensitivity",
    "fpr": "false positive rate",
    "tnr": "specificity",
    "ppv": "positive predictive value",
    "npv": "negative predictive value",
    "ece": "calibration error (ECE)",
    "ece_debiased": "calibration error (debiased ECE)",
}
"""Metrics by their plain names, for sentences; tables and figures use the short ones."""


def plain(name: str) -> str:
    """Return the plain name of a measure, for a sentence.

    Examples
    --------
    >>> plain("tpr"), plain("auc")
    ('sensitivity', 'AUC')
    """
    return PLAIN.get(name) or measure(name)


def gap(name: str) -> str:
    """Return the name of a gap for a reader."""
    kind, group = parse_gap(name)
    if kind == REFERENCE and group is not None:
        return f"{group} against the reference group"
    if group is not None:
        return f"{group} against all others"
    return GAPS[kind].label if kind in GAPS else name.replace("_", " ")


def attribute(name: str) -> str:
    """Return the name of an attribute or intersection for a reader."""
    return name.replace("_", " ").replace(SEPARATOR, " and ")


PROPER = ("asian", "hispanic", "latino", "african", "american", "caucasian", "european", "indian")
"""Adjectives with a capital letter in English, however a table writes them."""


def group(name: str) -> str:
    """Return the name of a group in a sentence: ages in words, intersections with a comma.

    Examples
    --------
    >>> group("female & >=60"), group("<60"), group("asian")
    ('female, 60 and older', 'under 60', 'Asian')
    """
    return ", ".join(_LIMIT.sub(_limit_in_words, _proper(part)) for part in split_name(name))


def _proper(words: str) -> str:
    """Write names of peoples with a capital letter.

    Examples
    --------
    >>> _proper("asian"), _proper("black or african american"), _proper("F")
    ('Asian', 'black or African American', 'F')
    """
    return " ".join(word.capitalize() if word in PROPER else word for word in words.split(" "))


def _limit_in_words(found: re.Match[str]) -> str:
    return _LIMITS[found[1]].format(found[2])


def first_upper(text: str) -> str:
    """Return `text` with its first letter in upper case."""
    return text[:1].upper() + text[1:]
