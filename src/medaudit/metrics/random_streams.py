"""Random draws of the bootstrap and of the permutation test, compiled with numba.

Each replicate has a stream of its own: SplitMix64 (Steele et al. 2014) from its seed. Number i is
a function of the seed and i alone, so neither blocks nor threads change a draw.
"""

import numpy as np

from medaudit.metrics.bootstrap_kernels import compiled

GAMMA = np.uint64(0x9E3779B97F4A7C15)
FIRST = np.uint64(0xBF58476D1CE4E5B9)
SECOND = np.uint64(0x94D049BB133111EB)
S30, S27, S31, S11 = (np.uint64(shift) for shift in (30, 27, 31, 11))
UNIT = 2.0**-53


@compiled
def draw_with_replacement(starts, row, seeds, counts):
    """Draw with replacement within each stratum, the slots starts[s]:starts[s + 1].

    counts[b, row[slot]] becomes how often replicate b drew `slot`.
    """
    for b in range(seeds.size):
        state = seeds[b]
        for s in range(starts.size - 1):
            size = starts[s + 1] - starts[s]
            for _ in range(size):
                state += GAMMA
                z = (state ^ (state >> S30)) * FIRST
                z = (z ^ (z >> S27)) * SECOND
                share = float((z ^ (z >> S31)) >> S11) * UNIT
                counts[b, row[starts[s] + int(share * size)]] += 1


@compiled
def shuffle_within_strata(codes, starts, row, seeds, permuted):
    """Shuffle the group codes within each stratum, one permutation per seed (Fisher and Yates).

    The code of slot i in permutation b goes to permuted[b, row[i]].
    """
    for b in range(seeds.size):
        state = seeds[b]
        shuffled = codes.copy()
        for s in range(starts.size - 1):
            for i in range(starts[s + 1] - 1, starts[s], -1):
                state += GAMMA
                z = (state ^ (state >> S30)) * FIRST
                z = (z ^ (z >> S27)) * SECOND
                share = float((z ^ (z >> S31)) >> S11) * UNIT
                j = starts[s] + int(share * (i - starts[s] + 1))
                shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
        for i in range(shuffled.size):
            permuted[b, row[i]] = shuffled[i]
