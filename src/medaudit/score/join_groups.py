"""The patients' groups: from the same file or a second one, joined by image or by patient."""

import re

import numpy as np
import pandas as pd

from medaudit.adapt.predictions.columns import find_role
from medaudit.adapt.predictions.reading import Sheet, as_numbers
from medaudit.adapt.predictions.shaping import as_text
from medaudit.core.errors import MedauditError
from medaudit.data.group_levels import age_group, age_levels

MOST_LEVELS = 20
SEPARATOR = "&"


def join_groups(sheet: Sheet, base: pd.DataFrame, given: dict[str, list[str]]) -> pd.DataFrame:
    """Return the groups' columns in the rows' order of `base`.

    Parameters
    ----------
    sheet : Sheet
        The groups file; notes are added.
    base : pandas.DataFrame
        ``image_id``, ``patient_id`` of each image.
    given : dict of str to list of str
        ``id`` and ``patient``: columns the user named (used where this file has them).

    Raises
    ------
    MedauditError
        No id fits, or an id stands twice with different groups.
    """
    names = list(sheet.frame.columns)
    found = {}
    for role in ("id", "patient"):
        named = [c for c in given.get(role, []) if c in names]
        found[role] = named[0] if named else find_role(names, role, set(found.values()))
    found = {role: column for role, column in found.items() if column}
    if not found:
        raise MedauditError(
            f"{sheet.where} has no id column among {names}; name it with --id or --patient"
        )
    column, own = _best_key(sheet, base, found)
    keys = as_text(sheet.frame[column])
    table = sheet.frame.assign(**{column: keys}).drop(columns=set(found.values()) - {column})
    table = table[keys.notna()].drop_duplicates()
    twice = table[column].duplicated(keep=False)
    if twice.any():
        first = table.loc[twice, column].iloc[0]
        raise MedauditError(
            f"{sheet.where}: {table.loc[twice, column].nunique()} ids in {column} stand in several "
            f"rows that differ, e.g. {first!r}; give each one row"
        )
    place = pd.Index(table[column]).get_indexer(base[own])
    rows = table.drop(columns=column).reset_index(drop=True)
    joined = rows.reindex(np.where(place < 0, len(rows), place)).reset_index(drop=True)
    absent = int((place < 0).sum())
    sheet.notes.append(
        f"joined by {column} = the predictions' {own}: {len(base) - absent} of {len(base)} images "
        f"found" + (f", {absent} without a row are in no group" if absent else "")
    )
    return joined


def _best_key(sheet: Sheet, base: pd.DataFrame, found: dict[str, str]) -> tuple[str, str]:
    hits = {
        (column, own): _hits(base[own], as_text(sheet.frame[column]))
        for column in found.values()
        for own in ("image_id", "patient_id")
    }
    best = max(hits, key=hits.get)
    if not hits[best]:
        raise MedauditError(
            f"no id of {sheet.where} ({', '.join(found.values())}: "
            f"{_some(sheet.frame[next(iter(found.values()))])}) is among the predictions' ids "
            f"({_some(base['image_id'])}) or patients ({_some(base['patient_id'])}); name the "
            "right columns with --id or --patient"
        )
    return best


def _hits(ids: pd.Series, known: pd.Series) -> int:
    return int((pd.Index(known.unique()).get_indexer(ids) >= 0).sum())


def _some(values: pd.Series) -> str:
    return ", ".join(map(repr, values.drop_duplicates().head(2)))


def choose_attributes(
    frame: pd.DataFrame,
    wanted: list[str] | None,
    age_threshold: float,
    where: str,
    notes: list[str],
) -> tuple[pd.DataFrame, list]:
    """Return attribute columns (``age`` and ``a_<attribute>``) and the attributes to audit.

    Parameters
    ----------
    frame : pandas.DataFrame
        Candidate columns, one row an image.
    wanted : list of str, optional
        Attributes, intersections written ``sex & age_group``. Without it every column with 2 to
        20 levels; what is left out is noted.
    age_threshold : float
        Years: a column of ages becomes ``age_group`` with ``<60`` and ``>=60``.
    where : str
        The file, for messages.
    notes : list of str
        What was decided is added.

    Raises
    ------
    MedauditError
        A wanted attribute is not there, has more than 20 levels, or no column is usable.
    """
    attributes = pd.DataFrame({"age": np.full(len(frame), np.nan)})
    candidates = frame.copy()
    column = find_role(list(frame.columns), "age", set())
    if column is not None:
        attributes["age"] = _ages(frame[column], where)
        candidates = candidates.drop(columns=column)
        cut = {"age_threshold": age_threshold, "age_rule": "ge"}
        candidates["age_group"] = age_group(attributes["age"], cut)
        notes.append(f"{column} cut into age_group: {' and '.join(age_levels(cut))}")
    names = _named(wanted) if wanted else _usable(candidates, notes)
    single = list(
        dict.fromkeys(n for name in names for n in ([name] if isinstance(name, str) else name))
    )
    absent = [name for name in single if name not in candidates]
    if absent:
        raise MedauditError(f"{where} has no attribute {absent}; it has {list(candidates.columns)}")
    if not single:
        raise MedauditError(
            f"{where}: no column gives groups to compare (2 to {MOST_LEVELS} levels) among "
            f"{list(frame.columns)}; give a groups file (--groups) or name columns (--attributes)"
        )
    for name in single:
        attributes[f"a_{name}"] = _levels(candidates[name], name, where)
    return attributes, names


def _ages(column: pd.Series, where: str) -> pd.Series:
    text = column
    if pd.api.types.is_string_dtype(column):
        text = column.str.replace(r"^0*(\d+)Y$", r"\1", regex=True)
    return as_numbers(text, "the age", where).reset_index(drop=True)


def _named(wanted: list[str]) -> list:
    parts = [[p.strip() for p in re.split(SEPARATOR, name)] for name in wanted]
    return [p[0] if len(p) == 1 else p for p in parts]


def _usable(candidates: pd.DataFrame, notes: list[str]) -> list[str]:
    usable, left = [], []
    for name in candidates.columns:
        levels = candidates[name].nunique()
        if 2 <= levels <= MOST_LEVELS:
            usable.append(name)
        else:
            only = (
                f"only {candidates[name].dropna().iloc[0]!r}" if levels == 1 else f"{levels} values"
            )
            left.append(f"{name} ({only})")
    if left:
        notes.append(f"not taken as groups: {', '.join(left)}")
    return usable


def _levels(column: pd.Series, name: str, where: str) -> pd.Series:
    text = as_text(column).str.strip()
    if text.nunique() > MOST_LEVELS:
        raise MedauditError(
            f"{where}: {name} has {text.nunique()} levels, e.g. {_some(text.dropna())}; groups "
            f"need at most {MOST_LEVELS}: bin it first"
        )
    return text.reset_index(drop=True)
