"""Losses of many runs at once, with the gradients of their logits.

Logits are ``[..., n, k]``; targets ``[..., n, k]`` broadcast against them and are 1, 0 or NaN
(missing). A missing target adds nothing to a loss, a gradient or a count.
"""

import numpy as np
from scipy.special import expit

# Beyond it, a probability of float32 would be a denormal number, which slows all that follows.
LARGE = np.float32(40)


def probabilities(logits: np.ndarray, multiclass: bool) -> np.ndarray:
    """Return softmax over the last axis, or the sigmoid of each logit."""
    if multiclass:
        power = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return power / power.sum(axis=-1, keepdims=True)
    return expit(logits)


def loss(logits: np.ndarray, y: np.ndarray, multiclass: bool) -> np.ndarray:
    """Return the mean loss of each run over rows (softmax) or known targets (sigmoid).

    Parameters
    ----------
    logits, y : numpy.ndarray
        See the module.
    multiclass : bool
        Softmax cross-entropy of one-hot targets, else binary cross-entropy.

    Returns
    -------
    numpy.ndarray
        float64, the leading shape; NaN where no target is known.
    """
    z = logits.astype(np.float64)
    if multiclass:
        top = z.max(axis=-1)
        total = np.log(np.exp(z - top[..., None]).sum(axis=-1)) + top
        return (total - (z * y).sum(axis=-1)).mean(axis=-1)
    known = np.isfinite(y)
    terms = np.where(known, np.logaddexp(0, z) - z * y, 0)
    count = known.sum(axis=(-2, -1))
    return terms.sum(axis=(-2, -1)) / np.where(count > 0, count, np.nan)


def loss_gradient(logits: np.ndarray, y: np.ndarray, multiclass: bool) -> np.ndarray:
    """Return the gradient of `loss` by the logits, float32; zero where no target is known."""
    if multiclass:
        logits = np.maximum(logits - logits.max(axis=-1, keepdims=True), -LARGE)
        return (probabilities(logits, True) - y) / np.float32(logits.shape[-2])
    logits = np.clip(logits, -LARGE, LARGE)
    known = np.isfinite(y)
    count = np.maximum(known.sum(axis=(-2, -1), keepdims=True), 1)
    weight = (known / count).astype(np.float32)
    return (probabilities(logits, False) - np.where(known, y, 0)) * weight


def mean_auc(logits: np.ndarray, y: np.ndarray, multiclass: bool) -> np.ndarray:
    """Return each run's AUC, one against the rest, averaged over the tasks that have both classes.

    Parameters
    ----------
    logits : numpy.ndarray
        ``[..., n, k]``.
    y : numpy.ndarray
        ``[n, k]``.
    multiclass : bool
        Rank softmax probabilities rather than logits.

    Returns
    -------
    numpy.ndarray
        float64, the leading shape; NaN where no task has both classes.
    """
    scores = probabilities(logits.astype(np.float64), True) if multiclass else logits
    tasks = [_auc(scores[..., task], y[:, task]) for task in range(y.shape[1])]
    tasks = [auc for auc in tasks if auc is not None]
    return np.mean(tasks, axis=0) if tasks else np.full(logits.shape[:-2], np.nan)


def _auc(scores: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    from scipy.stats import rankdata

    known = np.isfinite(y)
    positive = y[known] == 1
    n_pos, n_neg = positive.sum(), (~positive).sum()
    if n_pos == 0 or n_neg == 0:
        return None
    ranks = rankdata(scores[..., known], axis=-1)
    return (ranks[..., positive].sum(axis=-1) - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg)
