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


def _compile(function: Callable) -> Callable | None:
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


def _sum_precision(total, found, chosen, fresh, ends, group, positive, factor, unit, weights):
    """Sum weight times precision over the positives of each group, from the highest score down.

    The precision of a run of equal scores is the one at its end.
    """
    columns = weights.shape[1]
    touched = np.zeros(total.shape[0], np.bool_)
    for block in range(ends.size - 1, -1, -1):
        start = ends[block - 1] if block else 0
        for i in range(start, ends[block]):
            row, g = weights[unit[i]], group[i]
            for b in range(columns):
                chosen[g, b] += factor[i] * row[b]
            if positive[i]:
                touched[g] = True
                for b in range(columns):
                    fresh[g, b] += factor[i] * row[b]
        for g in range(total.shape[0]):
            if touched[g]:
                touched[g] = False
                for b in range(columns):
                    found[g, b] += fresh[g, b]
                    if fresh[g, b] > 0:
                        total[g, b] += fresh[g, b] * found[g, b] / chosen[g, b]
                    fresh[g, b] = 0.0


def sum_precision_numpy(total, found, chosen, fresh, ends, group, positive, factor, unit, weights):
    """Do the same as the compiled loop."""
    for block in range(ends.size - 1, -1, -1):
        start = ends[block - 1] if block else 0
        for i in range(start, ends[block]):
            chosen[group[i]] += factor[i] * weights[unit[i]]
            if positive[i]:
                fresh[group[i]] += factor[i] * weights[unit[i]]
        for g in np.unique(group[start : ends[block]][positive[start : ends[block]]]):
            found[g] += fresh[g]
            some = fresh[g] > 0
            total[g, some] += fresh[g, some] * found[g, some] / chosen[g, some]
            fresh[g] = 0.0


def _deal_groups(codes, order, first, stratum, offset, dealt):
    """Deal each stratum's sorted group codes to its units, in the order of their patients.

    `first[p]:first[p + 1]` are the units of patient p; a stratum of -1 takes no part.
    """
    place = offset.copy()
    for patient in order:
        for unit in range(first[patient], first[patient + 1]):
            if stratum[unit] >= 0:
                dealt[unit] = codes[place[stratum[unit]]]
                place[stratum[unit]] += 1


add_rows_numba = _compile(_add_rows)
rank_pairs_numba = _compile(_rank_pairs)
sum_precision_numba = _compile(_sum_precision)
deal_groups = _compile(_deal_groups) or _deal_groups

if numba is None or os.environ.get("MEDAUDIT_KERNELS") == "numpy":
    add_rows, rank_pairs, sum_precision = add_rows_numpy, rank_pairs_numpy, sum_precision_numpy
else:
    add_rows, rank_pairs, sum_precision = add_rows_numba, rank_pairs_numba, sum_precision_numba
