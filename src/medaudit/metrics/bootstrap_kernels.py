"""The two inner loops of the audit, compiled with numba where it is present.

Both work on a block of replicates at once: `weights` has one row a unit (a patient) and one column
a replicate, so that each image is one row operation that a processor does in vector instructions.
Each loop stands twice, compiled and in NumPy; they add the same terms in the same order.
"""

import os
from collections.abc import Callable

import numpy as np

try:
    import numba
except ImportError:
    numba = None

TINY = 1e-300


def compiled(function: Callable) -> Callable | None:
    """Compile `function`; where no folder can hold the cache, compile without one."""
    if numba is None:
        return None
    try:
        return numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:
        return numba.njit(nogil=True)(function)


def _add_rows(out, slot, coefficient, unit, weights):
    """out[slot[i], k] += coefficient[i, k] * weights[unit[i]] for every image i."""
    columns = weights.shape[1]
    for i in range(slot.size):
        row = weights[unit[i]]
        for k in range(coefficient.shape[1]):
            target = out[slot[i], k]
            factor = coefficient[i, k]
            for b in range(columns):
                target[b] += factor * row[b]


def add_rows_numpy(out, slot, coefficient, unit, weights):
    """Do the same as the compiled loop, one vector operation an image and coefficient."""
    for i in range(slot.size):
        out[slot[i]] += coefficient[i][:, None] * weights[unit[i]][None, :]


def _rank_pairs(pairs, below, ends, group, positive, factor, unit, weights):
    """Count, for each group, the weighted pairs a positive wins against a negative.

    Images are in ascending order of score; `ends` are the ends of runs of equal scores. A
    negative of a run counts half before the run's positives and half after them.
    """
    columns = weights.shape[1]
    start = 0
    for end in ends:
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


def rank_pairs_numpy(pairs, below, ends, group, positive, factor, unit, weights):
    """Do the same as the compiled loop."""
    start = 0
    for end in ends:
        run = range(start, end)
        shares = 2 if end - start > 1 else 1
        for share in range(shares):
            for i in (i for i in run if not positive[i]):
                below[group[i]] += factor[i] / shares * weights[unit[i]]
            for i in (i for i in run if positive[i] and share == 0):
                pairs[group[i]] += factor[i] * weights[unit[i]] * below[group[i]]
        start = end


def _rank_against_all(won, beat, held, below, seen, ends, group, positive, factor, unit, weights):
    """Count the pairs won within each group, and against everybody: see `rank_pairs`.

    `won[g]`: positives of g against negatives of g. `beat[g]`: positives of g against all
    negatives. `held[g]`: negatives of g above all positives. `below` counts negatives by group
    and, last, in all; `seen` counts all positives.
    """
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


def rank_against_all_numpy(
    won, beat, held, below, seen, ends, group, positive, factor, unit, weights
):
    """Do the same as the compiled loop."""
    start = 0
    for end in ends:
        run = range(start, end)
        shares = 2 if end - start > 1 else 1
        for share in range(shares):
            for i in (i for i in run if not positive[i]):
                mass = factor[i] / shares * weights[unit[i]]
                below[group[i]] += mass
                below[-1] += mass
                held[group[i]] += mass * seen
            for i in (i for i in run if positive[i] and share == 0):
                mass = factor[i] * weights[unit[i]]
                won[group[i]] += mass * below[group[i]]
                beat[group[i]] += mass * below[-1]
                seen += mass
        start = end


def _sum_precision(total, found, chosen, ends, group, positive, factor, unit, weights):
    """Sum weight times precision over the positives of each group, from the highest score down.

    The precision of a run of equal scores is the one at its end.
    """
    columns = weights.shape[1]
    for block in range(ends.size - 1, -1, -1):
        start = ends[block - 1] if block else 0
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
                    add[b] += factor[i] * row[b] * right[b] / max(some[b], TINY)


def sum_precision_numpy(total, found, chosen, ends, group, positive, factor, unit, weights):
    """Do the same as the compiled loop."""
    for block in range(ends.size - 1, -1, -1):
        run = range(ends[block - 1] if block else 0, ends[block])
        for i in run:
            chosen[group[i]] += factor[i] * weights[unit[i]]
            found[group[i]] += positive[i] * factor[i] * weights[unit[i]]
        for i in (i for i in run if positive[i]):
            g = group[i]
            total[g] += factor[i] * weights[unit[i]] * found[g] / np.maximum(chosen[g], TINY)


add_rows_numba = compiled(_add_rows)
rank_pairs_numba = compiled(_rank_pairs)
sum_precision_numba = compiled(_sum_precision)
rank_against_all_numba = compiled(_rank_against_all)

USE_NUMPY = numba is None or os.environ.get("MEDAUDIT_KERNELS") == "numpy"
if USE_NUMPY:
    add_rows, rank_pairs, sum_precision = add_rows_numpy, rank_pairs_numpy, sum_precision_numpy
    rank_against_all = rank_against_all_numpy
else:
    add_rows, rank_pairs, sum_precision = add_rows_numba, rank_pairs_numba, sum_precision_numba
    rank_against_all = rank_against_all_numba
