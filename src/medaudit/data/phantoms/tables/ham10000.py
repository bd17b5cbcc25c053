"""A synthetic table in HAM10000's layout, with its published counts."""

from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.data.phantoms.tables.draw import draw_levels

ROWS = 10_015
IMAGES_OF_A_LESION = {1: 0.74, 2: 0.19, 3: 0.06, 4: 0.01}  # 7,470 lesions, 1.34 images each
DIAGNOSES = {"nv": 6705, "mel": 1113, "bkl": 1099, "bcc": 514, "akiec": 327, "vasc": 142, "df": 115}
MALIGNANT = ("akiec", "mel")
# Images of each sex and of patients over 60 by label: FairTune, Table 10, all splits.
SEXES = {True: {"male": 908, "female": 530}, False: {"male": 4492, "female": 4018}}
OLD = {True: 754 / 1438, False: 2045 / 8520}
UNKNOWN_SEX, UNKNOWN_AGE = 57 / ROWS, 57 / ROWS
PLACES = ("back", "lower extremity", "trunk", "upper extremity", "abdomen", "face", "chest")


def write_table(folder: Path, rows: int | None, rng: np.random.Generator) -> None:
    """Write ``HAM10000_metadata`` with random lesions.

    The probabilities of diagnoses, and of sexes and ages over 60 given the label, are the published
    counts. Ages are in steps of five; most lesions without an age have no sex either.
    """
    rows = rows or ROWS
    lesion = np.repeat(np.arange(rows), draw_levels(rng, IMAGES_OF_A_LESION, rows).astype(int))
    lesion = rng.permutation(lesion[:rows])
    one = _draw_lesions(rng, rows)
    table = one.iloc[lesion].reset_index(drop=True)
    numbers = rng.permutation(rows) + 24_306
    table.insert(1, "image_id", [f"ISIC_{number:07d}" for number in numbers])
    table["dataset"] = draw_levels(
        rng,
        {"vidir_molemax": 3954, "vidir_modern": 3363, "rosendahl": 2259, "vienna_dias": 439},
        rows,
    )
    table.to_csv(folder / "HAM10000_metadata", index=False)


def _draw_lesions(rng: np.random.Generator, n: int) -> pd.DataFrame:
    diagnosis = draw_levels(rng, DIAGNOSES, n)
    ill = np.isin(diagnosis, MALIGNANT)
    sex = np.where(ill, draw_levels(rng, SEXES[True], n), draw_levels(rng, SEXES[False], n))
    old = rng.random(n) < np.where(ill, OLD[True], OLD[False])
    young_years, old_years = 5 * rng.binomial(12, 0.72, n), 65 + 5 * rng.binomial(4, 0.35, n)
    no_age = rng.random(n) < UNKNOWN_AGE
    sex[(rng.random(n) < UNKNOWN_SEX / 6) | (no_age & (rng.random(n) < 5 / 6))] = "unknown"
    return pd.DataFrame(
        {
            "lesion_id": [f"HAM_{number:07d}" for number in rng.permutation(n)],
            "dx": diagnosis,
            "dx_type": draw_levels(
                rng, {"histo": 5340, "follow_up": 3704, "consensus": 902, "confocal": 69}, n
            ),
            "age": np.where(no_age, np.nan, np.where(old, old_years, young_years)),
            "sex": sex,
            "localization": draw_levels(rng, dict.fromkeys(PLACES, 1), n),
        }
    )
