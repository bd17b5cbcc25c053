"""NIH ChestX-ray14 (Wang et al., CVPR 2017): the tables of 2017 and 2020, Kaggle's, and its sample."""

import logging
import os
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from medaudit.core.errors import MedauditError
from medaudit.data.datasets import DatasetSettings, LoadedDataset, dataset_folder, embedded_table
from medaudit.data.readers.owner_table import (
    check_present,
    check_unique,
    encode,
    pick_column,
    place_of_value,
    read_columns,
    translate,
)

FINDINGS = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)
EMBEDDED = "Data_Entry_2017_v2020.csv.gz"
TABLES = ("Data_Entry_2017*.csv", "Data_Entry_2017*.csv.gz", "sample_labels.csv")
LISTS = {"train_val_list*.txt": "train_val", "test_list*.txt": "test"}
"""The owner's split, whose first part has no validation split of its own; Kaggle adds ``_NIH``."""

OLDEST = 100
_SEX = {"m": "male", "f": "female", "male": "male", "female": "female", "unknown": "unknown"}
_SEX_COLUMNS = ("Patient Gender", "Patient Sex")
_COLUMNS = ("Image Index", "Finding Labels", "Patient ID", "Patient Age", "View Position")
_log = logging.getLogger(__name__)


def load(settings: DatasetSettings) -> LoadedDataset:
    """Read ChestX-ray14 from its table of 2017, of 2020, or of Kaggle.

    Parameters
    ----------
    settings : dict
        The catalogue entry: ``folder`` (null: the embedded table of 2020 and no images) and
        ``table`` (a CSV file inside the folder; null finds ``Data_Entry_2017*.csv`` and prefers the
        one of 2020, or Kaggle's ``sample_labels.csv``, in the folder or one level below).

    Returns
    -------
    LoadedDataset
        One row per image in the order of the table. Ages are in years; an age given in months or
        days is 0; an age above 100 is set to missing and counted. ``path`` is relative to the
        folder. ``a_official_split`` is ``train_val`` or ``test``, if the owner's two lists are next
        to the table.

    Raises
    ------
    MedauditError
        There is no table, a column is missing, a finding, sex or age is unknown, an image is
        duplicated, or only one of the owner's two lists is there.
    """
    folder = dataset_folder(settings)
    path = _table(folder, settings.get("table"))
    table, sex = _read(path)
    age, exclusions = _ages(table, path)
    names = table["Image Index"].to_pandas()
    frame = pd.DataFrame(
        {
            "image_id": names,
            "patient_id": table["Patient ID"].to_pandas(),
            "path": names if folder is None else _locate(folder, names),
            "age": age,
            "view": table["View Position"].to_pandas(),
            **_findings(table, path),
            "a_sex": pd.Series(translate(table, sex, _SEX, path), dtype="str"),
        }
    )
    lists = {} if folder is None else _find_lists(path.parent)
    if lists:
        frame["a_official_split"] = _read_lists(lists, names)
    return LoadedDataset(frame, {"labels": path, **lists}, exclusions)


def _table(folder: Path | None, name: str | None) -> Path:
    if folder is None:
        return embedded_table(EMBEDDED)
    if name is not None:
        found = [folder / name] if (folder / name).is_file() else []
    else:
        places = [f"{place}{name}" for name in TABLES for place in ("", "*/")]
        found = [path for pattern in places for path in sorted(folder.glob(pattern))]
    if not found:
        raise MedauditError(
            f"there is no {name or ' or '.join(TABLES)} in {folder} or one level below; set `table` "
            "of the dataset to the file's path in this folder"
        )
    return max(found, key=lambda path: ("2020" in path.name, -found.index(path)))


def _find_lists(place: Path) -> dict[str, Path]:
    found = {level: sorted(place.glob(name)) for name, level in LISTS.items()}
    lists = {level: paths[0] for level, paths in found.items() if paths}
    if len(lists) == 1:
        (there,) = lists.values()
        raise MedauditError(
            f"{there} is there, but not the other of {list(LISTS)}; put both of the owner's lists "
            "next to the table, or none"
        )
    return lists


def _read_lists(lists: dict[str, Path], names: pd.Series) -> pd.Series:
    level = {
        line.strip(): part
        for part, path in lists.items()
        for line in path.read_text(encoding="utf-8-sig").splitlines()
        if line.strip()
    }
    found = names.map(level).astype("str")
    if found.isna().any():
        raise MedauditError(
            f"{int(found.isna().sum())} of {len(names)} images, first {names[found.isna()].iloc[0]}, "
            f"are in none of {[str(path) for path in lists.values()]}; get the owner's lists again, "
            "or move them away"
        )
    return found


def _read(path: Path) -> tuple[pa.Table, str]:
    table = read_columns(path, dict.fromkeys(_COLUMNS, pa.string()), optional=_SEX_COLUMNS)
    sex = pick_column(table, _SEX_COLUMNS, path)
    for column in ("Image Index", "Finding Labels", "Patient ID"):
        check_present(table, column, path)
    check_unique(table, "Image Index", path)
    return table, sex


def _ages(table: pa.Table, path: Path) -> tuple[np.ndarray, list[dict]]:
    values = [value for value in pc.unique(table["Patient Age"]).to_pylist() if value]
    parsed = {value: re.fullmatch(r"(\d+)([YMD]?)", value.strip().upper()) for value in values}
    wrong = [value for value, match in parsed.items() if match is None]
    if wrong:
        raise MedauditError(
            f"{path}: column 'Patient Age' has {wrong[:5]}, the first in "
            f"{place_of_value(table, 'Patient Age', wrong, path)}; write ages as 58 or 058Y (or 003M, "
            "010D)"
        )
    years = {
        value.strip().lower(): float(match[1]) if match[2] in ("", "Y") else 0.0
        for value, match in parsed.items()
        if match
    }
    age = translate(table, "Patient Age", years, path).astype(float)
    impossible = age > OLDEST
    counts = {"age is blank": np.isnan(age).sum(), f"age above {OLDEST}": impossible.sum()}
    exclusions = [
        {"reason": f"{reason}: age set to missing", "count": int(count)}
        for reason, count in counts.items()
        if count
    ]
    return np.where(impossible, np.nan, age), exclusions


def _findings(table: pa.Table, path: Path) -> dict[str, np.ndarray]:
    codes, texts = encode(table, "Finding Labels")
    distinct = [text.split("|") for text in texts]
    for text, parts in zip(texts, distinct, strict=True):
        wrong = [part for part in parts if part not in (*FINDINGS, "No Finding")]
        if wrong or ("No Finding" in parts and len(parts) > 1):
            raise MedauditError(
                f"{path}: column 'Finding Labels' has {text[:200]!r} in "
                f"{place_of_value(table, 'Finding Labels', [text], path)}; it must be 'No Finding' or "
                f"some of {list(FINDINGS)} joined by |"
            )
    return {
        f"y_{finding}": np.array([finding in parts for parts in distinct], float)[codes]
        for finding in FINDINGS
    }


def _locate(folder: Path, names: pd.Series) -> pd.Series:
    index: dict[str, str] = {}
    for place, _, files in sorted(os.walk(folder)):
        where = Path(place).relative_to(folder)
        for name in files:
            if name.endswith(".png"):
                index.setdefault(name, (where / name).as_posix())
    missing = ~names.isin(index)
    if missing.any():
        _log.warning("%d of %d images are not below %s", missing.sum(), len(names), folder)
    return names.map(lambda name: index.get(name, name)).astype("str")
