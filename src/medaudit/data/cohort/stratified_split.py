"""Random splits by patient in which every split gets its share of each label in each group."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.data.cohort.patient_split import apportion, check_shares

SMALLEST = 4
"""Patients of a cell that is spread on purpose; with fewer, the largest split would get them all."""


def split_by_labels(
    frame: pd.DataFrame,
    tasks: Sequence[str],
    attributes: Sequence[str],
    shares: Mapping[str, float],
    rng: np.random.Generator,
) -> pd.Series:
    """Split patients so that labels are as frequent in each group of each split as in all.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per image: ``patient_id``, ``y_<task>`` (0, 1 or missing) and ``a_<attribute>``.
    tasks : sequence of str
        Labels.
    attributes : sequence of str
        Groups; those that the frame lacks are ignored, and a patient without a value in one belongs
        to none of its groups.
    shares : mapping of str to float
        Share of the patients of each split; they sum to 1.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    pandas.Series
        Split of each image, with the index of `frame`.

    Raises
    ------
    MedauditError
        The shares do not sum to 1.

    Notes
    -----
    Iterative stratification (Sechidis, Tsoumakas and Vlahavas, ECML PKDD 2011), with patients as
    instances and pairs of label and group as their labels, and with fixed sizes of the splits.
    """
    patients, names = pd.factorize(frame["patient_id"], sort=True)
    cells = _cells(frame, patients, len(names), tasks, attributes)
    split = assign(cells, len(names), shares, rng)
    return pd.Series(split[patients], frame.index, dtype="str")


def draw_by_labels(
    frame: pd.DataFrame,
    tasks: Sequence[str],
    attributes: Sequence[str],
    wanted: int,
    rng: np.random.Generator,
) -> pd.Series:
    """Draw patients so that splits keep their shares, and labels their shares in each group.

    Parameters
    ----------
    frame, tasks, attributes, rng
        As of `split_by_labels`; the frame has a column ``split``.
    wanted : int
        Number of patients to draw.

    Returns
    -------
    pandas.Series
        Whether the patient of each image is drawn, with the index of `frame`.

    Raises
    ------
    MedauditError
        There are fewer patients than `wanted`.
    """
    sizes = frame.groupby("split")["patient_id"].nunique()
    if wanted > sizes.sum():
        raise MedauditError(
            f"`patients: {wanted}` is more than the {sizes.sum()} there are; lower the number, or "
            "keep all (null)"
        )
    drawn = pd.Series(True, frame.index)
    for name, n in zip(sizes.index, apportion(wanted, sizes.to_numpy()), strict=True):
        part = frame[frame["split"] == name]
        if n < sizes[name]:
            shares = {"rest": 1 - n / sizes[name], "drawn": n / sizes[name]}
            drawn[part.index] = split_by_labels(part, tasks, attributes, shares, rng) == "drawn"
    return drawn


def assign(
    cells: Sequence[np.ndarray], n: int, shares: Mapping[str, float], rng: np.random.Generator
) -> np.ndarray:
    """Split `n` patients such that every cell is spread over the splits by their shares.

    Parameters
    ----------
    cells : sequence of numpy.ndarray
        The members of each cell: numbers of patients, from 0. Cells may overlap.
    n : int
        Number of patients.
    shares : mapping of str to float
        Share of each split; they sum to 1.
    rng : numpy.random.Generator
        Source of randomness.

    Returns
    -------
    numpy.ndarray
        Name of the split of each patient.
    """
    check_shares(shares)
    share = np.array(list(shares.values()))
    # Largest remainder; of equal ones the last split gets the patient, which is the test split.
    room = apportion(n, share[::-1])[::-1].copy()
    members = [cell for cell in cells if len(cell) >= SMALLEST] + [np.arange(n)]
    of_patient = _invert(members, n)
    wanted = np.outer([len(cell) for cell in members], share)
    left = np.array([len(cell) for cell in members])
    lots = rng.random((n, len(share)))
    order = rng.permutation(n)
    split = np.full(n, -1)
    # The rarest cell first: later there may be too few of its patients left to choose from.
    while left.any():
        cell = int(np.where(left > 0, left, n + 1).argmin())
        inside = np.zeros(n, bool)
        inside[members[cell]] = True
        for patient in order[inside[order] & (split[order] < 0)].tolist():
            open_ = np.where(room > 0, wanted[cell], -np.inf)
            place = int(np.lexsort((lots[patient], room / share, open_))[-1])
            split[patient] = place
            room[place] -= 1
            own = of_patient[patient]
            wanted[own, place] -= 1
            left[own] -= 1
    return np.array(list(shares))[split]


def _cells(
    frame: pd.DataFrame,
    patients: np.ndarray,
    n: int,
    tasks: Sequence[str],
    attributes: Sequence[str],
) -> list[np.ndarray]:
    """Return the patients with each label, among all and in each group of each attribute."""
    columns = [f"a_{name}" for name in attributes if f"a_{name}" in frame]
    groups = [np.zeros(len(frame), int), *(pd.factorize(frame[c], sort=True)[0] for c in columns)]
    cells = []
    for task in tasks:
        label = frame[f"y_{task}"].to_numpy(float)
        for group in groups:
            for level in range(group.max() + 1):
                for value in (0, 1):
                    # A patient with images of both kinds counts for both.
                    cells.append(np.unique(patients[(group == level) & (label == value)]))
    return cells


def _invert(members: Sequence[np.ndarray], n: int) -> list[np.ndarray]:
    """Return the cells of each patient."""
    who = np.concatenate(members)
    which = np.repeat(np.arange(len(members)), [len(cell) for cell in members])
    order = np.argsort(who, kind="stable")
    ends = np.cumsum(np.bincount(who, minlength=n))
    return np.split(which[order], ends[:-1])
