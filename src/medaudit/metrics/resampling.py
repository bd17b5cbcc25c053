"""Replicate weights: bootstrap and jackknife of patients, permutations of group labels.

Each replicate has its own random stream, so that neither the block size nor the number of threads
changes a number.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from medaudit.core.seeds import derive_seed, generator
from medaudit.metrics.random_streams import deal_groups, draw_with_replacement

BLOCK_BYTES = 2**27
JACKKNIFE_GROUPS = 200
STRIP = 2048


def cut_blocks(draws: int, units: int, bytes_each: int = 1) -> list[slice]:
    """Cut replicates into blocks of at most 256 whose weights stay below 128 MiB."""
    size = int(np.clip(BLOCK_BYTES // max(units * bytes_each, 1) // 32 * 32, 32, 256))
    return [slice(start, min(start + size, draws)) for start in range(0, draws, size)]


def run_blocks(function: Callable[[slice], None], blocks: list[slice], threads: int) -> None:
    """Call `function` for each block, on several threads."""
    if threads < 2:
        for block in blocks:
            function(block)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(function, blocks))


def draw_patients(
    stratum: np.ndarray, stream: str, block: slice, identity: np.ndarray | None = None
) -> np.ndarray:
    """Draw patients with replacement within their strata.

    Parameters
    ----------
    stratum : ndarray of int, shape (patients,)
        0 to the number of strata - 1.
    stream : str
        Its name, that of the test images: all that is tested on them gets the same draws, so
        differences are paired.
    block : slice
        Replicates wanted.
    identity : ndarray of int, shape (patients,), optional
        Place of each patient in the cohort's own order, on which the draws depend; without it,
        patients are in that order.

    Returns
    -------
    ndarray of uint8, shape (patients, replicates)
        How often each patient was drawn; multinomial with the stratum's size as its total.
    """
    order = np.lexsort((np.arange(stratum.size) if identity is None else identity, stratum))
    starts = np.append(0, np.cumsum(np.bincount(stratum)))
    counts = np.zeros((block.stop - block.start, stratum.size), np.uint8)
    draw_with_replacement(starts, order, _seeds("bootstrap", stream, block=block), counts)
    return _turn(counts)


def leave_out(stratum: np.ndarray, cohort: str) -> np.ndarray:
    """Return the weights of a grouped jackknife, shape (patients, at most 200).

    Patients are put at random into 200 parts of nearly equal size, balanced over strata; column j
    leaves part j out.
    """
    rng = generator("jackknife", cohort)
    shuffled = rng.permutation(stratum.size)
    order = shuffled[np.argsort(stratum[shuffled], kind="stable")]
    parts = min(JACKKNIFE_GROUPS, stratum.size)
    weights = np.ones((stratum.size, parts), np.uint8)
    weights[order, np.arange(stratum.size) % parts] = 0
    return weights


def permute_groups(
    group: np.ndarray, stratum: np.ndarray, names: tuple[str, ...], block: slice
) -> np.ndarray:
    """Permute group codes between units of the same stratum.

    Parameters
    ----------
    group : ndarray of int, shape (units,)
        Code of each unit.
    stratum : ndarray of int, shape (units,)
        Units that may exchange their groups; -1 takes no part and gets code -1.
    names : tuple of str
        Name of the random stream.
    block : slice
        Replicates wanted.

    Returns
    -------
    ndarray of int8 (int16 if groups are 128 or more), shape (units, replicates)
    """
    taking = np.flatnonzero(stratum >= 0)
    taking = taking[np.argsort(stratum[taking], kind="stable")]
    kind = np.int8 if group.max(initial=0) < 128 else np.int16
    starts = np.append(0, np.cumsum(np.bincount(stratum[taking])))
    dealt = np.full((block.stop - block.start, group.size), -1, kind)
    seeds = _seeds("null", *names, block=block)
    deal_groups(group[taking].astype(kind), starts, taking, seeds, dealt)
    return _turn(dealt)


def _turn(rows: np.ndarray) -> np.ndarray:
    """Transpose in strips that fit the processor's cache."""
    out = np.empty(rows.shape[::-1], rows.dtype)
    for start in range(0, len(out), STRIP):
        out[start : start + STRIP] = rows[:, start : start + STRIP].T
    return out


def _seeds(*names: str, block: slice) -> np.ndarray:
    seed = derive_seed(*names)
    sequences = (np.random.SeedSequence([seed, index]) for index in range(block.start, block.stop))
    return np.array([sequence.generate_state(1, np.uint64)[0] for sequence in sequences])
