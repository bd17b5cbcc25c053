"""PAPILA (Kovalyk et al., Scientific Data 2022): fundus images of both eyes."""

from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.data.datasets import DatasetSettings, LoadedDataset
from medaudit.data.datasets.papila_tables import find_tables, read_rows
from medaudit.data.phantoms.tables.draw import load_or_draw
from medaudit.data.phantoms.tables.papila import write_table
from medaudit.data.readers.find_files import locate_images

TABLES = ("patient_data_od.xlsx", "patient_data_od.csv")
SEX = {0: "male", 1: "female"}
DIAGNOSES = {0: "healthy", 1: "glaucoma", 2: "suspect"}
OLDEST = 120


def load(settings: DatasetSettings) -> LoadedDataset:
    """Read PAPILA's two clinical tables, which have one row per eye.

    Parameters
    ----------
    settings : dict
        The catalogue entry: ``folder`` contains ``ClinicalData/patient_data_{od,os}.xlsx`` (or the
        ``.csv`` that mirrors make from them) and ``FundusImages``, directly or in the download's
        subfolder ``PapilaDB-...``; null draws tables and images.

    Returns
    -------
    LoadedDataset
        Right eyes, then left eyes, each in the order of their table. ``patient_id`` is the owner's
        ID without ``#``; ``view`` is the eye, ``OD`` (right) or ``OS``; ``y_glaucoma`` is missing
        for suspects; ``a_diagnosis`` is healthy, glaucoma or suspect.

    Raises
    ------
    MedauditError
        A table is missing or cannot be read, an eye is duplicated, or a code is unknown.
    """
    return load_or_draw(settings, write_table, _read)


def _read(folder: Path, settings: DatasetSettings) -> LoadedDataset:
    tables = find_tables(folder)
    eyes = [_eyes(read_rows(path), eye, path) for eye, path in tables.items()]
    frame = pd.concat(eyes, ignore_index=True)
    names = frame["image_id"]
    if settings.get("folder") is None:
        frame["path"] = "FundusImages/" + names + ".jpg"
    else:
        place = next(iter(tables.values())).parent
        base = folder if place == folder else place.parent
        owners = base.relative_to(folder).joinpath("FundusImages").as_posix() + "/" + names + ".jpg"
        frame["path"] = locate_images(folder, names, owners, (".jpg", ".jpeg"))
    suspects = int((frame["a_diagnosis"] == "suspect").sum())
    exclusions = [{"reason": "glaucoma is suspected: label set to missing", "count": suspects}]
    return LoadedDataset(
        frame, {f"clinical_{eye.lower()}": path for eye, path in tables.items()}, exclusions
    )


def _eyes(rows: pd.DataFrame, eye: str, path: Path) -> pd.DataFrame:
    number = rows["ID"].str.removeprefix("#")
    if number.duplicated().any():
        duplicate = rows.loc[number.duplicated(), "ID"].iloc[0]
        raise MedauditError(f"{path}: duplicate patient {duplicate}; keep one row per patient")
    diagnosis = _decode(rows["Diagnosis"], DIAGNOSES, path)
    age = rows["Age"]
    if ((age < 0) | (age > OLDEST)).any():
        raise MedauditError(
            f"{path}: column 'Age' has values from {age.min():g} to {age.max():g}; give years from 0 "
            f"to {OLDEST}"
        )
    return pd.DataFrame(
        {
            "image_id": "RET" + number + eye,
            "patient_id": number,
            "path": "",
            "age": age.astype(float),
            "view": eye,
            "y_glaucoma": diagnosis.map({"healthy": 0.0, "glaucoma": 1.0}).astype(float),
            "a_sex": _decode(rows["Gender"], SEX, path),
            "a_diagnosis": diagnosis,
        }
    )


def _decode(codes: pd.Series, meaning: dict[int, str], path: Path) -> pd.Series:
    unknown = sorted(set(codes.dropna()) - set(meaning))
    if unknown:
        raise MedauditError(
            f"{path}: column {codes.name!r} has the unknown codes {unknown[:5]}; known: {meaning}"
        )
    meant = np.array([meaning.get(code) for code in codes], dtype=object)
    return pd.Series(meant, codes.index, dtype="str")
