"""Values by stratum and group, and each unit's influence on them, compiled with numba.

Both loops take the groups of the units as an argument, so that the observed groups and permuted
ones are treated by the same code. They add to their outputs; the first dimension is the group,
except for `influence`, which has one entry per unit.
"""

import numpy as np

from medaudit.metrics.bootstrap_kernels import compiled


@compiled
def add_rates(value, shrunk, floor, influence, group, top, bottom, square, stratum, unit, weight):
    """Add the standardised rate sum(top) / sum(bottom) of every group, and its linearisation.

    A row is the images of one unit in one stratum. `weight` is the share of each stratum. With the
    rate r of a cell, a unit's influence is the sum over strata of
    ``weight (top - r bottom) / sum(bottom)``. `floor` is the variance of a rate that is shrunk by
    one success and one failure: positive also where r is 0 or 1.
    """
    strata, groups = weight.size, value.size
    sums = np.zeros((3, strata, groups))
    for i in range(unit.size):
        g = group[unit[i]]
        if g >= 0:
            sums[0, stratum[i], g] += top[i]
            sums[1, stratum[i], g] += bottom[i]
            sums[2, stratum[i], g] += square[i]
    for s in range(strata):
        for g in range(groups):
            total = sums[1, s, g]
            rate = sums[0, s, g] / total if total > 0 else np.nan
            size = total * total / sums[2, s, g] if total > 0 else np.nan
            near = (rate * size + 1) / (size + 2)
            value[g] += weight[s] * rate
            shrunk[g] += weight[s] * near
            floor[g] += weight[s] ** 2 * near * (1 - near) / (size + 2)
            sums[0, s, g] = rate
    for i in range(unit.size):
        g = group[unit[i]]
        if g >= 0:
            s = stratum[i]
            residual = top[i] - sums[0, s, g] * bottom[i]
            influence[unit[i]] += weight[s] * residual / sums[1, s, g]


@compiled
def add_aucs(value, shrunk, floor, influence, group, images, stratum, weight):
    """Add the standardised AUC of every group, and its linearisation (DeLong et al. 1988).

    `images` are those of `medaudit.metrics.sorted_scores.SortedScores`, in ascending order of
    score; an image is compared with the images of its own stratum and group. The influence of a
    positive is its share of negatives below minus the AUC, over the number of positives, and of a
    negative the same the other way round; a tie counts half. The floor is
    ``A (1 - A) / min(positives, negatives)``, the largest variance of an AUC (Birnbaum and Klose
    1957), with A shrunk by one success and one failure.
    """
    ends, _, positive, factor, unit = images
    strata, groups = weight.size, value.size
    seen = np.zeros((2, strata, groups))
    square = np.zeros((2, strata, groups))
    won = np.zeros((strata, groups))
    place = np.zeros(unit.size)
    start = 0
    for end in ends:
        # Half of the other class at the same score counts as below.
        for half in range(2):
            for i in range(start, end):
                g = group[unit[i]]
                if g >= 0:
                    place[i] += seen[0 if positive[i] else 1, stratum[i], g] / 2
            if half == 0:
                for i in range(start, end):
                    g = group[unit[i]]
                    if g >= 0:
                        label = 1 if positive[i] else 0
                        seen[label, stratum[i], g] += factor[i]
                        square[label, stratum[i], g] += factor[i] ** 2
        start = end
    for i in range(unit.size):
        g = group[unit[i]]
        if g >= 0 and positive[i]:
            won[stratum[i], g] += factor[i] * place[i]
    for s in range(strata):
        for g in range(groups):
            negatives, positives = seen[0, s, g], seen[1, s, g]
            defined = negatives > 0 and positives > 0
            auc = won[s, g] / (negatives * positives) if defined else np.nan
            size = np.nan
            if defined:
                size = min(negatives**2 / square[0, s, g], positives**2 / square[1, s, g])
            near = (auc * size + 1) / (size + 2)
            value[g] += weight[s] * auc
            shrunk[g] += weight[s] * near
            floor[g] += weight[s] ** 2 * near * (1 - near) / (size + 2)
            won[s, g] = auc
    for i in range(unit.size):
        g = group[unit[i]]
        if g >= 0:
            s = stratum[i]
            label = 1 if positive[i] else 0
            other = seen[1 - label, s, g]
            share = place[i] / other if positive[i] else 1 - place[i] / other
            influence[unit[i]] += weight[s] * factor[i] * (share - won[s, g]) / seen[label, s, g]
