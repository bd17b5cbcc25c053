"""Fill cells of equal size with images under a limit per patient, by a maximum flow.

Taking images one after another can fail although a solution exists: the patients whom a scarce cell
needs may already have reached their limit in a cell that has plenty. Which image is taken from whom
is a flow problem: source -> patient (capacity: limit per patient) -> cell (capacity: images of this
patient in this cell) -> sink (capacity: size of a cell). The request can be met if and only if the
maximum flow fills all cells. The flow starts from a random selection, so that the result is a
random one among the possible solutions, and differs from the start only as far as necessary.
"""

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_flow


def fill_cells(
    patients: np.ndarray,
    cells: np.ndarray,
    n_cells: int,
    size: int,
    limit: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Choose `size` images for each cell, at most `limit` images per patient over all cells.

    Parameters
    ----------
    patients, cells : numpy.ndarray
        Patient and cell of each image, whole numbers from 0, shape (images,).
    n_cells, size, limit : int
        Number of cells; images per cell; largest number of images per patient.
    rng : numpy.random.Generator
        Source of the random order in which images are tried.

    Returns
    -------
    chosen : numpy.ndarray
        Bool, shape (images,); as many images as can be chosen together.
    short : numpy.ndarray
        Number of missing images in each cell, shape (cells,); all 0 if and only if the request can
        be met.
    """
    order = rng.permutation(len(patients))
    chosen = _take_in_order(patients, cells, order, size, limit)
    short = size - np.bincount(cells[chosen], minlength=n_cells)
    if short.any():
        chosen = _repair(patients, cells, chosen, order, short, limit)
        short = size - np.bincount(cells[chosen], minlength=n_cells)
    return chosen, short


def _take_in_order(
    patients: np.ndarray, cells: np.ndarray, order: np.ndarray, size: int, limit: int
) -> np.ndarray:
    """Choose images in the given order, as long as neither their patient nor their cell is full."""
    of_patient, of_cell = [limit] * (patients.max() + 1), [size] * (cells.max() + 1)
    chosen = np.zeros(len(patients), bool)
    for image, patient, cell in zip(
        order.tolist(), patients[order].tolist(), cells[order].tolist(), strict=True
    ):
        if of_patient[patient] and of_cell[cell]:
            of_patient[patient] -= 1
            of_cell[cell] -= 1
            chosen[image] = True
    return chosen


def _repair(
    patients: np.ndarray,
    cells: np.ndarray,
    chosen: np.ndarray,
    order: np.ndarray,
    short: np.ndarray,
    limit: int,
) -> np.ndarray:
    """Return a selection that fills the cells as far as possible, starting from `chosen`."""
    # Images of the same patient and cell are interchangeable, so the flow is between pairs.
    pairs, pair = np.unique(patients * len(short) + cells, return_inverse=True)
    used = np.bincount(pair[chosen], minlength=len(pairs))
    free = np.bincount(pair, minlength=len(pairs)) - used
    left = limit - np.bincount(patients[chosen], minlength=patients.max() + 1)
    gained = _augment(pairs // len(short), pairs % len(short), used, free, left, short)
    return _draw_from_pairs(pair, used + gained, order)


def _augment(
    of_patient: np.ndarray,
    of_cell: np.ndarray,
    used: np.ndarray,
    free: np.ndarray,
    left: np.ndarray,
    short: np.ndarray,
) -> np.ndarray:
    """Return how the number of images of each pair changes: a maximum flow in the residual network.

    A pair has an edge patient -> cell for its images that are still free, and an edge cell ->
    patient for those in use, along which the flow takes an image back.
    """
    source, sink = 0, 1 + len(left) + len(short)
    patient, cell = 1 + of_patient, 1 + len(left) + of_cell
    everyone, every_cell = 1 + np.arange(len(left)), 1 + len(left) + np.arange(len(short))
    tails = np.concatenate([np.full(len(left), source), patient, cell, every_cell])
    heads = np.concatenate([everyone, cell, patient, np.full(len(short), sink)])
    capacity = np.concatenate([np.minimum(left, short.sum()), free, used, short])
    network = csr_matrix((capacity.astype(np.int32), (tails, heads)), shape=(sink + 1, sink + 1))
    return np.asarray(maximum_flow(network, source, sink).flow[patient, cell]).ravel()


def _draw_from_pairs(pair: np.ndarray, wanted: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Choose the `wanted` number of images of each pair: the first in the random order."""
    turn = np.empty(len(order), int)
    turn[order] = np.arange(len(order))
    ranked = np.lexsort((turn, pair))
    sorted_pairs = pair[ranked]
    place = np.arange(len(pair)) - np.searchsorted(sorted_pairs, sorted_pairs)
    result = np.zeros(len(pair), bool)
    result[ranked] = place < wanted[sorted_pairs]
    return result
