"""Recalibration of scores on validation: Platt's sigmoid, isotonic regression, beta calibration.

Fitted to everybody (no group is needed at test time) or to each group (its group is needed). Whether
a group may be used for a patient's score is a question of law and ethics, not of statistics.
"""

from collections.abc import Callable

import numpy as np
from scipy.special import expit, logit

SMALLEST = 1e-15
"""Least distance of a probability to 0 and 1 before its logarithm is taken."""

Calibrator = Callable[[np.ndarray], np.ndarray]
"""Scores ``[n]`` to calibrated probabilities ``[n]``."""


def fit_platt(score: np.ndarray, y: np.ndarray) -> Calibrator:
    """Fit Platt's sigmoid to the logits of scores, with his smoothed targets.

    Platt 1999, "Probabilistic outputs for support vector machines": sigma(a s + b), where positives
    count (N+ + 1) / (N+ + 2) as positive and negatives 1 / (N- + 2). The same fit as scikit-learn's
    ``CalibratedClassifierCV(method="sigmoid")``.

    Parameters
    ----------
    score : numpy.ndarray
        ``[n]``, probabilities.
    y : numpy.ndarray
        ``[n]``, 1 or 0, with both classes.
    """
    positives, negatives = (y == 1).sum(), (y == 0).sum()
    target = np.where(y == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    return _logistic(lambda s: _logits(s)[:, None], score, target)


def fit_isotonic(score: np.ndarray, y: np.ndarray) -> Calibrator:
    """Fit scikit-learn's isotonic regression; scores beyond validation's get the nearest value."""
    from sklearn.isotonic import IsotonicRegression

    return IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(score, y).predict


def fit_beta(score: np.ndarray, y: np.ndarray) -> Calibrator:
    """Fit beta calibration: sigma(a ln s - b ln(1 - s) + c) with a, b >= 0.

    Kull, Silva Filho and Flach 2017, "Beta calibration: a well-founded and easily implemented
    improvement on logistic calibration for binary classifiers" (AISTATS): logistic regression on
    ln s and -ln(1 - s); a coefficient below 0 is set to 0 and the other fitted again.
    """
    columns = [lambda s: np.log(s), lambda s: -np.log1p(-s)]

    def features(which: list[int]) -> Callable[[np.ndarray], np.ndarray]:
        return lambda s: np.stack([columns[k](_inside(s)) for k in which], axis=1)

    for which in ([0, 1], [0], [1]):
        fitted, slopes = _regress(features(which), score, y)
        if (slopes >= 0).all():
            return fitted
    return lambda s: np.full(len(s), y.mean())  # scores order the images the wrong way


def by_group(
    fit: Callable[[np.ndarray, np.ndarray], Calibrator],
    score: np.ndarray,
    y: np.ndarray,
    group: np.ndarray,
    fewest: int,
) -> tuple[Callable[[np.ndarray, np.ndarray], np.ndarray], list[int]]:
    """Fit a calibrator to each group of the validation images.

    Parameters
    ----------
    fit : callable
        One of the functions above.
    score, y, group : numpy.ndarray
        ``[n]``, of the validation images; -1 is an unknown group.
    fewest : int
        Positives and negatives that a group needs for a calibrator of its own; other groups, and
        images of unknown group, get that of everybody.

    Returns
    -------
    callable
        ``(score, group)`` to calibrated probabilities.
    list of int
        Groups with the calibrator of everybody.
    """
    everybody = fit(score, y)
    own, pooled = {}, []
    for code in np.unique(group[group >= 0]).tolist():
        mask = group == code
        if min((y[mask] == 1).sum(), (y[mask] == 0).sum()) >= fewest:
            own[code] = fit(score[mask], y[mask])
        else:
            pooled.append(code)

    def apply(scores: np.ndarray, groups: np.ndarray) -> np.ndarray:
        found = np.asarray(everybody(scores), float)
        for code, one in own.items():
            if (mask := groups == code).any():
                found[mask] = one(scores[mask])
        return np.clip(found, 0, 1)

    return apply, pooled


def _inside(score: np.ndarray) -> np.ndarray:
    return np.clip(np.asarray(score, float), SMALLEST, 1 - SMALLEST)


def _logits(score: np.ndarray) -> np.ndarray:
    return logit(_inside(score))


def _logistic(
    features: Callable[[np.ndarray], np.ndarray], score: np.ndarray, target: np.ndarray
) -> Calibrator:
    return _regress(features, score, target)[0]


def _regress(
    features: Callable[[np.ndarray], np.ndarray], score: np.ndarray, target: np.ndarray
) -> tuple[Calibrator, np.ndarray]:
    """Fit a logistic regression without penalty to targets in [0, 1]; return it and its slopes."""
    from scipy.optimize import minimize

    x = np.column_stack([features(score), np.ones(len(score))])
    mean, scale = x[:, :-1].mean(axis=0), np.maximum(x[:, :-1].std(axis=0), SMALLEST)
    x[:, :-1] = (x[:, :-1] - mean) / scale  # the same optimum, found faster

    def loss(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = x @ w
        return (
            float((np.logaddexp(0, z) - target * z).mean()),
            x.T @ (expit(z) - target) / len(z),
        )

    found = minimize(loss, np.zeros(x.shape[1]), jac=True, method="BFGS", options={"gtol": 1e-9})
    slopes, intercept = found.x[:-1], found.x[-1]
    return lambda s: expit(((features(s) - mean) / scale) @ slopes + intercept), slopes


CALIBRATORS = {"platt": fit_platt, "isotonic": fit_isotonic, "beta": fit_beta}
"""Fits of a calibrator by name."""
