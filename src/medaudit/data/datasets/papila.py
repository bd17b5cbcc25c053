"""PAPILA (Kovalyk et al., Scientific Data 2022): fundus pictures of both eyes."""

from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.data.datasets import Source
from medaudit.data.datasets.papila_tables import find_tables, read_rows
from medaudit.data.phantoms.tables.draw import load_or_draw
from medaudit.data.phantoms.tables.papila import write_table
from medaudit.data.readers.owner_files import locate_pictures

TABLES = ("patient_data_od.xlsx", "patient_data_od.csv")
SEX = {0: "male", 1: "female"}
DIAGNOSES = {0: "healthy", 1: "glaucoma", 2: "suspect"}
OLDEST = 120


def load(settings: dict) -> Source:
    """Read PAPILA's two clinical tables, one row an eye.

    Parameters
    ----------
    settings : dict
        The catalogue entry: ``folder`` holds ``ClinicalData/patient_data_{od,os}.xlsx`` (or the
        ``.csv`` that others make of them) and ``FundusImages``, itself or in the folder
        ``PapilaDB-...`` of the download; null draws tables and pictures.

    Returns
    -------
    Source
        Right eyes, then left eyes, each in the order of their table. ``patient_id`` is the owner's
        ID without ``#``; ``view`` is the eye, ``OD`` (right) or ``OS``; ``y_glaucoma`` is missing
        for suspects; ``a_diagnosis`` is healthy, glaucoma or suspect.

    Raises
    ------
    MedauditError
        A table is lacking or cannot be read, an eye stands twice, or a code is unknown.
    """
    return load_or_draw(settings, write_table, _read)


def _read(folder: Path, settings: dict) -> Source:
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
        frame["path"] = locate_pictures(folder, names, owners, (".jpg", ".jpeg"))
    suspects = int((frame["a_diagnosis"] == "suspect").sum())
    exclusions = [{"reason": "glaucoma is suspected: label set to missing", "count": suspects}]
    return Source(
        frame, {f"clinical_{eye.lower()}": path for eye, path in tables.items()}, exclusions
    )


def _eyes(rows: pd.DataFrame, eye: str, path: Path) -> pd.DataFrame:
    number = rows["ID"].str.removeprefix("#")
    if number.duplicated().any():
        twice = rows.loc[number.duplicated(), "ID"].iloc[0]
        raise MedauditError(f"{path}: the patient {twice} stands in more than one row")
    diagnosis = _decode(rows["Diagnosis"], DIAGNOSES, path)
    age = rows["Age"]
    if ((age < 0) | (age > OLDEST)).any():
        raise MedauditError(
            f"{path}: column 'Age' holds {age.min():g} to {age.max():g}; give years"
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
            f"{path}: column {codes.name!r} holds {unknown[:5]}; known are {meaning}"
        )
    meant = np.array([meaning.get(code) for code in codes], dtype=object)
    return pd.Series(meant, codes.index, dtype="str")
