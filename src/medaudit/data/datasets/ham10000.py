"""HAM10000 (Tschandl et al., Scientific Data 2018): dermatoscopic images of skin lesions."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from medaudit.core.errors import MedauditError
from medaudit.data.datasets import DatasetSettings, LoadedDataset
from medaudit.data.phantoms.tables.draw import load_or_draw
from medaudit.data.phantoms.tables.ham10000 import write_table
from medaudit.data.readers.find_files import find_table, locate_images
from medaudit.data.readers.owner_table import (
    check_ages,
    check_present,
    check_unique,
    read_columns,
    translate,
)

TABLES = ("HAM10000_metadata", "HAM10000_metadata.tab", "HAM10000_metadata.csv")
MALIGNANT = ("akiec", "mel")
DIAGNOSES = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
BCC = ("benign", "malignant")
_SEX = {"male": "male", "female": "female", "unknown": "unknown"}
_TEXT = ("lesion_id", "image_id", "dx", "sex")


def load(settings: DatasetSettings) -> LoadedDataset:
    """Read HAM10000 as downloaded from Dataverse or a mirror.

    Parameters
    ----------
    settings : dict
        The catalogue entry.

        ``folder`` : contains the metadata (CSV without a suffix, ``.csv``, or tab-separated
        ``.tab``) and the images in any subfolders; null draws a table and images.
        ``table`` : path of the metadata in the folder; null finds it.
        ``bcc`` : whether basal cell carcinoma counts as ``benign`` (default: as in MEDFAIR and
        FairTune, whose counts follow from it) or ``malignant`` (which it is).

    Returns
    -------
    LoadedDataset
        One row per image in the order of the table. ``patient_id`` is the lesion, because the table
        does not identify patients. ``y_malignant`` is 1 for akiec and mel; ``a_sex`` has the level
        ``unknown`` where the owner's table says so; ``a_dx`` is the diagnosis.

    Raises
    ------
    MedauditError
        There is no table, a column is missing, an image is duplicated, or a diagnosis or sex is
        unknown.
    """
    return load_or_draw(settings, write_table, _read)


def _read(folder: Path, settings: DatasetSettings) -> LoadedDataset:
    path = find_table(folder, settings.get("table"), TABLES)
    table = read_columns(path, dict.fromkeys(_TEXT, pa.string()) | {"age": pa.float64()})
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
        "HAM10000 does not identify patients: splits are by lesion, and two lesions may belong to "
        "the same person."
    )
    return LoadedDataset(frame, {"metadata": path}, [], [lesions, note], "lesion")


def _malignant(diagnosis: pd.Series, settings: DatasetSettings) -> tuple[np.ndarray, str]:
    choice = settings.get("bcc") or BCC[0]
    if choice not in BCC:
        raise MedauditError(f"dataset setting `bcc` is {choice!r}; use one of {list(BCC)}")
    count = int((diagnosis == "bcc").sum())
    positive = MALIGNANT if choice == "benign" else (*MALIGNANT, "bcc")
    why = " as in the published counts, though it is a carcinoma" * (choice == "benign")
    note = f"Basal cell carcinoma ({count} images) counts as {choice}{why}."
    return diagnosis.isin(positive).to_numpy(float), note


def _ages(table: pa.Table, path: Path) -> np.ndarray:
    age = table["age"].to_numpy()
    check_ages(age, "age", path)
    return age


def _places(folder: Path, names: pd.Series, settings: DatasetSettings) -> pd.Series:
    part = np.where(names.rank() <= len(names) // 2, "1", "2")
    owners = "HAM10000_images_part_" + pd.Series(part) + "/" + names + ".jpg"
    if settings.get("folder") is None:
        return owners
    return locate_images(folder, names, owners, (".jpg", ".jpeg"))
