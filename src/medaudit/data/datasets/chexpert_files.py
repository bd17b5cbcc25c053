"""Find CheXpert's tables and images: small, full, and the batches of the AIMI download."""

import logging
from pathlib import Path

import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.files import data_root
from medaudit.data.datasets import embedded_table

EMBEDDED = "chexpert_train.csv.gz"
EXPERT_TEST = "test_labels.csv"
DEMOGRAPHICS = "CHEXPERT DEMO.xlsx"
_log = logging.getLogger(__name__)


def find_tables(
    folder: Path | None, name: str | None, expert_test: bool = False
) -> dict[str, Path]:
    """Return the training table and those next to it that experts labelled, test if asked for.

    A table of another name than ``train.csv`` that the entry names is read alone.

    Raises
    ------
    MedauditError
        There is no ``train.csv`` in the folder or one level below, or more than one.
    """
    if folder is None:
        return {"train": embedded_table(EMBEDDED)}
    places = [folder] if name or (folder / "train.csv").is_file() else folder.glob("*/")
    wanted = name or "train.csv"
    found = sorted(place / wanted for place in places if (place / wanted).is_file())
    if len(found) != 1:
        raise MedauditError(
            f"found {[str(path) for path in found] or f'no {wanted}'} in {folder} or one level below; "
            "set `table` of the dataset to the one to use"
        )
    if found[0].name != "train.csv" and name:
        return {found[0].stem: found[0]}
    tables = {"train": found[0]}
    if (valid := found[0].with_name("valid.csv")).is_file():
        tables["valid"] = valid
    if expert_test:
        tables["test"] = found[0].with_name(EXPERT_TEST)
        if not tables["test"].is_file():
            raise MedauditError(
                f"there is no {tables['test']}; put the table of the test set that radiologists "
                "labelled there, or set `expert_test: false`"
            )
    return tables


def find_demographics(folder: Path | None, name: str | None) -> Path | None:
    """Return the file with each patient's race; None if none is named and none is found.

    Raises
    ------
    MedauditError
        The named file does not exist.
    """
    if name is None:
        around = () if folder is None else (folder, folder.parent, *sorted(folder.glob("*/")))
        return next((p / DEMOGRAPHICS for p in around if (p / DEMOGRAPHICS).is_file()), None)
    places = [root / name for root in (folder, data_root()) if root is not None]
    found = next((path for path in places if path.is_file()), None)
    if found is None:
        raise MedauditError(
            f"there is no demographics file {' or '.join(map(str, places))}; set `demographics` "
            "to the path of CHEXPERT DEMO.xlsx, or to null"
        )
    return found


def locate(folder: Path, base: Path, names: pd.Series) -> pd.Series:
    """Return the path of each image relative to `folder`.

    Parameters
    ----------
    folder : Path
        The configured folder of the dataset.
    base : Path
        Folder of the training table.
    names : pandas.Series
        Paths below CheXpert's own folder, e.g. ``train/patient00001/study1/view1_frontal.jpg``.

    Returns
    -------
    pandas.Series
        An image that is not found gets the path where it should be, so that the stage `images`
        reports it.
    """
    parts = names.str.split("/", n=1, expand=True)
    places: dict[str, str] = {}
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
    missing = ~parts[1].isin(patients)
    if missing.any():
        _log.warning("%d images have no folder in %s or its batches", missing.sum(), base)
    places = parts[1].map(patients).where(~missing, parts[0] + "/" + parts[1])
    return places + "/" + parts[2]
