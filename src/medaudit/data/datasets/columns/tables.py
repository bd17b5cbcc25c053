"""Read the tables of an entry, take rows of several images apart, join, and keep rows."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.data.datasets import named_files
from medaudit.data.datasets.columns.join_rows import collapse
from medaudit.data.datasets.columns.levels import matches
from medaudit.data.datasets.columns.source import Source, as_text, listed, named_in
from medaudit.data.readers.dicom_headers import read_headers
from medaudit.data.readers.sheet import Sheet, read_sheet

DICOM = "(dicom)"
"""Name of the table of DICOM headers."""

TABLE = "(table)"
"""Name of the column that holds the name of the table that a row came from."""

_SEPARATOR = "\x1f"


def open_source(settings: Mapping[str, Any], folder: Path) -> Source:
    """Return the rows of an entry: tables read, joined and filtered.

    Parameters
    ----------
    settings : dict
        The entry; used here: ``table`` or ``tables``, ``join``, ``keep``, ``unpivot``, ``missing_values``,
        ``dicom``, and every name of a column.
    folder : Path
        The dataset's folder.

    Raises
    ------
    MedauditError
        A table or column does not exist, a join finds nothing or more than one row, or no row is
        left.
    """
    wanted = named_in({**settings, "folder": None})
    names = named_tables(settings)
    if not names:
        raise MedauditError(
            f"dataset {settings.get('name', 'columns')}: `table` names no table; give a file below "
            f"{folder}, or {DICOM!r} for the headers of the DICOM files there"
        )
    source = _concat([_read(name, settings, folder, wanted) for name in names], names)
    _unpivot(source, settings.get("unpivot") or {})
    for number, spec in enumerate(settings.get("join") or []):
        _join(source, spec, settings, folder, f"join.{number}")
    for number, rule in enumerate(settings.get("keep") or []):
        _keep(source, rule, f"keep.{number}")
    return source


def named_tables(settings: Mapping[str, Any]) -> list[str]:
    """Return the names of the entry's own tables, without the joined ones."""
    return [*listed(settings.get("table")), *listed(settings.get("tables"))]


def _read(name: str, settings: Mapping[str, Any], folder: Path, wanted: Collection[str]) -> Sheet:
    if name == DICOM:
        sheet = read_headers(folder, settings, wanted)
    else:
        sheet = read_sheet(_find(name, folder), wanted=wanted)
    missing = {str(value) for value in listed(settings.get("missing_values"))}
    for column in sheet.frame.columns:
        text = as_text(_scalar(sheet, column))
        sheet.frame[column] = text.where(~text.isin(missing)) if missing else text
    return sheet


def _find(name: str, folder: Path) -> Path:
    found = named_files(folder, name)
    if len(found) > 1:
        raise MedauditError(
            f"several tables are {name!r}: {[str(p.relative_to(folder)) for p in found]}; give the "
            "path of the one to use"
        )
    if not found:
        near = sorted(p.name for p in folder.glob("*.*") if p.suffix in _SUFFIXES)[:10]
        raise MedauditError(
            f"there is no table {folder / name}; `table` and `join` take paths inside the folder, "
            f"which has the tables {near}"
        )
    return found[0]


_SUFFIXES = {".csv", ".tsv", ".tab", ".txt", ".xlsx", ".parquet", ".gz"}


def _scalar(sheet: Sheet, column: str) -> pd.Series:
    values = sheet.frame[column]
    if (
        values.dtype == object
        and values.map(lambda v: isinstance(v, list | dict | np.ndarray)).any()
    ):
        raise MedauditError(
            f"{sheet.where}: column {column!r} holds lists or mappings; write one value per cell"
        )
    return values


def _concat(sheets: list[Sheet], names: list[str]) -> Source:
    """Return the rows of several tables below each other."""
    parts = [
        sheet.frame.assign(**{TABLE: pd.Series(stem(name), sheet.frame.index, dtype="str")})
        for sheet, name in zip(sheets, names, strict=True)
    ]
    ends = np.cumsum([0, *(len(part) for part in parts)])
    place = np.arange(ends[-1])
    where = ", ".join(sheet.where for sheet in sheets)
    path = sheets[0].path if len(sheets) == 1 else None
    all_names = list(dict.fromkeys(name for sheet in sheets for name in sheet.names))
    first = _Several(parts[0], where, [n for s in sheets for n in s.notes], all_names, path)
    first.parts, first.ends = sheets, ends
    frame = parts[0] if len(parts) == 1 else pd.concat(parts, ignore_index=True)
    tables = {stem(n): s.path for s, n in zip(sheets, names, strict=True) if s.path}
    origin = dict.fromkeys(frame.columns, 0)
    excluded = [one for sheet in sheets for one in sheet.exclusions]
    return Source(frame.reset_index(drop=True), [first], [place], origin, tables, excluded)


class _Several(Sheet):
    """Tables below each other; a row's place names its own table."""

    parts: list[Sheet]
    ends: np.ndarray

    def place(self, row: int) -> str:
        number = int(np.searchsorted(self.ends, row, side="right")) - 1
        place = self.parts[number].place(row - int(self.ends[number]))
        return place if len(self.parts) == 1 else f"{Path(self.parts[number].where).name}, {place}"


def stem(name: str) -> str:
    """Return a table's name without folders and suffixes."""
    return re.sub(r"\.(csv|tsv|tab|txt|xlsx|parquet|pq)?(\.gz)?$", "", Path(name).name)


def _unpivot(source: Source, spec: Mapping[str, Mapping[str, Mapping[str, str]]]) -> None:
    """Make one row of each image of a row: ``{new column: {level: {new column: column}}}``."""
    for level_column, levels in spec.items():
        parts, rows = [], []
        for level, columns in levels.items():
            new = {
                name: source.column(old, f"unpivot.{level_column}.{level}.{name}")
                for name, old in columns.items()
            }
            label = pd.Series(level, source.frame.index, dtype="str")
            parts.append(source.frame.assign(**new, **{level_column: label}))
            rows.append(np.arange(len(source)))
        order = np.argsort(np.concatenate(rows), kind="stable")
        source.rows = [np.tile(own, len(parts))[order] for own in source.rows]
        source.frame = pd.concat(parts, ignore_index=True).iloc[order].reset_index(drop=True)
        source.origin |= dict.fromkeys(source.frame.columns.difference([*source.origin]), 0)


def _join(
    source: Source, spec: Mapping[str, Any], settings: Mapping[str, Any], folder: Path, key: str
) -> None:
    """Add the columns of another table to the rows with the same key."""
    keys = key_columns(spec["on"])
    sheet = _read(spec["table"], settings, folder, named_in({**settings, "folder": None}))
    other = Source(
        sheet.frame, [sheet], [np.arange(len(sheet.frame))], dict.fromkeys(sheet.frame, 0)
    )
    left = _key_texts(source, list(keys), f"{key}.on")
    right = _key_texts(other, list(keys.values()), f"{key}.on")
    table, places = collapse(other, right, spec, list(keys.values()))
    found = pd.Index(table["\0key"]).get_indexer(left) if spec.get("several") != "each" else None
    if found is None:
        positions, found = _expand(left, table["\0key"])
        source.take(positions)
    absent = found < 0
    if absent.all():
        _explain_no_match(source, sheet, left, right, keys)
    _add_columns(source, sheet, table.drop(columns="\0key"), places, found, spec, keys)
    reason = f"no row in {Path(sheet.where).name} with the same {' and '.join(keys)}"
    if spec.get("required"):
        source.drop(absent, reason)
    else:
        source.exclude(f"{reason}: its values are missing", int(absent.sum()))


def key_columns(on: str | list[str] | Mapping[str, str]) -> dict[str, str]:
    """Return the key of the rows, and of the joined table, of a join's ``on``."""
    return dict(on) if isinstance(on, Mapping) else {name: name for name in listed(on)}


def _key_texts(source: Source, templates: list[str], key: str) -> pd.Series:
    text = source.texts(templates[0], key)
    for template in templates[1:]:
        text = text + _SEPARATOR + source.texts(template, key)
    return text


def _expand(left: pd.Series, right: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions in both tables of all pairs; -1 where a left row has no partner."""
    pairs = pd.DataFrame({"key": left, "left": np.arange(len(left))}).merge(
        pd.DataFrame({"key": right, "right": np.arange(len(right))}), on="key", how="left"
    )
    return pairs["left"].to_numpy(), pairs["right"].fillna(-1).to_numpy(int)


def _add_columns(
    source: Source,
    sheet: Sheet,
    table: pd.DataFrame,
    places: np.ndarray,
    found: np.ndarray,
    spec: Mapping[str, Any],
    keys: dict[str, str],
) -> None:
    number, name = len(source.sheets), stem(spec["table"])
    for column in table.columns:
        if keys.get(column) == column:
            continue
        new = f"{name}.{column}" if column in source.frame else column
        source.frame[new] = table[column].array.take(found, allow_fill=True)
        source.origin[new] = number
    source.sheets.append(sheet)
    source.rows.append(np.where(found < 0, -1, places[np.maximum(found, 0)]))
    if sheet.path:
        source.tables[name] = sheet.path


def _explain_no_match(
    source: Source, sheet: Sheet, left: pd.Series, right: pd.Series, keys: dict[str, str]
) -> None:
    examples = [
        [value.replace(_SEPARATOR, " / ") for value in side.dropna().head(3)]
        for side in (left, right)
    ]
    zeros = left.str.lstrip("0").isin(right.str.lstrip("0"))
    hint = (
        "one side has zeros in front: write the key as a template, e.g. "
        f'`on: {{"{{{next(iter(keys))}:0>8}}": {next(iter(keys.values()))}}}`'
        if zeros.any()
        else "name other columns in `on`, e.g. `on: {left column: right column}`"
    )
    raise MedauditError(
        f"{sheet.where}: no {' and '.join(keys.values())} ({examples[1]}) is among the "
        f"{' and '.join(keys)} of {source.sheets[0].where} ({examples[0]}); {hint}"
    )


def _keep(source: Source, rule: Mapping[str, Any], key: str) -> None:
    """Keep the rows that a rule accepts; blanks only if it says ``blank: true``."""
    name = rule["column"]
    text = source.column(name, f"{key}.column")
    kept = text.notna().to_numpy(copy=True)
    said = []
    if "values" in rule:
        kept &= matches(text, listed(rule["values"]))
        said.append(f"not {' or '.join(map(str, listed(rule['values'])))}")
    if "other_than" in rule:
        kept &= ~matches(text, listed(rule["other_than"]))
        said.append(f"{' or '.join(map(str, listed(rule['other_than'])))}")
    if "min" in rule or "max" in rule:
        numbers = source.numbers(name, f"{key}.column")
        low, high = rule.get("min", -np.inf), rule.get("max", np.inf)
        kept &= (numbers >= low) & (numbers <= high)
        said.append(f"not from {low:g} to {high:g}")
    if rule.get("blank"):
        kept |= text.isna().to_numpy()
    source.drop(~kept, f"{name} is {', '.join(said) or 'blank'}")
