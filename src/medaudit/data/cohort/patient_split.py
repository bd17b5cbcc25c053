"""Random splits by patient: with exact cells, in strata, and subsets that keep the shares.

All images of a patient must be in one split. A model that has seen other images of a patient in
training can recognise the patient, and its test results look better than they are.
"""

from collections.abc import Mapping

import numpy as np

from medaudit.core.errors import MedauditError

ATTEMPTS = 100


def split_cells(
    patients: np.ndarray, cells: np.ndarray, sizes: dict[str, int], rng: np.random.Generator
) -> np.ndarray:
    """Split images so that every cell has exactly `sizes` images in each split, by patient.

    Patients with several images are placed first, in decreasing order of their number of images:
    each into a random split with room in all cells of the patient, with a probability proportional
    to this room. Patients with one image fill what is left. If a patient fits nowhere, the whole
    placement is tried again.

    Parameters
    ----------
    patients, cells : numpy.ndarray
        Patient and cell of each image, whole numbers, shape (images,); all cells have equal size.
    sizes : dict of str to int
        Images per cell in each split; they sum to the size of a cell.
    rng : numpy.random.Generator
        Source of the random placement.

    Returns
    -------
    numpy.ndarray
        Name of the split of each image.

    Raises
    ------
    MedauditError
        No placement was found in `ATTEMPTS` attempts: some patients have too many images.
    """
    patients = np.unique(patients, return_inverse=True)[1]
    for _ in range(ATTEMPTS):
        room = np.tile(list(sizes.values()), (cells.max() + 1, 1))
        split = _place_large(patients, cells, room, rng)
        if split is not None:
            _fill_up(cells, split, room, rng)
            return np.array(list(sizes))[split]
    raise MedauditError(
        f"no split by patient with {sizes} images per cell was found in {ATTEMPTS} attempts: one "
        f"patient has {np.bincount(patients).max()} images; lower images_per_patient"
    )


def _place_large(
    patients: np.ndarray, cells: np.ndarray, room: np.ndarray, rng: np.random.Generator
) -> np.ndarray | None:
    """Place patients with several images; -1 for the others, None if one fits nowhere."""
    split = np.full(len(patients), -1)
    counts = np.bincount(patients)
    large = rng.permutation(np.flatnonzero(counts > 1))
    for patient in large[np.argsort(-counts[large], kind="stable")]:
        images = np.flatnonzero(patients == patient)
        own, needed = np.unique(cells[images], return_counts=True)
        weight = np.where((room[own] >= needed[:, None]).all(axis=0), room[own].sum(axis=0), 0)
        if not weight.any():
            return None
        split[images] = rng.choice(len(weight), p=weight / weight.sum())
        room[own, split[images[0]]] -= needed
    return split


def _fill_up(
    cells: np.ndarray, split: np.ndarray, room: np.ndarray, rng: np.random.Generator
) -> None:
    """Place patients with one image at random into what is left of each cell."""
    for cell, left in enumerate(room):
        images = np.flatnonzero((cells == cell) & (split < 0))
        split[images] = rng.permutation(np.repeat(np.arange(len(left)), left))


def split_patients(
    strata: np.ndarray, shares: dict[str, float], rng: np.random.Generator
) -> np.ndarray:
    """Split patients by the given shares, overall and, within one patient, in every stratum.

    Parameters
    ----------
    strata : numpy.ndarray
        Stratum of each patient, sortable, shape (patients,).
    shares : dict of str to float
        Share of each split; they sum to 1.
    rng : numpy.random.Generator
        Source of the random order of patients within a stratum.

    Returns
    -------
    numpy.ndarray
        Name of the split of each patient.

    Raises
    ------
    MedauditError
        The shares do not sum to 1.
    """
    check_shares(shares)
    # Splits are spread evenly over the patients sorted by stratum, so that every stretch of this
    # order, hence every stratum, has the shares. Rounding per stratum would miss the overall
    # shares.
    order = rng.permutation(len(strata))
    order = order[np.argsort(strata[order], kind="stable")]
    split = np.empty(len(strata), dtype=int)
    split[order] = _spread_evenly(np.array(list(shares.values())), len(strata))
    return np.array(list(shares))[split]


def check_shares(shares: Mapping[str, float]) -> None:
    """Raise a `MedauditError` if the shares of the splits do not sum to 1."""
    if abs(sum(shares.values()) - 1) > 1e-9:
        raise MedauditError(
            f"the shares of the splits, {dict(shares)}, sum to {sum(shares.values()):g}; they must "
            "sum to 1"
        )


def _spread_evenly(shares: np.ndarray, n: int) -> np.ndarray:
    """Return a number 0..k-1 for each of `n` places, so that each number is spread evenly."""
    places, left, rest = np.zeros(n, dtype=int), np.arange(n), 1.0
    for k in range(len(shares) - 1, 0, -1):
        due = np.floor(np.arange(len(left) + 1) * (shares[k] / rest) + 0.5)
        taken = np.diff(due) > 0
        places[left[taken]] = k
        left, rest = left[~taken], rest - shares[k]
    return places


def draw_patients(
    split: np.ndarray, cells: np.ndarray, wanted: int, rng: np.random.Generator
) -> np.ndarray:
    """Draw patients so that splits keep their shares and, within a split, cells have equal size.

    Parameters
    ----------
    split : numpy.ndarray
        Name of the split of each patient.
    cells : numpy.ndarray
        Cell of each patient, whole numbers. Within a split, the same number of patients is drawn
        from every cell, or all patients of a smaller cell. Patients of cell -1 are not drawn.
    wanted : int
        Number of patients to draw.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    numpy.ndarray
        Bool, shape (patients,), with `wanted` true values.

    Raises
    ------
    MedauditError
        A split has fewer patients than its share of `wanted`.
    """
    names, counts = np.unique(split, return_counts=True)
    drawn = np.zeros(len(split), bool)
    for name, n in zip(names, apportion(wanted, counts), strict=True):
        own = np.flatnonzero((split == name) & (cells >= 0))
        if n > len(own):
            raise MedauditError(
                f"`patients: {wanted}` needs {n} patients in {name}, which has only {len(own)} with "
                "known groups; lower the number, or keep all (null)"
            )
        members = [own[cells[own] == cell] for cell in np.unique(cells[own])]
        for part, m in zip(members, divide_evenly(n, [len(part) for part in members]), strict=True):
            drawn[rng.permutation(part)[:m]] = True
    return drawn


def apportion(total: int, weights: np.ndarray) -> np.ndarray:
    """Divide a whole number in proportion to `weights`, by the largest-remainder method."""
    exact = total * np.asarray(weights) / np.sum(weights)
    parts = np.floor(exact).astype(int)
    parts[np.argsort(parts - exact, kind="stable")[: total - parts.sum()]] += 1
    return parts


def divide_evenly(total: int, sizes: list[int]) -> list[int]:
    """Divide a whole number as equally as `sizes` allow; a remainder goes to the larger."""
    # From the smallest size up: what a small one cannot take is shared by those after it.
    parts = [0] * len(sizes)
    for rank, i in enumerate(np.argsort(sizes, kind="stable")):
        parts[i] = min(sizes[i], (total - sum(parts)) // (len(sizes) - rank))
    return parts
