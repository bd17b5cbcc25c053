"""Random columns of a table, and files in an owner's form."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

SIDE = 32  # pixels of a DICOM file before its picture is drawn


def write_csv(path: Path, columns: Mapping[str, Any]) -> pd.DataFrame:
    """Write a table: tab-separated if the name ends in ``.tsv``, gzipped if in ``.gz``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(columns)
    table.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return table


def numbers(rng: np.random.Generator, n: int, low: int, high: int) -> np.ndarray:
    """Return `n` different whole numbers."""
    return low + rng.choice(high - low, n, replace=False)


def pick(rng: np.random.Generator, n: int, **shares: float) -> np.ndarray:
    """Return `n` random levels, with these probabilities up to a factor."""
    total = np.array(list(shares.values()), float)
    return rng.choice(np.array(list(shares), dtype=object), n, p=total / total.sum())


def draw(rng: np.random.Generator, n: int, levels: Mapping[Any, float]) -> np.ndarray:
    """Return `n` random levels that may be any text."""
    total = np.array(list(levels.values()), float)
    return np.array(list(levels), dtype=object)[rng.choice(len(levels), n, p=total / total.sum())]


def flags(rng: np.random.Generator, n: int, share: float) -> np.ndarray:
    """Return `n` whole numbers 0 and 1, a share of them 1."""
    return (rng.random(n) < share).astype(int)


def write_dicom(path: Path, **elements: Any) -> None:
    """Write a 12-bit radiograph without content, with further elements by keyword."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[str(path.name)])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID = meta.MediaStorageSOPClassUID
    data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.WindowCenter, data.WindowWidth = 2048, 4096
    data.Rows = data.Columns = SIDE
    data.PixelData = np.zeros((SIDE, SIDE), "<u2").tobytes()
    for name, value in elements.items():
        setattr(data, name, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
