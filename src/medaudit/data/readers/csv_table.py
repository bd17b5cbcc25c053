"""Read columns of a CSV file by name; errors name the file, the column, the line and the value."""

import csv
import gzip
import re
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv as arrow_csv

from medaudit.core.errors import MedauditError

OLDEST = 120  # years
LONGEST = 500  # characters of an error message
BLANK = ["", "nan", "NaN", "NA", "N/A"]


def read_header(path: Path, delimiter: str = ",") -> list[str]:
    """Return the column names of a CSV file, plain or ``.gz``.

    Raises
    ------
    MedauditError
        The file cannot be read, is empty, or is not UTF-8.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as stream:
            line = stream.readline().decode("utf-8-sig")
            header = next(csv.reader([line], delimiter=delimiter), [])
    except csv.Error as error:
        raise MedauditError(
            f"{path}: its first line cannot be read as CSV ({error}); save it with the line endings "
            "of Unix or Windows"
        ) from error
    except UnicodeDecodeError as error:
        raise MedauditError(f"{path} is not UTF-8 text ({error}); save it as UTF-8") from error
    except (OSError, EOFError, zlib.error) as error:
        raise MedauditError(f"cannot read {path}: {error}") from error
    if not header:
        raise MedauditError(f"{path} is empty; give the owner's table")
    return [name.strip() for name in header]


def read_columns(path: Path, types: dict[str, pa.DataType], delimiter: str = ",") -> pa.Table:
    """Read the columns named in `types`, in any position.

    Parameters
    ----------
    path : Path
        CSV file, plain or ``.gz``, UTF-8.
    types : dict of str to pyarrow.DataType
        Type of each wanted column; a blank value becomes null.
    delimiter : str
        Character between columns.

    Returns
    -------
    pyarrow.Table
        The rows of the file in their order; at least one.

    Raises
    ------
    MedauditError
        A column is missing or duplicated, a value has the wrong type, the text is not UTF-8, or
        there is no row.
    """
    header = read_header(path, delimiter)
    lacking = [name for name in types if name not in header]
    if lacking:
        raise MedauditError(f"{path} lacks the columns {lacking}; it has {header}")
    duplicate = [name for name in types if header.count(name) > 1]
    if duplicate:
        raise MedauditError(f"{path} has duplicate columns {duplicate}; keep one of each")
    try:
        table = arrow_csv.read_csv(
            path,
            read_options=arrow_csv.ReadOptions(column_names=header, skip_rows=1),
            parse_options=arrow_csv.ParseOptions(delimiter=delimiter),
            convert_options=arrow_csv.ConvertOptions(
                column_types=types,
                include_columns=list(types),
                null_values=BLANK,
                strings_can_be_null=True,
            ),
        )
    except (pa.ArrowException, OSError) as error:
        raise MedauditError(
            f"cannot read {path}: {_name_column(str(error)[:LONGEST], header)}"
        ) from error
    if not table.num_rows:
        raise MedauditError(f"{path} has a header but no rows; give the owner's full table")
    return table.combine_chunks()


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
    encoded = pc.dictionary_encode(table[column].combine_chunks())
    values = encoded.dictionary.to_pylist()
    unknown = [value for value in values if value.strip().lower() not in meaning]
    if unknown:
        raise MedauditError(
            f"{path}: column {column!r} has the unknown values {[v[:60] for v in unknown[:5]]}; known "
            f"values: {sorted(meaning)}"
        )
    meant = np.array([*(meaning[value.strip().lower()] for value in values), None], dtype=object)
    return meant[pc.fill_null(encoded.indices, len(values)).to_numpy(zero_copy_only=False)]


def check_present(table: pa.Table, column: str, path: Path) -> None:
    """Raise a `MedauditError` if a column has a blank value."""
    if table[column].null_count:
        row = pc.index(pc.is_null(table[column]), True).as_py()
        raise MedauditError(
            f"{path}: column {column!r} is blank in {table[column].null_count} rows, "
            f"first in line {row + 2}: fill them in, or remove these rows"
        )


def check_unique(table: pa.Table, column: str, path: Path) -> None:
    """Raise a `MedauditError` if a column has duplicate values."""
    counts = pc.value_counts(table[column].combine_chunks())
    duplicate = counts.filter(pc.greater(counts.field("counts"), 1))
    if len(duplicate):
        first = duplicate[0]
        raise MedauditError(
            f"{path}: column {column!r} must be unique, but has {len(duplicate)} duplicate values, "
            f"e.g. {first['values'].as_py()!r} in {first['counts'].as_py()} rows"
        )


def check_ages(age: np.ndarray, column: str, path: Path) -> None:
    """Raise a `MedauditError` if an age is outside 0 to `OLDEST` years; NaN means missing."""
    wrong = (age < 0) | (age > OLDEST)
    if wrong.any():
        row = wrong.argmax()
        raise MedauditError(
            f"{path}: column {column!r} has {age[row]:g} in line {row + 2}; give years from 0 to "
            f"{OLDEST}, and leave unknown ages blank"
        )


def _name_column(message: str, header: list[str]) -> str:
    """Return pyarrow's message with the column's name instead of its number."""
    found = re.search(r"In CSV column #(\d+)", message)
    if found is None or int(found[1]) >= len(header):
        return message
    return message.replace(found[0], f"In column {header[int(found[1])]!r}")
