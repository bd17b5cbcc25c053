"""Tables of BRSET, mBRSET, ODIR-5K, FairVLMed10k and FairVision."""

from pathlib import Path
from typing import Any

import numpy as np

from medaudit.data.phantoms.layouts.drawing import draw, flags, pick, write_csv

SPLITS = {"training": 0.7, "validation": 0.1, "test": 0.2}
FOLDERS = {"training": "Training", "validation": "Validation", "test": "Test"}


def write_brset(folder: Path, n: int, rng: np.random.Generator) -> None:
    """Write BRSET's table: both eyes of each patient."""
    rows, m = np.repeat(np.arange(n), 2), 2 * n
    grade = draw(rng, n, {0: 7, 1: 1, 2: 1, 3: 0.5, 4: 0.5})[rows]
    write_csv(
        folder / "labels_brset.csv",
        {
            "image_id": [f"img{k + 1:05d}" for k in range(m)],
            "patient_id": rows + 1,
            "camera": draw(rng, n, {"Canon CR": 5, "NIKON NF5050": 5})[rows],
            "patient_age": np.where(rng.random(n) < 0.3, np.nan, rng.integers(20, 95, n))[rows],
            "comorbidities": "diabetes1",
            "patient_sex": draw(rng, n, {1: 4, 2: 6})[rows],
            "exam_eye": np.tile([1, 2], n),
            "nationality": "Brazil",
            "optic_disc": "1",
            "DR_SDRG": grade,
            "DR_ICDR": grade,
            "Illuminaton": 1,
            "macular_edema": flags(rng, m, 0.1),
            "drusens": flags(rng, m, 0.2),
            "hypertensive_retinopathy": flags(rng, m, 0.1),
            "increased_cup_disc": flags(rng, m, 0.2),
            "quality": draw(rng, m, {"Adequate": 8, "Inadequate": 2}),
        },
    )


def write_mbrset(folder: Path, n: int, rng: np.random.Generator) -> None:
    """Write mBRSET's table: two photographs of each patient's right eye."""
    rows, m = np.repeat(np.arange(n), 2), 2 * n
    write_csv(
        folder / "labels_mbrset.csv",
        {
            "patient": rows + 1,
            "age": rng.integers(20, 90, n)[rows],
            "sex": flags(rng, n, 0.4)[rows],
            "insurance": draw(rng, n, {0: 7, 1: 3, "": 1})[rows],
            "educational_level": draw(rng, n, {1: 3, 2: 3, 5: 2, "": 1})[rows],
            "file": [f"{k // 2 + 1}.{k % 2 + 1}.jpg" for k in range(m)],
            "laterality": "right",
            "final_quality": "yes",
            "final_icdr": draw(rng, m, {0: 6, 1: 1, 2: 1, 4: 1, "": 0.5}),
            "final_edema": draw(rng, m, {"no": 8, "yes": 2}),
        },
    )


def write_odir5k(folder: Path, n: int, rng: np.random.Generator) -> None:
    """Write the table of Kaggle's copy of ODIR-5K: a row per eye, with the label of the eye."""
    rows, m = np.repeat(np.arange(n), 2), 2 * n
    write_csv(
        folder / "full_df.csv",
        {
            "ID": rows,
            "Patient Age": rng.integers(20, 90, n)[rows],
            "Patient Sex": pick(rng, n, Male=1, Female=1)[rows],
            "Left-Fundus": [f"{k}_left.jpg" for k in rows],
            "Right-Fundus": [f"{k}_right.jpg" for k in rows],
            "Left-Diagnostic Keywords": "normal fundus",
            "Right-Diagnostic Keywords": "moderate non proliferative retinopathy",
            **{name: flags(rng, n, 0.3)[rows] for name in "NDGCAHMO"},
            "filepath": "../input/ocular-disease-recognition-odir5k/ODIR-5K/Training Images/x.jpg",
            "labels": [f"['{v}']" for v in pick(rng, m, N=3, D=3, G=1, C=1, A=1, H=1, M=1, O=1)],
            "target": "[1, 0, 0, 0, 0, 0, 0, 0]",
            "filename": [f"{k}_{eye}.jpg" for k in range(n) for eye in ("right", "left")],
        },
    )


def write_fairvlmed10k(folder: Path, n: int, rng: np.random.Generator) -> None:
    """Write the table of FairVLMed10k; `export` writes a file per patient."""
    glaucoma = pick(rng, n, yes=1, no=1)
    _write_harvard(folder / "data_summary.csv", n, rng, glaucoma=glaucoma, note="no note", digits=5)


def write_fairvision_amd(folder: Path, n: int, rng: np.random.Generator) -> None:
    """Write the table of FairVision's part on age-related macular degeneration."""
    levels = {"normal": 5, "early amd": 2, "intermediate amd": 2, "late amd": 1}
    _write_harvard(folder / "ReadMe" / "data_summary_amd.csv", n, rng, amd=draw(rng, n, levels))


def write_fairvision_dr(folder: Path, n: int, rng: np.random.Generator) -> None:
    """Write the table of FairVision's part on diabetic retinopathy."""
    levels = {"non-vision threatening dr": 7, "vision threatening dr": 3}
    _write_harvard(folder / "ReadMe" / "data_summary_dr.csv", n, rng, dr=draw(rng, n, levels))


def write_fairvision_glaucoma(folder: Path, n: int, rng: np.random.Generator) -> None:
    """Write the table of FairVision's part on glaucoma."""
    label = pick(rng, n, yes=1, no=1)
    _write_harvard(folder / "ReadMe" / "data_summary_glaucoma.csv", n, rng, glaucoma=label)


def _write_harvard(
    path: Path, n: int, rng: np.random.Generator, digits: int = 5, **further: Any
) -> None:
    use = draw(rng, n, SPLITS)
    write_csv(
        path,
        {
            "filename": [f"data_{k + 1:0{digits}d}.npz" for k in range(n)],
            "age": np.round(rng.uniform(20, 95, n), 2),
            "gender": pick(rng, n, female=5, male=4),
            "race": pick(rng, n, asian=1, black=2, white=7),
            "ethnicity": draw(rng, n, {"non-hispanic": 9, "hispanic": 1, "unknown": 0.5}),
            "language": draw(rng, n, {"english": 8, "spanish": 1, "other languages": 1}),
            "maritalstatus": pick(rng, n, married=5, single=3, widowed=1),
            "use": use,
            **further,
        },
    )
    # Files without content, so that the entry finds them: `export` writes them again with arrays.
    root = path.parent if path.parent.name != "ReadMe" else path.parent.parent
    for k, part in enumerate(use):
        place = root / FOLDERS[part] / f"data_{k + 1:0{digits}d}.npz"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()
