"""The inner loops of the bootstrap, compiled with numba at their first call.

They work on a block of replicates at once: `weights` has one row per unit (a patient) and one
column per replicate. Each image is one operation on a row, which the processor does in vector
instructions. With ``NUMBA_DISABLE_JIT=1`` the same loops run as Python.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numba
import numpy as np

TINY = 1e-300


class Images(NamedTuple):
    """Images of one task and seed in ascending order of score, as the loops take them.

    Parameters
    ----------
    ends : ndarray of int, shape (runs,)
        Ends of the runs of equal scores.
    group, unit : ndarray of int32, shape (n,)
        Group of each image, and its row of the weights.
    positive : ndarray of bool, shape (n,)
    factor : ndarray of float, shape (n,)
        Importance weights.
    """

    ends: np.ndarray
    group: np.ndarray
    positive: np.ndarray
    factor: np.ndarray
    unit: np.ndarray


def compiled(function: Callable) -> Any:
    """Compile `function` at its first call; without a cache where no folder can hold one."""
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # numba looks for a folder here, not when it compiles
        return numba.njit(nogil=True)(function)


@compiled
def add_rows(out, slot, coefficient, unit, weights):
    """out[slot[i], k] += coefficient[i, k] * weights[unit[i]] for every image i."""
    columns = weights.shape[1]
    for i in range(slot.size):
        row = weights[unit[i]]
        for k in range(coefficient.shape[1]):
            target = out[slot[i], k]
            factor = coefficient[i, k]
            for b in range(columns):
                target[b] += factor * row[b]


@compiled
def rank_pairs(pairs, below, images, weights):
    """Count, for each group, the weighted pairs that a positive wins against a negative.

    `pairs` and `below`, the weight of the negatives seen so far, have shape (groups, replicates).
    """
    ends, group, positive, factor, unit = images
    columns = weights.shape[1]
    start = 0
    for end in ends:
        # In a run of equal scores each negative counts half before the run's positives and half
        # after them, so that a tie wins half a pair.
        shares = 2 if end - start > 1 else 1
        for share in range(shares):
            for i in range(start, end):
                if not positive[i]:
                    row, seen = weights[unit[i]], below[group[i]]
                    step = factor[i] / shares
                    for b in range(columns):
                        seen[b] += step * row[b]
            if share == 0:
                for i in range(start, end):
                    if positive[i]:
                        row, seen = weights[unit[i]], below[group[i]]
                        won = pairs[group[i]]
                        for b in range(columns):
                            won[b] += factor[i] * row[b] * seen[b]
        start = end


@compiled
def rank_against_all(pairs, below, seen, images, weights):
    """Count the pairs won within each group and against everybody; see `rank_pairs`.

    `pairs` holds three counts by group: positives of the group against its own negatives,
    positives of the group against all negatives, and negatives of the group above which a
    positive was seen. `below` counts negatives by group and, in its last row, in all; `seen`
    counts all positives.
    """
    ends, group, positive, factor, unit = images
    won, beat, held = pairs[0], pairs[1], pairs[2]
    columns, everybody = weights.shape[1], below[won.shape[0]]
    start = 0
    for end in ends:
        shares = 2 if end - start > 1 else 1
        for share in range(shares):
            for i in range(start, end):
                if not positive[i]:
                    row, mine, kept = weights[unit[i]], below[group[i]], held[group[i]]
                    step = factor[i] / shares
                    for b in range(columns):
                        mass = step * row[b]
                        mine[b] += mass
                        everybody[b] += mass
                        kept[b] += mass * seen[b]
            if share == 0:
                for i in range(start, end):
                    if positive[i]:
                        row, mine = weights[unit[i]], below[group[i]]
                        inside, all_ = won[group[i]], beat[group[i]]
                        for b in range(columns):
                            mass = factor[i] * row[b]
                            inside[b] += mass * mine[b]
                            all_[b] += mass * everybody[b]
                            seen[b] += mass
        start = end


@compiled
def sum_precision(sums, images, weights):
    """Sum weight times precision over the positives of each group, from the highest score down.

    `sums` holds the result and two running sums, the weights of the positives and of all images
    so far, each of shape (groups, replicates).
    """
    ends, group, positive, factor, unit = images
    total, found, chosen = sums[0], sums[1], sums[2]
    columns = weights.shape[1]
    for block in range(ends.size - 1, -1, -1):
        start = ends[block - 1] if block else 0
        # The whole run of equal scores first: its precision is the one at its end.
        for i in range(start, ends[block]):
            row, some = weights[unit[i]], chosen[group[i]]
            for b in range(columns):
                some[b] += factor[i] * row[b]
            if positive[i]:
                right = found[group[i]]
                for b in range(columns):
                    right[b] += factor[i] * row[b]
        for i in range(start, ends[block]):
            if positive[i]:
                row, some = weights[unit[i]], chosen[group[i]]
                right, add = found[group[i]], total[group[i]]
                for b in range(columns):
                    # TINY: a positive that was not drawn adds 0, also before any image was drawn.
                    add[b] += factor[i] * row[b] * right[b] / max(some[b], TINY)
