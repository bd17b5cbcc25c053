"""CheXpert v1.0 (Irvin et al., AAAI 2019), small or full, in any of its folder layouts."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from medaudit.core.errors import MedauditError
from medaudit.data.datasets import DatasetSettings, LoadedDataset, dataset_folder
from medaudit.data.datasets.chexpert_files import (
    EXPERT_TEST,
    find_demographics,
    find_tables,
    locate,
)
from medaudit.data.datasets.chexpert_race import draw_race, fill_sex_and_age, read_race
from medaudit.data.readers.owner_table import (
    check_ages,
    check_present,
    check_unique,
    place,
    read_columns,
    translate,
)

FINDINGS = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
TABLES = ("train.csv",)
CAPPED_AGE = 90
UNCERTAIN = {"zeros": 0.0, "ones": 1.0, "ignore": np.nan}
BLANK = {"zeros": 0.0, "ignore": np.nan}
RACE = ("auto", "draw")
_SEX = {"male": "male", "female": "female", "unknown": "unknown"}
_TEXT = ("Path", "Sex", "Frontal/Lateral", "AP/PA")
_PATH = r"^(?:.*/)?(?P<path>(?:train|valid|val|test)/(?P<patient>patient\d+)/.+)$"


def load(settings: DatasetSettings) -> LoadedDataset:
    """Read CheXpert's ``train.csv``, ``valid.csv`` if it is next to it, or another table alone.

    Parameters
    ----------
    settings : dict
        The catalogue entry.

        ``folder`` : the owner's folder or its parent; null for the embedded ``train.csv``.
        ``table`` : the table inside the folder; null finds ``train.csv``. One of another name, as
        ``valid.csv``, is read alone.
        ``expert_test`` : true also reads ``test_labels.csv``, which radiologists labelled, and
        keeps the owner's split in ``a_official_split``. That table has neither sex nor age: they
        are those of the demographics file.
        ``demographics`` : ``CHEXPERT DEMO.xlsx``, inside the folder or below the data root;
        null searches the folder for it.
        ``race`` : ``auto`` reads race from the demographics file; without this file, race is drawn
        at random for the embedded table, and missing for a folder. ``draw`` always draws it.
        ``uncertain`` : value of uncertain labels (-1): ``zeros``, ``ones`` or ``ignore`` (missing).
        ``blank`` : value of labels that are not mentioned: ``zeros`` or ``ignore`` (missing).

    Returns
    -------
    LoadedDataset
        All rows of ``train.csv`` in their order, so that row i of the frame is row i of the table
        (the published split file identifies images by it); then those of ``valid.csv``.
        ``image_id`` is the path below CheXpert's own folder; ``view`` is AP, PA, LL, RL or
        ``lateral``.

    Raises
    ------
    MedauditError
        A file or column is missing, a code or path is unknown, or an image is duplicated.
    """
    folder = dataset_folder(settings)
    expert_test = bool(settings.get("expert_test"))
    tables = find_tables(folder, settings.get("table"), expert_test)
    parts = [_read(path, settings) for path in tables.values()]
    frame = pd.concat(parts, ignore_index=True)
    if folder is not None:
        frame["path"] = locate(folder, next(iter(tables.values())).parent, frame["image_id"])
    notes = _notes(frame)
    demographics = find_demographics(folder, settings.get("demographics"))
    if _choice(settings, "race", RACE) == "draw" or (folder is None and demographics is None):
        frame["a_race"], note = draw_race(frame["patient_id"])
        notes.append(note)
    elif demographics is None:
        notes.append(
            "Race is missing, because there is no CHEXPERT DEMO.xlsx. Set `demographics` to this "
            "file, or set `race: draw` to draw race at random."
        )
        frame["a_race"] = pd.Series(pd.NA, index=frame.index, dtype="str")
    else:
        tables = {**tables, "demographics": demographics}
        frame["a_race"], frame["a_ethnicity"] = read_race(demographics, frame["patient_id"])
        if expert_test:
            frame = fill_sex_and_age(demographics, frame)
    if expert_test:
        frame["a_official_split"] = frame["image_id"].str.partition("/")[0]
    return LoadedDataset(frame, tables, [], notes)


def _notes(frame: pd.DataFrame) -> list[str]:
    capped = int((frame["age"] == CAPPED_AGE).sum())
    return [f"CheXpert caps ages at {CAPPED_AGE}: {capped} images have {CAPPED_AGE}."] * (
        capped > 0
    )


def _read(path: Path, settings: DatasetSettings) -> pd.DataFrame:
    types = dict.fromkeys(_TEXT, pa.string()) | dict.fromkeys(("Age", *FINDINGS), pa.float64())
    expert = path.name == EXPERT_TEST
    kept = ("Path", *FINDINGS) if expert else tuple(types)
    table = read_columns(path, {name: types[name] for name in kept})
    if expert:
        table = _complete(table)
    check_ages(table["Age"].to_numpy(), "Age", path)
    for column in ("Path", "Frontal/Lateral"):
        check_present(table, column, path)
    check_unique(table, "Path", path)
    names = _split_paths(table["Path"].combine_chunks(), path)
    lateral = pc.equal(pc.utf8_lower(table["Frontal/Lateral"]), "lateral")
    view = pc.if_else(lateral, "lateral", table["AP/PA"])
    return pd.DataFrame(
        {
            "image_id": pd.Series(names.field("path"), dtype="str"),
            "patient_id": pd.Series(names.field("patient"), dtype="str"),
            "path": pd.Series(names.field("path"), dtype="str"),
            "age": table["Age"].to_numpy(),
            "view": view.to_pandas(),
            **_labels(table, path, settings),
            "a_sex": pd.Series(translate(table, "Sex", _SEX, path), dtype="str"),
        }
    )


def _complete(table: pa.Table) -> pa.Table:
    """Add the columns that the table of the expert-labelled test set lacks; views are in its paths."""
    blank = pa.nulls(table.num_rows, pa.string())
    lateral = pc.match_substring(table["Path"], "lateral")
    view = pc.if_else(lateral, "Lateral", "Frontal")
    columns = {"Sex": blank, "AP/PA": pc.if_else(lateral, None, "frontal"), "Frontal/Lateral": view}
    for name, column in columns.items():
        table = table.append_column(name, column)
    return table.append_column("Age", pa.nulls(table.num_rows, pa.float64()))


def _split_paths(paths: pa.Array, source: Path) -> pa.StructArray:
    names = pc.extract_regex(paths, _PATH)
    if names.null_count:
        row = pc.index(pc.is_null(names), True).as_py()
        raise MedauditError(
            f"{source}: column 'Path' has {paths[row].as_py()!r} in {place(source, row)}; expected "
            "e.g. CheXpert-v1.0-small/train/patient00001/study1/view1_frontal.jpg"
        )
    return names


def _labels(table: pa.Table, path: Path, settings: DatasetSettings) -> dict[str, np.ndarray]:
    uncertain = UNCERTAIN[_choice(settings, "uncertain", UNCERTAIN)]
    blank = BLANK[_choice(settings, "blank", BLANK)]
    labels = {}
    for finding in FINDINGS:
        codes = table[finding].to_numpy()
        missing, unsure = np.isnan(codes), codes == -1
        wrong = ~(missing | unsure | (codes == 0) | (codes == 1))
        if wrong.any():
            row = int(wrong.argmax())
            raise MedauditError(
                f"{path}: column {finding!r} has {codes[row]:g} in {place(path, row)}; codes are 1, 0, -1 "
                "and blank"
            )
        labels[f"y_{finding}"] = np.where(missing, blank, np.where(unsure, uncertain, codes))
    return labels


def _choice(settings: Mapping[str, Any], key: str, known: Collection[str]) -> str:
    """Return the value of a setting, by default the first of the known values."""
    value = settings.get(key) or next(iter(known))
    if value not in known:
        raise MedauditError(f"dataset setting `{key}` is {value!r}; use one of {list(known)}")
    return value
