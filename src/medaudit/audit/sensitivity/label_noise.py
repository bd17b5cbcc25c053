"""Which error of the reference label in one group would make a difference in TPR or FPR.

The label y of a group has a sensitivity and a specificity for the true state, and errs without
regard to the score. With v = P(true state 1 | y = 1) and u = P(true state 0 | y = 0),

    observed TPR = v T + (1 - v) F,    observed FPR = (1 - u) T + u F,

where T and F are the true rates of the model. Errors of the label pull the two rates together.
Suppose that the model has the same T and F in both groups: a lower TPR then means false positive
labels (a lower specificity of the label), a higher FPR missed findings (a lower sensitivity).
"""

from typing import NamedTuple

import numpy as np


class Rates(NamedTuple):
    """What a group shows: TPR, FPR and the prevalence of the label."""

    tpr: float
    fpr: float
    prevalence: float


class Noise(NamedTuple):
    """An error of the label that explains a difference.

    Parameters
    ----------
    tipping : float
        Specificity (of a difference in TPR) or sensitivity (FPR) of the label in the worse group.
    share : float
        Share of the worse group's positive (negative) labels that would be wrong.
    """

    tipping: float
    share: float


def true_rates(group: Rates, sensitivity: float, specificity: float) -> tuple[float, float]:
    """Return the model's true TPR and FPR in a group whose label has this sensitivity and specificity.

    NaN where no prevalence of the true state gives the prevalence of the label.
    """
    true = (group.prevalence + specificity - 1) / (sensitivity + specificity - 1)
    if not 0 < true < 1:
        return np.nan, np.nan
    v = sensitivity * true / group.prevalence
    u = specificity * (1 - true) / (1 - group.prevalence)
    return tuple(np.linalg.solve([[v, 1 - v], [1 - u, u]], [group.tpr, group.fpr]))


def explain(
    metric: str, best: Rates, worst: Rates, sensitivity: float, specificity: float
) -> Noise:
    """Return the label's error in the worse group that would explain the whole difference.

    Parameters
    ----------
    metric : {"tpr", "fpr"}
        Whose difference.
    best, worst : Rates
        What the groups show; `worst` has the lower TPR, or the higher FPR.
    sensitivity, specificity : float
        Of the label in the best group. The worse group shares the one that is not solved for.

    Returns
    -------
    Noise
        NaN where no error of the label can explain it.

    Examples
    --------
    One in four positive labels of the worse group is false:

    >>> explain("tpr", Rates(0.9, 0.1, 0.2), Rates(0.7, 0.1, 0.2), 1, 1)
    Noise(tipping=0.9411..., share=0.25)
    """
    t, f = true_rates(best, sensitivity, specificity)
    if not t > f:
        return Noise(np.nan, np.nan)
    if metric == "tpr":
        right, held, prevalence = (worst.tpr - f) / (t - f), sensitivity, worst.prevalence
    else:
        right, held, prevalence = (t - worst.fpr) / (t - f), specificity, 1 - worst.prevalence
    # right = held * true / prevalence, with true = (prevalence + x - 1) / (held + x - 1)
    kept = right * prevalence
    needed = (held * (1 - prevalence) + kept * (held - 1)) / (held - kept) if held > kept else -1.0
    if not (0 <= right <= 1 and max(0, 1 - held) < needed <= 1):
        return Noise(np.nan, np.nan)
    return Noise(float(needed), float(1 - right))
