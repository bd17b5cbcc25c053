"""Linear and nearest-neighbour probes, which predict an attribute from an embedding."""

import warnings

import numpy as np

PENALTIES = (0.001, 0.01, 0.1, 1.0)
NEIGHBOURS = 50
BLOCK = 1024


def linear_shares(
    train: np.ndarray, levels: np.ndarray, val: np.ndarray, val_levels: np.ndarray, test: np.ndarray
) -> np.ndarray:
    """Return P(level) of each test row by multinomial logistic regression on `train`.

    Parameters
    ----------
    train, val, test : numpy.ndarray
        Standardised embeddings, ``[rows, d]``.
    levels, val_levels : numpy.ndarray
        Codes 0 to k - 1.

    Returns
    -------
    numpy.ndarray
        ``[test rows, k]``. The penalty is the one with the lowest log loss on `val` (0.01 where
        `val` is empty); the test rows choose nothing.
    """
    fitted = [_fit(train, levels, c) for c in (PENALTIES if len(val) else (0.01,))]
    if len(fitted) > 1:
        own = np.arange(len(val))
        losses = [-np.log(m.predict_proba(val)[own, val_levels] + 1e-12).mean() for m in fitted]
        fitted = [fitted[int(np.argmin(losses))]]
    return fitted[0].predict_proba(test)


def _fit(train: np.ndarray, levels: np.ndarray, strength: float):
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=strength, max_iter=200).fit(train, levels)


def neighbour_shares(train: np.ndarray, levels: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Return the share of each level among the 50 nearest training rows by cosine.

    Returns
    -------
    numpy.ndarray
        ``[test rows, k]``. A small training set has fewer neighbours: the square root of its rows.
    """
    k = max(1, min(NEIGHBOURS, int(np.sqrt(len(train)))))
    known, one_hot = _unit(train), np.eye(levels.max() + 1)[levels]
    shares = np.empty((len(test), one_hot.shape[1]))
    for start in range(0, len(test), BLOCK):
        likeness = _unit(test[start : start + BLOCK]) @ known.T
        nearest = np.argpartition(-likeness, k - 1, axis=1)[:, :k]
        shares[start : start + BLOCK] = one_hot[nearest].mean(axis=1)
    return shares


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
