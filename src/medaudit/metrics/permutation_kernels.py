"""The inner loops of the permutation test, compiled with numba at their first call.

`permuted[u, b]` is the group of unit u (a patient's images) in permutation b. A coefficient k of
an image with label y counts `share[k, y, g]` times in group g (1 without importance weights).
The loops take `medaudit.metrics.bootstrap_kernels.Images`, whose groups they do not use.
"""

from medaudit.metrics.bootstrap_kernels import TINY, compiled


@compiled
def add_permuted(out, slot, coefficient, positive, share, unit, permuted):
    """out[slot[i], k, g, b] += coefficient[i, k] * share[k, y, g] with g = permuted[unit[i], b]."""
    for i in range(slot.size):
        row = permuted[unit[i]]
        for k in range(coefficient.shape[1]):
            target = out[slot[i], k]
            step = coefficient[i, k] * share[k, 1 if positive[i] else 0]
            for b in range(row.size):
                target[row[b], b] += step[row[b]]


@compiled
def rank_permuted(pairs, below, seen, images, share, permuted):
    """Count the weighted pairs that positives win; see `bootstrap_kernels.rank_against_all`."""
    ends, _, positive, factor, unit = images
    won, beat, held = pairs[0], pairs[1], pairs[2]
    size = won.shape[0]
    start = 0
    for end in ends:
        shares = 2 if end - start > 1 else 1
        for part in range(shares):
            for i in range(start, end):
                if not positive[i]:
                    row, step = permuted[unit[i]], factor[i] / shares * share[0, 0]
                    for b in range(row.size):
                        g = row[b]
                        below[g, b] += step[g]
                        below[size, b] += step[g]
                        held[g, b] += step[g] * seen[b]
            if part == 0:
                for i in range(start, end):
                    if positive[i]:
                        row, step = permuted[unit[i]], factor[i] * share[0, 1]
                        for b in range(row.size):
                            g = row[b]
                            won[g, b] += step[g] * below[g, b]
                            beat[g, b] += step[g] * below[size, b]
                            seen[b] += step[g]
        start = end


@compiled
def sum_permuted_precision(sums, images, share, permuted):
    """Sum weight times precision by group; see `bootstrap_kernels.sum_precision`."""
    ends, _, positive, factor, unit = images
    total, found, chosen = sums[0], sums[1], sums[2]
    for block in range(ends.size - 1, -1, -1):
        start = ends[block - 1] if block else 0
        for i in range(start, ends[block]):
            row, step = permuted[unit[i]], factor[i] * share[0, 1 if positive[i] else 0]
            for b in range(row.size):
                chosen[row[b], b] += step[row[b]]
            if positive[i]:
                for b in range(row.size):
                    found[row[b], b] += step[row[b]]
        for i in range(start, ends[block]):
            if positive[i]:
                row, step = permuted[unit[i]], factor[i] * share[0, 1]
                for b in range(row.size):
                    g = row[b]
                    total[g, b] += step[g] * found[g, b] / max(chosen[g, b], TINY)
