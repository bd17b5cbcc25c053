"""Logistic calibration of scores: Cox's, as a metric, and Platt's, to recalibrate."""

import numpy as np
from scipy.special import expit

EPSILON = 1e-6
TINY = 1e-300
STEPS = 100


def fit_calibration(
    score: np.ndarray, positive: np.ndarray, factor: np.ndarray
) -> tuple[float, float, float]:
    """Fit ``logit P(y = 1) = a + b logit(score)``, and ``a`` alone with ``b = 1``.

    Parameters
    ----------
    score : ndarray of float, shape (n,)
        Clipped to [1e-6, 1 - 1e-6] before the logit.
    positive : ndarray of bool, shape (n,)
        Labels.
    factor : ndarray of float, shape (n,)
        Importance weights.

    Returns
    -------
    tuple of float
        Intercept and slope (Cox 1958), intercept at slope 1 ("calibration in the large"); NaN
        where the maximum-likelihood fit does not exist (one class, or classes that the score
        separates) or the scores are all equal.
    """
    if positive.all() or not positive.any():
        return (np.nan,) * 3
    x = logit(score)
    intercept = _newton(np.ones((x.size, 1)), x, positive, factor)[0]
    separated = x[positive].min() >= x[~positive].max() or x[positive].max() <= x[~positive].min()
    if separated:
        return np.nan, np.nan, intercept
    line = _newton(np.column_stack([np.ones_like(x), x]), np.zeros_like(x), positive, factor)
    return line[0], line[1], intercept


def fit_platt(margin: np.ndarray, positive: np.ndarray) -> tuple[float, float]:
    """Return intercept and slope of P(y = 1) = 1 / (1 + exp(-(intercept + slope * margin))).

    Platt (1999): his targets keep the fit finite where the score separates the classes. NaN with
    one class only, or where all margins are equal.

    Parameters
    ----------
    margin : ndarray of float, shape (n,)
        Scores on the logit scale.
    positive : ndarray of bool, shape (n,)
        Labels.
    """
    spread = margin.std() if margin.size else 0
    if positive.all() or not positive.any() or spread == 0:
        return np.nan, np.nan
    x = np.column_stack([np.ones(len(margin)), (margin - margin.mean()) / spread])
    zero, one = np.zeros(len(margin)), np.ones(len(margin))
    a, b = _newton(x, zero, platt_targets(positive), one)
    return float(a - b * margin.mean() / spread), float(b / spread)


def platt_targets(positive: np.ndarray) -> np.ndarray:
    """Return Platt's targets (n1 + 1) / (n1 + 2) and 1 / (n0 + 2)."""
    n1, n0 = positive.sum(), (~positive).sum()
    return np.where(positive, (n1 + 1) / (n1 + 2), 1 / (n0 + 2))


def _newton(
    design: np.ndarray, offset: np.ndarray, target: np.ndarray, factor: np.ndarray
) -> np.ndarray:
    """Return the coefficients of a logistic regression; NaN where it does not converge."""
    beta = np.zeros(design.shape[1])
    loss = np.inf
    step = np.zeros_like(beta)
    for _ in range(STEPS):
        p = expit(design @ beta + offset)
        terms = target * np.log(p + TINY) + (1 - target) * np.log(1 - p + TINY)
        now = -np.sum(factor * terms)
        if not now <= loss + 1e-9 * abs(loss):  # the step went too far, or to NaN: go half back
            step /= 2
            beta = beta - step
            continue
        loss = now
        slope = design.T @ (factor * (target - p))
        curve = (design * (factor * p * (1 - p))[:, None]).T @ design
        try:
            step = np.linalg.solve(curve, slope)
        except np.linalg.LinAlgError:
            return np.full_like(beta, np.nan)
        beta = beta + step
        if np.abs(step).max() < 1e-12 * (1 + np.abs(beta).max()):
            return beta
    return beta if np.abs(step).max() < 1e-6 else np.full_like(beta, np.nan)


def logit(score: np.ndarray) -> np.ndarray:
    """Return the logit of scores clipped to [1e-6, 1 - 1e-6]."""
    clipped = np.clip(score, EPSILON, 1 - EPSILON)
    return np.log(clipped / (1 - clipped))
