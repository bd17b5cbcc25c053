"""Give means over tasks the dependence between tasks, which independent permutations lose."""

import numpy as np


def restore_dependence(mean: np.ndarray, tasks: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Give the null of a mean over tasks the spread that dependent tasks give it.

    Tasks are permuted independently of each other. The permuted values of a patient's tasks are
    therefore independent, unlike those of a true sample, and their mean varies too little. Its
    deviations are scaled so that its variance is ``sum_tu s_t s_u r_tu / T^2``, with s the tasks'
    standard deviations under permutation and r the correlations of their bootstrap replicates.

    Parameters
    ----------
    mean : ndarray, shape (..., permutations)
        Means over tasks.
    tasks : ndarray, shape (tasks, ..., permutations)
        The values that they are means of.
    drawn : ndarray, shape (tasks, ..., draws)
        Bootstrap replicates of the same quantities; a draw in which one is undefined does not
        count.

    Returns
    -------
    ndarray, shape (..., permutations)
        The scaled means; `mean` itself where no replicate is defined.
    """
    kept = np.isfinite(drawn).all(axis=0)
    count = kept.sum(axis=-1).clip(1)
    moved = np.where(kept, drawn, 0).astype(float)
    moved = np.where(kept, moved - (moved.sum(axis=-1) / count)[..., None], 0)
    size = np.sqrt((moved**2).sum(axis=-1, keepdims=True))
    moved = np.divide(moved, size, out=np.zeros(moved.shape), where=size > 0)
    correlation = np.einsum("t...d,u...d->tu...", moved, moved)
    spread = tasks.std(axis=-1, dtype=float)
    variance = np.einsum("t...,u...,tu...->...", spread, spread, correlation) / len(tasks) ** 2
    found = mean.std(axis=-1, dtype=float)
    usable = (found > 0) & (variance > 0)
    scale = np.sqrt(np.divide(variance, found**2, out=np.ones_like(found), where=usable))
    centre = mean.mean(axis=-1, keepdims=True)
    return centre + scale[..., None] * (mean - centre)


def couple_tasks(tasks: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Return means over tasks of null draws, reordered so that tasks depend on each other.

    Each task keeps the distribution of its null. Which draws of the tasks go together follows the
    ranks of bootstrap replicates of the same quantities (the Schaake shuffle of Clark et al.
    2004).

    Parameters
    ----------
    tasks : ndarray, shape (tasks, permutations)
        Null draws, independent between tasks.
    drawn : ndarray, shape (tasks, draws)
        Bootstrap replicates; a draw in which one is undefined does not count.

    Returns
    -------
    ndarray
        One mean per replicate that counts; the means of the draws as given where none does.
    """
    kept = drawn[:, np.isfinite(drawn).all(axis=0)]
    if not kept.size:
        return tasks.mean(axis=0)
    # The largest replicate of a task gets the largest null draw of that task, and so on down: the
    # tasks then rise and fall together as they do from sample to sample.
    ranks = kept.argsort(axis=1, kind="stable").argsort(axis=1)
    shares = (ranks + 0.5) / kept.shape[1]
    found = [_quantiles(row[np.isfinite(row)], q) for row, q in zip(tasks, shares, strict=True)]
    return np.mean(found, axis=0)


def _quantiles(values: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Return interpolated quantiles, all from one sort."""
    if not values.size:
        return np.full(shares.shape, np.nan)
    return np.interp(shares * (values.size - 1), np.arange(values.size), np.sort(values))
