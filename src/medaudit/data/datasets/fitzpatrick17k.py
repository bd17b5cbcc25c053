"""Fitzpatrick17k (Groh et al., CVPR ISIC workshop 2021): clinical pictures of skin conditions."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from medaudit.data.datasets import Source
from medaudit.data.phantoms.tables.draw import load_or_draw
from medaudit.data.phantoms.tables.fitzpatrick17k import write_table
from medaudit.data.readers.csv_table import (
    check_present,
    check_unique,
    read_columns,
    read_header,
    translate,
)
from medaudit.data.readers.owner_files import find_table, locate_pictures

TABLES = ("fitzpatrick17k.csv",)
PARTITIONS = {
    "malignant": "malignant tumour",
    "benign": "benign tumour",
    "non-neoplastic": "other condition",
}
SUFFIXES = (".jpg", ".jpeg", ".png")
_SKIN = {"-1": "unknown"} | {str(scale): f"type {scale}" for scale in range(1, 7)}
_SKIN |= {f"{scale}.0": level for scale, level in _SKIN.items()}


def load(settings: dict) -> Source:
    """Read ``fitzpatrick17k.csv`` and find the pictures that could still be had.

    Parameters
    ----------
    settings : dict
        The catalogue entry: ``folder`` (the table, and pictures named by ``md5hash`` in any
        folder; null draws a table and pictures) and ``table`` (null finds it).

    Returns
    -------
    Source
        One row a picture in the order of the table; ``patient_id`` is the picture itself, since
        the owner names no patients. ``y_malignant`` is 1 for the partition ``malignant``;
        ``a_skin_type`` is the Fitzpatrick type, ``type 1`` to ``type 6``, or ``unknown`` for -1;
        ``a_partition`` is the owner's partition in three.

    Raises
    ------
    MedauditError
        No table, a column is lacking, a picture stands twice, an unknown partition or skin type.
    """
    return load_or_draw(settings, write_table, _read)


def _read(folder: Path, settings: dict) -> Source:
    path = find_table(folder, settings.get("table"), TABLES)
    columns = ["md5hash", "fitzpatrick_scale", "three_partition_label"]
    checked = [name for name in ("qc",) if name in read_header(path)]
    table = read_columns(path, dict.fromkeys((*columns, *checked), pa.string()))
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
            "a_skin_type": pd.Series(
                translate(table, "fitzpatrick_scale", _SKIN, path), dtype="str"
            ),
            "a_partition": partition,
        }
    )
    return Source(frame, {"labels": path}, [], _notes(table))


def _notes(table: pa.Table) -> list[str]:
    notes = [
        "Fitzpatrick17k names no patients and holds near-duplicates: a picture of the same person "
        "may be in two splits, which makes results look better than they are."
    ]
    if "qc" in table.column_names:
        wrong = int(table["qc"].to_pandas().astype("str").str.contains("Wrongly").sum())
        if wrong:
            notes.append(
                f"The owner's check calls {wrong} pictures wrongly labelled; they are kept."
            )
    return notes


def _places(folder: Path, names: pd.Series, settings: dict) -> pd.Series:
    owners = "images/" + names + ".jpg"
    if settings.get("folder") is None:
        return owners
    return locate_pictures(folder, names, owners, SUFFIXES)
