"""Fill cells of a fixed size with images, no patient giving too many: a maximum flow.

Taking images one after another can fail where a solution exists: the only patients of a scarce
cell may have been spent on a rich one. Here a random start is repaired along the augmenting paths
of a maximum flow patient -> cell, which finds a solution wherever there is one.
"""

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import maximum_flow


def fill_cells(
    patients: np.ndarray, cells: np.ndarray, n_cells: int, size: int, limit: int, rng
) -> tuple[np.ndarray, np.ndarray]:
    """Choose `size` images of each cell, at most `limit` of a patient over all cells.

    Parameters
    ----------
    patients, cells : numpy.ndarray
        Patient and cell of each image, whole numbers from 0, shape (images,); each image is in
        one cell.
    n_cells, size, limit : int
        Number of cells; images wanted of each; most images of one patient.
    rng : numpy.random.Generator
        Picks one of the possible choices: images in random order, repaired where that gets stuck.

    Returns
    -------
    chosen : numpy.ndarray
        Bool, shape (images,); as many as can be chosen together.
    short : numpy.ndarray
        Images lacking in each cell, shape (cells,); all 0 if and only if the request is feasible.
    """
    order = rng.permutation(len(patients))
    chosen = _take_in_order(patients, cells, order, size, limit)
    short = size - np.bincount(cells[chosen], minlength=n_cells)
    if short.any():
        chosen = _repair(patients, cells, chosen, order, short, limit)
        short = size - np.bincount(cells[chosen], minlength=n_cells)
    return chosen, short


def _take_in_order(patients, cells, order, size: int, limit: int) -> np.ndarray:
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


def _repair(patients, cells, chosen, order, short, limit: int) -> np.ndarray:
    pairs, pair = np.unique(patients * len(short) + cells, return_inverse=True)
    used = np.bincount(pair[chosen], minlength=len(pairs))
    free = np.bincount(pair, minlength=len(pairs)) - used
    left = limit - np.bincount(patients[chosen], minlength=patients.max() + 1)
    gained = _augment(pairs // len(short), pairs % len(short), used, free, left, short)
    return _draw_from_pairs(pair, used + gained, order)


def _augment(of_patient, of_cell, used, free, left, short) -> np.ndarray:
    """Return the change of each pair's use: a maximum flow in the residual network."""
    source, sink = 0, 1 + len(left) + len(short)
    patient, cell = 1 + of_patient, 1 + len(left) + of_cell
    everyone, every_cell = 1 + np.arange(len(left)), 1 + len(left) + np.arange(len(short))
    tails = np.concatenate([np.full(len(left), source), patient, cell, every_cell])
    heads = np.concatenate([everyone, cell, patient, np.full(len(short), sink)])
    capacity = np.concatenate([np.minimum(left, short.sum()), free, used, short])
    network = csr_matrix((capacity.astype(np.int32), (tails, heads)), shape=(sink + 1, sink + 1))
    return np.asarray(maximum_flow(network, source, sink).flow[patient, cell]).ravel()


def _draw_from_pairs(pair, wanted, order) -> np.ndarray:
    """Choose the `wanted` number of images of each pair, in random order."""
    turn = np.empty(len(order), int)
    turn[order] = np.arange(len(order))
    ranked = np.lexsort((turn, pair))
    sorted_pairs = pair[ranked]
    place = np.arange(len(pair)) - np.searchsorted(sorted_pairs, sorted_pairs)
    result = np.zeros(len(pair), bool)
    result[ranked] = place < wanted[sorted_pairs]
    return result
