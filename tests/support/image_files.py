"""Write pictures, DICOM files and a cohort that lists them."""

from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage

from medaudit.core.table_io import COHORT, write_table


def make_picture(height: int = 96, width: int = 128, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).random((height, width))
    smooth = cv2.GaussianBlur(noise, (0, 0), 5)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def save_dicom(path: Path, pixels: np.ndarray, kind: str = "MONOCHROME2", **tags) -> None:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    data.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    data.SOPClassUID, data.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
    data.Rows, data.Columns = pixels.shape[:2]
    data.SamplesPerPixel = 1
    data.PhotometricInterpretation = kind
    data.BitsAllocated = 8 * pixels.itemsize
    data.BitsStored = tags.pop("BitsStored", data.BitsAllocated)
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = 0
    data.PixelData = pixels.tobytes()
    syntax = tags.pop("compress", None)
    for name, value in tags.items():
        setattr(data, name, value)
    if syntax:
        data.compress(syntax)
    data.save_as(path, enforce_file_format=True)


def write_cohort(path: Path, files: list[str], **columns) -> Path:
    n = len(files)
    base = {
        "image_id": [f"image{i}" for i in range(n)],
        "patient_id": [f"patient{i}" for i in range(n)],
        "path": files,
        "age": [50.0] * n,
        "view": ["PA"] * n,
        "split": ["train"] * n,
    }
    write_table(pd.DataFrame({**base, **columns}), path, COHORT)
    return path
