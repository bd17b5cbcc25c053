"""Synthetic tables in PAPILA's layout."""

from pathlib import Path

import numpy as np

from medaudit.data.phantoms.tables.draw import draw_levels

EYES = 488
FEMALE = 274 / 420
GROUPS = ("", "", "", "", "Refractive Defect", "", "", "", "IOP")
NAMES = (
    *("", "Age", "Gender", "Diagnosis", "dioptre_1", "dioptre_2", "astigmatism"),
    *("Phakic/Pseudophakic", "Pneumatic", "Perkins", "Pachymetry", "Axial_Length", "VF_MD"),
)
# Probability of the diagnoses of right and left eye. A seventh of all eyes is suspect (68 of 488),
# a fifth of the others has glaucoma, and the two eyes of a patient mostly agree.
PAIRS = {
    (0, 0): 0.65,
    (1, 1): 0.13,
    (2, 2): 0.11,
    (0, 1): 0.03,
    (1, 0): 0.03,
    (0, 2): 0.03,
    (2, 1): 0.02,
}


def write_table(folder: Path, rows: int | None, rng: np.random.Generator) -> None:
    """Write ``ClinicalData/patient_data_{od,os}.xlsx`` with random patients, two eyes each.

    Glaucoma is more frequent with age; sexes have their published shares.
    """
    from openpyxl import Workbook

    patients = (rows or EYES) // 2
    number = np.sort(rng.choice(max(294, 2 * patients), patients, replace=False)) + 2
    pairs = np.array(list(PAIRS))[rng.choice(len(PAIRS), patients, p=list(PAIRS.values()))]
    age = np.clip(rng.normal(58 + 9 * (pairs == 1).any(axis=1), 13), 14, 90).round()
    sex = draw_levels(rng, {1: FEMALE, 0: 1 - FEMALE}, patients)
    (folder / "ClinicalData").mkdir()
    for place, eye in enumerate(("od", "os")):
        book = Workbook()
        sheet = book.active
        for header in (GROUPS, NAMES, ("ID",)):
            sheet.append([name or None for name in header])
        for row in range(patients):
            known = [int(age[row]), int(sex[row]), int(pairs[row, place])]
            sheet.append([f"#{number[row]:03d}", *known])
        book.save(folder / "ClinicalData" / f"patient_data_{eye}.xlsx")
