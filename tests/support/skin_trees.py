"""Write HAM10000 and Fitzpatrick17k as their owners ship them."""

import csv
from pathlib import Path

import cv2
import numpy as np

LESIONS = [  # lesion, image, dx, age, sex
    ("HAM_0000118", "ISIC_0027419", "bkl", "80.0", "male"),
    ("HAM_0000118", "ISIC_0025030", "bkl", "80.0", "male"),
    ("HAM_0002730", "ISIC_0026769", "mel", "60.0", "female"),
    ("HAM_0001466", "ISIC_0031633", "bcc", "75.0", "unknown"),
    ("HAM_0005132", "ISIC_0025837", "akiec", "", "unknown"),
    ("HAM_0006898", "ISIC_0027850", "nv", "0.0", ""),
]


def write_ham(folder: Path, name: str, delimiter: str, parts=("part_1", "part_2")) -> None:
    folder.mkdir(exist_ok=True)
    with (folder / name).open("w", newline="") as stream:
        quoting = csv.QUOTE_NONNUMERIC if delimiter == "\t" else csv.QUOTE_MINIMAL
        writer = csv.writer(stream, delimiter=delimiter, quoting=quoting)
        columns = "lesion_id image_id dx dx_type age sex localization dataset"
        writer.writerow(columns.split())
        for lesion, image, dx, age, sex in LESIONS:
            writer.writerow([lesion, image, dx, "histo", age, sex, "scalp", "vidir_modern"])
    for number, lesion in enumerate(LESIONS[:-1]):  # the last one's picture is missing
        place = folder / f"HAM10000_images_{parts[number % 2]}"
        place.mkdir(exist_ok=True)
        picture = np.full((45, 60, 3), 40 * number, np.uint8)
        cv2.imwrite(str(place / f"{lesion[1]}.jpg"), picture)


def write_fitzpatrick(folder: Path, pictures: str) -> list[str]:
    hashes = [f"{number:032x}" for number in (255, 7, 99, 12, 5)]
    rows = [("-1", "malignant"), ("1", "benign"), ("6", "malignant")]
    rows += [("3", "non-neoplastic"), ("", "non-neoplastic")]
    (folder / pictures).mkdir(parents=True)
    with (folder / "fitzpatrick17k.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        columns = "md5hash fitzpatrick_scale fitzpatrick_centaur label nine_partition_label "
        writer.writerow([*columns.split(), "three_partition_label", "qc", "url", "url_alphanum"])
        for number, (name, (scale, partition)) in enumerate(zip(hashes, rows, strict=True)):
            checked = "3 Wrongly labelled" if number == 1 else ""
            writer.writerow([name, scale, scale, "acne, mild", "x", partition, checked, "", ""])
            if number:
                cv2.imwrite(str(folder / pictures / f"{name}.jpg"), np.zeros((9, 7, 3), np.uint8))
    return hashes
