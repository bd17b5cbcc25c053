"""Fitzpatrick17k (Groh et al., CVPR ISIC workshop 2021): clinical images of skin conditions."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from medaudit.data.datasets import DatasetSettings, LoadedDataset
from medaudit.data.phantoms.tables.draw import load_or_draw
from medaudit.data.phantoms.tables.fitzpatrick17k import write_table
from medaudit.data.readers.find_files import find_table, locate_images
from medaudit.data.readers.owner_table import (
    check_present,
    check_unique,
    pick_column,
    read_columns,
    translate,
)

TABLES = ("fitzpatrick17k.csv", "SimThresh_*_KeepOne_*.csv")
"""Names of the owner's table, and of Fitzpatrick17k-C (Abhishek et al., 2024), the cleaned one."""

SCALES = ("fitzpatrick_scale", "fitzpatrick")
"""Column of the skin type, as releases of the table call it."""

PARTITIONS = {
    "malignant": "malignant tumour",
    "benign": "benign tumour",
    "non-neoplastic": "other condition",
}
SUFFIXES = (".jpg", ".jpeg", ".png")
_SKIN = {"-1": "unknown"} | {str(scale): f"type {scale}" for scale in range(1, 7)}
_SKIN |= {f"{scale}.0": level for scale, level in _SKIN.items()}


def load(settings: DatasetSettings) -> LoadedDataset:
    """Read ``fitzpatrick17k.csv`` and find the images that were downloaded.

    Parameters
    ----------
    settings : dict
        The catalogue entry: ``folder`` (with the table, and images named by ``md5hash`` in any
        subfolder; null draws a table and images) and ``table`` (null finds it).

    Returns
    -------
    LoadedDataset
        One row per image in the order of the table; ``patient_id`` is the image itself, because the
        table does not identify patients. ``y_malignant`` is 1 for the partition ``malignant``;
        ``a_skin_type`` is the Fitzpatrick type, ``type 1`` to ``type 6``, or ``unknown`` for -1;
        ``a_partition`` is the owner's partition in three, and ``a_official_split`` the split of
        Fitzpatrick17k-C.

    Raises
    ------
    MedauditError
        There is no table, a column is missing, an image is duplicated, or a partition or skin type
        is unknown.
    """
    return load_or_draw(settings, write_table, _read)


def _read(folder: Path, settings: DatasetSettings) -> LoadedDataset:
    path = find_table(folder, settings.get("table"), TABLES)
    types = dict.fromkeys(("md5hash", "three_partition_label"), pa.string())
    table = read_columns(path, types, optional=("qc", "partition", *SCALES))
    scale = pick_column(table, SCALES, path)
    for column in ("md5hash", "three_partition_label"):
        check_present(table, column, path)
    check_unique(table, "md5hash", path)
    names = table["md5hash"].to_pandas().astype("str")
    partition = pd.Series(translate(table, "three_partition_label", PARTITIONS, path), dtype="str")
    frame = pd.DataFrame(
        {
            "image_id": names,
            "patient_id": names,
            "path": _places(folder, names, settings),
            "age": np.nan,
            "view": pd.Series(pd.NA, index=names.index, dtype="str"),
            "y_malignant": (partition == PARTITIONS["malignant"]).to_numpy(float),
            "a_skin_type": pd.Series(translate(table, scale, _SKIN, path), dtype="str"),
            "a_partition": partition,
        }
    )
    if "partition" in table.column_names:
        frame["a_official_split"] = table["partition"].to_pandas().astype("str")
    return LoadedDataset(frame, {"labels": path}, [], _notes(table), "image")


def _notes(table: pa.Table) -> list[str]:
    notes = [
        "Fitzpatrick17k does not identify patients and has near-duplicates: images of the same person "
        "may be in two splits, which makes results look better than they are."
        if "partition" not in table.column_names
        else "Fitzpatrick17k-C does not identify patients: its authors removed near-duplicates, but "
        "images of the same person may be in two splits."
    ]
    if "qc" in table.column_names:
        wrong = int(table["qc"].to_pandas().astype("str").str.contains("Wrongly").sum())
        if wrong:
            notes.append(
                f"The owner's quality check calls {wrong} images wrongly labelled; they are kept."
            )
    return notes


def _places(folder: Path, names: pd.Series, settings: DatasetSettings) -> pd.Series:
    owners = "images/" + names + ".jpg"
    if settings.get("folder") is None:
        return owners
    return locate_images(folder, names, owners, SUFFIXES)
