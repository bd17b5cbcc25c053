"""Tables of EMBED, the mammograms of Emory University."""

from pathlib import Path

import numpy as np

from medaudit.data.phantoms.layouts.drawing import draw, numbers, pick, write_csv

RACES = {
    **{"Caucasian or White": 4, "African American  or Black": 4, "Asian": 1, "Multiple": 0.3},
    "Unknown, Unavailable or Unreported": 0.7,
}


def write_embed(folder: Path, n: int, rng: np.random.Generator) -> None:
    """Write a row per image of one exam per patient, and a row per finding of each exam."""
    rows, m = np.repeat(np.arange(n), 3), 3 * n
    patient, exam = numbers(rng, n, 10_000_000, 99_999_999), numbers(rng, n, 10**12, 10**13)
    write_csv(
        folder / "tables" / "EMBED_OpenData_metadata.csv",
        {
            "": np.arange(m),
            "anon_dicom_path": [
                f"/mnt/NAS2/mammo/anon_dicom/cohort_1/{patient[k]}/{exam[k]}/1.2.{k}.{v}.dcm"
                for v, k in enumerate(rows)
            ],
            "empi_anon": patient[rows],
            "acc_anon": exam[rows],
            "study_date_anon": "2015-03-02",
            "FinalImageType": np.tile(["2D", "2D", "cview"], n),
            "ImageLateralityFinal": np.tile(["L", "R", "L"], n),
            "ViewPosition": np.tile(["CC", "MLO", "CC"], n),
            "Manufacturer": draw(rng, n, {"HOLOGIC, Inc.": 8, "GE MEDICAL SYSTEMS": 1})[rows],
            "spot_mag": np.nan,
        },
    )
    findings = np.repeat(np.arange(n), np.where(np.arange(n) % 3, 1, 2))  # every third exam has two
    write_csv(
        folder / "tables" / "EMBED_OpenData_clinical.csv",
        {
            "": np.arange(len(findings)),
            "empi_anon": patient[findings],
            "acc_anon": exam[findings],
            "asses": pick(rng, len(findings), N=5, B=2, A=2, P=1, S=2, M=0.5, K=0.2),
            "side": pick(rng, len(findings), L=1, R=1, B=1),
            "tissueden": draw(rng, n, {1: 1, 2: 4, 3: 4, 4: 1, 5: 0.2})[findings],
            "path_severity": np.nan,
            "age_at_study": np.round(rng.uniform(40, 85, n), 3)[findings],
            "GENDER_DESC": "Female",
            "ETHNICITY_DESC": draw(rng, n, RACES)[findings],
            "ETHNIC_GROUP_DESC": draw(
                rng, n, {"Non-Hispanic or Latino": 8, "Hispanic or Latino": 1, "Unreported": 1}
            )[findings],
        },
    )
