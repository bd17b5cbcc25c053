"""Paths of the images: as the table gives them, or found below the folder."""

import os
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.data.datasets.columns.source import Source
from medaudit.data.readers.dicom_headers import DICOM_SUFFIXES
from medaudit.data.readers.image_containers import split_address

MIXED = 0.02
"""Least share of each format for a dataset to count as mixed."""


def paths(source: Source, settings: Mapping[str, Any], folder: Path) -> pd.Series:
    """Return the path of each row's image, relative to the folder, with ``/``.

    Parameters
    ----------
    source : Source
        The rows.
    settings : dict
        ``columns.path``: a column or template; ``locate``: ``as_given`` (default) or ``anywhere``,
        which looks for files whose path ends in the same way below the folder, with or without a
        suffix.
    folder : Path
        The dataset's folder.

    Raises
    ------
    MedauditError
        A path is blank or leaves the folder, or several files could be meant.
    """
    template = settings["columns"]["path"]
    text = source.texts(template, "columns.path")
    blank = text.isna().to_numpy()
    name = template if template in source.frame else _first_field(template)
    if blank.any():
        source.fail(
            name,
            blank,
            "so there is no path of the image",
            f"fill it in, or leave such rows out: `keep: [{{column: {name}}}]`",
        )
    text = text.str.replace("\\", "/", regex=False).str.removeprefix("./")
    text = text.str.removeprefix(f"{folder.as_posix()}/")
    if settings.get("locate") == "anywhere":
        return locate(source, name, text, folder)
    outside = (text.str.startswith("/") | text.str.contains(r"(?:^|/)\.\.(?:/|$)")).to_numpy()
    if outside.any():
        source.fail(
            name,
            outside,
            f"a path outside the folder {folder}",
            "set `locate: anywhere` to find the images by the end of their paths, or `folder` to "
            "the folder that the paths start from",
        )
    return text


def _first_field(template: str) -> str:
    return template.partition("{")[2].partition("}")[0].partition(":")[0]


def locate(source: Source, name: str, text: pd.Series, folder: Path) -> pd.Series:
    """Return the files below `folder` that the texts mean, by the longest equal end of their paths.

    A row without a file keeps its text, which the stage `images` reports as missing.
    """
    index: dict[str, list[str]] = defaultdict(list)
    for place, folders, files in os.walk(folder):
        folders.sort()
        where = Path(place).relative_to(folder)
        for file in files:
            path = (where / file).as_posix()
            index[file].append(path)
            if "." in file:
                index[file.rpartition(".")[0]].append(path)
    found, unclear = [], np.zeros(len(text), bool)
    for number, wanted in enumerate(text.tolist()):
        address, member = split_address(wanted)
        candidates = _nearest(index.get(address.rpartition("/")[2], ()), address)
        unclear[number] = len(candidates) > 1
        path = candidates[0] if candidates else address.lstrip("/").replace("../", "")
        found.append(path if member is None else f"{path}#{member}")
    if unclear.any():
        first = text.iloc[int(unclear.argmax())]
        same = _nearest(index[first.rpartition("/")[2]], first)[:3]
        source.fail(
            name,
            unclear,
            f"which may be any of {same}",
            "make `columns.path` a template with enough of the folders, e.g. {folder}/{file}",
        )
    return pd.Series(found, index=text.index, dtype="str")


def _nearest(paths: tuple[str, ...] | list[str], wanted: str) -> list[str]:
    """Return the paths that share most components, from the end, with the wanted one."""
    if len(paths) < 2:
        return list(paths)
    ends = wanted.split("/")[-2::-1]
    scores = []
    for path in paths:
        own = path.split("/")[-2::-1]
        same = [a == b for a, b in zip(ends, own, strict=False)]
        scores.append(same.index(False) if False in same else len(same))
    best = max(scores)
    # a path without further components before it is nearer than one in a subfolder
    exact = [path for path in paths if path == wanted or path.rpartition(".")[0] == wanted]
    return exact or [path for path, score in zip(paths, scores, strict=True) if score == best]


def file_formats(path: pd.Series) -> pd.Series:
    """Return ``DICOM`` or ``other`` for each path, by its suffix."""
    dicom = path.str.lower().str.endswith(tuple(DICOM_SUFFIXES))
    return pd.Series(np.where(dicom, "DICOM", "other"), index=path.index, dtype="str")


def check_unique(source: Source, image: pd.Series, key: str, name: str) -> None:
    """Raise the error of an image that is blank or listed more than once."""
    blank = image.isna().to_numpy()
    if blank.any():
        source.fail(
            name, blank, f"and `{key}` needs it", "fill it in, or remove these rows by `keep`"
        )
    duplicate = image.duplicated(keep=False).to_numpy()
    if duplicate.any():
        first = image[duplicate].iloc[0]
        rows = np.flatnonzero((image == first).to_numpy())
        lines = " and ".join(source.where(name, int(row)) for row in rows[:2])
        raise MedauditError(
            f"image {first!r} is listed {len(rows)} times ({lines}); {image[duplicate].nunique()} "
            "images are like this: keep one row each, give `columns.image` a column or template "
            "that tells them apart, or say how several rows of one image are combined: "
            "`readers: {rule: majority}`"
        )
