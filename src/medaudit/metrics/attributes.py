"""Attributes, their intersections, and the groups that they define."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.intersections import join_names

MIN_STRATUM = 10
LABEL_SHARE = 0.5
"""Share of a label's variance above which an attribute counts as a copy of the label."""


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


def find_strata(
    patient: np.ndarray, attributes: Sequence[Attribute], y: np.ndarray | None = None
) -> np.ndarray:
    """Return each patient's stratum: the finest cell that holds most of the patient's images.

    Strata of fewer than 10 patients are merged: a stratum of one patient would be drawn the same
    way in every replicate and add no variance. An attribute that (nearly) fixes the label of a
    task, e.g. a column `biopsy` that repeats it, gives no strata: every replicate would have the
    same number of positives, and intervals would be too narrow.

    Parameters
    ----------
    patient : ndarray of int, shape (n_images,)
        0 to P - 1, each present.
    attributes : sequence of Attribute
        The cells are their intersection; without any, all patients are one stratum.
    y : ndarray, shape (n_images, tasks), optional
        Labels 1, 0 or NaN.

    Returns
    -------
    ndarray of int, shape (P,)
        0 to the number of strata - 1.
    """
    labels = [] if y is None else list(y.T)
    kept = [a for a in attributes if not any(fixes_label(a.codes, label) for label in labels)]
    if not kept:
        return np.zeros(int(patient.max(initial=-1)) + 1, int)
    cells = pd.DataFrame({a.name: a.codes for a in kept}).groupby([a.name for a in kept], sort=True)
    counts = pd.DataFrame({"patient": patient, "cell": cells.ngroup()}).value_counts(sort=False)
    most = counts.reset_index().sort_values(["patient", "count", "cell"], ascending=[1, 0, 1])
    stratum = most.drop_duplicates("patient")["cell"].to_numpy()
    sizes = np.bincount(stratum)
    merged = np.where(sizes[stratum] < MIN_STRATUM, -1, stratum)
    return np.unique(merged, return_inverse=True)[1]


def fixes_label(codes: np.ndarray, label: np.ndarray) -> bool:
    """Return whether the levels of an attribute explain half of a label's variance or more.

    The share is the adjusted coefficient of determination, which many small levels do not
    inflate.

    Parameters
    ----------
    codes : ndarray of int, shape (n_images,)
        Level of each image; -1 is a level of its own.
    label : ndarray, shape (n_images,)
        1, 0 or NaN; images without a label do not count.

    Examples
    --------
    >>> label = np.array([0, 0, 0, 1, 1, 1] * 5)
    >>> fixes_label(label, label), fixes_label(np.arange(30) % 2, label)
    (True, False)
    """
    known = ~np.isnan(label)
    y, level = label[known].astype(float), codes[known] + 1
    if not y.size or y.min() == y.max():
        return False
    size = np.bincount(level)
    levels = int((size > 0).sum())
    if y.size <= levels:
        return False
    mean = np.bincount(level, y) / np.maximum(size, 1)
    within = ((y - mean[level]) ** 2).sum() / (y.size - levels)
    return bool(1 - within / y.var(ddof=1) >= LABEL_SHARE)


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
