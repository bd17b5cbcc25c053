"""Pictures of exported datasets as files: JPEG, PNG, DICOM, NumPy; and tables of radiographs."""

import gzip
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pydicom

from medaudit.core.seeds import generator
from medaudit.data import datasets
from medaudit.data.datasets.chexpert_files import DEMOGRAPHICS
from medaudit.data.phantoms import chest, layouts
from medaudit.data.phantoms.layouts.drawing import write_dicom
from medaudit.data.readers.image_containers import split_address

EMBEDDED = {
    "nih": ("Data_Entry_2017_v2020.csv.gz", "Data_Entry_2017_v2020.csv"),
    "chexpert": ("chexpert_train.csv.gz", "train.csv"),
}
"""Real tables of which the first rows are written: the package's file, and the owner's name."""

DEEPEST = 4095  # value of white in a DICOM file of 12 bits


def write_layout(settings: dict, folder: Path, patients: int, size: int) -> pd.DataFrame:
    """Write invented tables and plain pictures of a dataset that the loader `columns` reads."""
    name = settings["name"]
    layouts.WRITERS[name](folder, patients, generator("phantom", "layout", name))
    entry = {key: value for key, value in settings.items() if key != "phantom"}
    frame = datasets.load({**entry, "folder": str(folder.absolute())}).frame
    for path, picture in zip(frame["path"], draw_plain(frame, size), strict=True):
        write_picture(folder, path, picture)
    return frame


def draw_plain(rows: pd.DataFrame, size: int) -> np.ndarray:
    """Draw noise, and a bright disc where the first label is positive.

    Returns
    -------
    numpy.ndarray
        uint8 ``[n, size, size]``; an image depends only on its own row.
    """
    label = next(column for column in rows.columns if column.startswith("y_"))
    y, x = np.mgrid[:size, :size] / size
    disc = 60.0 * ((y - 0.6) ** 2 + (x - 0.4) ** 2 < 0.02)
    pictures = []
    for name, ill in zip(rows["image_id"], rows[label] == 1, strict=True):
        noise = generator("phantom", "plain", name).normal(90, 20, (size, size))
        pictures.append(np.clip(noise + disc * ill, 0, 255).astype(np.uint8))
    return np.stack(pictures)


def write_picture(folder: Path, path: str, picture: np.ndarray) -> None:
    """Write a grey picture in the format of its suffix; the headers of a DICOM file are kept."""
    address, member = split_address(path)
    target = folder / address
    target.parent.mkdir(parents=True, exist_ok=True)
    if member is not None:
        arrays: dict[str, Any] = {member: picture}
        np.savez(target, **arrays)
    elif target.suffix in (".dcm", ".dicom"):
        if not target.exists():
            write_dicom(target)
        data = pydicom.dcmread(target)
        data.Rows, data.Columns = picture.shape
        data.PixelData = np.rint(picture * (DEEPEST / 255)).astype("<u2").tobytes()
        data.save_as(target, enforce_file_format=True)
    else:
        target.write_bytes(cv2.imencode(target.suffix, picture)[1].tobytes())


def write_radiographs(settings: dict, folder: Path, rows: int, size: int) -> pd.DataFrame:
    """Write the first rows of NIH's or CheXpert's real table, with drawn radiographs.

    CheXpert's demographics file is written too, with a drawn race, since images are planted by it.
    """
    source, name = EMBEDDED[settings["loader"]]
    lines = gzip.decompress(datasets.embedded_table(source).read_bytes()).splitlines(True)
    (folder / name).write_bytes(b"".join(lines[: 1 + rows]))
    entry = {**settings, "folder": str(folder.absolute()), "table": None}
    if settings["loader"] == "chexpert":
        people = datasets.load({**entry, "race": "draw"}).frame.drop_duplicates("patient_id")
        demographics = {
            "PATIENT": people["patient_id"],
            "PRIMARY_RACE": people["a_race"].str.title(),
        }
        table = pd.DataFrame({**demographics, "ETHNICITY": "Non-Hispanic/Non-Latino"})
        table.to_excel(folder / DEMOGRAPHICS, index=False)
    frame = datasets.load(entry).frame
    if settings["loader"] == "nih":
        frame["path"] = "images/" + frame["path"]
    for path, picture in zip(frame["path"], chest.render(frame, settings, size), strict=True):
        write_picture(folder, path, picture)
    return frame
