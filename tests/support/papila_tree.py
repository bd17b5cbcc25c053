"""Write PAPILA's sheets and pictures as its owner ships them."""

from pathlib import Path

import cv2
import numpy as np
import openpyxl

# number: age, gender, diagnosis of the right and of the left eye
PEOPLE = {
    2: (47, 0, 2, 1),
    4: (58, 1, 1, 1),
    293: (89, 1, 0, 0),
    31: (60, 0, 0, None),
}
HEADERS = (
    (None, None, None, None, "Refractive Defect", None, None, None, "IOP"),
    (
        None,
        "Age",
        "Gender",
        "Diagnosis",
        "dioptre_1",
        "dioptre_2",
        "astigmatism",
        None,
        "Pneumatic",
    ),
    ("ID",),
)


def write_sheet(path: Path, eye: int, headers=HEADERS, people=PEOPLE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    book = openpyxl.Workbook()
    for header in headers:
        book.active.append(header)
    for number, values in people.items():
        book.active.append([f"#{number:03d}", *values[:2], values[2 + eye], 0.75, None, 21])
    book.active.append(["* Phakic 0, pseudophakic 1"])
    book.save(path)


def write_pictures(folder: Path) -> None:
    folder.mkdir(parents=True)
    for number in list(PEOPLE)[:-1]:
        for eye in ("OD", "OS"):
            picture = np.full((19, 26, 3), number % 200, np.uint8)
            cv2.imwrite(str(folder / f"RET{number:03d}{eye}.jpg"), picture)
