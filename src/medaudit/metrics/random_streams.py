"""Random draws, compiled with numba where it is present.

The stream of a replicate is SplitMix64 (Steele et al. 2014) from a seed of its own: number i is a
function of the seed and i alone, so that the NumPy version gives the same draws.
"""

import numpy as np

from medaudit.metrics.bootstrap_kernels import USE_NUMPY, compiled

GAMMA = np.uint64(0x9E3779B97F4A7C15)
FIRST = np.uint64(0xBF58476D1CE4E5B9)
SECOND = np.uint64(0x94D049BB133111EB)
S30, S27, S31, S11 = (np.uint64(shift) for shift in (30, 27, 31, 11))
UNIT = 2.0**-53


def _draw_with_replacement(starts, row, seeds, counts):
    """counts[b, row[slot]] is how often `slot` was drawn within starts[s]:starts[s + 1]."""
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


def draw_with_replacement_numpy(starts, row, seeds, counts):
    """Do the same as the compiled loop."""
    sizes = np.repeat(np.diff(starts), np.diff(starts))
    first = np.repeat(starts[:-1], np.diff(starts))
    for b, seed in enumerate(seeds):
        slot = first + (_uniform(seed, sizes.size) * sizes).astype(np.int64)
        counts[b, row] = np.bincount(slot, minlength=sizes.size)


def _deal_groups(codes, starts, row, seeds, dealt):
    """Shuffle the codes within starts[s]:starts[s + 1]; slot i of them goes to dealt[b, row[i]]."""
    for b in range(seeds.size):
        state = seeds[b]
        hand = codes.copy()
        for s in range(starts.size - 1):
            for i in range(starts[s + 1] - 1, starts[s], -1):
                state += GAMMA
                z = (state ^ (state >> S30)) * FIRST
                z = (z ^ (z >> S27)) * SECOND
                share = float((z ^ (z >> S31)) >> S11) * UNIT
                j = starts[s] + int(share * (i - starts[s] + 1))
                hand[i], hand[j] = hand[j], hand[i]
        for i in range(hand.size):
            dealt[b, row[i]] = hand[i]


def deal_groups_numpy(codes, starts, row, seeds, dealt):
    """Do the same as the compiled loop."""
    for b, seed in enumerate(seeds):
        hand, drawn = codes.copy(), iter(_uniform(seed, codes.size))
        for start, end in zip(starts[:-1], starts[1:], strict=True):
            for i in range(end - 1, start, -1):
                j = start + int(next(drawn) * (i - start + 1))
                hand[i], hand[j] = hand[j], hand[i]
        dealt[b, row] = hand


def _uniform(seed: np.uint64, size: int) -> np.ndarray:
    with np.errstate(over="ignore"):
        state = seed + np.arange(1, size + 1, dtype=np.uint64) * GAMMA
        z = (state ^ (state >> S30)) * FIRST
        z = (z ^ (z >> S27)) * SECOND
        return ((z ^ (z >> S31)) >> S11).astype(float) * UNIT


draw_with_replacement_numba = compiled(_draw_with_replacement)
deal_groups_numba = compiled(_deal_groups)

if USE_NUMPY:
    draw_with_replacement, deal_groups = draw_with_replacement_numpy, deal_groups_numpy
else:
    draw_with_replacement, deal_groups = draw_with_replacement_numba, deal_groups_numba
