"""Other names of the metrics, as radiologists, statisticians and scikit-learn call them.

A name is looked up without case, spaces, hyphens and underscores. Tables and configuration keep
the one name of `medaudit.metrics.definitions.METRICS`.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches

from medaudit.core.errors import MedauditError
from medaudit.metrics.definitions import METRICS

ALIASES: dict[str, tuple[str, ...]] = {
    "auc": ("AUROC", "ROC AUC", "AUC ROC", "ROC AUC score", "C statistic"),
    "average_precision": ("AP", "AUPRC", "PR AUC", "average precision score"),
    "accuracy": ("ACC", "accuracy score"),
    "balanced_accuracy": ("BACC", "balanced accuracy score"),
    "f1": ("F1 score",),
    "tpr": ("sensitivity", "recall", "true positive rate", "hit rate", "recall score"),
    "fpr": ("false positive rate", "false alarm rate", "fall out"),
    "tnr": ("specificity", "true negative rate", "selectivity"),
    "ppv": ("precision", "positive predictive value", "precision score"),
    "npv": ("negative predictive value",),
    "selection_rate": ("positive rate", "flag rate", "alert rate"),
    "brier": ("Brier score", "Brier score loss"),
    "ece": ("expected calibration error", "calibration error"),
    "ece_debiased": ("debiased ECE",),
    "calibration_slope": ("slope",),
    "calibration_intercept": ("intercept", "calibration in the large"),
}
"""Metric to its other names, the clearest first; names are unique without case and separators."""


def plain(name: str) -> str:
    """Return a name without case, spaces, hyphens and underscores."""
    return re.sub(r"[\s_\-]+", "", str(name)).casefold()


KNOWN = {
    **{plain(alias): metric for metric, aliases in ALIASES.items() for alias in aliases},
    **{plain(metric): metric for metric in METRICS},
}
"""Every accepted name without case and separators, to the metric."""


def resolve_metric(name: str) -> str:
    """Return the metric that a user means.

    Parameters
    ----------
    name : str
        A name of `METRICS` or an alias.

    Raises
    ------
    MedauditError
        There is no such metric; the message says which are near.

    Examples
    --------
    >>> resolve_metric("Sensitivity"), resolve_metric("roc-auc"), resolve_metric("tpr")
    ('tpr', 'auc', 'tpr')
    """
    found = KNOWN.get(plain(name))
    if found is None:
        raise MedauditError(f"there is no metric {str(name)!r}{_hint(name)}")
    return found


def resolve_metrics(names: Iterable[str]) -> list[str]:
    """Return the metrics of several names in their order, each once."""
    return list(dict.fromkeys(map(resolve_metric, names)))


def nearest(name: str, n: int = 2) -> list[str]:
    """Return the names and aliases of metrics that are nearest to an unknown name."""
    shown = {plain(alias): alias for aliases in ALIASES.values() for alias in aliases}
    shown |= {plain(metric): metric for metric in METRICS}
    return [shown[key] for key in get_close_matches(plain(name), shown, n=n)]


def _hint(name: str) -> str:
    close = nearest(name)
    meant = f"; did you mean {' or '.join(map(repr, close))}?" if close else ";"
    return f"{meant} known: {', '.join(METRICS)}"
