"""Which images of a cohort a model has seen in pretraining, by the lists that its owner published.

A list is any table or text file that names images: RAD-DINO's ``training_images.csv``, NIH's
``train_val_list.txt``, CheXpert's ``train.csv``, MIMIC-CXR's split table. Its ids are matched with
the cohort's by `medaudit.data.image_ids.match_ids`, or the images' files by a column of hashes.
"""

import hashlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.files import data_root
from medaudit.data.image_ids import IdMatch, match_ids
from medaudit.data.readers.sheet import as_text, read_sheet

HASHES = {32: "md5", 40: "sha1", 64: "sha256"}
"""Hash functions by the number of hexadecimal digits."""

NO_TABLE = (".txt", ".lst")
"""Ends of the names of files with one image per line and no header."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Seen:
    """What the lists of one model say about a cohort.

    Parameters
    ----------
    images : numpy.ndarray
        bool ``[n]``: whether the model has seen each image of the cohort.
    notes : tuple of str
        For each list how it was matched, and how many images it names.
    applies : bool
        Whether any list is about the cohort's dataset.
    """

    images: np.ndarray
    notes: tuple[str, ...]
    applies: bool


def seen_images(
    lists: Sequence[Mapping[str, Any]],
    cohort: pd.DataFrame,
    dataset: str | None,
    folder: str | None = None,
) -> Seen:
    """Match a model's lists of pretraining images with a cohort.

    Parameters
    ----------
    lists : list of dict
        ``pretraining_images`` of the model's entry: ``file`` (absolute or below the data root);
        ``column`` with the ids (by default the one that matches most images); ``where``: values
        that rows must have, by column; ``dataset``: the dataset that its images are of (by default
        any); ``hash``: a column with MD5, SHA-1 or SHA-256 hashes of the images' files.
    cohort : pandas.DataFrame
        ``image_id`` and ``path``.
    dataset : str or None
        The cohort's dataset.
    folder : str or None
        The dataset's folder, for hashes.

    Raises
    ------
    MedauditError
        A file is not there, or has no such column.
    """
    images = np.zeros(len(cohort), bool)
    notes, applies = [], False
    for one in lists:
        if one.get("dataset") and str(one["dataset"]).casefold() != str(dataset).casefold():
            continue
        applies = True
        found, note = _match_list(one, cohort, folder)
        images |= found
        notes.append(note)
        log.info("%s", note)
    return Seen(images, tuple(notes), applies)


def _match_list(
    one: Mapping[str, Any], cohort: pd.DataFrame, folder: str | None
) -> tuple[np.ndarray, str]:
    """Return which images of the cohort a list names, and how they were matched."""
    path = data_root() / one["file"]
    table = _read_list(path, one)
    if one.get("hash"):
        found = _match_hashes(as_text(table[one["hash"]]), cohort, path, folder)
        return (
            found,
            f"{path.name}: {found.sum()} of {len(cohort)} images by the hash of their file",
        )
    columns = [one["column"]] if one.get("column") else list(table.columns)
    matches = {
        name: match_ids(as_text(table[name].dropna().drop_duplicates()).to_numpy(object), cohort)
        for name in columns
    }
    best = max(matches, key=lambda name: (matches[name].place >= 0).sum(), default=None)
    match = matches.get(best) if best is not None else None
    if match is None or match.rule is None:
        example = as_text(table[columns[0]].dropna()).head(2).tolist() if len(table) else []
        note = (
            f"{path.name}: none of its {len(table)} rows (e.g. {example}) names an image of the cohort "
            f"(e.g. {cohort['image_id'].head(2).tolist()})"
        )
        return np.zeros(len(cohort), bool), note
    return match.place >= 0, _said(path, best, match, len(cohort))


def _said(path: Path, column: object, match: IdMatch, count: int) -> str:
    where = "" if path.name.endswith(NO_TABLE) else f", column {column}"
    return f"{path.name}{where}: {(match.place >= 0).sum()} of {count} images by {match.rule}"


def _read_list(path: Path, one: Mapping[str, Any]) -> pd.DataFrame:
    """Return the rows of a list that its ``where`` asks for."""
    if not path.is_file():
        raise MedauditError(f"there is no list of pretraining images {path}; put it there")
    if path.name.endswith(NO_TABLE):
        lines = path.read_text(encoding="utf-8").splitlines()
        return pd.DataFrame({"line": [line.strip() for line in lines if line.strip()]}, dtype="str")
    table = read_sheet(path).frame
    wanted = {**(one.get("where") or {})}
    for name in (*filter(None, (one.get("column"), one.get("hash"))), *wanted):
        if name not in table:
            raise MedauditError(f"{path} has no column {name!r}; it has {list(table.columns)[:12]}")
    rows = np.ones(len(table), bool)
    for name, values in wanted.items():
        levels = {str(value) for value in (values if isinstance(values, list) else [values])}
        text = as_text(table[name])
        rows &= text.isin(levels).to_numpy()
        if not rows.any():
            known = text.drop_duplicates().head(8).tolist()
            raise MedauditError(f"{path}: no row has {name} {sorted(levels)}; it has e.g. {known}")
    return table[rows]


def _match_hashes(
    hashes: pd.Series, cohort: pd.DataFrame, path: Path, folder: str | None
) -> np.ndarray:
    """Return which images have a file whose hash is in the list."""
    listed = set(hashes.dropna().str.strip().str.casefold())
    lengths = {len(value) for value in listed}
    kinds = [HASHES[length] for length in lengths if length in HASHES]
    if len(lengths) != 1 or not kinds:
        raise MedauditError(
            f"{path}: hashes must be MD5, SHA-1 or SHA-256 in hexadecimal, of one length; found "
            f"lengths {sorted(lengths)[:5]}"
        )
    if folder is None:
        raise MedauditError(f"{path}: hashes are compared with files, and the images are phantoms")
    return np.array(
        [_hash(data_root() / folder / one, kinds[0]) in listed for one in cohort["path"]]
    )


def _hash(file: Path, kind: str) -> str | None:
    """Return the hash of an image's file; None if it is not a file of its own."""
    if not file.is_file():
        return None
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, kind).hexdigest()
