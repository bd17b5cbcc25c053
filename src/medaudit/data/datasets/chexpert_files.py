"""Where CheXpert's tables and images lie: small, full, and the batches of the AIMI download."""

import logging
from pathlib import Path

import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.files import data_root
from medaudit.data.datasets import embedded_table

EMBEDDED = "chexpert_train.csv.gz"
DEMOGRAPHICS = "CHEXPERT DEMO.xlsx"
_log = logging.getLogger(__name__)


def find_tables(folder: Path | None, name: str | None) -> dict[str, Path]:
    """Return the training table and, where it lies beside it, the validation table.

    Raises
    ------
    MedauditError
        No ``train.csv`` in the folder or one level below, or more than one.
    """
    if folder is None:
        return {"train": embedded_table(EMBEDDED)}
    places = [folder] if name or (folder / "train.csv").is_file() else folder.glob("*/")
    wanted = name or "train.csv"
    found = sorted(place / wanted for place in places if (place / wanted).is_file())
    if len(found) != 1:
        raise MedauditError(
            f"found {[str(path) for path in found] or f'no {wanted}'} in {folder} and its folders; "
            "set `table` of the dataset to the one to use"
        )
    valid = found[0].with_name("valid.csv")
    return {"train": found[0]} | ({"valid": valid} if valid.is_file() else {})


def find_demographics(folder: Path | None, name: str | None) -> Path | None:
    """Return the file with each patient's race, or None where none is named or found.

    Raises
    ------
    MedauditError
        A file is named and does not exist.
    """
    if name is None:
        places = () if folder is None else (folder, folder.parent, *sorted(folder.glob("*/")))
        return next((p / DEMOGRAPHICS for p in places if (p / DEMOGRAPHICS).is_file()), None)
    places = [root / name for root in (folder, data_root()) if root is not None]
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise MedauditError(
            f"there is no demographics file {' or '.join(map(str, places))}; set `demographics` "
            "to where CHEXPERT DEMO.xlsx lies, or to null"
        )
    return found


def locate(folder: Path, base: Path, names: pd.Series) -> pd.Series:
    """Return the path of each image relative to `folder`.

    Parameters
    ----------
    folder : Path
        The folder that the user gave.
    base : Path
        Where the training table lies.
    names : pandas.Series
        Paths below CheXpert's own folder, e.g. ``train/patient00001/study1/view1_frontal.jpg``.

    Returns
    -------
    pandas.Series
        A name whose folder is not there keeps the place where it should lie; the stage that
        reads images reports it.
    """
    parts = names.str.split("/", n=1, expand=True)
    places = {}
    for part in parts[0].unique():
        alias = {"valid": "val", "val": "valid"}.get(part, part)
        found = [base / name for name in (part, alias) if (base / name).is_dir()]
        places |= {part: found[0].relative_to(folder).as_posix()} if found else {}
    elsewhere = ~parts[0].isin(places)
    paths = parts[0].replace(places) + "/" + parts[1]
    if elsewhere.any():
        paths[elsewhere] = _locate_batches(folder, base, names[elsewhere])
    return paths


def _locate_batches(folder: Path, base: Path, names: pd.Series) -> pd.Series:
    """Find each patient's folder in ``CheXpert-v1.0 batch N (...)``, flat or in train or valid."""
    patients = {
        path.name: path.relative_to(folder).as_posix()
        for root in sorted(folder.glob("*batch*/"))
        for pattern in ("patient*/", "*/patient*/")
        for path in root.glob(pattern)
    }
    parts = names.str.split("/", n=2, expand=True)
    lacking = ~parts[1].isin(patients)
    if lacking.any():
        _log.warning("%d images have no folder in %s or its batches", lacking.sum(), base)
    places = parts[1].map(patients).where(~lacking, parts[0] + "/" + parts[1])
    return places + "/" + parts[2]
