"""Names of metrics, attributes and runs as a reader sees them."""

from medaudit.metrics.definitions import METRICS
from medaudit.metrics.gaps import GAPS, parse_gap


def measure(name: str, long: bool = False) -> str:
    """Return the name of a measure for a reader: a metric, perhaps with its dialect in brackets."""
    metric, _, dialect = name.partition(" (")
    shown = metric.replace("_", " ")
    if metric in METRICS:
        shown = (METRICS[metric].long_label if long else "") or METRICS[metric].label
    return f"{shown} ({dialect}" if dialect else shown


def gap(name: str) -> str:
    """Return the name of a gap for a reader."""
    kind, group = parse_gap(name)
    if group is not None:
        return f"{group} against all others"
    return GAPS[kind].label if kind in GAPS else name.replace("_", " ")


def attribute(name: str) -> str:
    """Return the name of an attribute or intersection for a reader."""
    return name.replace("_", " ").replace(" & ", " and ")


def first_upper(text: str) -> str:
    """Return `text` with its first letter in upper case."""
    return text[:1].upper() + text[1:]
