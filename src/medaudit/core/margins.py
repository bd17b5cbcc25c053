"""Margins of gaps as the configuration declares them: one per metric, or by attribute."""

from collections.abc import Mapping

DEFAULT = "default"
"""Key of a margin by attribute for the attributes that are not listed."""

JUDGED = ("max_min", "worst_rest")
"""Kinds of gaps that are judged: the largest difference, and the worst group against its rest."""

Margins = Mapping[str, float | Mapping[str, float]]
"""Metric to its margin, or to a mapping of attribute to margin."""


def margin_of(margins: Margins, metric: str, attribute: str) -> float | None:
    """Return the margin of a metric's gap by an attribute; None where none was declared.

    Examples
    --------
    >>> margin_of({"auc": 0.05}, "auc", "sex")
    0.05
    >>> margin_of({"tpr": {"sex": 0.05, "default": 0.1}}, "tpr", "age_group")
    0.1
    """
    found = margins.get(metric)
    if isinstance(found, Mapping):
        found = found.get(attribute, found.get(DEFAULT))
    return None if found is None else float(found)
