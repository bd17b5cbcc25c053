"""Tables of ISIC 2019 and 2020, PAD-UFES-20, DDI and SCIN."""

from pathlib import Path

import numpy as np

from medaudit.data.phantoms.layouts.drawing import draw, flags, numbers, pick, write_csv

DIAGNOSES = ("MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC")
SITES = {"anterior torso": 3, "lower extremity": 3, "head/neck": 2, "": 1}
DIFFERENTIALS = {
    "{'Eczema': 0.41, 'Urticaria': 0.33}": 2,
    "{'Psoriasis': 1.0}": 1,
    "{'Insect Bite': 0.6, 'Eczema': 0.4}": 2,
    "{'Folliculitis': 1.0}": 2,
    "{}": 1,
    "": 1,
}


def write_isic2019(folder: Path, n: int, rng: np.random.Generator) -> None:
    """Write ground truth and metadata of ISIC 2019: two images per lesion, some without a lesion."""
    rows, m = np.repeat(np.arange(n), 2), 2 * n
    image = [f"ISIC_{v:07d}" for v in numbers(rng, m, 1, 75_000)]
    kind = rng.choice(len(DIAGNOSES), n, p=[0.2, 0.4, 0.1, 0.06, 0.1, 0.04, 0.04, 0.06])[rows]
    codes = {name: (kind == k).astype(float) for k, name in enumerate(DIAGNOSES)}
    write_csv(folder / "ISIC_2019_Training_GroundTruth.csv", {"image": image, **codes, "UNK": 0.0})
    lesion = np.array([f"HAM_{v:07d}" for v in numbers(rng, n, 1, 9_999)], dtype=object)
    lesion[rng.random(n) < 0.1] = ""
    write_csv(
        folder / "ISIC_2019_Training_Metadata.csv",
        {
            "image": image,
            "age_approx": draw(rng, n, {30.0: 1, 55.0: 2, 75.0: 2, "": 0.2})[rows],
            "anatom_site_general": draw(rng, n, SITES)[rows],
            "lesion_id": lesion[rows],
            "sex": draw(rng, n, {"female": 5, "male": 5, "": 0.3})[rows],
        },
    )


def write_isic2020(folder: Path, n: int, rng: np.random.Generator) -> None:
    """Write the table of ISIC 2020: two images per patient."""
    rows, m = np.repeat(np.arange(n), 2), 2 * n
    ill = flags(rng, m, 0.15)
    write_csv(
        folder / "ISIC_2020_Training_GroundTruth_v2.csv",
        {
            "image_name": [f"ISIC_{v:07d}" for v in numbers(rng, m, 15_000, 9_999_999)],
            "patient_id": [f"IP_{v:07d}" for v in numbers(rng, n, 1, 9_999_999)[rows]],
            "lesion_id": [f"IL_{v:07d}" for v in range(m)],
            "sex": draw(rng, n, {"female": 5, "male": 5, "": 0.2})[rows],
            "age_approx": draw(rng, n, {30.0: 1, 55.0: 2, 75.0: 2})[rows],
            "anatom_site_general_challenge": draw(rng, m, SITES),
            "diagnosis": np.where(ill, "melanoma", "unknown"),
            "benign_malignant": np.where(ill, "malignant", "benign"),
            "target": ill,
        },
    )


def write_pad_ufes_20(folder: Path, n: int, rng: np.random.Generator) -> None:
    """Write the table of PAD-UFES-20: two images per patient; half of the form is blank for some."""
    rows, m = np.repeat(np.arange(n), 2), 2 * n
    blank = rng.random(n)[rows] < 0.3

    def asked(values: np.ndarray) -> np.ndarray:
        return np.where(blank, "", values)

    write_csv(
        folder / "metadata.csv",
        {
            "patient_id": [f"PAT_{k}" for k in rows],
            "lesion_id": np.arange(m),
            "smoke": asked(draw(rng, n, {"True": 1, "False": 3})[rows]),
            "age": rng.integers(20, 95, n)[rows],
            "pesticide": asked(draw(rng, n, {"True": 1, "False": 2})[rows]),
            "gender": asked(pick(rng, n, FEMALE=1, MALE=1)[rows]),
            "has_sewage_system": asked(draw(rng, n, {"True": 2, "False": 1})[rows]),
            "fitspatrick": asked(
                draw(rng, n, {"1.0": 2, "2.0": 4, "3.0": 3, "4.0": 1, "5.0": 1})[rows]
            ),
            "region": draw(rng, m, {"FACE": 3, "NECK": 1, "FOREARM": 2}),
            "diagnostic": pick(rng, m, BCC=8, ACK=7, NEV=3, SEK=3, SCC=2, MEL=1),
            "img_id": [f"PAT_{k}_{v}_{v + 300}.png" for v, k in enumerate(rows)],
            "biopsed": draw(rng, m, {"True": 1, "False": 1}),
        },
    )


def write_ddi(folder: Path, n: int, rng: np.random.Generator) -> None:
    """Write the table of DDI, which does not identify patients."""
    write_csv(
        folder / "ddi_metadata.csv",
        {
            "": np.arange(n),
            "DDI_ID": np.arange(1, n + 1),
            "DDI_file": [f"{k + 1:06d}.png" for k in range(n)],
            "skin_tone": draw(rng, n, {12: 3, 34: 4, 56: 3}),
            "malignant": flags(rng, n, 0.3).astype(bool),
            "disease": "melanocytic-nevi",
        },
    )


def write_scin(folder: Path, n: int, rng: np.random.Generator) -> None:
    """Write cases and labels of SCIN; a case has one to three images."""
    case = numbers(rng, n, 10**17, 10**18)
    pictures = np.array([f"dataset/images/-{v}.png" for v in numbers(rng, 3 * n, 1, 10**15)])
    second, third = rng.random(n) < 0.6, rng.random(n) < 0.3
    types = {"FST1": 1, "FST2": 3, "FST3": 3, "FST4": 2, "FST5": 1, "FST6": 1, "NONE_IDENTIFIED": 1}
    ages = {"AGE_18_TO_29": 2, "AGE_30_TO_39": 2, "AGE_50_TO_64": 1, "AGE_UNKNOWN": 2}
    write_csv(
        folder / "dataset" / "scin_cases.csv",
        {
            "case_id": case,
            "source": "SCIN",
            "release": "1.0.0",
            "year": 2023,
            "age_group": draw(rng, n, ages),
            "sex_at_birth": draw(rng, n, {"FEMALE": 5, "MALE": 3, "OTHER_OR_UNSPECIFIED": 2}),
            "fitzpatrick_skin_type": draw(rng, n, {**types, "": 2}),
            "race_ethnicity_white": draw(rng, n, {"YES": 3, "": 2}),
            "image_1_path": pictures[:n],
            "image_2_path": np.where(second, pictures[n : 2 * n], ""),
            "image_3_path": np.where(second & third, pictures[2 * n :], ""),
        },
    )
    write_csv(
        folder / "dataset" / "scin_labels.csv",
        {
            "case_id": case,
            "dermatologist_gradable_for_skin_condition_1": "DEFAULT_YES_IMAGE_QUALITY_SUFFICIENT",
            "weighted_skin_condition_label": draw(rng, n, DIFFERENTIALS),
            "monk_skin_tone_label_us": draw(rng, n, {"2.0": 2, "4.0": 2, "7.0": 1, "": 1}),
        },
    )
