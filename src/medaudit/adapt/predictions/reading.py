"""Read an external table as text: CSV, TSV or Parquet, whatever its delimiter and encoding."""

import csv
import io
import re
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from medaudit.core.errors import MedauditError

_CONTROLS = r"[\x00-\x1f\x7f-\x9f]+"
_UNNAMED = re.compile(r"__index_level_\d+__")
MOST_CELLS = 500_000_000
DELIMITERS = (",", ";", "\t", "|")
BLANKS = ["", "NA", "N/A", "n/a", "NaN", "nan", "NAN", "null", "NULL", "None", "<NA>"]
BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


@dataclass
class Sheet:
    """A table as its file holds it.

    Parameters
    ----------
    frame : pandas.DataFrame
        Text, or numbers if the Parquet file has numbers; blanks are missing.
    where : str
        The file, for messages.
    notes : list of str
        What was detected while reading: delimiter, encoding.
    """

    frame: pd.DataFrame
    where: str
    notes: list[str] = field(default_factory=list)


def read_sheet(source: Path | pd.DataFrame, where: str = "the table") -> Sheet:
    """Read a table; ``NA``, ``NaN``, ``null``, ``None`` and empty cells are missing.

    Parameters
    ----------
    source : Path or pandas.DataFrame
        Parquet (by suffix or by its first bytes), otherwise delimited text, whose delimiter
        (comma, semicolon, tab, bar) and encoding (UTF-8, UTF-16 with a byte-order mark, otherwise
        Windows-1252) are detected. A data frame is used as it is.
    where : str
        Name of a data frame in messages.

    Raises
    ------
    MedauditError
        The file does not exist, is empty or broken, has no rows, or has a duplicate column.
    """
    if isinstance(source, pd.DataFrame):
        sheet = Sheet(source.reset_index(drop=True), where)
    else:
        sheet = _read_file(Path(source))
    names = [re.sub(_CONTROLS, " ", str(name)).strip() for name in sheet.frame.columns]
    _check_unique(names, sheet.where)
    sheet.frame.columns = pd.Index(names)
    _drop_controls(sheet.frame)
    if sheet.frame.empty:
        raise MedauditError(
            f"{sheet.where} has a header ({', '.join(names)}) and no rows; export it again"
        )
    return sheet


def _check_unique(names: list[str], where: str) -> None:
    duplicate = sorted({name for name in names if names.count(name) > 1})
    if duplicate:
        raise MedauditError(f"{where}: duplicate columns {duplicate}; rename or drop one of each")


def _read_file(path: Path) -> Sheet:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MedauditError(f"cannot read {path}: {error.strerror or error}") from error
    if not data.strip():
        raise MedauditError(f"{path} is empty (0 rows); export it again")
    try:
        if data[:4] == b"PAR1" or path.suffix.lower() in (".parquet", ".pq"):
            return Sheet(_read_parquet(data), str(path), ["Parquet"])
        return _read_text(data, path)
    except (pa.ArrowException, UnicodeError, OSError) as error:
        raise MedauditError(f"cannot read {path}: {error}") from error


def _read_parquet(data: bytes) -> pd.DataFrame:
    """Read the columns without the metadata of pandas: a named index is a column like the others."""
    file = pq.ParquetFile(pa.BufferReader(data))
    rows, columns = file.metadata.num_rows, file.metadata.num_columns
    if rows * columns > MOST_CELLS:
        raise pa.ArrowInvalid(f"it claims {rows:,} rows of {columns} columns")
    table = file.read().replace_schema_metadata(None)
    table.validate(full=True)  # full: Arrow would otherwise hand on text that is not UTF-8
    frame = table.to_pandas()
    return frame.drop(columns=[name for name in frame.columns if _UNNAMED.fullmatch(name)])


def _read_text(data: bytes, path: Path) -> Sheet:
    if b"\x00" in data[:4096] and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise MedauditError(f"{path} is not text and not Parquet; export it as CSV, TSV or Parquet")
    data, encoding = _as_utf8(data)
    header = _header_line(data)
    delimiter = max(DELIMITERS, key=_unquoted(header).count)
    names = _split(header, delimiter)
    _check_unique(names, str(path))  # Arrow would fail without saying which
    table = pa_csv.read_csv(
        io.BytesIO(data),
        read_options=pa_csv.ReadOptions(column_names=names, skip_rows=_lines_before(data, header)),
        parse_options=pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=b'"' in data),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()),  # ids keep their zeros: 007
            null_values=BLANKS,
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
        ),
    )
    table = pa.table({name: _trimmed(table.column(name)) for name in names})
    shown = {"\t": "tab"}.get(delimiter, delimiter)
    return Sheet(table.to_pandas(), str(path), [f"delimiter {shown!r}, {encoding}"])


def _drop_controls(frame: pd.DataFrame) -> None:
    """Replace control characters and line ends by spaces, since texts appear in figures and LaTeX."""
    for name in frame.columns:
        if pd.api.types.is_string_dtype(frame[name]):
            text = frame[name].astype("str")
            if text.str.contains(_CONTROLS, na=False).any():
                frame[name] = text.str.replace(_CONTROLS, " ", regex=True).str.strip()


def _trimmed(column: pa.ChunkedArray) -> pa.ChunkedArray:
    text = pc.utf8_trim_whitespace(column)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _as_utf8(data: bytes) -> tuple[bytes, str]:
    for mark, encoding in BOMS:
        if data.startswith(mark):
            text = data.decode("utf-8-sig" if encoding == "utf-8" else encoding)
            return text.encode(), f"{encoding} with a byte-order mark"
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
        return text.encode(), "not UTF-8: read as Windows-1252, check accented names"
    return data, "utf-8"


def _header_line(data: bytes) -> str:
    lines = (line for line in data[:1_000_000].decode(errors="replace").splitlines())
    return next(line for line in lines if line.strip())


def _lines_before(data: bytes, header: str) -> int:
    return data[:1_000_000].decode(errors="replace").splitlines().index(header) + 1


def _unquoted(line: str) -> str:
    return "".join(line.split('"')[::2])


def _split(line: str, delimiter: str) -> list[str]:
    return [name.strip() for name in next(csv.reader([line], delimiter=delimiter))]


def as_numbers(column: pd.Series, what: str, where: str) -> pd.Series:
    """Return a column as float64; decimal commas are read if every number is written that way.

    Raises
    ------
    MedauditError
        A value is neither missing nor a number; the message shows the first ones.
    """
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return column.astype(float)
    numbers = pd.to_numeric(column, errors="coerce")
    bad = numbers.isna() & column.notna()
    if bad.any() and has_decimal_commas(column):
        numbers = pd.to_numeric(column.str.replace(",", "."), errors="coerce")
        bad = numbers.isna() & column.notna()
    if bad.any():
        shown = ", ".join(map(repr, column[bad].unique()[:3]))
        raise MedauditError(
            f"{where}: {int(bad.sum())} values of {what} are not numbers, e.g. {shown} (row "
            f"{int(bad.to_numpy().argmax()) + 1}); correct them, or name another column"
        )
    return numbers.astype(float)


def has_decimal_commas(column: pd.Series) -> bool:
    """Return whether numbers are written like ``0,25``, except whole ones."""
    if not pd.api.types.is_string_dtype(column):
        return False
    text = column.dropna()
    commas = text.str.fullmatch(r"[-+]?\d*,\d+(?:[eE][-+]?\d+)?")
    return bool(commas.any() and (commas | text.str.fullmatch(r"[-+]?\d+")).all())
