"""Splits by patient: exact cells, strata, and small subsets that keep the shares."""

import numpy as np

from medaudit.core.errors import MedauditError

ATTEMPTS = 100


def split_cells(
    patients: np.ndarray, cells: np.ndarray, sizes: dict[str, int], rng: np.random.Generator
) -> np.ndarray:
    """Split images so that each cell gives exactly `sizes` and no patient is in two splits.

    Patients with several images are placed first, the largest first, into a split with room in
    all their cells, at random in proportion to that room; the others fill up. Where a placement
    gets stuck, another is tried.

    Parameters
    ----------
    patients, cells : numpy.ndarray
        Patient and cell of each image, whole numbers, shape (images,); all cells equally large.
    sizes : dict of str to int
        Images of each cell by split; they sum to the size of a cell.
    rng : numpy.random.Generator
        Places patients.

    Returns
    -------
    numpy.ndarray
        Split of each image, text.

    Raises
    ------
    MedauditError
        No placement was found: some patients have too many images.
    """
    patients = np.unique(patients, return_inverse=True)[1]
    for _ in range(ATTEMPTS):
        room = np.tile(list(sizes.values()), (cells.max() + 1, 1))
        split = _place_large(patients, cells, room, rng)
        if split is not None:
            _fill_up(cells, split, room, rng)
            return np.array(list(sizes))[split]
    raise MedauditError(
        f"no split by patient gives each cell {sizes}: one patient has "
        f"{np.bincount(patients).max()} images; lower images_per_patient"
    )


def _place_large(patients, cells, room: np.ndarray, rng) -> np.ndarray | None:
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


def _fill_up(cells, split: np.ndarray, room: np.ndarray, rng) -> None:
    for cell, left in enumerate(room):
        images = np.flatnonzero((cells == cell) & (split < 0))
        split[images] = rng.permutation(np.repeat(np.arange(len(left)), left))


def split_patients(
    strata: np.ndarray, shares: dict[str, float], rng: np.random.Generator
) -> np.ndarray:
    """Split patients at the given shares, overall and (within one patient) in each stratum.

    Parameters
    ----------
    strata : numpy.ndarray
        Stratum of each patient, sortable, shape (patients,).
    shares : dict of str to float
        Share of each split; they sum to 1.
    rng : numpy.random.Generator
        Orders the patients of a stratum.

    Returns
    -------
    numpy.ndarray
        Split of each patient, text.
    """
    if abs(sum(shares.values()) - 1) > 1e-9:
        raise MedauditError(f"the shares of the splits {shares} sum to {sum(shares.values()):g}")
    order = rng.permutation(len(strata))
    order = order[np.argsort(strata[order], kind="stable")]
    split = np.empty(len(strata), dtype=int)
    split[order] = _deal(np.array(list(shares.values())), len(strata))
    return np.array(list(shares))[split]


def _deal(shares: np.ndarray, n: int) -> np.ndarray:
    """Return 0..k-1 for each of `n` places, each as evenly spread as its share allows."""
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
    """Draw a number of patients that keeps the shares of the splits and evens out the cells.

    Parameters
    ----------
    split : numpy.ndarray
        Split of each patient, text.
    cells : numpy.ndarray
        Cell of each patient, whole numbers; within a split the same number is drawn of each cell,
        or all of it where it is smaller. A patient of cell -1 is not drawn.
    wanted : int
        Number of patients.
    rng : numpy.random.Generator
        Draws.

    Returns
    -------
    numpy.ndarray
        Bool, shape (patients,), with `wanted` true values.

    Raises
    ------
    MedauditError
        There are not as many patients.
    """
    names, counts = np.unique(split, return_counts=True)
    drawn = np.zeros(len(split), bool)
    for name, n in zip(names, share_out(wanted, counts), strict=True):
        own = np.flatnonzero((split == name) & (cells >= 0))
        if n > len(own):
            raise MedauditError(
                f"`patients: {wanted}` wants {n} patients in {name}, which has {len(own)} with "
                "known groups; ask for fewer, or for all (null)"
            )
        members = [own[cells[own] == cell] for cell in np.unique(cells[own])]
        for part, m in zip(members, even_out(n, [len(part) for part in members]), strict=True):
            drawn[rng.permutation(part)[:m]] = True
    return drawn


def share_out(total: int, weights: np.ndarray) -> np.ndarray:
    """Part a whole number in proportion to `weights`, by largest remainder."""
    exact = total * np.asarray(weights) / np.sum(weights)
    parts = np.floor(exact).astype(int)
    parts[np.argsort(parts - exact, kind="stable")[: total - parts.sum()]] += 1
    return parts


def even_out(total: int, sizes: list[int]) -> list[int]:
    """Part a whole number as evenly as `sizes` allow; a remainder goes to the larger ones."""
    parts = [0] * len(sizes)
    for rank, i in enumerate(np.argsort(sizes, kind="stable")):
        parts[i] = min(sizes[i], (total - sum(parts)) // (len(sizes) - rank))
    return parts
