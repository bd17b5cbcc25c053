"""Groups of patients: joined from a groups file by image or patient, and cut into attributes."""

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.intersections import SEPARATOR
from medaudit.data.group_levels import cut_bands, cut_quantiles, name_bands
from medaudit.data.readers.roles import find_role
from medaudit.data.readers.sheet import Sheet, as_numbers, as_text
from medaudit.score.names import match_name, match_names

MOST_LEVELS = 20
QUANTILES = 4


def join_groups(sheet: Sheet, base: pd.DataFrame, given: dict[str, list[str]]) -> pd.DataFrame:
    """Return the columns of the groups file, one row per row of `base`.

    Parameters
    ----------
    sheet : Sheet
        The groups file; a note on the join is added to it.
    base : pandas.DataFrame
        ``image_id``, ``patient_id`` of each image.
    given : dict of str to list of str
        ``id`` and ``patient``: columns that the user named (ignored if this file lacks them).

    Raises
    ------
    MedauditError
        No id matches, or rows with the same id have different groups.
    """
    columns = _id_columns(sheet, given)
    column, own = _best_key(sheet, base, columns)
    table = _one_row_per_id(sheet, column, set(columns) - {column})
    place = pd.Index(table[column]).get_indexer(base[own])
    rows = table.drop(columns=column).reset_index(drop=True)
    joined = rows.reindex(np.where(place < 0, len(rows), place)).reset_index(drop=True)
    absent = int((place < 0).sum())
    sheet.notes.append(
        f"joined by {column} = the predictions' {own}: {len(base) - absent} of {len(base)} images "
        f"found" + (f", {absent} without a row are in no group" if absent else "")
    )
    return joined


def _id_columns(sheet: Sheet, given: dict[str, list[str]]) -> list[str]:
    names = list(sheet.frame.columns)
    found: list[str] = []
    for role in ("id", "patient"):
        named = [c for c in given.get(role, []) if c in names]
        column = named[0] if named else find_role(names, role, set(found))
        if column is not None:
            found.append(column)
    if not found:
        raise MedauditError(
            f"{sheet.where} has no id column among {names}; name it with --id or --patient"
        )
    return found


def _one_row_per_id(sheet: Sheet, column: str, others: set[str]) -> pd.DataFrame:
    keys = as_text(sheet.frame[column])
    table = sheet.frame.assign(**{column: keys}).drop(columns=list(others))
    table = table[keys.notna()].drop_duplicates()
    duplicate = table[column].duplicated(keep=False)
    if duplicate.any():
        first = table.loc[duplicate, column].iloc[0]
        raise MedauditError(
            f"{sheet.where}: duplicate ids in {column}: {table.loc[duplicate, column].nunique()} "
            f"ids have several rows that differ, e.g. {first!r}; keep one row for each id"
        )
    return table


def _best_key(sheet: Sheet, base: pd.DataFrame, columns: list[str]) -> tuple[str, str]:
    """Return the pair (column of the groups file, id of `base`) that matches the most images."""
    hits = {
        (column, own): _hits(base[own], as_text(sheet.frame[column]))
        for column in columns
        for own in ("image_id", "patient_id")
    }
    best = max(hits, key=lambda pair: hits[pair])
    if not hits[best]:
        raise MedauditError(
            f"no id of {sheet.where} ({', '.join(columns)}: {_some(sheet.frame[columns[0]])}) is "
            f"among the predictions' ids ({_some(base['image_id'])}) or patients "
            f"({_some(base['patient_id'])}); name the right columns with --id or --patient"
        )
    return best


def _hits(ids: pd.Series, known: pd.Series) -> int:
    return int((pd.Index(known.unique()).get_indexer(ids) >= 0).sum())


def _some(values: pd.Series) -> str:
    return ", ".join(map(repr, values.drop_duplicates().head(2)))


def choose_attributes(
    frame: pd.DataFrame,
    wanted: tuple[list[str] | None, list[str]],
    age_limits: float | list[float],
    where: str,
    notes: list[str],
) -> tuple[pd.DataFrame, list[str | list[str]]]:
    """Return attribute columns (``age`` and ``a_<attribute>``) and the attributes to audit.

    Parameters
    ----------
    frame : pandas.DataFrame
        Candidate columns, one row per image.
    wanted : tuple of list of str
        Attributes, intersections written ``sex & age_group`` (None: every column with 2 to 20
        levels; a note lists the others; a wanted column of more than 20 numbers is cut into
        quarters), and what gaps are controlled for, whose columns are kept.
    age_limits : float or list of float
        Years: a column of ages becomes ``age_group`` with ``<60`` and ``>=60``, or with as many
        bands as there are limits, and one more.
    where : str
        The file, for messages.
    notes : list of str
        Notes on decisions are added to it.

    Raises
    ------
    MedauditError
        A wanted attribute does not exist or has more than 20 levels, or no column is usable.
    """
    age, candidates = _cut_ages(frame, age_limits, where, notes)
    attributes, control = wanted
    names = _parse(attributes) if attributes else _usable(candidates, notes)
    names, control = _match(names, candidates), match_names(control, candidates, "attribute")
    single = [n for name in names for n in ([name] if isinstance(name, str) else name)]
    single = list(dict.fromkeys([*single, *control]))
    if not names:
        raise MedauditError(
            f"{where}: no column gives groups to compare (2 to {MOST_LEVELS} levels) among "
            f"{list(frame.columns)}; give a groups file (--groups) or name columns (--attributes)"
        )
    columns = {f"a_{name}": _levels(candidates[name], name, where, notes) for name in single}
    return pd.DataFrame({"age": age, **columns}), names


def _cut_ages(
    frame: pd.DataFrame, age_limits: float | list[float], where: str, notes: list[str]
) -> tuple[pd.Series, pd.DataFrame]:
    """Return the ages, and the candidates with ``age_group`` instead of the column of ages."""
    column = find_role(list(frame.columns), "age", set())
    if column is None:
        return pd.Series(np.full(len(frame), np.nan)), frame
    age = _ages(frame[column], where)
    limits = sorted(age_limits) if isinstance(age_limits, list) else [age_limits]
    notes.append(f"{column} cut into age_group: {' and '.join(name_bands(limits))}")
    return age, frame.drop(columns=column).assign(age_group=cut_bands(age, limits))


def _ages(column: pd.Series, where: str) -> pd.Series:
    text = column
    if pd.api.types.is_string_dtype(column):
        text = column.str.replace(r"^0*(\d+)Y$", r"\1", regex=True)
    return as_numbers(text, "the age", where).reset_index(drop=True)


def _parse(wanted: list[str]) -> list[str | list[str]]:
    """Return the names, and the parts of each intersection; spaces around the ``&`` may lack."""
    parts = [[p.strip() for p in name.split(SEPARATOR.strip())] for name in wanted]
    return [p[0] if len(p) == 1 else p for p in parts]


def _match(names: list[str | list[str]], candidates: pd.DataFrame) -> list[str | list[str]]:
    """Return the columns that are meant, whatever their case; see `match_name`."""
    return [
        match_name(name, candidates, "attribute")
        if isinstance(name, str)
        else match_names(name, candidates, "attribute")
        for name in names
    ]


def _usable(candidates: pd.DataFrame, notes: list[str]) -> list[str | list[str]]:
    usable: list[str | list[str]] = []
    left = []
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
        notes.append(f"not used as groups: {', '.join(left)}")
    return usable


def _levels(column: pd.Series, name: str, where: str, notes: list[str]) -> pd.Series:
    text = as_text(column).str.strip()
    if text.nunique() > MOST_LEVELS:
        numbers = pd.to_numeric(text.str.replace(",", "."), errors="coerce")
        if numbers.notna().equals(text.notna()) and numbers.nunique() > MOST_LEVELS:
            try:
                text, names = cut_quantiles(numbers, QUANTILES)
            except MedauditError as error:
                raise MedauditError(f"{where}: {name}: {error}; bin it first") from error
            notes.append(f"{name} cut into {QUANTILES} groups of equal size: {', '.join(names)}")
            return text.reset_index(drop=True)
        raise MedauditError(
            f"{where}: {name} has {text.nunique()} levels, e.g. {_some(text.dropna())}; an "
            f"attribute may have at most {MOST_LEVELS}: bin it first"
        )
    return text.reset_index(drop=True)
