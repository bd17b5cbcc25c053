"""Read the first sheet of an Excel file: values only, up to a size limit."""

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


def read_cells(path: Path) -> Iterator[tuple]:
    """Yield the rows of the first sheet, formulas as their stored values.

    Raises
    ------
    MedauditError
        The file is not an Excel file, is damaged, unpacks to more than `LARGEST` bytes, declares
        XML entities, or has more than `WIDEST` columns or `LONGEST` rows.
    """
    from openpyxl import load_workbook

    try:
        _check_archive(path)
        book = load_workbook(path, read_only=True, data_only=True, keep_links=False)
        try:
            sheet = book.worksheets[0]
            sheet.reset_dimensions()  # some programs write a wrong size into the file
            for number, row in enumerate(sheet.iter_rows(values_only=True), start=1):
                if len(row) > WIDEST or number > LONGEST:
                    raise ValueError(f"row {number} has {len(row)} cells")
                yield row
        finally:
            book.close()
    except Exception as error:  # openpyxl raises errors of any kind on damaged files
        raise MedauditError(
            f"cannot read {path}: {str(error) or type(error).__name__}; save it again as .xlsx"
        ) from error


def read_table(path: Path) -> pd.DataFrame:
    """Return the first sheet as text, with the names of its first row; blanks are missing.

    Whole numbers have no decimal point, whatever their type in the file; empty rows are dropped.

    Raises
    ------
    MedauditError
        As `read_cells`; or a column name is duplicated, or there is no row.
    """
    rows = [[_as_text(cell) for cell in row] for row in read_cells(path)]
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
    text = None if cell is None else str(cell)
    return None if text is None or text.strip() in _BLANK else text


def _check_archive(path: Path) -> None:
    # An .xlsx file is a zip archive of XML: refuse zip bombs, and document types, with which a few
    # nested entities expand to any size ("billion laughs").
    with zipfile.ZipFile(path) as archive:
        total = sum(info.file_size for info in archive.infolist())
        if total > LARGEST:
            raise ValueError(f"it unpacks to {total:,} bytes")
        for info in archive.infolist():
            if info.filename.endswith((".xml", ".rels")):
                with archive.open(info) as stream:
                    if b"<!DOCTYPE" in stream.read().replace(b"\0", b""):
                        raise ValueError(f"{info.filename} declares a document type: refused")
