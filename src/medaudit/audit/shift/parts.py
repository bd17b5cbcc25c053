"""The change of a group's rates from home to elsewhere, split into four parts.

With prevalence p, sensitivity T and false positive rate F at the threshold of home, and three
steps from home to elsewhere:

1. *prevalence* (label shift): p becomes that of elsewhere; T and F stay.
2. *case mix* (covariate shift): the images of home are weighted, within each class, to the case mix
   of elsewhere (`medaudit.audit.shift.sides.Side.with_mix_of`).
3. The rest is a change of the scores of like patients. *ranking*: the sensitivity of elsewhere minus
   that of home at the same false positive rate, F after step 2; no other threshold changes it.
   *threshold* is what remains: the threshold of home cuts the scores of elsewhere at another point
   of its ROC curve. The change of F after step 2 is all threshold.

T, F and AUC do not depend on p; the share of images flagged, p T + (1 - p) F, does. The AUC has no
threshold. The parts of each metric add up to its change exactly, in every bootstrap draw.
"""

import numpy as np

from medaudit.audit.shift.sides import Side
from medaudit.metrics.operating_points import operating_point

PARTS = ("change", "prevalence", "case_mix", "threshold", "ranking")
METRICS = ("tpr", "fpr", "selection_rate", "auc")

Parts = dict[tuple[str, str], np.ndarray]
"""By metric and part, ``[draws]``."""


def split_change(home: Side, away: Side, cut: float, cells: int) -> tuple[Parts, np.ndarray]:
    """Return the parts of the change of one group, and the covered share of its case mix.

    Parameters
    ----------
    home, away : Side
        The group's test images in both places.
    cut : float
        The threshold of home on the logit scale; NaN gives NaN for all but the AUC.
    cells : int
        Number of cells of the case mix.
    """
    mixed, coverage = home.with_mix_of(away, cells)
    rates = [operating_point(side, cut) for side in (home, mixed, away)]
    before, after = home.prevalence, away.prevalence
    zero = np.zeros_like(before)
    at_same = [side.sensitivity_at(rates[1][1]) for side in (mixed, away)]
    ranking = np.stack([at_same[1] - at_same[0], zero])
    steps = {
        "case_mix": rates[1] - rates[0],
        "threshold": rates[2] - rates[1] - ranking,
        "ranking": ranking,
    }
    if np.isnan(cut):
        steps = {part: np.full_like(value, np.nan) for part, value in steps.items()}
    found: Parts = {}
    for row, metric in enumerate(("tpr", "fpr")):
        found |= {(metric, part): value[row] for part, value in steps.items()}
        found[metric, "prevalence"] = zero
    flagged = "selection_rate"
    found[flagged, "prevalence"] = (after - before) * (rates[0][0] - rates[0][1])
    found |= {
        (flagged, part): after * value[0] + (1 - after) * value[1] for part, value in steps.items()
    }
    areas = [side.auc() for side in (home, mixed, away)]
    found |= {("auc", "prevalence"): zero, ("auc", "threshold"): zero}
    found["auc", "case_mix"] = areas[1] - areas[0]
    found["auc", "ranking"] = areas[2] - areas[1]
    for metric in METRICS:
        found[metric, "change"] = np.sum([found[metric, part] for part in PARTS[1:]], axis=0)
    return found, coverage
