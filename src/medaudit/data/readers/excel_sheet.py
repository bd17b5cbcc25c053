"""Read a sheet of a spreadsheet (Excel, OpenDocument): values only, up to a size limit."""

import datetime
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from medaudit.core.errors import MedauditError

LARGEST = 1 << 28
"""Bytes of the unpacked file."""
WIDEST = 1000  # columns
LONGEST = 1_048_576  # rows: Excel's own limit
_BLANK = {"", "NA", "N/A", "n/a", "NaN", "nan", "NULL", "null", "None", "<NA>", "#N/A"}


def read_cells(path: Path, sheet: str | None = None) -> Iterator[tuple]:
    """Yield the rows of a sheet (default: the first), formulas as their stored values.

    Raises
    ------
    MedauditError
        The file is not a spreadsheet, is damaged, unpacks to more than `LARGEST` bytes, declares
        XML entities, has more than `WIDEST` columns or `LONGEST` rows, or has no such sheet.
    """
    try:
        rows = _open_document(path, sheet) if _is_other(path) else _excel(path, sheet)
        for number, row in enumerate(rows, start=1):
            if len(row) > WIDEST or number > LONGEST:
                raise ValueError(f"row {number} has {len(row)} cells")
            yield row
    except MedauditError:
        raise
    except Exception as error:  # the libraries raise errors of any kind on damaged files
        raise MedauditError(
            f"cannot read {path}: {str(error) or type(error).__name__}; save it again as .xlsx"
        ) from error


def sheet_names(path: Path) -> list[str]:
    """Return the names of the sheets that have more than one row."""
    from python_calamine import CalamineWorkbook

    try:
        _check_archive(path)
        with CalamineWorkbook.from_path(str(path)) as book:
            return [n for n in book.sheet_names if book.get_sheet_by_name(n).height > 1]
    except Exception:  # noqa: BLE001  # `read_cells` says what is wrong
        return []


def _excel(path: Path, sheet: str | None) -> Iterator[tuple]:
    from openpyxl import load_workbook

    _check_archive(path)
    book = load_workbook(path, read_only=True, data_only=True, keep_links=False)
    try:
        chosen = book.worksheets[0] if sheet is None else book[_known(sheet, book.sheetnames, path)]
        chosen.reset_dimensions()  # some programs write a wrong size into the file
        yield from chosen.iter_rows(values_only=True)
    finally:
        book.close()


def _open_document(path: Path, sheet: str | None) -> Iterator[tuple]:
    from python_calamine import CalamineWorkbook

    _check_archive(path)
    with CalamineWorkbook.from_path(str(path)) as book:
        name = book.sheet_names[0] if sheet is None else _known(sheet, book.sheet_names, path)
        for row in book.get_sheet_by_name(name).to_python(skip_empty_area=False):
            yield tuple(None if cell == "" else cell for cell in row)


def _known(sheet: str, names: list[str], path: Path) -> str:
    if sheet not in names:
        raise MedauditError(f"{path} has no sheet {sheet!r}; it has {names}: name one with --sheet")
    return sheet


def _is_other(path: Path) -> bool:
    """Return whether a spreadsheet is not .xlsx: OpenDocument, or .xls of before 2007."""
    with path.open("rb") as file:
        if file.read(4) == b"\xd0\xcf\x11\xe0":
            return True
    with zipfile.ZipFile(path) as archive:
        return "mimetype" in archive.namelist()


def read_table(path: Path, sheet: str | None = None) -> pd.DataFrame:
    """Return a sheet as text, with the names of its first row; blanks are missing.

    Whole numbers have no decimal point, whatever their type in the file; empty rows are dropped.

    Raises
    ------
    MedauditError
        As `read_cells`; or a column name is duplicated, or there is no row.
    """
    rows = [[_as_text(cell) for cell in row] for row in read_cells(path, sheet)]
    rows = [row for row in rows if any(cell is not None for cell in row)]
    if not rows:
        raise MedauditError(f"{path} is empty; give the owner's table")
    names = [name.strip() if name else f"Unnamed: {k}" for k, name in enumerate(rows[0])]
    if len(set(names)) < len(names):
        duplicate = sorted({name for name in names if names.count(name) > 1})
        raise MedauditError(f"{path} has duplicate columns {duplicate}; keep one of each")
    width = len(names)
    cells = [(row + [None] * width)[:width] for row in rows[1:]]
    return pd.DataFrame(cells, columns=names, dtype="str")


def _as_text(cell: object) -> str | None:
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    if isinstance(cell, datetime.datetime) and not (cell.hour or cell.minute or cell.second):
        cell = cell.date()
    text = None if cell is None else str(cell)
    return None if text is None or text.strip() in _BLANK else text


def _check_archive(path: Path) -> None:
    # An .xlsx file is a zip archive of XML: refuse zip bombs, and document types, with which a few
    # nested entities expand to any size ("billion laughs").
    if not zipfile.is_zipfile(path) and path.read_bytes()[:4] == b"\xd0\xcf\x11\xe0":
        return
    with zipfile.ZipFile(path) as archive:
        total = sum(info.file_size for info in archive.infolist())
        if total > LARGEST:
            raise ValueError(f"it unpacks to {total:,} bytes")
        for info in archive.infolist():
            if info.filename.endswith((".xml", ".rels")):
                with archive.open(info) as stream:
                    if b"<!DOCTYPE" in stream.read().replace(b"\0", b""):
                        raise ValueError(f"{info.filename} declares a document type: refused")
        if "mimetype" in archive.namelist():
            _check_repeats(archive.read("content.xml"))


def _check_repeats(content: bytes) -> None:
    """Refuse an OpenDocument file in which a cell with content stands for too many."""
    for match in re.finditer(
        rb"<table:table-cell[^>]*columns-repeated=\"(\d+)\"[^>]*[^/]>", content
    ):
        if int(match[1]) > WIDEST:
            raise ValueError(f"a cell is repeated {int(match[1])} times")
    for match in re.finditer(rb"<table:table-row[^>]*rows-repeated=\"(\d+)\"[^>]*>", content):
        end = content.find(b"</table:table-row>", match.end())
        if int(match[1]) > 1000 and b"<text:p" in content[match.end() : end]:
            raise ValueError(f"a row is repeated {int(match[1])} times")
