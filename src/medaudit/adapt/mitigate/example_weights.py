"""Weights of training examples, from groups and classes or from the losses of a batch."""

import numpy as np


def reweighing(y: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return weights that make group and class independent: P(g) P(y) / P(g, y).

    Kamiran and Calders 2012, "Data preprocessing techniques for classification without
    discrimination" (reweighing).

    Parameters
    ----------
    y, group : numpy.ndarray
        ``[n]``, 0 or 1, and whole numbers from 0.

    Returns
    -------
    numpy.ndarray
        ``[n]``, with mean 1 where every pair of group and class has a row.

    Examples
    --------
    >>> reweighing(np.array([1, 1, 0, 0]), np.array([0, 0, 0, 1]))
    array([0.75, 0.75, 1.5 , 0.5 ])
    """
    n = len(y)
    joint = np.bincount(2 * group + y.astype(int), minlength=2 * (group.max() + 1)).reshape(-1, 2)
    expected = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0) / n
    return (expected / np.maximum(joint, 1))[group, y.astype(int)]


def equal_shares(cell: np.ndarray) -> np.ndarray:
    """Return weights that give every cell that occurs the same total, with mean 1.

    Parameters
    ----------
    cell : numpy.ndarray
        ``[n]``, whole numbers from 0: a group, or a group and class.

    Examples
    --------
    >>> equal_shares(np.array([0, 0, 0, 1]))
    array([0.66666667, 0.66666667, 0.66666667, 2.        ])
    """
    counts = np.bincount(cell)
    return len(cell) / ((counts > 0).sum() * counts[cell])


def worst_group_weights(
    losses: np.ndarray, cell: np.ndarray, shares: np.ndarray, step: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the examples' weights of Group DRO in a batch, and the groups' next shares.

    Sagawa, Koh, Hashimoto and Liang 2020, "Distributionally robust neural networks for group
    shifts" (arXiv 1911.08731), algorithm 1: q_g is multiplied by exp(step * mean loss of g) and
    normalised; the loss is sum_g q_g * mean loss of g. A group without a row in the batch keeps its
    share before normalisation.

    Parameters
    ----------
    losses : numpy.ndarray
        ``[S, b, C]``.
    cell : numpy.ndarray
        ``[S, b]``, the group of each example.
    shares : numpy.ndarray
        ``[S, C, groups]``, q before the step; sums to 1.
    step : numpy.ndarray
        ``[C]``, the step size of q.

    Returns
    -------
    weights : numpy.ndarray
        ``[S, b, C]``: q_g / number of rows of g in the batch.
    shares : numpy.ndarray
        ``[S, C, groups]``.
    """
    member = (cell[:, :, None] == np.arange(shares.shape[2])).astype(losses.dtype)
    counts = member.sum(axis=1)[:, None]
    mean = np.swapaxes(losses, 1, 2) @ member / np.maximum(counts, 1)
    moved = shares * np.exp(step[:, None] * mean)
    moved = moved / moved.sum(axis=2, keepdims=True)
    per_row = moved / np.maximum(counts, 1)
    return member @ np.swapaxes(per_row, 1, 2), moved


def tail_weights(losses: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Return weights whose weighted loss is the mean of the worst `share` of a batch (CVaR).

    Levy, Carmon, Duchi and Sidford 2020, "Large-scale methods for distributionally robust
    optimization" (arXiv 2010.05893): the conditional value at risk of the losses in the batch.

    Parameters
    ----------
    losses : numpy.ndarray
        ``[S, b, C]``.
    share : numpy.ndarray
        ``[C]``, in (0, 1]; 1 is the plain mean.

    Returns
    -------
    numpy.ndarray
        ``[S, b, C]``, at least 0, with sum 1 over the batch. Where the share is no whole number of
        examples, the last of them counts in part.

    Examples
    --------
    >>> tail_weights(np.array([[[3.0], [1.0], [2.0], [0.0]]]), np.array([0.375]))[0, :, 0]
    array([0.66666667, 0.        , 0.33333333, 0.        ])
    """
    rank = np.argsort(np.argsort(-losses, axis=1, kind="stable"), axis=1, kind="stable")
    kept = share * losses.shape[1]
    # Fewer than one example: the worst one counts alone.
    kept = np.maximum(kept, 1.0)
    return np.clip(kept - rank, 0, 1) / kept


def errors_upweighted(logits: np.ndarray, y: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """Return the weights of Just Train Twice: `factor` for the errors of the first training.

    Liu et al. 2021, "Just train twice: improving group robustness without training group
    information" (arXiv 2107.09044): examples that the identification model misclassifies are
    upsampled by a constant, all others count once.

    Parameters
    ----------
    logits : numpy.ndarray
        ``[S, C, n]``, of the first training; an example is decided by the sign of its logit.
    y : numpy.ndarray
        ``[n]``, 0 or 1.
    factor : numpy.ndarray
        ``[C]``, at least 1.

    Returns
    -------
    numpy.ndarray
        ``[S, C, n]``, with mean 1 over the examples.
    """
    wrong = (logits > 0) != (y == 1)
    weights = np.where(wrong, factor[:, None], 1.0)
    return weights / weights.mean(axis=2, keepdims=True)
