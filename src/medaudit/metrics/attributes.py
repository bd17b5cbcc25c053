"""Attributes, their intersections, and the groups that they define."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.intersections import join_names

MIN_STRATUM = 10


@dataclass(frozen=True)
class Attribute:
    """One attribute or intersection, coded for the images of the test split.

    Parameters
    ----------
    name : str
        E.g. ``sex`` or ``sex & age_group``; ``all`` for everybody.
    levels : tuple of str
        Groups in their order: every level of the cohort, also one without a test image.
    codes : ndarray of int32, shape (n_images,)
        Index into `levels`, -1 where the group is not known.
    """

    name: str
    levels: tuple[str, ...]
    codes: np.ndarray


def read_attributes(
    cohort: pd.DataFrame, test: np.ndarray, wanted: Sequence[str | Sequence[str]]
) -> list[Attribute]:
    """Code the attributes of the test images.

    Parameters
    ----------
    cohort : pandas.DataFrame
        Has a column ``a_<attribute>`` for each attribute; blank is missing.
    test : ndarray of bool, shape (len(cohort),)
        Marks the rows to code, e.g. those of the test split.
    wanted : sequence of str or sequence of str
        Attributes; a sequence of several is their intersection.

    Returns
    -------
    list of Attribute
        ``all`` first, then one per entry of `wanted`.

    Raises
    ------
    MedauditError
        The cohort lacks an attribute, an attribute is missing in every row, or one is named twice.
    """
    found = [Attribute("all", ("all",), np.zeros(int(test.sum()), np.int32))]
    for entry in wanted:
        names = [entry] if isinstance(entry, str) else list(entry)
        found.append(_cross(cohort, test, names))
    repeated = {a.name for a in found if sum(a.name == b.name for b in found) > 1}
    if repeated:
        raise MedauditError(f"attributes: {sorted(repeated)} are named twice; name each once")
    return found


def find_strata(patient: np.ndarray, attributes: Sequence[Attribute]) -> np.ndarray:
    """Return each patient's stratum: the finest cell that holds most of the patient's images.

    Strata of fewer than 10 patients are merged: a stratum of one patient would be drawn the same
    way in every replicate and add no variance.

    Parameters
    ----------
    patient : ndarray of int, shape (n_images,)
        0 to P - 1, each present.
    attributes : sequence of Attribute
        The cells are their intersection.

    Returns
    -------
    ndarray of int, shape (P,)
        0 to the number of strata - 1.
    """
    cells = pd.DataFrame({a.name: a.codes for a in attributes}).groupby(
        [a.name for a in attributes], sort=True
    )
    counts = pd.DataFrame({"patient": patient, "cell": cells.ngroup()}).value_counts(sort=False)
    most = counts.reset_index().sort_values(["patient", "count", "cell"], ascending=[1, 0, 1])
    stratum = most.drop_duplicates("patient")["cell"].to_numpy()
    sizes = np.bincount(stratum)
    merged = np.where(sizes[stratum] < MIN_STRATUM, -1, stratum)
    return np.unique(merged, return_inverse=True)[1]


def _cross(cohort: pd.DataFrame, test: np.ndarray, names: list[str]) -> Attribute:
    lacking = [name for name in names if f"a_{name}" not in cohort.columns]
    if lacking:
        present = [column[2:] for column in cohort.columns if column.startswith("a_")]
        raise MedauditError(
            f"the cohort has no attribute {', '.join(lacking)}; it has {present}. "
            "Name one of these in `attributes`, or add the column a_<attribute>"
        )
    columns = cohort[[f"a_{name}" for name in names]]
    known = columns.notna().all(axis=1).to_numpy()
    if not known.any():
        raise MedauditError(
            f"the attribute {join_names(names)} is missing for everybody in the cohort; "
            "fill it, or remove it from `attributes`"
        )
    cells = columns[known].drop_duplicates()
    cells = cells.sort_values(list(cells.columns))
    levels = [join_names(map(str, cell)) for cell in cells.itertuples(index=False)]
    codes = np.full(len(cohort), -1, np.int32)
    keys = pd.MultiIndex.from_frame(cells)
    codes[known] = keys.get_indexer(pd.MultiIndex.from_frame(columns[known]))
    return Attribute(join_names(names), tuple(levels), codes[test])
