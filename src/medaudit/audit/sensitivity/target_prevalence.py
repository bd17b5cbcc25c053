"""PPV, NPV and net benefit at the prevalence of a target population, by Bayes' rule.

TPR and FPR are taken as they are in the test set; the prevalence is that of the population on
which the model shall be used (Vickers and Elkin 2006 for net benefit).
"""

import numpy as np

METRICS = ("ppv", "npv", "net_benefit")


def at_prevalence(
    metric: str, tpr: np.ndarray, fpr: np.ndarray, prevalence: np.ndarray | float, harm: float
) -> np.ndarray:
    """Return a metric at a prevalence.

    Parameters
    ----------
    metric : {"ppv", "npv", "net_benefit"}
        ``net_benefit`` is per person, in units of the benefit of a true positive.
    tpr, fpr : ndarray
        Rates of the groups.
    prevalence : ndarray or float
        Of each group, or one for all; in (0, 1).
    harm : float
        Harm of a false positive in units of the benefit of a true positive; only net benefit
        needs it.

    Returns
    -------
    ndarray
        NaN where nobody is selected (PPV) or rejected (NPV).
    """
    found, false = tpr * prevalence, fpr * (1 - prevalence)
    if metric == "net_benefit":
        return found - harm * false
    if metric == "ppv":
        return _divide(found, found + false)
    cleared, missed = (1 - fpr) * (1 - prevalence), (1 - tpr) * prevalence
    return _divide(cleared, cleared + missed)


def prevalence_for(metric: str, tpr: float, fpr: float, value: float) -> float:
    """Return the prevalence at which a group's PPV or NPV is `value`; NaN where there is none."""
    if metric == "ppv":
        top, bottom = value * fpr, (1 - value) * tpr
    else:
        top, bottom = (1 - fpr) * (1 - value), value * (1 - tpr)
    if not (np.isfinite([top, bottom]).all() and top > 0 and bottom > 0):
        return np.nan
    return float(top / (top + bottom))


def equal_benefit(tpr: tuple[float, float], fpr: tuple[float, float], harm: float) -> float:
    """Return the prevalence at which two groups have the same net benefit; NaN: there is none.

    Below it the group with the lower FPR is better off, above it the one with the higher TPR.
    """
    top, bottom = harm * (fpr[0] - fpr[1]), tpr[0] - tpr[1]
    if not top * bottom > 0:
        return np.nan
    return float(abs(top) / (abs(top) + abs(bottom)))


def _divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    top, bottom = np.broadcast_arrays(np.asarray(top, float), np.asarray(bottom, float))
    return np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom > 0)
