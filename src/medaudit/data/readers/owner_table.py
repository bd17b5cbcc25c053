"""Read columns of an owner's table by name; errors name the file, column, line and value.

In any form that `medaudit.data.readers.sheet` reads: a spreadsheet's export has semicolons and
decimal commas in half of Europe.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from medaudit.core.errors import MedauditError
from medaudit.data.readers.sheet import Sheet, has_decimal_commas, line_of, read_sheet

OLDEST = 120  # years


def read_columns(
    path: Path, types: Mapping[str, pa.DataType], optional: Sequence[str] = ()
) -> pa.Table:
    """Read the columns named in `types`, in any position.

    Parameters
    ----------
    path : Path
        CSV, TSV, Excel or Parquet file, plain or gzipped.
    types : mapping of str to pyarrow.DataType
        Type of each wanted column: text, float64 or int64; a blank value becomes null.
    optional : sequence of str
        Further text columns, which the table may lack.

    Returns
    -------
    pyarrow.Table
        The rows of the file in their order; at least one.

    Raises
    ------
    MedauditError
        The file cannot be read, a column is missing or duplicated, a value is not a number where it
        must be, or there is no row.
    """
    sheet = read_sheet(path, wanted={*types, *optional})
    lacking = [name for name in types if name not in sheet.names]
    if lacking:
        raise MedauditError(
            f"{path} lacks the columns {lacking}; it has {sheet.names} ({', '.join(sheet.notes)})"
        )
    present = [name for name in optional if name in sheet.names]
    texts = pa.Table.from_pandas(sheet.frame, preserve_index=False).combine_chunks()
    return pa.table(
        {
            **{name: _as_type(texts[name], name, kind, sheet) for name, kind in types.items()},
            **{name: texts[name].cast(pa.string()) for name in present},
        }
    ).combine_chunks()


def pick_column(table: pa.Table, names: Sequence[str], path: Path) -> str:
    """Return which of several names of a column a table has, that owners or releases use.

    Raises
    ------
    MedauditError
        It has none of them, or more than one.
    """
    found = [name for name in names if name in table.column_names]
    if len(found) == 1:
        return found[0]
    first, *others = map(repr, names)
    raise MedauditError(
        f"{path} has both {' and '.join(map(repr, found))}; keep one"
        if found
        else f"{path} lacks the column {first} (or {' or '.join(others)}); it has "
        f"{read_sheet(path).names}"
    )


def translate(table: pa.Table, column: str, meaning: dict, path: Path) -> np.ndarray:
    """Return the meaning of each value of a text column; upper and lower case are the same.

    Parameters
    ----------
    table : pyarrow.Table
        From `read_columns`.
    column : str
        Name of a text column.
    meaning : dict
        Meaning by lower-case value; a blank becomes None.
    path : Path
        File, for errors.

    Returns
    -------
    numpy.ndarray
        Objects, shape (rows,).

    Raises
    ------
    MedauditError
        A value is not in `meaning`.
    """
    # Each distinct value is translated once: tables have millions of rows and few values.
    codes, values = encode(table, column)
    unknown = [value for value in values if value.strip().lower() not in meaning]
    if unknown:
        raise MedauditError(
            f"{path}: column {column!r} has the unknown values {[v[:60] for v in unknown[:5]]}, the "
            f"first in {place_of_value(table, column, unknown, path)}; known values: {sorted(meaning)}"
        )
    meant = np.array([*(meaning[value.strip().lower()] for value in values), None], dtype=object)
    return meant[codes]


def encode(table: pa.Table, column: str) -> tuple[np.ndarray, list[str]]:
    """Return the number of each row's value and the distinct values; a blank is the last number."""
    encoded = pc.dictionary_encode(table[column].combine_chunks())
    values = encoded.dictionary.to_pylist()
    return pc.fill_null(encoded.indices, len(values)).to_numpy(zero_copy_only=False), values


def place_of_value(table: pa.Table, column: str, values: Sequence[str], path: Path) -> str:
    """Return e.g. ``line 5``: where a column first has one of these values."""
    return place(path, int(pc.index(pc.is_in(table[column], pa.array(values)), True).as_py()))


def place(path: Path, row: int) -> str:
    """Return where row `row` (from 0) of a table is: ``line 5``; ``row 4`` of a Parquet file."""
    number = line_of(path, row)
    return f"row {row + 1}" if number is None else f"line {number}"


def check_present(table: pa.Table, column: str, path: Path) -> None:
    """Raise a `MedauditError` if a column has a blank value."""
    if table[column].null_count:
        row = pc.index(pc.is_null(table[column]), True).as_py()
        raise MedauditError(
            f"{path}: column {column!r} is blank in {table[column].null_count} rows, "
            f"first in {place(path, row)}: fill them in, or remove these rows"
        )


def check_unique(table: pa.Table, column: str, path: Path) -> None:
    """Raise a `MedauditError` if a column has duplicate values; blanks are not."""
    values = table[column].to_pandas()
    duplicate = values.duplicated(keep=False) & values.notna()
    if duplicate.any():
        first = values[duplicate].iloc[0]
        rows = np.flatnonzero(values == first)
        raise MedauditError(
            f"{path}: column {column!r} must be unique, but has {values[duplicate].nunique()} duplicate "
            f"values, e.g. {first!r} in {len(rows)} rows ({place(path, rows[0])} and "
            f"{place(path, rows[1])}); keep one row of each"
        )


def check_ages(age: np.ndarray, column: str, path: Path) -> None:
    """Raise a `MedauditError` if an age is outside 0 to `OLDEST` years; NaN means missing."""
    wrong = (age < 0) | (age > OLDEST)
    if wrong.any():
        row = int(wrong.argmax())
        raise MedauditError(
            f"{path}: column {column!r} has {age[row]:g} in {place(path, row)}; give years from 0 to "
            f"{OLDEST}, and leave unknown ages blank"
        )


def _as_type(
    column: pa.ChunkedArray, name: str, kind: pa.DataType, sheet: Sheet
) -> pa.ChunkedArray:
    if not pa.types.is_floating(kind) and not pa.types.is_integer(kind):
        return column.cast(pa.string())
    try:
        return column.cast(kind)
    except pa.ArrowInvalid:
        return _read_numbers(column.to_pandas(), name, kind, sheet)


def _read_numbers(text: pd.Series, name: str, kind: pa.DataType, sheet: Sheet) -> pa.ChunkedArray:
    """Return numbers in any notation: with decimal commas, a plus sign, or whole ones as ``3.0``."""
    plain = text.str.replace(",", ".", regex=False) if has_decimal_commas(text) else text
    numbers = pd.to_numeric(plain, errors="coerce").astype(float)
    wrong = numbers.isna() & text.notna()
    if pa.types.is_integer(kind):
        wrong |= numbers.notna() & (numbers % 1 != 0)
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise MedauditError(
            f"{sheet.where}: column {name!r} has {text[row][:60]!r} in {sheet.place(row)}; give a "
            f"{'whole number' if pa.types.is_integer(kind) else 'number'}, or leave it blank"
        )
    return pa.chunked_array([pa.array(numbers, from_pandas=True).cast(kind)])
