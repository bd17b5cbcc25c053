"""The inner loops of the permutation null: each replicate has its own group of each unit.

`dealt` has one row a unit and one column a replicate and holds group codes. A coefficient k of an
image with label y counts `share[k, y, g]` times in group g (1 without importance weights).
Compiled and NumPy versions add the same terms in the same order.
"""

import numpy as np

from medaudit.metrics.bootstrap_kernels import TINY, USE_NUMPY, compiled


def _add_dealt(out, slot, coefficient, positive, share, unit, dealt):
    """out[slot[i], k, dealt[unit[i], b], b] += coefficient[i, k] * share[k, y, dealt]."""
    for i in range(slot.size):
        row = dealt[unit[i]]
        for k in range(coefficient.shape[1]):
            target = out[slot[i], k]
            step = coefficient[i, k] * share[k, 1 if positive[i] else 0]
            for b in range(row.size):
                target[row[b], b] += step[row[b]]


def add_dealt_numpy(out, slot, coefficient, positive, share, unit, dealt):
    """Do the same as the compiled loop."""
    every = np.arange(dealt.shape[1])
    for i in range(slot.size):
        row = dealt[unit[i]]
        for k in range(coefficient.shape[1]):
            out[slot[i], k, row, every] += coefficient[i, k] * share[k, int(positive[i])][row]


def _rank_dealt(won, beat, held, below, seen, ends, positive, factor, share, unit, dealt):
    """Count the weighted pairs that positives win: see `kernels.rank_pairs`.

    `won[g]`: positives of g against negatives of g. `beat[g]`: positives of g against all
    negatives. `held[g]`: negatives of g above all positives. `below` counts negatives by group
    and, last, in all; `seen` counts all positives.
    """
    size = won.shape[0]
    start = 0
    for end in ends:
        shares = 2 if end - start > 1 else 1
        for part in range(shares):
            for i in range(start, end):
                if not positive[i]:
                    row, step = dealt[unit[i]], factor[i] / shares * share[0, 0]
                    for b in range(row.size):
                        g = row[b]
                        below[g, b] += step[g]
                        below[size, b] += step[g]
                        held[g, b] += step[g] * seen[b]
            if part == 0:
                for i in range(start, end):
                    if positive[i]:
                        row, step = dealt[unit[i]], factor[i] * share[0, 1]
                        for b in range(row.size):
                            g = row[b]
                            won[g, b] += step[g] * below[g, b]
                            beat[g, b] += step[g] * below[size, b]
                            seen[b] += step[g]
        start = end


def rank_dealt_numpy(won, beat, held, below, seen, ends, positive, factor, share, unit, dealt):
    """Do the same as the compiled loop."""
    every, start = np.arange(dealt.shape[1]), 0
    for end in ends:
        run = range(start, end)
        shares = 2 if end - start > 1 else 1
        for part in range(shares):
            for i in (i for i in run if not positive[i]):
                row = dealt[unit[i]]
                step = factor[i] / shares * share[0, 0][row]
                below[row, every] += step
                below[-1] += step
                held[row, every] += step * seen
            for i in (i for i in run if positive[i] and part == 0):
                row = dealt[unit[i]]
                step = factor[i] * share[0, 1][row]
                won[row, every] += step * below[row, every]
                beat[row, every] += step * below[-1]
                seen += step
        start = end


def _sum_dealt_precision(total, found, chosen, ends, positive, factor, share, unit, dealt):
    """Sum weight times precision over the positives of each group: see `kernels.sum_precision`."""
    for block in range(ends.size - 1, -1, -1):
        start = ends[block - 1] if block else 0
        for i in range(start, ends[block]):
            row, step = dealt[unit[i]], factor[i] * share[0, 1 if positive[i] else 0]
            for b in range(row.size):
                chosen[row[b], b] += step[row[b]]
            if positive[i]:
                for b in range(row.size):
                    found[row[b], b] += step[row[b]]
        for i in range(start, ends[block]):
            if positive[i]:
                row, step = dealt[unit[i]], factor[i] * share[0, 1]
                for b in range(row.size):
                    g = row[b]
                    total[g, b] += step[g] * found[g, b] / max(chosen[g, b], TINY)


def sum_dealt_precision_numpy(total, found, chosen, ends, positive, factor, share, unit, dealt):
    """Do the same as the compiled loop."""
    every = np.arange(dealt.shape[1])
    for block in range(ends.size - 1, -1, -1):
        run = range(ends[block - 1] if block else 0, ends[block])
        for i in run:
            row = dealt[unit[i]]
            step = factor[i] * share[0, int(positive[i])][row]
            chosen[row, every] += step
            found[row, every] += step * positive[i]
        for i in (i for i in run if positive[i]):
            row = dealt[unit[i]]
            precision = found[row, every] / np.maximum(chosen[row, every], TINY)
            total[row, every] += factor[i] * share[0, 1][row] * precision


add_dealt_numba = compiled(_add_dealt)
rank_dealt_numba = compiled(_rank_dealt)
sum_dealt_precision_numba = compiled(_sum_dealt_precision)

if USE_NUMPY:
    add_dealt, rank_dealt = add_dealt_numpy, rank_dealt_numpy
    sum_dealt_precision = sum_dealt_precision_numpy
else:
    add_dealt, rank_dealt = add_dealt_numba, rank_dealt_numba
    sum_dealt_precision = sum_dealt_precision_numba
