"""Probabilities, losses with gradients, and AUC from logits, in NumPy and for many runs at once.

Logits are ``[..., n, k]`` for n rows and k tasks or classes. Targets ``[..., n, k]`` broadcast
against them and are 1, 0 or NaN (missing); a missing target adds nothing to a loss, a gradient or
a count. Fine-tuning has its loss in torch: `medaudit.adapt.finetune.losses`.
"""

import numpy as np
from scipy.special import expit

LARGE = np.float32(40)
"""Bound of logits in a gradient: beyond it a float32 probability would be a denormal number, and
arithmetic with denormal numbers is many times slower."""


def probabilities(logits: np.ndarray, multiclass: bool) -> np.ndarray:
    """Return the softmax over the last axis, or the sigmoid of each logit."""
    if multiclass:
        power = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return power / power.sum(axis=-1, keepdims=True)
    return expit(logits)


def loss(logits: np.ndarray, y: np.ndarray, multiclass: bool) -> np.ndarray:
    """Return each run's mean loss over rows (softmax) or over known targets (sigmoid).

    Parameters
    ----------
    logits, y : numpy.ndarray
        ``[..., n, k]``, see the module.
    multiclass : bool
        Softmax cross-entropy of one-hot targets, else binary cross-entropy.

    Returns
    -------
    numpy.ndarray
        float64 with the leading shape of `logits`; NaN if no target is known.
    """
    z = logits.astype(np.float64)
    if multiclass:
        top = z.max(axis=-1)
        total = np.log(np.exp(z - top[..., None]).sum(axis=-1)) + top
        return (total - (z * y).sum(axis=-1)).mean(axis=-1)
    known = np.isfinite(y)
    # log(1 + e^z) - z y is the cross-entropy for y in {0, 1}, without the overflow of log(sigmoid).
    terms = np.where(known, np.logaddexp(0, z) - z * y, 0)
    count = known.sum(axis=(-2, -1))
    return terms.sum(axis=(-2, -1)) / np.where(count > 0, count, np.nan)


def loss_gradient(logits: np.ndarray, y: np.ndarray, multiclass: bool) -> np.ndarray:
    """Return the gradient of `loss` with respect to the logits, float32; 0 at missing targets."""
    if multiclass:
        logits = np.maximum(logits - logits.max(axis=-1, keepdims=True), -LARGE)
        return (probabilities(logits, True) - y) / np.float32(logits.shape[-2])
    logits = np.clip(logits, -LARGE, LARGE)
    known = np.isfinite(y)
    count = np.maximum(known.sum(axis=(-2, -1), keepdims=True), 1)
    weight = (known / count).astype(np.float32)
    return (probabilities(logits, False) - np.where(known, y, 0)) * weight


def mean_auc(logits: np.ndarray, y: np.ndarray, multiclass: bool) -> np.ndarray:
    """Return each run's one-vs-rest AUC, averaged over the tasks that have both classes.

    Parameters
    ----------
    logits : numpy.ndarray
        ``[..., n, k]``.
    y : numpy.ndarray
        ``[n, k]``.
    multiclass : bool
        Rank softmax probabilities instead of logits.

    Returns
    -------
    numpy.ndarray
        float64 with the leading shape of `logits`; NaN if no task has both classes.
    """
    scores = probabilities(logits.astype(np.float64), True) if multiclass else logits
    aucs = [_auc(scores[..., task], y[:, task]) for task in range(y.shape[1])]
    defined = [auc for auc in aucs if auc is not None]
    return np.mean(defined, axis=0) if defined else np.full(logits.shape[:-2], np.nan)


def _auc(scores: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """Return the AUC of ``[..., n]`` from the rank sum of the positives (Mann-Whitney U)."""
    from scipy.stats import rankdata

    known = np.isfinite(y)
    positive = y[known] == 1
    n_pos, n_neg = positive.sum(), (~positive).sum()
    if n_pos == 0 or n_neg == 0:
        return None
    ranks = rankdata(scores[..., known], axis=-1)
    return (ranks[..., positive].sum(axis=-1) - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg)
