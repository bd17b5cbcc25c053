"""Probabilities, losses with gradients, and AUC from logits, in NumPy and for many runs at once.

Logits are ``[..., n, k]`` for n rows and k tasks or classes. Targets ``[..., n, k]`` broadcast
against them and are 1, 0 or NaN (missing); a missing target adds nothing to a loss, a gradient or
a count. Fine-tuning has its loss in torch: `medaudit.adapt.finetune.losses`.
"""

import numpy as np

LARGE = np.float32(40)
"""Bound of logits in a gradient: beyond it a float32 probability would be a denormal number, and
arithmetic with denormal numbers is many times slower."""


def _expit(values: np.ndarray) -> np.ndarray:
    from scipy.special import expit  # a file that cannot be audited loads no statistics

    return expit(values)


def probabilities(logits: np.ndarray, multiclass: bool) -> np.ndarray:
    """Return the softmax over the last axis, or the sigmoid of each logit."""
    if multiclass:
        power = np.exp(logits - logits.max(axis=-1, keepdims=True))
        return power / power.sum(axis=-1, keepdims=True)
    return _expit(logits)


def ranked_probabilities(logits: np.ndarray, multiclass: bool) -> np.ndarray:
    """Return `probabilities` that keep the order and the ties of the logits exactly.

    Above a logit of 37 every sigmoid is 1.0 in float64, and ranking metrics would count ties that
    the model did not make. Probabilities that would coincide or change places are therefore moved
    to neighbouring floating-point numbers: n of them by at most n units in the last place
    (below 1e-9 for a million scores), so decisions at 0.5 and calibration stay as they are.

    Parameters
    ----------
    logits : numpy.ndarray
        ``[..., n, k]``, finite.
    multiclass : bool
        Softmax, which ranks a class by its log-odds ``s_k - log sum_{j != k} exp(s_j)``; else a
        sigmoid of each logit.

    Returns
    -------
    numpy.ndarray
        float64 in [0, 1], of the shape of `logits`. One monotone map for all of them.

    Examples
    --------
    >>> low, high = ranked_probabilities(np.array([[800.0], [801.0]]), False)[:, 0]
    >>> bool(0.999999 < low < high <= 1)
    True
    """
    margin = logits.astype(np.float64)
    margin = _log_odds(margin) if multiclass else margin
    values, place = np.unique(margin, return_inverse=True)
    bits = _expit(values).view(np.int64)  # of floats >= 0: integers in the same order
    split = np.searchsorted(values, 0.0)
    below = _separate(bits[:split], HALF - 1)
    return (
        np.append(below, _separate(bits[split:], ONE)).view(np.float64)[place].reshape(logits.shape)
    )


HALF, ONE = (int(np.float64(value).view(np.int64)) for value in (0.5, 1.0))


def _separate(bits: np.ndarray, highest: int) -> np.ndarray:
    """Return the nearest strictly increasing integers from below, at most `highest`."""
    index = np.arange(bits.size)
    rising = np.maximum.accumulate(bits - index) + index
    return np.minimum(rising, highest - (bits.size - 1) + index)


def _log_odds(logits: np.ndarray) -> np.ndarray:
    """Return log p / (1 - p) of the softmax over the last axis, also where p rounds to 1."""
    first = logits.argmax(axis=-1)[..., None]
    highest = np.take_along_axis(logits, first, axis=-1)
    others = logits.copy()
    np.put_along_axis(others, first, -np.inf, axis=-1)
    second = np.maximum(others.max(axis=-1, keepdims=True), np.finfo(float).min)
    # log of the sum over all other classes: of the likeliest by its runner-up, since the sum of
    # all minus its own would cancel.
    power = np.exp(others - highest)
    rest = highest + np.log1p(power.sum(axis=-1, keepdims=True) - power)
    with np.errstate(divide="ignore"):  # all others at -inf: a class without rivals
        best = second + np.log(np.exp(others - second).sum(axis=-1, keepdims=True))
    np.put_along_axis(rest, first, best, axis=-1)
    return logits - rest


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
