"""Logistic calibration of scores."""

import numpy as np
from scipy.special import expit

EPSILON = 1e-6


def fit_calibration(score, positive, factor) -> tuple[float, float, float]:
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


def _newton(design, offset, positive, factor, steps: int = 100) -> np.ndarray:
    beta = np.zeros(design.shape[1])
    loss = np.inf
    step = np.zeros_like(beta)
    for _ in range(steps):
        p = expit(design @ beta + offset)
        now = -np.sum(factor * np.log(np.where(positive, p, 1 - p) + 1e-300))
        if not now <= loss + 1e-9 * abs(loss):
            step /= 2
            beta = beta - step
            continue
        loss = now
        slope = design.T @ (factor * (positive - p))
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
