"""Replicate weights: bootstrap and jackknife of patients, permutations of group labels.

Each replicate has its own random stream, so that neither the block size nor the number of threads
changes a number.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from medaudit.metrics.dealt import deal_groups
from medaudit.seeds import derive_seed

BLOCK_BYTES = 2**27
JACKKNIFE_GROUPS = 200


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


def draw_patients(stratum: np.ndarray, cohort: str, block: slice) -> np.ndarray:
    """Draw patients with replacement within their strata.

    Parameters
    ----------
    stratum : ndarray of int, shape (patients,)
        0 to the number of strata - 1.
    cohort : str
        The stream's name: models of one cohort get the same draws, so differences are paired.
    block : slice
        Replicates wanted.

    Returns
    -------
    ndarray of uint8, shape (patients, replicates)
        How often each patient was drawn; multinomial with the stratum's size as its total.
    """
    order = np.argsort(stratum, kind="stable")
    starts = np.append(0, np.cumsum(np.bincount(stratum)))
    counts = np.empty((block.stop - block.start, stratum.size), np.uint8)
    for row, rng in zip(counts, _streams("bootstrap", cohort, block=block), strict=True):
        for start, end in zip(starts[:-1], starts[1:], strict=True):
            drawn = rng.integers(0, end - start, size=end - start, dtype=np.uint32)
            row[order[start:end]] = np.bincount(drawn, minlength=end - start)
    return np.ascontiguousarray(counts.T)


def leave_out(stratum: np.ndarray, cohort: str) -> np.ndarray:
    """Return the weights of a grouped jackknife, shape (patients, at most 200).

    Patients are put at random into 200 parts of nearly equal size, balanced over strata; column j
    leaves part j out.
    """
    rng = next(_streams("jackknife", cohort, block=slice(0, 1)))
    shuffled = rng.permutation(stratum.size)
    order = shuffled[np.argsort(stratum[shuffled], kind="stable")]
    parts = min(JACKKNIFE_GROUPS, stratum.size)
    weights = np.ones((stratum.size, parts), np.uint8)
    weights[order, np.arange(stratum.size) % parts] = 0
    return weights


def permute_groups(
    group: np.ndarray,
    stratum: np.ndarray,
    first: np.ndarray,
    orders: list[np.ndarray],
) -> np.ndarray:
    """Permute group codes between units of the same stratum.

    Parameters
    ----------
    group : ndarray of int, shape (units,)
        Code of each unit.
    stratum : ndarray of int, shape (units,)
        Units that may exchange their groups; -1 takes no part and gets code -1.
    first : ndarray of int, shape (patients + 1,)
        Units of patient p are ``first[p]`` to ``first[p + 1] - 1``.
    orders : list of ndarray of int, shape (patients,)
        One random order of the patients for each replicate. The same orders for several tasks give
        each task a permutation within its own strata, and yet nearly the same group to one patient
        in all tasks.

    Returns
    -------
    ndarray of int8 (int16 if groups are 128 or more), shape (units, replicates)
    """
    taking = np.flatnonzero(stratum >= 0)
    kind = np.int8 if group.max(initial=0) < 128 else np.int16
    codes = group[taking][np.lexsort((group[taking], stratum[taking]))].astype(kind)
    offset = np.append(0, np.cumsum(np.bincount(stratum[taking])))[:-1].astype(np.int64)
    dealt = np.full((len(orders), group.size), -1, kind)
    for row, order in zip(dealt, orders, strict=True):
        deal_groups(codes, order, first, stratum, offset, row)
    return np.ascontiguousarray(dealt.T)


def random_orders(patients: int, cohort: str, block: slice) -> list[np.ndarray]:
    """Return one random order of the patients for each replicate of `block`."""
    return [
        rng.permutation(patients).astype(np.int32) for rng in _streams("null", cohort, block=block)
    ]


def _streams(*names: str, block: slice) -> Iterator[np.random.Generator]:
    seed = derive_seed(*names)
    for index in range(block.start, block.stop):
        yield np.random.Generator(np.random.SFC64(np.random.SeedSequence([seed, index])))
