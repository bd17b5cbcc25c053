"""Patient-wise resampling of the AUC of a fixed score."""

import numpy as np

BLOCK = 100


def auc_draws(score: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the AUC of each draw, ties counted half; NaN where a class has no weight.

    Parameters
    ----------
    score : numpy.ndarray
        ``[n]``.
    positive : numpy.ndarray
        bool, ``[n]``, or ``[n, draws]`` where the labels differ by draw.
    weights : numpy.ndarray
        ``[n, draws]`` or ``[n, 1]``.
    """
    order = np.argsort(score, kind="stable")
    starts = np.flatnonzero(np.diff(score[order], prepend=-np.inf))
    positive = np.atleast_2d(positive.T).T
    draws = max(positive.shape[1], weights.shape[1])
    values = np.empty(draws)
    for first in range(0, draws, BLOCK):
        of_block = slice(first, first + BLOCK)
        yes, weight = (_part(a, of_block)[order] for a in (positive, weights))
        p = np.add.reduceat(np.where(yes, weight, 0.0), starts, axis=0)
        n = np.add.reduceat(np.where(yes, 0.0, weight), starts, axis=0)
        won = (p * (np.cumsum(n, axis=0) - n / 2)).sum(axis=0)
        with np.errstate(invalid="ignore", divide="ignore"):
            values[of_block] = won / (p.sum(axis=0) * n.sum(axis=0))
    return values


def _part(array: np.ndarray, columns: slice) -> np.ndarray:
    return array if array.shape[1] == 1 else array[:, columns]


def patient_weights(
    patients: np.ndarray, strata: np.ndarray, draws: int, random: np.random.Generator
) -> np.ndarray:
    """Return how often each row is drawn, uint8 ``[n, draws]``, when patients are resampled.

    Parameters
    ----------
    patients, strata : numpy.ndarray
        Patient and stratum of each row; a patient belongs to the stratum of their first row, and
        every stratum keeps its number of patients, so that each is drawn.
    draws : int
        Number of bootstrap samples.
    random : numpy.random.Generator
        Source of randomness.
    """
    _, first, index = np.unique(patients, return_index=True, return_inverse=True)
    counts = np.zeros((len(first), draws), np.uint8)
    for stratum in np.unique(strata[first]):
        members = np.flatnonzero(strata[first] == stratum)
        drawn = random.multinomial(len(members), np.full(len(members), 1 / len(members)), draws)
        counts[members] = np.minimum(drawn.T, 255)
    return counts[index]


def permuted_labels(
    positive: np.ndarray, patients: np.ndarray, draws: int, random: np.random.Generator
) -> np.ndarray:
    """Return labels shuffled between patients, bool ``[n, draws]``.

    A patient's rows keep one label together: that of their first row.
    """
    _, first, index = np.unique(patients, return_index=True, return_inverse=True)
    shuffled = random.permuted(np.tile(positive[first], (draws, 1)), axis=1)
    return shuffled.T[index]
