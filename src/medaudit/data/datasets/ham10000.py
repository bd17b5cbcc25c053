"""HAM10000 (Tschandl et al., Scientific Data 2018): dermatoscopic pictures of skin lesions."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from medaudit.core.errors import MedauditError
from medaudit.data.datasets import Source
from medaudit.data.phantoms.tables.draw import load_or_draw
from medaudit.data.phantoms.tables.ham10000 import write_table
from medaudit.data.readers.csv_table import (
    check_ages,
    check_present,
    check_unique,
    read_columns,
    read_header,
    translate,
)
from medaudit.data.readers.owner_files import find_table, locate_pictures

TABLES = ("HAM10000_metadata", "HAM10000_metadata.tab", "HAM10000_metadata.csv")
MALIGNANT = ("akiec", "mel")
DIAGNOSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
BCC = ("benign", "malignant")
_SEX = {"male": "male", "female": "female", "unknown": "unknown"}
_TEXT = ("lesion_id", "image_id", "dx", "sex")


def load(settings: dict) -> Source:
    """Read HAM10000 as Dataverse or a mirror hands it on.

    Parameters
    ----------
    settings : dict
        The catalogue entry.

        ``folder`` : holds the metadata (CSV without a suffix, ``.csv``, or tab-separated
        ``.tab``) and the pictures in any folders; null draws a table and pictures.
        ``table`` : the metadata's path in the folder; null finds it.
        ``bcc`` : what basal cell carcinoma counts as: ``benign`` (default, as MEDFAIR and FairTune
        do and as their counts need) or ``malignant`` (as it is).

    Returns
    -------
    Source
        One row a picture in the order of the table. ``patient_id`` is the lesion: there is no
        patient in the table. ``y_malignant`` is 1 for akiec and mel; ``a_sex`` has the level
        ``unknown`` where the owner writes it; ``a_dx`` is the diagnosis.

    Raises
    ------
    MedauditError
        No table, a column is lacking, a picture stands twice, or an unknown diagnosis or sex.
    """
    return load_or_draw(settings, write_table, _read)


def _read(folder: Path, settings: dict) -> Source:
    path = find_table(folder, settings.get("table"), TABLES)
    delimiter = "\t" if len(read_header(path, "\t")) > 1 else ","
    types = dict.fromkeys(_TEXT, pa.string()) | {"age": pa.float64()}
    table = read_columns(path, types, delimiter)
    for column in ("lesion_id", "image_id", "dx"):
        check_present(table, column, path)
    check_unique(table, "image_id", path)
    names = table["image_id"].to_pandas().astype("str")
    diagnosis = pd.Series(
        translate(table, "dx", {name: name for name in DIAGNOSES}, path), dtype="str"
    )
    malignant, note = _malignant(diagnosis, settings)
    frame = pd.DataFrame(
        {
            "image_id": names,
            "patient_id": table["lesion_id"].to_pandas().astype("str"),
            "path": _places(folder, names, settings),
            "age": _ages(table, path),
            "view": pd.Series(pd.NA, index=names.index, dtype="str"),
            "y_malignant": malignant,
            "a_sex": pd.Series(translate(table, "sex", _SEX, path), dtype="str"),
            "a_dx": diagnosis,
        }
    )
    lesions = (
        "HAM10000 names no patients: splits are by lesion, and two lesions may be one person's."
    )
    return Source(frame, {"metadata": path}, [], [lesions, note])


def _malignant(diagnosis: pd.Series, settings: dict) -> tuple[np.ndarray, str]:
    choice = settings.get("bcc") or BCC[0]
    if choice not in BCC:
        raise MedauditError(f"dataset setting `bcc` is {choice!r}; known are {list(BCC)}")
    count = int((diagnosis == "bcc").sum())
    positive = MALIGNANT if choice == "benign" else (*MALIGNANT, "bcc")
    why = " as in the published counts, though it is a carcinoma" * (choice == "benign")
    note = f"Basal cell carcinoma ({count} images) counts as {choice}{why}."
    return diagnosis.isin(positive).to_numpy(float), note


def _ages(table: pa.Table, path: Path) -> np.ndarray:
    age = table["age"].to_numpy()
    check_ages(age, "age", path)
    return age


def _places(folder: Path, names: pd.Series, settings: dict) -> pd.Series:
    part = np.where(np.arange(len(names)) < len(names) // 2, 1, 2)
    owners = "HAM10000_images_part_" + pd.Series(part.astype(str)) + "/" + names + ".jpg"
    if settings.get("folder") is None:
        return owners
    return locate_pictures(folder, names, owners, (".jpg", ".jpeg"))
