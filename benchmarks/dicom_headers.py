"""Time to read the headers of a folder of DICOM files, and to read them again from the table.

Prints the parts and ends with the ratio of the second time to the first.

    python benchmarks/dicom_headers.py [FILES]
"""

import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from medaudit.data.readers.dicom_headers import read_headers

SIDE = 256


def write(folder: Path, count: int) -> None:
    """Write files with a dozen elements and pixels."""
    pixels = np.zeros((SIDE, SIDE), np.uint16).tobytes()
    for k in range(count):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
        meta.MediaStorageSOPInstanceUID = generate_uid()
        data = FileDataset(str(k), {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPInstanceUID, data.PatientID = meta.MediaStorageSOPInstanceUID, f"P{k // 2}"
        data.PatientAge, data.PatientSex, data.Manufacturer = "050Y", "FM"[k % 2], "GE"
        data.PixelSpacing, data.KVP, data.StudyDate = [0.143, 0.143], "120", "20200101"
        data.Rows = data.Columns = SIDE
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
        data.PixelData = pixels
        place = folder / f"{k // 1000}"
        place.mkdir(exist_ok=True)
        data.save_as(place / f"{k:06d}.dcm", enforce_file_format=True)


def main(count: int = 3000) -> None:
    """Write the files, read their headers twice, and print the times."""
    with TemporaryDirectory() as place:
        folder = Path(place, "files")
        folder.mkdir()
        os.chdir(place)
        write(folder, count)
        times = []
        for _ in range(2):
            start = time.perf_counter()
            rows = len(read_headers(folder, {"name": "benchmark"}).frame)
            times.append(time.perf_counter() - start)
            print(f"{rows} headers in {times[-1]:.2f} s, {rows / times[-1]:.0f} per second")
    print(f"ratio={times[1] / times[0]:.3f}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
