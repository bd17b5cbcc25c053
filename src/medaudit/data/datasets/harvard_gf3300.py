"""Harvard-GF3300 (Luo et al., 2023): one map of the retinal nerve fibre layer per patient."""

from pathlib import Path

import pandas as pd
import pyarrow as pa

from medaudit.core.errors import MedauditError
from medaudit.data.datasets import DatasetSettings, LoadedDataset
from medaudit.data.phantoms.tables.draw import load_or_draw
from medaudit.data.phantoms.tables.harvard_gf3300 import write_table
from medaudit.data.readers.find_files import find_table
from medaudit.data.readers.owner_table import (
    check_ages,
    check_present,
    check_unique,
    read_columns,
    translate,
)

TABLES = ("data_summary.csv",)
ARRAY = "rnflt"
TASK = "Glaucoma"
FOLDERS = {"training": "Training", "validation": "Validation", "test": "Test"}
_SEX = {"male": "male", "female": "female", "unknown": "unknown"}
_LABEL = {"yes": 1.0, "no": 0.0}
_COLUMNS = ("filename", "age", "gender", "race", "glaucoma", "use")
_FURTHER = {
    "language": "language",
    "maritalstatus": "marital_status",
    "ethnicity": "ethnicity",
    "hispanic": "ethnicity",
}


def load(settings: DatasetSettings) -> LoadedDataset:
    """Read Harvard-GF3300.

    Parameters
    ----------
    settings : dict
        The catalogue entry: ``folder`` (the owner's, or its parent;
        null draws a table and images) and ``table`` (a CSV inside
        it; null finds ``data_summary.csv``).

    Returns
    -------
    LoadedDataset
        One row per patient in the order of the table. Attributes ``sex``, ``race``,
        ``official_split`` (the column ``use``) and, where the table has them, ``ethnicity`` (also
        called ``hispanic``), ``language`` and ``marital_status``, in the owner's words, lower
        case; ``unknown`` is a level, a blank is missing. ``path`` names the array ``rnflt``
        (thickness in micrometres, -2 where invalid).

    Raises
    ------
    MedauditError
        There is no table, a column is missing, a value is unknown, or a file is duplicated.
    """
    return load_or_draw(settings, write_table, _read)


def _read(folder: Path, settings: DatasetSettings) -> LoadedDataset:
    path = find_table(folder, settings.get("table"), TABLES)
    types = dict.fromkeys(_COLUMNS, pa.string()) | {"age": pa.float64()}
    table = read_columns(path, types, optional=tuple(_FURTHER))
    further = {name: new for name, new in _FURTHER.items() if name in table.column_names}
    if len(set(further.values())) < len(further):
        raise MedauditError(f"{path} has both 'ethnicity' and 'hispanic'; keep one")
    check_ages(table["age"].to_numpy(), "age", path)
    for column in ("filename", "use"):
        check_present(table, column, path)
    check_unique(table, "filename", path)
    names = table["filename"].to_pandas()
    places = pd.Series(translate(table, "use", FOLDERS, path), dtype="str")
    where = path.parent.relative_to(folder).as_posix()
    frame = pd.DataFrame(
        {
            "image_id": names.str.removesuffix(".npz"),
            "patient_id": names.str.removesuffix(".npz"),
            "path": ("" if where == "." else f"{where}/") + places + "/" + names + f"#{ARRAY}",
            "age": table["age"].to_numpy(),
            "view": pd.Series(pd.NA, index=names.index, dtype="str"),
            f"y_{TASK}": translate(table, "glaucoma", _LABEL, path).astype(float),
            "a_sex": pd.Series(translate(table, "gender", _SEX, path), dtype="str"),
            "a_official_split": _level(table, "use"),
            "a_race": _level(table, "race"),
            **{f"a_{new}": _level(table, name) for name, new in further.items()},
        }
    )
    return LoadedDataset(frame, {"summary": path})


def _level(table: pa.Table, column: str) -> pd.Series:
    return table[column].to_pandas().str.strip().str.lower().astype("str")
