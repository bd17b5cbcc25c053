"""Strata, units, and which groups and strata can be compared."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.intersections import SEPARATOR, join_names, split_name
from medaudit.metrics.attributes import Attribute, read_attributes

MOST_STRATA = 100
COVERAGE = 0.5
"""Share of the images that the compared strata must hold."""


def read_control(cohort: pd.DataFrame, names: list[str]) -> Attribute:
    """Return the strata of the test images: the levels of what is controlled for, crossed.

    Parameters
    ----------
    cohort : pandas.DataFrame
        All splits. A control is an attribute (column ``a_<name>``) or a column of the cohort, e.g.
        ``view``.
    names : list of str
        What to control for.

    Returns
    -------
    Attribute
        Code -1 where one of them is not known.

    Raises
    ------
    MedauditError
        There is no such column, it is empty, or there are more than 100 strata.
    """
    own = {f"a_{n}": cohort[n] for n in names if f"a_{n}" not in cohort and n in cohort}
    _refuse_numbers(own)
    table = cohort.assign(**{n: c.astype("str").where(c.notna()) for n, c in own.items()})
    test = (cohort["split"] == "test").to_numpy()
    found = read_attributes(table, test, [names if len(names) > 1 else names[0]])[1]
    if len(found.levels) > MOST_STRATA:
        raise MedauditError(
            f"control: {join_names(names)} makes {len(found.levels)} strata; at most {MOST_STRATA} "
            "can be compared: control for fewer attributes, or bin them"
        )
    return found


def _refuse_numbers(columns: dict[str, pd.Series]) -> None:
    for name, column in columns.items():
        if pd.api.types.is_float_dtype(column):
            raise MedauditError(
                f"control: {name[2:]} holds numbers; control for an attribute with groups, e.g. "
                "age_group"
            )


def controlled(attribute: str, control: str) -> bool:
    """Return whether an attribute shares a part with what is controlled for."""
    return bool(set(split_name(attribute)) & set(split_name(control)))


def cross(control: Attribute, attribute: Attribute) -> Attribute:
    """Return the cells stratum x group; the code is ``stratum * groups + group``.

    It has the name of `attribute`, whose importance weights apply.
    """
    size = len(attribute.levels)
    levels = [f"{s}{SEPARATOR}{g}" for s in control.levels for g in attribute.levels]
    known = (control.codes >= 0) & (attribute.codes >= 0)
    codes = np.where(known, control.codes * size + attribute.codes, -1)
    return Attribute(attribute.name, tuple(levels), codes.astype(np.int32))


@dataclass(frozen=True)
class Support:
    """Which groups and strata are compared.

    Parameters
    ----------
    groups, strata : ndarray of bool
    coverage : float
        Share of the images, of all whose group and stratum are known, that lie in these strata.
    """

    groups: np.ndarray
    strata: np.ndarray
    coverage: float

    @property
    def comparable(self) -> bool:
        """Whether at least two groups can be compared in strata of at least half of the images."""
        return bool(self.groups.sum() > 1 and self.coverage >= COVERAGE)


def find_support(estimable: np.ndarray, share: np.ndarray) -> Support:
    """Find the groups that can be estimated in the same strata.

    Strata in which a group cannot be estimated are left out. Where the remaining ones hold less
    than half of the images, the group that can be estimated in the fewest is left out instead.

    Parameters
    ----------
    estimable : ndarray of bool, shape (strata, groups)
        Whether a group can be estimated in a stratum.
    share : ndarray, shape (strata,)
        Share of each stratum among all images.
    """
    groups = np.asarray(estimable.any(axis=0))
    while True:
        strata = np.asarray(estimable[:, groups].all(axis=1) & groups.any())
        coverage = float(share[strata].sum())
        if coverage >= COVERAGE or groups.sum() <= 2:
            return Support(groups, strata, coverage)
        own = np.where(groups, share @ estimable, np.inf)
        groups = groups & (np.arange(groups.size) != own.argmin())


def find_profiles(
    unit: np.ndarray, stratum: np.ndarray, label: np.ndarray | None, units: int
) -> np.ndarray:
    """Return, for each unit, a code of the strata (and labels) in which it has images.

    Units with the same code are exchanged by the permutation test, so that every group keeps its
    numbers of patients in each stratum.

    Parameters
    ----------
    unit, stratum : ndarray of int, shape (images,)
        Only of images that take part.
    label : ndarray of int, shape (images,), or None
        0 or 1; None: units are alike whatever their labels.
    units : int
        Number of units.

    Returns
    -------
    ndarray of int, shape (units,)
        -1 where a unit has no image.
    """
    key = stratum.astype(np.int64) if label is None else stratum.astype(np.int64) * 2 + label
    code = np.zeros(units, np.int64)
    for value in np.unique(key):
        present = np.zeros(units, np.int64)
        present[unit[key == value]] = 1
        code = np.unique(code * 2 + present, return_inverse=True)[1]
    taking = np.zeros(units, bool)
    taking[unit] = True
    return np.where(taking, code, -1)
