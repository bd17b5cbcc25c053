"""Groups of patients: joined from a groups file by image or patient, and cut into attributes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.intersections import SEPARATOR
from medaudit.data.group_levels import cut_quantiles
from medaudit.data.readers.roles import find_role
from medaudit.data.readers.sheet import Sheet, as_text
from medaudit.score.ages import GROUP, find_ages
from medaudit.score.names import match_name, match_names
from medaudit.score.not_groups import is_date

MOST_LEVELS = 20
QUANTILES = 4


@dataclass
class Wanted:
    """Which groups the user wants.

    Parameters
    ----------
    attributes : list of str
        Attributes, intersections written ``sex & age_group``; none: every column with 2 to 20
        levels that is a group of patients.
    control : list of str
        What gaps are controlled for, whose columns are kept.
    age_limits : float or list of float
        Years: a column of ages becomes ``age_group`` with ``<60`` and ``>=60``, or with as many
        bands as there are limits, and one more.
    age : str or None
        The column of ages that the user named.
    columns : list of str
        The only columns that may be groups; none: all.
    ignore : list of str
        Columns that are left out.
    not_groups : dict of str to str
        Columns that are groups only if the user names them, with the reason.
    """

    attributes: list[str]
    control: list[str]
    age_limits: float | list[float]
    age: str | None = None
    columns: list[str] = field(default_factory=list)
    ignore: list[str] = field(default_factory=list)
    not_groups: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        """Columns that an answer needs; none if any column may be a group."""
        parts = {p.strip() for name in self.attributes for p in name.split(SEPARATOR.strip())}
        return parts | set(self.control) | set(self.columns)


def join_groups(
    sheet: Sheet, base: pd.DataFrame, given: Mapping[str, list[str]], wanted: set[str]
) -> pd.DataFrame:
    """Return the columns of the groups file, one row per row of `base`.

    Parameters
    ----------
    sheet : Sheet
        The groups file; a note on the join is added to it.
    base : pandas.DataFrame
        ``image_id``, ``patient_id`` of each image.
    given : dict of str to list of str
        ``id`` and ``patient``: columns that the user named (ignored if this file lacks them).
    wanted : set of str
        Columns that the audit needs. Others that differ between the rows of one id (a view, in
        a table of images joined by patient) are left out, with a note.

    Raises
    ------
    MedauditError
        No id matches, or rows with the same id differ in a wanted column.
    """
    columns = _id_columns(sheet, given)
    column, own = _best_key(sheet, base, columns)
    table = _one_row_per_id(sheet, column, set(columns) - {column}, wanted)
    place = pd.Index(table[column]).get_indexer(base[own])
    rows = table.drop(columns=column).reset_index(drop=True)
    joined = rows.reindex(np.where(place < 0, len(rows), place)).reset_index(drop=True)
    absent = int((place < 0).sum())
    sheet.notes.append(
        f"joined by {column} = the predictions' {own}: {len(base) - absent} of {len(base)} images "
        f"found" + (f", {absent} without a row are in no group" if absent else "")
    )
    return joined


def ids_of(frame: pd.DataFrame, given: Mapping[str, list[str]]) -> list[str]:
    """Return the columns of a table that identify images or patients."""
    names = [str(name) for name in frame.columns]
    found: list[str] = []
    for role in ("id", "patient"):
        named = [c for c in given.get(role, []) if c in names]
        column = named[0] if named else find_role(names, role, set(found))
        if column is not None:
            found.append(column)
    return found


def _id_columns(sheet: Sheet, given: Mapping[str, list[str]]) -> list[str]:
    found = ids_of(sheet.frame, given)
    if not found:
        raise MedauditError(
            f"{sheet.where} has no id column among {list(sheet.frame.columns)}; name it with --id "
            "or --patient"
        )
    return found


def _one_row_per_id(sheet: Sheet, column: str, others: set[str], wanted: set[str]) -> pd.DataFrame:
    keys = as_text(sheet.frame[column])
    table = sheet.frame.assign(**{column: keys}).drop(columns=list(others))
    table = table[keys.notna()].drop_duplicates()
    if table[column].is_unique:
        return table
    levels = table.drop(columns=column).groupby(table[column], sort=False, dropna=False)
    differs = levels.nunique().gt(1).any()
    varying = [name for name in table.columns if name != column and differs[name]]
    _check_wanted(sheet, table, column, [name for name in varying if name in wanted])
    if len(varying) == len(table.columns) - 1:
        _check_wanted(sheet, table, column, varying)
    sheet.notes.append(
        f"not used as groups, since they differ between the rows of one {column}: "
        f"{', '.join(varying)}"
    )
    # `first` skips blanks: a patient's sex may be written in one of several rows
    return table.drop(columns=varying).groupby(column, sort=False).first().reset_index()


def _check_wanted(sheet: Sheet, table: pd.DataFrame, column: str, names: list[str]) -> None:
    if not names:
        return
    counts = table.groupby(column, sort=False)[names[0]].nunique()
    first = counts.index[counts > 1][0]
    raise MedauditError(
        f"{sheet.where}: duplicate ids in {column}: {int((counts > 1).sum())} ids have several rows "
        f"that differ in {', '.join(names)}, e.g. {first!r}; keep one row for each id, or leave "
        f"these columns out with --ignore {' '.join(names)}"
    )


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
    frame: pd.DataFrame, wanted: Wanted, where: str, notes: list[str]
) -> tuple[pd.DataFrame, list[str | list[str]]]:
    """Return attribute columns (``age`` and ``a_<attribute>``) and the attributes to audit.

    Parameters
    ----------
    frame : pandas.DataFrame
        Candidate columns, one row per image.
    wanted : Wanted
        Which of them; a note lists the others. A wanted column of more than 20 numbers is cut
        into quarters.
    where : str
        The file, for messages.
    notes : list of str
        Notes on decisions are added to it.

    Raises
    ------
    MedauditError
        A wanted attribute does not exist or has more than 20 levels, or no column is usable.
    """
    frame = frame.drop(columns=[name for name in wanted.ignore if name in frame])
    ages = find_ages(frame, wanted.age, wanted.age_limits, where)
    candidates, names = ages.candidates, _parse(wanted.attributes)
    # nobody who asks for sex alone wants to know how ages were read
    if not wanted.names or GROUP in wanted.names or wanted.age:
        notes.extend(ages.notes)
    names = _match(names, candidates) or _usable(candidates, wanted, notes)
    control = match_names(wanted.control, candidates, "attribute")
    single = [n for name in names for n in ([name] if isinstance(name, str) else name)]
    single = list(dict.fromkeys([*single, *control]))
    if not names:
        raise MedauditError(
            f"{where}: no column gives groups to compare (2 to {MOST_LEVELS} levels) among "
            f"{list(frame.columns)}; give a groups file (--groups) or name columns (--attributes)"
        )
    columns = {f"a_{name}": _levels(candidates[name], name, where, notes) for name in single}
    return pd.DataFrame({"age": ages.years, **columns}), names


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


def _usable(candidates: pd.DataFrame, wanted: Wanted, notes: list[str]) -> list[str | list[str]]:
    usable: list[str | list[str]] = []
    left = []
    for name in wanted.columns or candidates.columns:
        if name not in candidates:
            continue
        reason = _no_group(name, candidates[name], wanted)
        if reason is None:
            usable.append(name)
        else:
            left.append(f"{name} ({reason})")
    if left:
        notes.append(f"not used as groups: {', '.join(left)}")
    return usable


def _no_group(name: str, column: pd.Series, wanted: Wanted) -> str | None:
    """Return why a column that the user did not name is no group of patients, or None."""
    levels = column.nunique()
    if levels == 0:
        return "blank"
    if levels == 1:
        return f"only {str(column.dropna().iloc[0])!r}"
    if name in wanted.not_groups and name not in wanted.columns:
        return wanted.not_groups[name]
    if levels > MOST_LEVELS:
        return f"{levels} values"
    return "dates" if is_date(name, column) else None


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
