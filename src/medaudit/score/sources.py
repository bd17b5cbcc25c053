"""The predictions as one table: from one file or several, with labels of a file of their own."""

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import pandas as pd

from medaudit.adapt.predictions.detection.names import words_of
from medaudit.adapt.predictions.detection.row_roles import FOLD, by_name
from medaudit.core.errors import MedauditError
from medaudit.data.readers.roles import plain
from medaudit.data.readers.sheet import Sheet, as_text, read_sheet
from medaudit.score.event_times import labels_at_horizon
from medaudit.score.join_labels import join_labels
from medaudit.score.label_lists import spread_label_lists
from medaudit.score.reading import Reading

Table: TypeAlias = Path | pd.DataFrame
Source: TypeAlias = Path | pd.DataFrame | Sequence[Path | pd.DataFrame]
PARTS = FOLD | {"part", "chunk", "split", "shard", "batch"}
SEEDS = {"seed", "run", "repeat"}


def read_predictions(
    predictions: Source, labels: Table | None, reading: Reading
) -> tuple[Sheet, list[Path]]:
    """Read the predictions and return them as one table, with the files that were read.

    Parameters
    ----------
    predictions : Path, pandas.DataFrame, or sequence of them
        A path may hold a pattern (``fold*.csv``). Files of the same images are models; files of
        different images are parts of one test set.
    labels : Path or pandas.DataFrame, optional
        Labels, one row per image or patient.
    reading : Reading
        What the user said.

    Raises
    ------
    MedauditError
        A file cannot be read; several differ in their columns or share some of their images; or
        times to an event need a horizon.
    """
    tables = _expand(predictions)
    sheets = [_read(table, reading) for table in tables]
    sheet = sheets[0] if len(sheets) == 1 else _combine(sheets, tables)
    if labels is not None:
        sheet = join_labels(sheet, read_sheet(labels, "the labels", leftovers=True), reading)
    sheet = labels_at_horizon(spread_label_lists(sheet), reading)
    _blank_codes(sheet, reading)
    files = [table for table in [*tables, labels] if isinstance(table, Path)]
    return sheet, files


def _expand(predictions: Source) -> list[Table]:
    given = [predictions] if isinstance(predictions, Path | str | pd.DataFrame) else predictions
    found: list[Table] = []
    for table in given:
        if isinstance(table, pd.DataFrame):
            found.append(table)
        elif Path(table).exists() or not glob.has_magic(str(table)):
            found.append(Path(table))
        else:
            matching = sorted(glob.glob(str(table)))  # noqa: PTH207  # of any folder
            if not matching:
                raise MedauditError(f"no file matches {table}; check the pattern")
            found += [Path(name) for name in matching]
    if not found:
        raise MedauditError("no predictions are given; name a file")
    return found


def _read(table: Table, reading: Reading) -> Sheet:
    return read_sheet(table, "the predictions", sheet=reading.sheet, leftovers=True)


def _combine(sheets: list[Sheet], tables: list[Table]) -> Sheet:
    """Return the rows of several files, with a column that says which file a row is of."""
    _check_same_columns(sheets)
    names = [Path(s.where).stem if isinstance(t, Path) else f"table {k}" for k, (s, t) in enumerate(zip(sheets, tables, strict=True), start=1)]  # fmt: skip
    if len(set(names)) < len(names):
        names = [s.where for s in sheets]
    parts = [
        sheet.frame.assign(**{_column(sheet, names): name})
        for sheet, name in zip(sheets, names, strict=True)
    ]
    frame = pd.concat(parts, ignore_index=True)
    notes = list(dict.fromkeys(note for sheet in sheets for note in sheet.notes))
    role = _role_of_files(frame, sheets, names)
    frame = frame.rename(columns={_column(sheets[0], names): role})
    notes.append(f"{len(sheets)} files: {', '.join(names)}, told apart by the column {role!r}")
    return Sheet(frame, f"{len(sheets)} files", notes)


def _column(sheet: Sheet, names: list[str]) -> str:
    return "file" if "file" not in sheet.frame else "of file"


def _check_same_columns(sheets: list[Sheet]) -> None:
    first = set(sheets[0].frame.columns)
    for sheet in sheets[1:]:
        other = set(sheet.frame.columns)
        if other != first:
            raise MedauditError(
                f"{sheets[0].where} and {sheet.where} differ in the columns "
                f"{sorted(map(str, first ^ other))}; give files of the same columns, or join them first"
            )


def _role_of_files(frame: pd.DataFrame, sheets: list[Sheet], names: list[str]) -> str:
    """Return the name of the column of files: model, seed, fold or site."""
    words = [set(words_of(name)) for name in names]
    ids = _ids(frame)
    overlap = _overlap(sheets, ids)
    if overlap == "all":
        return _free(frame, "seed" if all(w & SEEDS for w in words) else "model")
    if overlap == "some":
        raise MedauditError(
            f"the files share some of their images ({', '.join(names)}), but not all: files of the "
            "same images are models, files of different images are parts of one test set; give "
            "either"
        )
    return _free(frame, "fold" if all(w & PARTS for w in words) else "site")


def _free(frame: pd.DataFrame, name: str) -> str:
    taken = {plain(str(column)) for column in frame.columns}
    return name if name not in taken else f"{name} of the file"


def _ids(frame: pd.DataFrame) -> list[str]:
    names = list(map(str, frame.columns))
    return (by_name(names, "id") or by_name(names, "patient"))[:1]


def _overlap(sheets: list[Sheet], ids: list[str]) -> str:
    """Return whether the files hold the same images: ``all``, ``some`` or ``none``."""
    if not ids:
        return "none"
    sets = [set(as_text(sheet.frame[ids[0]]).dropna()) for sheet in sheets]
    if all(one == sets[0] for one in sets):
        return "all"
    return "none" if sum(map(len, sets)) == len(set().union(*sets)) else "some"


def _blank_codes(sheet: Sheet, reading: Reading) -> None:
    """Blank the values that the user called missing, in every column that is no score."""
    if not reading.missing:
        return
    codes = {code.strip() for code in reading.missing}
    total = 0
    for name in sheet.frame.columns:
        column = sheet.frame[name]
        text = as_text(column).str.strip()
        hit = text.isin(codes)
        if hit.any() and text.nunique() <= 50:
            total += int(hit.sum())
            sheet.frame[name] = column.where(~hit)
    sheet.notes.append(f"{total} values {', '.join(sorted(codes))} count as missing")
