"""OL3I (Zambrano Chaves et al., 2021): one abdominal CT slice at L3 per person."""

from pathlib import Path

import pandas as pd
import pyarrow as pa

from medaudit.data.datasets import DatasetSettings, LoadedDataset
from medaudit.data.phantoms.tables.draw import load_or_draw
from medaudit.data.phantoms.tables.ol3i import write_table
from medaudit.data.readers.find_files import find_table
from medaudit.data.readers.owner_table import (
    check_ages,
    check_present,
    check_unique,
    read_columns,
    translate,
)

SLICES = "l3_slices.h5"
TABLES = ("clinical_data.csv", "ol3i_metadata.csv")
TASK = "Ischemic heart disease"
_SEX = {"male": "male", "female": "female", "m": "male", "f": "female", "unknown": "unknown"}
_LABEL = {"0": 0.0, "1": 1.0, "0.0": 0.0, "1.0": 1.0}
_COLUMNS = ("anon_id", "sex", "label_1y", "set_1y")


def load(settings: DatasetSettings) -> LoadedDataset:
    """Read OL3I.

    Parameters
    ----------
    settings : dict
        The catalogue entry: ``folder`` (null draws a table and images) and
        ``table`` (a CSV inside it; null finds
        ``clinical_data.csv`` or ``ol3i_metadata.csv``).

    Returns
    -------
    LoadedDataset
        One row per scan in the order of the table; each scan is of another person.
        ``y_Ischemic heart disease`` is ``label_1y`` (diagnosed within a year); it is missing where
        blank (scans that only have a five-year label). ``a_official_split`` is ``set_1y``. ``path``
        names a dataset of ``l3_slices.h5``, in Hounsfield units.

    Raises
    ------
    MedauditError
        There is no table, a column is missing, a value is unknown, or a scan is duplicated.
    """
    return load_or_draw(settings, write_table, _read)


def _read(folder: Path, settings: DatasetSettings) -> LoadedDataset:
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
    return LoadedDataset(frame, {"clinical": path})
