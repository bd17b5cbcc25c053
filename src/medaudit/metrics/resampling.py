"""Resampling: bootstrap weights of patients, permutations of group labels.

Each replicate has a random stream of its own, so that neither the block size nor the number of
threads changes a number.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from medaudit.core.seeds import derive_seed
from medaudit.metrics.random_streams import draw_with_replacement, shuffle_within_strata

BLOCK_BYTES = 2**27
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
        Name of the random stream. That of the test images gives all runs that are tested on them
        the same draws, so that differences between runs are paired.
    block : slice
        Which replicates to draw.
    identity : ndarray of int, shape (patients,), optional
        Place of each patient in the cohort's own order, on which the draws depend; default: the
        patients are in that order.

    Returns
    -------
    ndarray of uint8, shape (patients, replicates)
        How often each patient was drawn; the counts of a stratum add up to its size.
    """
    order = np.lexsort((np.arange(stratum.size) if identity is None else identity, stratum))
    starts = np.append(0, np.cumsum(np.bincount(stratum)))
    counts = np.zeros((block.stop - block.start, stratum.size), np.uint8)
    draw_with_replacement(starts, order, _seeds("bootstrap", stream, block=block), counts)
    return _transpose(counts)


def draw_rows(patient: np.ndarray, stratum: np.ndarray, stream: str, draws: int) -> np.ndarray:
    """Draw the rows of a table by patient, with replacement within strata.

    Parameters
    ----------
    patient, stratum : ndarray, shape (rows,)
        Of each row; a patient belongs to the stratum of their first row.
    stream : str
        Name of the random stream.
    draws : int
        Number of bootstrap samples.

    Returns
    -------
    ndarray of uint8, shape (rows, draws)
        How often each row was drawn.
    """
    _, first, index = np.unique(patient, return_index=True, return_inverse=True)
    strata = np.unique(stratum[first], return_inverse=True)[1]
    return draw_patients(strata, stream, slice(0, draws))[index]


def permute_labels(
    positive: np.ndarray, patient: np.ndarray, names: tuple[str, ...], draws: int
) -> np.ndarray:
    """Permute labels between patients.

    Parameters
    ----------
    positive : ndarray of bool, shape (rows,)
        A patient's rows keep one label together: that of their first row.
    patient : ndarray, shape (rows,)
        Patient of each row.
    names : tuple of str
        Name of the random stream.
    draws : int
        Number of permutations.

    Returns
    -------
    ndarray of bool, shape (rows, draws)
    """
    _, first, index = np.unique(patient, return_index=True, return_inverse=True)
    codes = positive[first].astype(np.int8)
    return permute_groups(codes, np.zeros(codes.size, int), names, slice(0, draws))[index] == 1


def permute_groups(
    group: np.ndarray, stratum: np.ndarray, names: tuple[str, ...], block: slice
) -> np.ndarray:
    """Permute group codes between units of the same stratum.

    Parameters
    ----------
    group : ndarray of int, shape (units,)
        Code of each unit.
    stratum : ndarray of int, shape (units,)
        Units of one stratum exchange their groups; -1 takes no part and gets code -1.
    names : tuple of str
        Name of the random stream.
    block : slice
        Which replicates to draw.

    Returns
    -------
    ndarray of int8 (int16 if groups are 128 or more), shape (units, replicates)
    """
    taking = np.flatnonzero(stratum >= 0)
    taking = taking[np.argsort(stratum[taking], kind="stable")]
    kind = code_type(int(group.max(initial=0)))
    starts = np.append(0, np.cumsum(np.bincount(stratum[taking])))
    permuted = np.full((block.stop - block.start, group.size), -1, kind)
    seeds = _seeds("null", *names, block=block)
    shuffle_within_strata(group[taking].astype(kind), starts, taking, seeds, permuted)
    return _transpose(permuted)


def code_type(highest: int) -> type:
    """Return the smallest integer type that holds codes of groups: fewer types to compile for."""
    return np.int8 if highest < 128 else np.int16


def _transpose(rows: np.ndarray) -> np.ndarray:
    """Transpose in strips, which fit the processor's cache: faster than ``rows.T.copy()``."""
    out = np.empty(rows.shape[::-1], rows.dtype)
    for start in range(0, len(out), STRIP):
        out[start : start + STRIP] = rows[:, start : start + STRIP].T
    return out


def _seeds(*names: str, block: slice) -> np.ndarray:
    seed = derive_seed(*names)
    sequences = (np.random.SeedSequence([seed, index]) for index in range(block.start, block.stop))
    return np.array([sequence.generate_state(1, np.uint64)[0] for sequence in sequences])
