"""Builder `subjects`: all images, split by subject, as in MEDFAIR and FairTune (ICLR 2024)."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.seeds import generator
from medaudit.data.cohort.patient_split import draw_patients
from medaudit.data.cohort.selection import CohortSettings, Selection
from medaudit.data.cohort.stratified_split import draw_by_labels, split_by_labels
from medaudit.data.datasets import DETAIL

UNKNOWN = "unknown"
OFFICIAL = {
    **dict.fromkeys(("train", "training", "train_val"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation"), "val"),
    "test": "test",
}


def build(frame: pd.DataFrame, settings: CohortSettings) -> Selection:
    """Select the images whose labels and attributes are known, and split their subjects.

    Parameters
    ----------
    frame : pandas.DataFrame
        A manifest. ``patient_id`` is the unit that must be in one split: a patient, a lesion or an
        image, as far as the dataset identifies it.
    settings : dict
        ``known`` : attributes (or ``age``) that must be neither missing nor ``unknown``; other rows
        are excluded before the split. ``known_after_split`` : the same, but excluded after the
        split, which is then that of the whole dataset.
        ``levels`` : merges levels, ``{attribute: {new level: [old levels]}}``; the attribute
        ``<name>_detail`` keeps the old ones.
        ``split`` : one of

        - ``{kind: shares, train, val, test}``: subjects at random, by ``seed``, with the same share
          of each label in each group of the attributes ``stratify``
          (`medaudit.data.cohort.stratified_split`);
        - ``{kind: held_out, share, test_share, seeds}``: scikit-learn's ``train_test_split`` on the
          sorted subjects, twice: ``share`` is held out for validation and test (first seed),
          ``test_share`` of these is the test split (second seed);
        - ``{kind: official, attribute}``: the owner's split, an attribute of the manifest. With
          ``val_share``, that share of the owner's training subjects is the validation split, drawn
          as by ``shares``: for an owner who has none.

        ``patients`` : number of subjects to draw, keeping the shares of the splits; null keeps all.
        ``enrich`` : attributes and tasks whose combinations are drawn in equal numbers, as far as
        there are enough subjects. ``training_share`` : share of the training subjects of a group to
        keep, ``{attribute: {level: share}}``. ``notes`` : sentences for the card. ``tasks``,
        ``seed``.

    Raises
    ------
    MedauditError
        An attribute or level does not exist, the owner's split is blank or unknown, or there are
        fewer subjects than ``patients``.
    """
    selection = Selection(frame, notes=list(settings.get("notes") or []))
    labels = selection.frame[[f"y_{task}" for task in settings["tasks"]]]
    selection.keep(labels.notna().all(axis=1), "the label is missing")
    _keep_known(selection, settings.get("known") or [], settings)
    _merge_levels(selection, settings)
    _split(selection, settings)
    _keep_known(selection, settings.get("known_after_split") or [], settings)
    if (patients := settings.get("patients")) is not None:
        _draw_subset(selection, settings, patients)
    for attribute, shares in (settings.get("training_share") or {}).items():
        for level, share in shares.items():
            _thin_training(selection, attribute, level, share, settings)
    return selection


def _column(selection: Selection, name: str, settings: CohortSettings) -> str:
    column = name if name == "age" else f"a_{name}"
    if column not in selection.frame:
        known = [c[2:] for c in selection.frame if c.startswith("a_")]
        raise MedauditError(
            f"cohort {settings['name']}: there is no attribute {name!r}; known: "
            f"{sorted({*known, 'age'})}"
        )
    return column


def _keep_known(selection: Selection, names: list[str], settings: CohortSettings) -> None:
    for name in names:
        column = _column(selection, name, settings)
        selection.keep(selection.frame[column].notna(), f"{name} is missing")
        if column != "age":
            known = selection.frame[column] != UNKNOWN
            selection.keep(known, f"{name} is {UNKNOWN}")


def _merge_levels(selection: Selection, settings: CohortSettings) -> None:
    for name, levels in (settings.get("levels") or {}).items():
        column = _column(selection, name, settings)
        meaning = {old: new for new, olds in levels.items() for old in olds}
        values = selection.frame[column]
        other = sorted(set(values.dropna()) - set(meaning))
        if other:
            raise MedauditError(
                f"cohort {settings['name']}: `levels` of {name} do not mention {other}; add them to a "
                "level, or, if they mean unknown, list the attribute in `known`"
            )
        merged = {column: values.map(meaning).astype("str"), column + DETAIL: values}
        selection.frame = selection.frame.assign(**merged)


def _split(selection: Selection, settings: CohortSettings) -> None:
    kind = settings["split"]["kind"]
    if kind not in SPLITTERS:
        raise MedauditError(
            f"cohort {settings['name']}: split kind is {kind!r}; use one of {list(SPLITTERS)}"
        )
    split = SPLITTERS[kind](selection.frame, settings)
    selection.frame = selection.frame.assign(split=split.astype("str"))
    by = {"stratify": settings.get("stratify") or []} if kind == "shares" else {}
    selection.details["split"] = {**settings["split"], **by}


def _split_shares(frame: pd.DataFrame, settings: CohortSettings) -> pd.Series:
    rng = generator("cohort", "subjects", "split", settings["seed"])
    shares = {name: settings["split"][name] for name in ("train", "val", "test")}
    return split_by_labels(frame, settings["tasks"], settings.get("stratify") or [], shares, rng)


def _split_held_out(frame: pd.DataFrame, settings: CohortSettings) -> pd.Series:
    from sklearn.model_selection import train_test_split

    recipe = settings["split"]
    # As the published code: on the sorted subjects, as objects. Another order or type of the array
    # gives another split for the same seeds.
    first, second = recipe["seeds"]
    subjects = np.unique(frame["patient_id"].to_numpy(object))
    _, held_out = train_test_split(subjects, test_size=recipe["share"], random_state=first)
    val, test = train_test_split(held_out, test_size=recipe["test_share"], random_state=second)
    place = dict.fromkeys(val, "val") | dict.fromkeys(test, "test")
    return frame["patient_id"].map(lambda subject: place.get(subject, "train"))


def _split_official(frame: pd.DataFrame, settings: CohortSettings) -> pd.Series:
    name = settings["split"]["attribute"]
    if f"a_{name}" not in frame:
        raise MedauditError(
            f"cohort {settings['name']}: the dataset has no official split {name!r}; put the "
            "owner's file of it into the folder (docs/datasets.md), or use another kind of split"
        )
    found = frame[f"a_{name}"].str.lower()
    wrong = sorted(set(found.dropna()) - set(OFFICIAL)) or (
        ["(blank)"] if found.isna().any() else []
    )
    if wrong:
        raise MedauditError(
            f"cohort {settings['name']}: the official split {name!r} has the unknown values "
            f"{wrong[:5]}; known: {sorted(OFFICIAL)}"
        )
    split, share = found.map(OFFICIAL), settings["split"].get("val_share")
    if share is None:
        return split
    if (split == "val").any():
        raise MedauditError(
            f"cohort {settings['name']}: the owner's split {name!r} has a validation part; remove "
            "`val_share`"
        )
    rng = generator("cohort", "subjects", "validation", settings["seed"])
    part = frame[split == "train"]
    shares = {"train": 1 - share, "val": share}
    drawn = split_by_labels(part, settings["tasks"], settings.get("stratify") or [], shares, rng)
    return drawn.reindex(frame.index).fillna(split)


SPLITTERS: dict[str, Callable[[pd.DataFrame, CohortSettings], pd.Series]] = {
    "shares": _split_shares,
    "held_out": _split_held_out,
    "official": _split_official,
}


def _draw_subset(selection: Selection, settings: CohortSettings, patients: int) -> None:
    enrich = settings.get("enrich") or []
    rng = generator("cohort", "subjects", "patients", settings["seed"])
    if enrich:
        people = _subjects(selection.frame, settings["tasks"])
        columns = [f"y_{n}" if n in settings["tasks"] else f"a_{n}" for n in enrich]
        cells = people.groupby(columns).ngroup()
        cells = cells.where(people[columns].notna().all(axis=1), -1)
        split = people["split"].to_numpy(str)
        drawn = draw_patients(split, cells.to_numpy(int), patients, rng)
        rows = selection.frame["patient_id"].isin(people.index[drawn])
    else:
        attributes = settings.get("stratify") or []
        rows = draw_by_labels(selection.frame, settings["tasks"], attributes, patients, rng)
    selection.keep(rows, f"not among the {patients} subjects drawn")
    selection.details["subset"] = {
        "patients": patients,
        "equal_numbers_of_patients_by": enrich,
    }
    if enrich:
        selection.notes.append(
            f"The cohort is a subset of {patients} subjects, drawn in equal numbers by "
            f"{' and '.join(enrich)}: groups and labels are not as frequent as in the dataset."
        )


def _thin_training(
    selection: Selection, attribute: str, level: str, share: float, settings: CohortSettings
) -> None:
    """Keep a share of the training subjects of a group, and at least one."""
    column = _column(selection, attribute, settings)
    people = _subjects(selection.frame, settings["tasks"])
    members = people.index[(people["split"] == "train") & (people[column] == level)].sort_values()
    if members.empty:
        raise MedauditError(
            f"cohort {settings['name']}: training_share of {attribute} has the unknown level "
            f"{level!r}; the training split has {sorted(people[column].dropna().unique())}"
        )
    rng = generator("cohort", "subjects", "training", attribute, level, settings["seed"])
    removed = rng.permutation(members)[max(1, round(share * len(members))) :]
    rows = ~selection.frame["patient_id"].isin(removed)
    selection.keep(rows, f"training share of {attribute} {level}: {share:g}")
    selection.notes.append(
        f"Only {share:.0%} of the training subjects of {attribute} {level} were kept, on purpose: "
        "validation and test have all of them."
    )


def _subjects(frame: pd.DataFrame, tasks: list[str]) -> pd.DataFrame:
    """Return one row per subject: its first image, with labels that are positive in any image."""
    people = frame.drop_duplicates("patient_id").set_index("patient_id")
    labels = [f"y_{task}" for task in tasks]
    return people.assign(**frame.groupby("patient_id")[labels].max())
