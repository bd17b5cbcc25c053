"""The CheXpert cohort of Gichoya et al. (2022) and Glocker et al. (2022), used by "How Fair"."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from medaudit.core.errors import MedauditError
from medaudit.core.files import data_root
from medaudit.core.seeds import generator
from medaudit.data.cohort.balance_race_sex import balance_race_sex
from medaudit.data.cohort.patient_split import draw_patients, split_patients
from medaudit.data.cohort.selection import Selection
from medaudit.data.readers.csv_table import read_columns, translate

RACES = ("white", "asian", "black")
STRATA = ("race", "sex", "age_group")
BALANCE = ("none", "race_sex")
_SPLITS = {"train": "train", "validate": "val", "test": "test"}


def build(frame: pd.DataFrame, settings: dict) -> Selection:
    """Select frontal films of white, asian and black non-Hispanic patients, split by patient.

    Parameters
    ----------
    frame : pandas.DataFrame
        CheXpert's manifest: rows of ``train.csv`` in their order.
    settings : dict
        ``split_file`` : the published ``chexpert_split_2021_08_20.csv`` below the data root; null
        splits patients at the shares ``split``, stratified by race, sex and age group.
        ``views`` : views to keep; null keeps any frontal one.
        ``patients`` : draw a subset of so many patients that keeps the shares of the splits;
        null keeps all. ``enrich`` : attributes whose groups the subset holds in equal numbers of
        patients, as far as they last (null: natural shares), in every split, or with
        ``enrich_training: false`` in validation and test alone.
        ``balance`` : ``none`` or ``race_sex`` (`medaudit.data.cohort.balance_race_sex`), training split alone.
        ``test_weights``, ``age_given_label`` : see `medaudit.data.groups.weights.add_weights`.
        ``seed`` : the same seed gives the same split in every cohort.

    Returns
    -------
    Selection
        127,118 images of 42,884 patients with the real split file.

    Raises
    ------
    MedauditError
        Race is missing and there is no split file, the split file does not fit the table, or an
        option is unknown.
    """
    selection = Selection(frame)
    published = settings.get("split_file") is not None
    if published:
        _join_split(selection, data_root() / settings["split_file"])
    _keep_eligible(selection, settings, published)
    if not published:
        _draw_split(selection, settings)
    if settings.get("patients") is not None:
        _draw_subset(selection, settings)
    _balance(selection, settings)
    return selection


def _join_split(selection: Selection, path: Path) -> None:
    """Give each row its split; ``index`` is the 0-based row of ``train.csv``."""
    if not path.is_file():
        raise MedauditError(f"there is no split file {path}; set `split_file`, or null for a draw")
    table = read_columns(path, {"index": pa.int64(), "split": pa.string()})
    rows = table["index"].to_numpy()
    n = int(selection.frame["image_id"].str.startswith("train/").sum())
    if rows.min() < 0 or rows.max() >= n or len(np.unique(rows)) < len(rows):
        raise MedauditError(
            f"{path}: column 'index' must name rows 0 to {n - 1} of train.csv, each at most once; "
            f"it goes from {rows.min()} to {rows.max()} with {len(np.unique(rows))} distinct of "
            f"{len(rows)}"
        )
    split = np.full(len(selection.frame), None, dtype=object)
    split[rows] = translate(table, "split", _SPLITS, path)
    selection.frame = selection.frame.assign(split=pd.Series(split, dtype="str"))
    selection.tables["split"] = path


def _keep_eligible(selection: Selection, settings: dict, published: bool) -> None:
    keep = selection.keep
    keep(selection.frame["image_id"].str.startswith("train/"), "not in train.csv")
    if published:
        keep(selection.frame["split"].notna(), "not in the published split file")
    wrong = keep(selection.frame["view"] != "lateral", "lateral view")
    if published and wrong:
        raise MedauditError(
            f"cohort {settings['name']}: the split file names {wrong} lateral films, the published "
            "one none: it does not belong to this train.csv, or train.csv was reordered"
        )
    if settings.get("views"):
        views = settings["views"]
        keep(selection.frame["view"].isin(views), f"view is not {' or '.join(views)}")
    if published and selection.frame["a_race"].isna().all():
        selection.notes.append("Race was not checked: the published split file stands for it.")
    else:
        _keep_races(selection, settings, published)


def _keep_races(selection: Selection, settings: dict, published: bool) -> None:
    if selection.frame["a_race"].isna().all():
        raise MedauditError(
            f"cohort {settings['name']} needs race: set `demographics` of the dataset to CHEXPERT "
            "DEMO.xlsx, or `race: draw`, or give the published `split_file`"
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
            f"{removed} images of the published split fail its own race filter with this "
            "demographics file and were left out: the cohort is not the published one."
        )


def _draw_split(selection: Selection, settings: dict) -> None:
    people = _patients(selection.frame)
    strata = [name for name in STRATA if f"a_{name}" in people]
    codes = people.groupby([f"a_{name}" for name in strata], dropna=False).ngroup().to_numpy()
    rng = generator("cohort", "glocker", "split", settings["seed"])
    split = pd.Series(split_patients(codes, settings["split"], rng), people.index, dtype="str")
    selection.frame = selection.frame.assign(split=selection.frame["patient_id"].map(split))
    selection.details["split"] = {
        "kind": "drawn by patient",
        "shares": settings["split"],
        "strata": strata,
    }


def _draw_subset(selection: Selection, settings: dict) -> None:
    people = _patients(selection.frame)
    enrich = [f"a_{name}" for name in settings.get("enrich") or []]
    known = people[enrich].notna().all(axis=1) & (people[enrich] != "unknown").all(axis=1)
    cells = people.groupby(enrich).ngroup() if enrich else pd.Series(0, people.index)
    everywhere = settings.get("enrich_training", True)
    if not everywhere:
        cells = cells.where(people["split"] != "train", 0)
    rng = generator("cohort", "glocker", "patients", settings["seed"])
    drawn = draw_patients(
        people["split"].to_numpy(str),
        cells.where(known, -1).to_numpy(int),
        settings["patients"],
        rng,
    )
    rows = selection.frame["patient_id"].isin(people.index[drawn])
    selection.keep(rows, f"not among the {settings['patients']} patients drawn")
    selection.details["subset"] = {
        "patients": settings["patients"],
        "equal_numbers_of_patients_by": settings.get("enrich") or [],
        "equal_numbers_in": ["train", "val", "test"] if everywhere else ["val", "test"],
    }
    if enrich:
        selection.notes.append(
            f"A subset of {settings['patients']} patients, drawn in equal numbers by "
            f"{' and '.join(settings['enrich'])}{'' if everywhere else ' (not in training)'}: "
            "its groups are not as frequent as in the dataset."
        )


def _patients(frame: pd.DataFrame) -> pd.DataFrame:
    """Return one row a patient, that of the first image."""
    return frame.drop_duplicates("patient_id").set_index("patient_id")


def _balance(selection: Selection, settings: dict) -> None:
    kind = settings.get("balance") or "none"
    if kind not in BALANCE:
        raise MedauditError(
            f"cohort {settings['name']}: balance is {kind!r}; known are {list(BALANCE)}"
        )
    if kind == "race_sex":
        rng = generator("cohort", "glocker", "balance", settings["seed"])
        balance_race_sex(selection, rng)
    selection.details["balance"] = selection.details.get("balance", {"kind": kind})
