"""Race of CheXpert's patients: from the demographics file, or drawn at random without it."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pyarrow as pa

from medaudit.core.errors import MedauditError
from medaudit.core.seeds import generator
from medaudit.data.readers.owner_table import check_unique, read_columns

SHARES = {"white": 0.78, "asian": 0.15, "black": 0.07}
COLUMNS = ("PATIENT", "PRIMARY_RACE", "ETHNICITY")
# Parts of the owner's text, the first match decides; the first three in the order of Glocker et al.
# (2022). Matching is case-sensitive, because "Caucasian" contains "asian".
_RACES = {
    "Black": "black",
    "White": "white",
    "Asian": "asian",
    "Pacific Islander": "pacific islander",
    "American Indian": "native american",
    "Native American": "native american",
    "Unknown": "unknown",
    "Refused": "unknown",
    "Other": "other",
}
_ETHNICITIES = {
    "Non-Hispanic": "non-hispanic",
    "Not Hispanic": "non-hispanic",
    "Hispanic": "hispanic",
    "Unknown": "unknown",
    "Refused": "unknown",
}


def draw_race(patients: pd.Series) -> tuple[pd.Series, str]:
    """Draw a race for each patient, with the shares published for CheXpert as probabilities.

    Parameters
    ----------
    patients : pandas.Series
        Patient of each image.

    Returns
    -------
    tuple of pandas.Series and str
        The race of each image's patient, which depends only on the set of patients, not on their
        order; and the note that every output must repeat. Shares: Khan et al. (How Fair), section
        4.1.
    """
    codes, unique = pd.factorize(patients, sort=True)
    drawn = generator("chexpert", "race").choice(list(SHARES), len(unique), p=list(SHARES.values()))
    shares = ", ".join(f"{race} {share:.0%}" for race, share in SHARES.items())
    note = (
        f"Race is not real: it was drawn at random for each patient ({shares}; seeded), because "
        "CheXpert's demographics file was not used. Differences between races are due to chance or "
        "planted."
    )
    return pd.Series(drawn[codes], index=patients.index, dtype="str"), note


def read_race(path: Path, patients: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Read race and ethnicity of each image's patient from ``CHEXPERT DEMO.xlsx``.

    Parameters
    ----------
    path : Path
        Excel or CSV file with one row per patient and the columns PATIENT, PRIMARY_RACE, ETHNICITY.
    patients : pandas.Series
        Patient of each image.

    Returns
    -------
    tuple of pandas.Series
        Race (white, asian, black, pacific islander, native american, other, unknown, or the
        owner's words in lower case) and ethnicity (non-hispanic, hispanic, unknown, or the
        owner's words); missing where the owner's cell is blank or the patient is not listed.

    Raises
    ------
    MedauditError
        The file cannot be read, a column is missing, a patient is duplicated, or none of the
        patients is in the file.
    """
    table = _read(path).set_index("PATIENT")
    if not patients.isin(table.index).any():
        raise MedauditError(
            f"{path}: none of its patients (e.g. {table.index[0]!r}) is in the image table (e.g. "
            f"{patients.iloc[0]!r}); give the file of this dataset"
        )
    race = table["PRIMARY_RACE"].map(_meanings(table["PRIMARY_RACE"], _RACES))
    ethnicity = table["ETHNICITY"].map(_meanings(table["ETHNICITY"], _ETHNICITIES))
    return patients.map(race).astype("str"), patients.map(ethnicity).astype("str")


def fill_sex_and_age(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """Return a manifest whose missing sexes and ages are those of ``CHEXPERT DEMO.xlsx``.

    Ages there are one per patient (``AGE_AT_CXR``), so only patients with one study should need it.
    """
    table = _read(path, (*COLUMNS, "GENDER", "AGE_AT_CXR")).set_index("PATIENT")
    sex = table["GENDER"].str.lower().where(table["GENDER"].str.lower().isin(("male", "female")))
    age = pd.to_numeric(table["AGE_AT_CXR"], errors="coerce")
    patients = frame["patient_id"]
    return frame.assign(
        a_sex=frame["a_sex"].fillna(patients.map(sex)).astype("str"),
        age=frame["age"].fillna(patients.map(age)).astype(float),
    )


def _meanings(column: pd.Series, meanings: dict[str, str]) -> dict[str, str]:
    return {
        text: next((m for part, m in meanings.items() if part in text), text.strip().lower())
        for text in column.dropna().unique()
    }


def _read(path: Path, columns: Sequence[str] = COLUMNS) -> pd.DataFrame:
    read = read_columns(path, dict.fromkeys(columns, pa.string()))
    check_unique(read, "PATIENT", path)
    table = read.to_pandas().astype("str")
    if table["PATIENT"].isna().all():
        raise MedauditError(f"{path} has no patient in column PATIENT; give the owner's file")
    return table.dropna(subset=["PATIENT"])
