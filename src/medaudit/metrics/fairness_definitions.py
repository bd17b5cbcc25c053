"""Each paper's definition of a fairness number, from metrics of groups.

Every function takes arrays ``[..., groups, draws]`` of a group metric (in [0, 1]) and reduces the
groups; leading axes (tasks) and the last one (bootstrap draws) are kept. A missing group (NaN) is
left out, so that the number is about the estimable groups only; with fewer than two of them it is
NaN. The caller chooses groups, weights and decisions: a metric that was weighted stays weighted.
"""

import warnings
from collections.abc import Callable

import numpy as np

GROUPS = -2


def _quiet(reduce: Callable, values: np.ndarray) -> np.ndarray:
    estimable = np.isfinite(values).sum(axis=GROUPS) >= 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.where(estimable, reduce(values, axis=GROUPS), np.nan)


def largest(values: np.ndarray) -> np.ndarray:
    """Return the largest value of the estimable groups; NaN where fewer than two are."""
    return _quiet(np.nanmax, values)


def smallest(values: np.ndarray) -> np.ndarray:
    """Return the smallest value of the estimable groups; NaN where fewer than two are.

    For the AUC this is *min AUC* of FairTune (Dutt et al. 2024, table 1).
    """
    return _quiet(np.nanmin, values)


def spread(values: np.ndarray) -> np.ndarray:
    """Return the largest minus the smallest group value, in [0, 1]; 0 is equal treatment.

    For the AUC: *fairness gap* (Khan et al. 2023, section 3.4, after Ktena et al. 2023) and
    *gap AUC* (FairTune, section 3.1). For the selection rate: *demographic parity difference*
    (Agarwal et al. 2018; `fairlearn.metrics.demographic_parity_difference`). For the TPR:
    *eo* (FairMedFM, Jin et al. 2024). For the ECE and mean \\|p - y\\| : ECE delta, textbook and
    as the authors of the CLIP study on NIH 6x200 computed it.
    """
    return largest(values) - smallest(values)


def equalized_odds_difference(tpr: np.ndarray, fpr: np.ndarray) -> np.ndarray:
    """Return max(spread of TPR, spread of FPR): EOddsD of FairTune, table 3.

    The definition of `fairlearn.metrics.equalized_odds_difference` with ``agg="worst_case"``,
    except that a group without positives or negatives is left out where fairlearn counts its
    rate as 0 (a perfect classifier would be given 1.0).
    """
    return np.maximum(spread(tpr), spread(fpr))


def mean_odds_difference(tpr: np.ndarray, fpr: np.ndarray) -> np.ndarray:
    """Return (spread of TPR + spread of FPR) / 2, in [0, 1].

    With two groups this is (\\|dTPR\\| + \\|dFPR\\|) / 2 of one class against the rest, whose mean
    over the classes is EqOdds of the CLIP study on NIH 6x200. For more groups the papers define
    nothing; the spread replaces the difference.
    """
    return (spread(tpr) + spread(fpr)) / 2


def equalized_odds_score(tpr: np.ndarray, fpr: np.ndarray) -> np.ndarray:
    """Return 1 - (spread of TPR + spread of FPR) / 2: EqOdds of MEDFAIR (Zong et al. 2023).

    1 is fair. FairMedFM's *eod* (Jin et al. 2024) states the same with TNR for FPR, whose spreads
    are equal.
    """
    return 1 - mean_odds_difference(tpr, fpr)


def equity_scaled(values: np.ndarray, overall: np.ndarray) -> np.ndarray:
    """Return m / (1 + sum_g \\|m - m_g\\|): ES-AUC of FairCLIP (Luo et al. 2024).

    Parameters
    ----------
    values : numpy.ndarray
        The metric of each group, ``[..., groups, draws]``.
    overall : numpy.ndarray
        The metric over everybody, ``[..., draws]``.
    """
    distance = np.abs(values - np.expand_dims(overall, GROUPS))
    return overall / (1 + _quiet(np.nansum, distance))


def disparity_ratio(values: np.ndarray) -> np.ndarray:
    """Return the smallest over the largest group value, in [0, 1]; 1 is fair, NaN where all are 0.

    For the accuracy: predictive quality disparity, PQD, of FairDisCo (Du et al. 2022).
    For P(decision = class \\| group): a class's part of DPM. For
    P(decision = class \\| truth = class, group): a class's part of EOM.
    """
    most = largest(values)
    with np.errstate(invalid="ignore"):
        return np.where(most > 0, smallest(values) / np.where(most > 0, most, 1), np.nan)


def demographic_parity_ratio(selection_rate: np.ndarray) -> np.ndarray:
    """Return DPM of a two-class task: mean of the ratios of both decisions (FairDisCo)."""
    return (disparity_ratio(selection_rate) + disparity_ratio(1 - selection_rate)) / 2


def equal_opportunity_ratio(tpr: np.ndarray, fpr: np.ndarray) -> np.ndarray:
    """Return EOM of a two-class task: mean of the ratios of TPR and TNR (FairDisCo)."""
    return (disparity_ratio(tpr) + disparity_ratio(1 - fpr)) / 2


def crossed_means(values: np.ndarray, levels: list[str]) -> dict[str, np.ndarray]:
    """Return the plain mean over crossed cells for each level of one attribute.

    Parameters
    ----------
    values : numpy.ndarray
        A metric of the cells of two crossed attributes, ``[..., cells, draws]``.
    levels : list of str
        The level of each cell in the attribute that is kept.

    Returns
    -------
    dict of str to numpy.ndarray
        ``[..., draws]`` for each level. NaN where one of its cells is not estimable: the mean of
        fewer cells would compare different mixtures.
    """
    level = np.asarray(levels)
    return {
        name: np.take(values, np.flatnonzero(level == name), axis=GROUPS).mean(axis=GROUPS)
        for name in dict.fromkeys(levels)
    }


def crossed_difference(values: np.ndarray, levels: list[str]) -> np.ndarray:
    """Return F1 delta of the CLIP study on NIH 6x200, as a magnitude.

    For the macro-F1 in the cells young/old x male/female: gender = \\|mean(yM, oM) - mean(yF, oF)\\|,
    age = \\|mean(oM, oF) - mean(yM, yF)\\|. Each cell counts once, whatever its size. With more than
    two levels, the spread of their means.
    """
    means = crossed_means(values, levels)
    return spread(np.stack(list(means.values()), axis=GROUPS))


def class_variance(f1: np.ndarray) -> np.ndarray:
    """Return the variance (ddof 1) of the F1 over the classes, ``[classes, ...]``.

    Var_F1 of the CLIP study on NIH 6x200. NaN where a class has none.
    """
    return np.var(f1, axis=0, ddof=1)
