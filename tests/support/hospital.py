"""A hospital's export as people have it: odd column names, several tables, PNG and DICOM."""

import csv
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

ETHNIC = ("White", "Black/African", "Asian", "Unknown")


def write_csv(path: Path, rows: list[dict[str, Any]], delimiter: str = ",", **how: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", **how) as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)


def write_dicom(path: Path, pixels: np.ndarray, **elements: Any) -> None:
    """Write a 12-bit DICOM file with a window, and further elements by keyword."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = CTImageStorage, meta.MediaStorageSOPInstanceUID
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.PixelData = pixels.astype("<u2").tobytes()
    data.WindowCenter, data.WindowWidth = 2048, 4096
    for name, value in elements.items():
        setattr(data, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)


def patients(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Return invented patients: MRN, birth, gender, ethnic group, insurance."""
    rng = np.random.default_rng(seed)
    return [
        {
            "MRN": f"{k + 17:07d}",
            "PatientBirth": f"{rng.integers(1, 28):02d}.{rng.integers(1, 13):02d}.{rng.integers(1930, 2000)}",
            "Gender (M/F)": "FM"[k % 2],
            "Ethnic group": ETHNIC[int(rng.choice(4, p=[0.5, 0.3, 0.15, 0.05]))],
            "Insurance": ("public", "private")[int(rng.integers(2))],
        }
        for k in range(count)
    ]


def picture(sick: bool, rng: np.random.Generator, side: int = 64) -> np.ndarray:
    """Return a 12-bit picture: noise, and a bright disc in most of those who are sick."""
    image = rng.normal(1400, 250, (side, side))
    if sick:
        y, x = np.mgrid[:side, :side]
        image[(y - 40) ** 2 + (x - 24) ** 2 < 90] += rng.normal(500, 200)
    return np.clip(image, 0, 4095).astype(np.uint16)


def write_hospital(folder: Path, count: int = 300, seed: int = 0) -> list[dict[str, Any]]:
    """Write pictures, half of them DICOM, and three tables; return the rows of the first.

    ``radiology_export.csv`` (semicolons, Windows-1252) has a row per picture, ``patients.csv`` one
    per patient, ``scanners.tsv`` one per device.
    """
    rng = np.random.default_rng(seed)
    people = patients(count // 2, seed)
    rows = []
    for k in range(count):
        person = people[k // 2]
        sick, edema = bool(rng.random() < 0.35), bool(rng.random() < 0.3)
        name, dicom = f"IMG{k:05d}", k % 2 == 1
        place = "scans/dcm" if dicom else "scans/png"
        image = picture(sick, rng)
        if dicom:
            write_dicom(folder / place / f"{name}.dcm", image, PatientID=person["MRN"])
        else:
            (folder / place).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(folder / place / f"{name}.png"), (image // 16).astype(np.uint8))
        rows.append(
            {
                "Röntgen-Nr.": f"R-{k:05d}",
                "ImageDir": place,
                "ImageFile": f"{name}.dcm" if dicom else f"{name}.png",
                "MRN": person["MRN"],
                "StudyDate": f"{rng.integers(1, 28):02d}.{rng.integers(1, 13):02d}.{2015 + k % 5}",
                "Consolidation?": "pos" if sick else "neg",
                "Edema": ("1", "0", "-1")[0 if edema else int(rng.choice([1, 2], p=[0.9, 0.1]))],
                "Projection": ("PA", "AP")[int(rng.integers(2))],
                "Device": f"D{k % 3}",
                "Dosis": f"{rng.uniform(0.1, 0.4):.3f}".replace(".", ","),
            }
        )
    write_csv(folder / "radiology_export.csv", rows, ";", encoding="cp1252")
    write_csv(folder / "patients.csv", people)
    devices = [{"Device": f"D{k}", "Scanner": ("Siemens", "GE", "GE")[k]} for k in range(3)]
    write_csv(folder / "scanners.tsv", devices, "\t")
    return rows


ENTRY: dict[str, Any] = {
    "loader": "columns",
    "table": "radiology_export.csv",
    "join": [{"table": "patients.csv", "on": "MRN"}, {"table": "scanners.tsv", "on": "Device"}],
    "columns": {
        "path": "{ImageDir}/{ImageFile}",
        "image": "Röntgen-Nr.",
        "patient": "MRN",
        "age": {"birth": "PatientBirth", "study": "StudyDate"},
        "view": "Projection",
    },
    "labels": {
        "Consolidation": {"column": "Consolidation?", "positive": ["pos"], "negative": ["neg"]},
        "Edema": {"column": "Edema", "uncertain": ["-1"]},
    },
    "groups": {
        "sex": {"column": "Gender (M/F)", "levels": {"female": ["F"], "male": ["M"]}},
        "ethnicity": "Ethnic group",
        "scanner": "Scanner",
        "dose": {"column": "Dosis", "quantiles": 3},
    },
    "attributes": ["sex", "age_group", "ethnicity", "scanner", "dose", "file_format"],
}
"""The entry that reads `write_hospital`."""
