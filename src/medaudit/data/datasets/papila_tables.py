"""PAPILA's clinical tables: Excel with three header rows, or CSV files made from it."""

import re
from pathlib import Path

import pandas as pd
import pyarrow as pa

from medaudit.core.errors import MedauditError
from medaudit.data.readers.excel_sheet import read_cells
from medaudit.data.readers.owner_table import check_unique, read_columns

EYES = {"OD": "patient_data_od", "OS": "patient_data_os"}
PLACES = ("ClinicalData", "*/ClinicalData", ".")
COLUMNS = {"ID": 0, "Age": 1, "Gender": 2, "Diagnosis": 3}  # the positions in the owner's sheet
_ID = re.compile(r"#\d+")


def find_tables(folder: Path) -> dict[str, Path]:
    """Return the table of each eye, the owner's Excel file in preference to a CSV file.

    Raises
    ------
    MedauditError
        The table of an eye is missing.
    """
    found = {}
    for eye, name in EYES.items():
        candidates = [
            path
            for place in PLACES
            for suffix in (".xlsx", ".csv")
            for path in sorted(folder.glob(f"{place}/{name}{suffix}"))
        ]
        if not candidates:
            raise MedauditError(
                f"there is no ClinicalData/{name}.xlsx (or .csv) in {folder}; set `folder` of the "
                "dataset to where PAPILA was unpacked"
            )
        found[eye] = candidates[0]
    return found


def read_rows(path: Path) -> pd.DataFrame:
    """Return ID (text), Age, Gender and Diagnosis (numbers) of each patient, blanks as NaN.

    Raises
    ------
    MedauditError
        The file cannot be read, a column is missing, there is no row of a patient, or a cell that
        must be a number is not.
    """
    if path.suffix == ".csv":
        types = {name: pa.string() if name == "ID" else pa.float64() for name in COLUMNS}
        columns = read_columns(path, types)
        check_unique(columns, "ID", path)
        table = columns.to_pandas()
        wrong = [name for name in table["ID"] if not _ID.fullmatch(str(name))]
        if wrong:
            raise MedauditError(f"{path}: column 'ID' has {wrong[:5]}; expected e.g. #002")
        return table.astype({"ID": "str"})
    header, rows = _read_sheet(path)
    places = {name: header.get(name, place) for name, place in COLUMNS.items()}
    if not rows:
        raise MedauditError(f"{path} has no row whose first cell is like #002; give PAPILA's table")
    lacking = sorted(set(COLUMNS) - {"ID"} - set(header))
    if header and lacking:
        raise MedauditError(f"{path} lacks the columns {lacking}; it has {sorted(header)}")
    cells = {name: [row[place] for row in rows] for name, place in places.items()}
    numbers = {name: _numbers(values, name, path) for name, values in cells.items() if name != "ID"}
    return pd.DataFrame({"ID": pd.Series(cells["ID"], dtype="str"), **numbers})


def _read_sheet(path: Path) -> tuple[dict[str, int], list[tuple]]:
    """Return the positions of the wanted columns in the header rows, and the rows of patients."""
    header: dict[str, int] = {}
    rows: list[tuple] = []
    for cells in read_cells(path):
        cells = tuple(cell.strip() if isinstance(cell, str) else cell for cell in cells)
        if cells and isinstance(cells[0], str) and _ID.fullmatch(cells[0]):
            rows.append(cells)
        elif not rows:
            header |= {cell: k for k, cell in enumerate(cells) if cell in COLUMNS and cell != "ID"}
    return header, rows


def _numbers(cells: list, name: str, path: Path) -> pd.Series:
    blank = [None if cell in ("", "NaN", "nan") else cell for cell in cells]
    try:
        return pd.to_numeric(pd.Series(blank, name=name, dtype=object)).astype(float)
    except (ValueError, TypeError) as error:
        raise MedauditError(f"{path}: column {name!r} must have numbers: {error}") from error
