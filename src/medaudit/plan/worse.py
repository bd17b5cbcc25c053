"""True metric values of a group, and the same group treated worse by a stated amount."""

from dataclasses import replace

import numpy as np
from scipy.optimize import brentq
from scipy.stats import norm

from medaudit.core.errors import MedauditError
from medaudit.plan.population import Group

PLANNED = ("auc", "tpr", "fpr", "tnr", "accuracy", "balanced_accuracy")
"""Metrics whose gaps can be planned."""


def true_value(group: Group, metric: str) -> float:
    """Return the true value of a metric in `PLANNED`."""
    if metric == "tnr":
        return 1 - group.fpr
    if metric == "balanced_accuracy":
        return (group.tpr + 1 - group.fpr) / 2
    return float(getattr(group, metric))


def worsen(group: Group, metric: str, amount: float) -> Group:
    """Return a group in which the metric is worse by `amount`.

    Parameters
    ----------
    group : Group
        The group, treated like all others.
    metric : str
        One of `PLANNED`. For ``auc`` and ``tpr``, the latent scores of positives become lower; for
        ``fpr`` and ``tnr``, those of negatives become higher; for the accuracies, both move
        towards the threshold by the same amount.
    amount : float
        At least 0, in units of the metric.

    Raises
    ------
    MedauditError
        The metric cannot be that much worse.
    """
    value = true_value(group, metric)
    worst = 1.0 if metric == "fpr" else 0.0
    if amount >= abs(value - worst):
        raise MedauditError(
            f"{metric} is {value:.3g} and cannot be worse by {amount:.3g}; plan a smaller gap"
        )
    if metric == "tpr":
        return replace(group, tpr=group.tpr - amount)
    if metric in ("fpr", "tnr"):
        return replace(group, fpr=group.fpr + amount)
    if metric == "auc":
        low = group.means[0]
        distance = norm.ppf(value - amount) * np.hypot(*group.spread)
        return replace(group, tpr=float(norm.cdf((low + distance) / group.spread[1])))
    shift = brentq(lambda s: true_value(_move(group, s), metric) - value + amount, 0, 40)
    return _move(group, shift)


def _move(group: Group, shift: float) -> Group:
    """Return the group with the latent scores of both classes nearer to the threshold."""
    low, high = group.means
    tpr, fpr = norm.cdf((high - shift) / group.spread[1]), norm.cdf((low + shift) / group.spread[0])
    return replace(group, tpr=float(tpr), fpr=float(fpr))


def operating_point(
    auc: float | None, tpr: float | None, fpr: float | None, rule: str | None, prevalence: float
) -> tuple[float, float]:
    """Return the true and the false positive rate at the threshold of a binormal model.

    Parameters
    ----------
    auc, tpr, fpr : float or None
        Two of them, or `auc` with a rule.
    rule : {"youden", "best_f1"} or None
        The threshold that maximises the true minus the false positive rate, or F1.
    prevalence : float
        Of all groups together; ``best_f1`` depends on it.

    Raises
    ------
    MedauditError
        They do not determine the threshold, or contradict each other.
    """
    if tpr is not None and fpr is not None:
        if auc is not None or rule is not None:
            raise MedauditError("--tpr and --fpr determine the AUC: leave --auc and the rule out")
        if tpr <= fpr:
            raise MedauditError(f"--tpr {tpr:g} is not above --fpr {fpr:g}")
        return tpr, fpr
    if auc is None or [tpr, fpr, rule].count(None) != 2:
        raise MedauditError(
            "the threshold is not determined: give --tpr and --fpr, or --auc with one of --tpr, "
            "--fpr and --threshold-rule"
        )
    distance = np.sqrt(2) * norm.ppf(auc)
    if tpr is not None:
        return tpr, float(norm.cdf(norm.ppf(tpr) - distance))
    if fpr is not None:
        return float(norm.cdf(norm.ppf(fpr) + distance)), fpr
    cut = np.linspace(-6, 6 + distance, 20_001)
    right, wrong = norm.sf(cut - distance), norm.sf(cut)
    if rule == "youden":
        best = (right - wrong).argmax()
    else:
        selected = prevalence * right + (1 - prevalence) * wrong
        best = (2 * prevalence * right / (selected + prevalence)).argmax()
    return float(right[best]), float(wrong[best])
