"""The inner loops of cluster-robust variances under permuted groups, compiled with numba.

`permuted[u, b]` is the group of unit u (a patient's images) in column b, -1 where it takes no
part. Images come as `medaudit.metrics.bootstrap_kernels.Images`, whose groups are not used.
"""

from medaudit.metrics.bootstrap_kernels import compiled


@compiled
def add_units(out, coefficient, permuted):
    """out[k, g, b] += coefficient[u, k] with g = permuted[u, b], for every unit u."""
    for u in range(permuted.shape[0]):
        row = permuted[u]
        for k in range(coefficient.shape[1]):
            step = coefficient[u, k]
            if step != 0:
                target = out[k]
                for b in range(row.size):
                    if row[b] >= 0:
                        target[row[b], b] += step


@compiled
def rank_units(below, seen, own, images, permuted):
    """Count the pairs that each unit wins and loses within its group.

    `below` (weight of the negatives so far) and `seen` (of the positives) have shape
    (groups, columns) and end as the groups' weights. `own[u, b]` becomes the weighted number of negatives below the positives of
    unit u, less that of positives below its negatives; ties count half.
    """
    ends, _, positive, factor, unit = images
    start = 0
    for end in ends:
        shares = 2 if end - start > 1 else 1
        for part in range(shares):
            for i in range(start, end):
                if not positive[i]:
                    row, mine, step = permuted[unit[i]], own[unit[i]], factor[i] / shares
                    for b in range(row.size):
                        g = row[b]
                        below[g, b] += step
                        mine[b] -= step * seen[g, b]
            if part == 0:
                for i in range(start, end):
                    if positive[i]:
                        row, mine, step = permuted[unit[i]], own[unit[i]], factor[i]
                        for b in range(row.size):
                            g = row[b]
                            mine[b] += step * below[g, b]
                            seen[g, b] += step
        start = end


@compiled
def square_influence(sums, own, positives, negatives, kind, permuted, below, seen, value):
    """sums[kind[u], g, b] += the square of what unit u adds to the AUC of its group.

    `positives` and `negatives` are the units' weights, `below` and `seen` those of the groups,
    `value` is the AUC.
    """
    for u in range(permuted.shape[0]):
        row, target = permuted[u], sums[kind[u]]
        for b in range(row.size):
            g = row[b]
            if g >= 0 and below[g, b] > 0 and seen[g, b] > 0:
                step = own[u, b] / (below[g, b] * seen[g, b])
                step += (1 - value[g, b]) * negatives[u] / below[g, b]
                step -= value[g, b] * positives[u] / seen[g, b]
                target[g, b] += step * step
