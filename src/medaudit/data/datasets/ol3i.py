"""OL3I (Zambrano Chaves et al., 2021): one abdominal CT slice at L3 a person."""

from pathlib import Path

import pandas as pd
import pyarrow as pa

from medaudit.data.datasets import Source
from medaudit.data.phantoms.tables.draw import load_or_draw
from medaudit.data.phantoms.tables.ol3i import write_table
from medaudit.data.readers.csv_table import (
    check_ages,
    check_present,
    check_unique,
    read_columns,
    translate,
)
from medaudit.data.readers.owner_files import find_table

SLICES = "l3_slices.h5"
TABLES = ("clinical_data.csv", "ol3i_metadata.csv")
TASK = "Ischemic heart disease"
_SEX = {"male": "male", "female": "female", "m": "male", "f": "female", "unknown": "unknown"}
_LABEL = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0}
_COLUMNS = ("anon_id", "sex", "label_1y", "set_1y")


def load(settings: dict) -> Source:
    """Read OL3I.

    Parameters
    ----------
    settings : dict
        The catalogue entry: ``folder`` (null draws a table and pictures) and
        ``table`` (a CSV inside it; null finds
        ``clinical_data.csv`` or ``ol3i_metadata.csv``).

    Returns
    -------
    Source
        One row a scan in the order of the table; a scan is a person. ``y_Ischemic heart disease``
        is ``label_1y`` (diagnosed within a year), missing where it is blank (scans with a label at
        five years alone). ``a_official_split`` is ``set_1y``. ``path`` names a dataset of
        ``l3_slices.h5``, Hounsfield units.

    Raises
    ------
    MedauditError
        No table, a column is lacking, a value is unknown, a scan named twice.
    """
    return load_or_draw(settings, write_table, _read)


def _read(folder: Path, settings: dict) -> Source:
    path = find_table(folder, settings.get("table"), TABLES)
    table = read_columns(path, dict.fromkeys(_COLUMNS, pa.string()) | {"age": pa.float64()})
    check_ages(table["age"].to_numpy(), "age", path)
    check_present(table, "anon_id", path)
    check_unique(table, "anon_id", path)
    names = table["anon_id"].to_pandas()
    frame = pd.DataFrame(
        {
            "image_id": names,
            "patient_id": names,
            "path": (path.parent.relative_to(folder) / SLICES).as_posix() + "#" + names,
            "age": table["age"].to_numpy(),
            "view": pd.Series(pd.NA, index=names.index, dtype="str"),
            f"y_{TASK}": translate(table, "label_1y", _LABEL, path).astype(float),
            "a_sex": pd.Series(translate(table, "sex", _SEX, path), dtype="str"),
            "a_official_split": table["set_1y"].to_pandas(),
        }
    )
    return Source(frame, {"clinical": path})
