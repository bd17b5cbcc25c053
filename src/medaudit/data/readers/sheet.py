"""Read a table of any origin as text: CSV, TSV, spreadsheets, Parquet, JSON; any encoding."""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.json as pa_json
import pyarrow.parquet as pq

from medaudit.core.errors import MedauditError
from medaudit.data.readers import delimited_text
from medaudit.data.readers.archives import PACKED, ZIP, inner_suffix, is_workbook, unpack
from medaudit.data.readers.excel_sheet import read_cells, sheet_names
from medaudit.data.readers.excel_sheet import read_table as read_excel
from medaudit.data.readers.leftovers import drop_leftovers
from medaudit.data.readers.nested import as_json_lines, spread_lists

OLD_EXCEL = b"\xd0\xcf\x11\xe0"
_CONTROLS = r"[\x00-\x1f\x7f-\x9f]+"
_UNNAMED = re.compile(r"__index_level_\d+__")
MOST_CELLS = 500_000_000


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
    names : list of str
        All columns of the file, if only some were read.
    path : Path, optional
        The file.
    exclusions : list of dict
        ``{"reason": str, "count": int}`` of rows that were left out.
    plain : bool
        Whether the file is known to have no control characters, which saves searching every cell.
    """

    frame: pd.DataFrame
    where: str
    notes: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    path: Path | None = None
    exclusions: list[dict] = field(default_factory=list)
    plain: bool = False

    def place(self, row: int) -> str:
        """Return where a row of `frame` is: ``line 5`` of a text file, else ``row 5``."""
        number = None if self.path is None else line_of(self.path, row)
        return f"row {row + 1}" if number is None else f"line {number}"


def read_sheet(
    source: Path | pd.DataFrame,
    where: str = "the table",
    wanted: Collection[str] | None = None,
    sheet: str | None = None,
    leftovers: bool = False,
) -> Sheet:
    """Read a table; ``NA``, ``NaN``, ``null``, ``None`` and empty cells are missing.

    Parameters
    ----------
    source : Path or pandas.DataFrame
        Parquet, a spreadsheet (.xlsx, .xls, .ods) or JSON (by suffix or by first bytes), otherwise
        delimited text, plain or compressed (gzip, bzip2, xz, zip), whose delimiter (comma, semicolon, tab, bar) and encoding (UTF-8, UTF-16 with a
        byte-order mark, otherwise Windows-1252) are detected. A data frame is used as it is.
    where : str
        Name of a data frame in messages.
    wanted : collection of str, optional
        Columns to read of a file, as far as it has them (at least one); None reads all. It saves most of the
        time that a table of many columns takes.
    sheet : str, optional
        Sheet of a spreadsheet; default: the first.
    leftovers : bool
        Whether what is no data is dropped with a note (`drop_leftovers`): for tables of anybody.
        Then columns of lists are left out too, and a spreadsheet with several tables needs `sheet`.

    Raises
    ------
    MedauditError
        The file does not exist, is empty or broken, has no rows, or has a duplicate column.
    """
    if isinstance(source, pd.DataFrame):
        found = Sheet(source.reset_index(drop=True), where)
    else:
        if leftovers and sheet is None:
            _check_one_table(Path(source))
        found = _read_file(Path(source), wanted, sheet)
    names = [_plain_name(name) for name in found.frame.columns]
    _check_unique(names, found.where)
    found.frame.columns = pd.Index(names)
    found.names = found.names or names
    if leftovers:
        found.frame, nested = spread_lists(found.frame)
        found.frame, dropped = drop_leftovers(found.frame)
        found.notes += [*nested, *dropped]
    if not found.plain:
        _drop_controls(found.frame)
    if found.frame.empty:
        raise MedauditError(
            f"{found.where} has a header ({', '.join(found.names)}) and no rows; export it again"
        )
    return found


def _check_one_table(path: Path) -> None:
    if path.suffix.lower() not in (".xlsx", ".xlsm", ".xls", ".ods"):
        return
    names = sheet_names(path)
    if len(names) > 1:
        raise MedauditError(
            f"{path} has the sheets {', '.join(map(repr, names))}; name one: --sheet {names[0]!r}"
        )


def line_of(path: Path, row: int) -> int | None:
    """Return the line of a text file, or the row of an Excel sheet, in which row `row` ends.

    Only errors need it, so the file is read again. None for Parquet.
    """
    data = unpack(path.read_bytes(), path)
    if data[:4] == b"PAR1":
        return None
    if data[:4] in (ZIP, OLD_EXCEL):
        cells = enumerate(read_cells(path), start=1)
        filled = iter([k for k, cell in cells if any(c is not None for c in cell)])
    else:
        filled = delimited_text.filled_lines(data)
    return next((line for number, line in enumerate(filled) if number == row + 1), None)


def _plain_name(name: object) -> str:
    return re.sub(_CONTROLS, " ", str(name)).strip()


def _check_unique(names: list[str], where: str) -> None:
    duplicate = sorted({name for name in names if names.count(name) > 1})
    if duplicate:
        raise MedauditError(f"{where}: duplicate columns {duplicate}; rename or drop one of each")


def _read_file(path: Path, wanted: Collection[str] | None, sheet: str | None) -> Sheet:
    try:
        with path.open("rb") as file:
            _check_kind(file.read(4096), path)  # a wrong file of many GB is not read
        data = unpack(path.read_bytes(), path)
    except OSError as error:
        raise MedauditError(f"cannot read {path}: {error.strerror or error}") from error
    if not data.strip():
        raise MedauditError(f"{path} is empty (0 rows); export it again")
    suffix = inner_suffix(path)
    try:
        if data[:4] == b"PAR1" or suffix in (".parquet", ".pq"):
            frame, names = _read_parquet(data, wanted)
            return Sheet(frame, str(path), ["Parquet"], names, path)
        if (data[:4] == ZIP and is_workbook(data)) or data[:4] == OLD_EXCEL:
            frame = read_excel(path, sheet)
            note = f"spreadsheet, {f'sheet {sheet}' if sheet else 'first sheet'}"
            return Sheet(frame, str(path), [note], list(frame), path)
        if suffix in (".json", ".jsonl", ".ndjson"):
            data = as_json_lines(data, path)
            frame, names = _read_json_lines(data, wanted)
            return Sheet(frame, str(path), ["JSON, one object per line"], names, path)
        return _read_text(data, path, wanted)
    except (pa.ArrowException, UnicodeError, OSError) as error:
        raise MedauditError(f"cannot read {path}: {error}") from error


def _check_kind(head: bytes, path: Path) -> None:
    """Raise an error if the first bytes are of no kind of table."""
    known = (b"PAR1", ZIP, OLD_EXCEL, *PACKED, b"\xff\xfe", b"\xfe\xff")
    if (
        b"\x00" in head
        and not head.startswith(known)
        and not delimited_text.utf16_without_mark(head)
    ):
        raise MedauditError(
            f"{path} is not text, a spreadsheet or Parquet; export it as CSV, TSV or Parquet"
        )


def _read_json_lines(data: bytes, wanted: Collection[str] | None) -> tuple[pd.DataFrame, list[str]]:
    table = pa_json.read_json(pa.BufferReader(data))
    kept = [name for name in table.column_names if wanted is None or _plain_name(name) in wanted]
    if not kept:
        raise pa.ArrowInvalid(f"it lacks {sorted(wanted or [])}; it has {table.column_names}")
    return table.select(kept).to_pandas(), [_plain_name(name) for name in table.column_names]


def _read_parquet(data: bytes, wanted: Collection[str] | None) -> tuple[pd.DataFrame, list[str]]:
    """Read the columns without the metadata of pandas: a named index is a column like the others."""
    file = pq.ParquetFile(pa.BufferReader(data))
    rows, columns = file.metadata.num_rows, file.metadata.num_columns
    if rows * columns > MOST_CELLS:
        raise pa.ArrowInvalid(f"it claims {rows:,} rows of {columns} columns")
    names = [name for name in file.schema_arrow.names if not _UNNAMED.fullmatch(name)]
    kept = [name for name in names if wanted is None or _plain_name(name) in wanted]
    table = file.read(columns=kept).replace_schema_metadata(None)
    table.validate(full=True)  # full: Arrow would otherwise hand on text that is not UTF-8
    return table.select(kept).to_pandas(), [_plain_name(name) for name in names]


def _read_text(data: bytes, path: Path, wanted: Collection[str] | None) -> Sheet:
    _check_kind(data[:4096], path)
    text = delimited_text.find_format(data)
    kept = [name for name in text.names if wanted is None or _plain_name(name) in wanted]
    if not kept:
        raise MedauditError(f"{path} lacks the columns {sorted(wanted or [])}; it has {text.names}")
    # Arrow would fail without saying which
    _check_unique(text.names if wanted is None else kept, str(path))
    table = delimited_text.parse(text, kept, path)
    names = list(map(_plain_name, text.names))
    plain = not delimited_text.has_controls(text)
    return Sheet(table.to_pandas(), str(path), text.notes, names, path, plain=plain)


def _drop_controls(frame: pd.DataFrame) -> None:
    """Replace control characters and line ends by spaces, since texts appear in figures and LaTeX."""
    for name in frame.columns:
        if pd.api.types.is_string_dtype(frame[name]):
            text = frame[name].astype("str")
            if text.str.contains(_CONTROLS, na=False).any():
                frame[name] = text.str.replace(_CONTROLS, " ", regex=True).str.strip()


def as_text(values: pd.Series) -> pd.Series:
    """Return ids and levels as text; whole numbers lose the ``.0`` that a float column gave them.

    pandas reads a column of whole numbers with a missing value as floats.
    """
    if pd.api.types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")
    return values.astype("str").where(values.notna(), None).astype("str")


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
