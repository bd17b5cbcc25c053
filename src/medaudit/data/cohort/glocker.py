"""Builder `glocker`: the CheXpert cohort of Gichoya et al. (2022) and Glocker et al. (2022).

"How Fair" (Khan et al.) uses it too. Steps: join the published split (or draw one), exclude rows that
are not eligible, draw a subset, balance the training split.
"""

from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pyarrow as pa

from medaudit.core.errors import MedauditError
from medaudit.core.files import data_root
from medaudit.core.seeds import generator
from medaudit.data.cohort.balance_race_sex import balance_race_sex, match_size
from medaudit.data.cohort.patient_split import draw_patients, split_patients
from medaudit.data.cohort.selection import CohortSettings, Selection
from medaudit.data.readers.owner_table import read_columns, translate

RACES = ("white", "asian", "black")
STRATA = ("race", "sex", "age_group")
BALANCE = {"race_sex": balance_race_sex, "same_size": match_size}
_SPLITS = {"train": "train", "validate": "val", "test": "test"}


def build(frame: pd.DataFrame, settings: CohortSettings) -> Selection:
    """Select frontal images of white, asian and black non-Hispanic patients, split by patient.

    Parameters
    ----------
    frame : pandas.DataFrame
        CheXpert's manifest; the index of an image of ``train.csv`` is its row there, from 0.
    settings : dict
        ``split_file`` : the published ``chexpert_split_2021_08_20.csv`` below the data root; null
        splits patients by the shares ``split``, stratified by race, sex and age group.
        ``views`` : views to keep; null keeps all frontal ones.
        ``patients`` : number of patients to draw, keeping the shares of the splits; null keeps all.
        ``enrich`` : attributes whose groups are drawn in equal numbers of patients, as far as there
        are enough (null: natural shares); in every split, or with ``enrich_training: false`` only
        in validation and test.
        ``balance`` : of the training split, ``none``, ``race_sex`` or ``same_size``
        (`medaudit.data.cohort.balance_race_sex`).
        ``test_weights``, ``age_given_label`` : see `medaudit.data.groups.weights.add_weights`.
        ``seed`` : the same seed gives the same split in every cohort.

    Returns
    -------
    Selection
        127,118 images of 42,884 patients with the real split file.

    Raises
    ------
    MedauditError
        Race is missing and there is no split file, the split file does not fit the table, or a
        setting is unknown.
    """
    selection = Selection(frame)
    split_file = settings.get("split_file")
    published = split_file is not None
    # First: the split file refers to row numbers of the complete table.
    if split_file is not None:
        _join_split(selection, data_root() / split_file)
    _keep_eligible(selection, settings, published)
    if not published:
        _draw_split(selection, settings)
    if (patients := settings.get("patients")) is not None:
        _draw_subset(selection, settings, patients)
    _balance(selection, settings)
    return selection


def _join_split(selection: Selection, path: Path) -> None:
    """Add the published split to each row; its ``index`` is the 0-based row of ``train.csv``."""
    if not path.is_file():
        raise MedauditError(
            f"there is no split file {path}; put the published file there, or set `split_file` to "
            "null to draw a split"
        )
    table = read_columns(path, {"index": pa.int64(), "split": pa.string()})
    rows = table["index"].to_numpy()
    n = int(selection.frame["image_id"].str.startswith("train/").sum())
    if rows.min() < 0 or rows.max() >= n or len(np.unique(rows)) < len(rows):
        raise MedauditError(
            f"{path}: column 'index' must have row numbers 0 to {n - 1} of train.csv, each at most "
            f"once; it goes from {rows.min()} to {rows.max()}, with {len(np.unique(rows))} distinct "
            f"of {len(rows)}: the file belongs to another train.csv"
        )
    split = pd.Series(translate(table, "split", _SPLITS, path), rows, dtype="str")
    selection.frame = selection.frame.assign(split=split.reindex(selection.frame.index))
    selection.tables["split"] = path


def _keep_eligible(selection: Selection, settings: CohortSettings, published: bool) -> None:
    keep = selection.keep
    keep(selection.frame["image_id"].str.startswith("train/"), "not in train.csv")
    if published:
        keep(selection.frame["split"].notna(), "not in the published split file")
    wrong = keep(selection.frame["view"] != "lateral", "lateral view")
    if published and wrong:
        raise MedauditError(
            f"cohort {settings['name']}: the split file refers to {wrong} lateral images, but the "
            "published one to none: it does not belong to this train.csv, or train.csv was reordered; "
            "get the owner's file again"
        )
    if views := settings.get("views"):
        keep(selection.frame["view"].isin(views), f"view is not {' or '.join(views)}")
    if published and selection.frame["a_race"].isna().all():
        selection.notes.append(
            "Race was not checked: the published split file already selects by it."
        )
    else:
        _keep_races(selection, settings, published)


def _keep_races(selection: Selection, settings: CohortSettings, published: bool) -> None:
    if selection.frame["a_race"].isna().all():
        raise MedauditError(
            f"cohort {settings['name']} needs race, which is missing: set `demographics` of the "
            "dataset to CHEXPERT DEMO.xlsx, or `race: draw`, or set the published `split_file`"
        )
    missing = selection.frame["a_race"].notna()
    removed = selection.keep(missing, "race is missing")
    known = selection.frame["a_race"].isin(RACES)
    removed += selection.keep(known, f"race is not {', '.join(RACES)}")
    if "a_ethnicity" in selection.frame:
        other = selection.frame["a_ethnicity"] == "non-hispanic"
        removed += selection.keep(other, "ethnicity is Hispanic, unknown or missing")
    if published and removed:
        selection.notes.append(
            f"{removed} images of the published split do not pass its own race filter with this "
            "demographics file and were excluded: the cohort is not the published one."
        )


def _draw_split(selection: Selection, settings: CohortSettings) -> None:
    people = _patients(selection.frame)
    strata = [name for name in STRATA if f"a_{name}" in people]
    codes = people.groupby([f"a_{name}" for name in strata], dropna=False).ngroup().to_numpy()
    rng = generator("cohort", "glocker", "split", settings["seed"])
    shares = cast(dict[str, float], settings["split"])
    split = pd.Series(split_patients(codes, shares, rng), people.index, dtype="str")
    selection.frame = selection.frame.assign(split=selection.frame["patient_id"].map(split))
    selection.details["split"] = {
        "kind": "drawn by patient",
        "shares": shares,
        "strata": strata,
    }


def _draw_subset(selection: Selection, settings: CohortSettings, patients: int) -> None:
    people = _patients(selection.frame)
    names = settings.get("enrich") or []
    enrich = [f"a_{name}" for name in names]
    known = people[enrich].notna().all(axis=1) & (people[enrich] != "unknown").all(axis=1)
    cells = people.groupby(enrich).ngroup() if enrich else pd.Series(0, people.index)
    everywhere = settings.get("enrich_training", True)
    if not everywhere:
        cells = cells.where(people["split"] != "train", 0)
    rng = generator("cohort", "glocker", "patients", settings["seed"])
    drawn = draw_patients(
        people["split"].to_numpy(str),
        cells.where(known, -1).to_numpy(int),
        patients,
        rng,
    )
    rows = selection.frame["patient_id"].isin(people.index[drawn])
    selection.keep(rows, f"not among the {patients} patients drawn")
    selection.details["subset"] = {
        "patients": patients,
        "equal_numbers_of_patients_by": names,
        "equal_numbers_in": ["train", "val", "test"] if everywhere else ["val", "test"],
    }
    if enrich:
        selection.notes.append(
            f"The cohort is a subset of {patients} patients, drawn in equal numbers by "
            f"{' and '.join(names)}{'' if everywhere else ' (not in training)'}: groups are not as "
            "frequent as in the dataset."
        )


def _patients(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row per patient, that of the first image."""
    return frame.drop_duplicates("patient_id").set_index("patient_id")


def _balance(selection: Selection, settings: CohortSettings) -> None:
    kind = settings.get("balance") or "none"
    if kind not in ("none", *BALANCE):
        raise MedauditError(
            f"cohort {settings['name']}: balance is {kind!r}; use one of {['none', *BALANCE]}"
        )
    if kind != "none":
        BALANCE[kind](selection, generator("cohort", "glocker", "balance", settings["seed"]))
    selection.details["balance"] = selection.details.get("balance", {"kind": kind})
