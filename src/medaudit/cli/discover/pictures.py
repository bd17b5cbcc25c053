"""Find the column of a table whose values are the names of pictures below a folder."""

import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.data.readers.dicom_headers import DICOM_SUFFIXES

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".dcm", ".dicom", ".ima")
SAMPLE = 200
"""Values of a column that are looked up, spread evenly over the table."""

LEAST = 0.3
"""Least share of them that must be pictures."""


@dataclass
class Pictures:
    """The pictures below a folder: relative paths, and those by name and by name without suffix."""

    paths: set[str] = field(default_factory=set)
    names: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    stems: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


@dataclass(frozen=True)
class PathColumn:
    """A way from a table's row to its picture.

    Parameters
    ----------
    template : str
        The entry's ``columns.path``.
    locate : str
        The entry's ``locate``.
    columns : tuple of str
        Columns that the template names.
    share : float
        Share of the sampled rows that have a picture.
    rank : int
        0 for the plainest way; among equal shares, the plainest is taken.
    dicom : bool
        Whether all sampled rows have a DICOM file, at the path that the template makes.
    """

    template: str
    locate: str
    columns: tuple[str, ...]
    share: float
    rank: int
    dicom: bool = False


def index_pictures(root: Path) -> Pictures:
    """Return all pictures below a folder; hidden folders are skipped."""
    found = Pictures()
    for place, folders, files in os.walk(root):
        folders[:] = [name for name in folders if not name.startswith(".")]
        where = Path(place).relative_to(root)
        for name in files:
            if name.lower().endswith(SUFFIXES):
                path = (where / name).as_posix()
                found.paths.add(path)
                found.names[name].append(path)
                found.stems[name.rpartition(".")[0]].append(path)
    return found


def find_path(frame: pd.DataFrame, pictures: Pictures) -> PathColumn | None:
    """Return the best way from the rows of a table to pictures; None if no column names any."""
    rows = np.unique(np.linspace(0, len(frame) - 1, min(SAMPLE, len(frame))).astype(int))
    sample = frame.iloc[rows]
    texts = {
        str(name): sample[name].astype("str").str.replace("\\", "/", regex=False)
        for name in sample.columns
        if frame[name].notna().any()
    }
    ways = [way for name in texts for way in _ways(name, texts, pictures)]
    ways = [way for way in ways if way.share >= LEAST]
    return max(ways, key=lambda way: (round(way.share, 2), -way.rank), default=None)


def _ways(name: str, texts: dict[str, pd.Series], pictures: Pictures) -> Iterator[PathColumn]:
    values = texts[name]
    if values.nunique() < min(5, len(values)):
        return
    share = _share(values, pictures.paths)
    yield PathColumn(name, "as_given", (name,), share, 0, share == 1 and _are_dicom(values))
    file = values.str.rsplit("/", n=1).str[-1]
    for rank, index in ((2, pictures.names), (4, pictures.stems)):
        found = [index.get(value, []) for value in file if isinstance(value, str)]
        share = sum(map(bool, found)) / len(values)
        if share < LEAST:
            continue
        yield from _in_one_folder(name, values, found, share, rank)
        yield from _in_named_folders(name, texts, found, pictures, rank)
        yield PathColumn(name, "anywhere", (name,), share, rank + 1)


def _are_dicom(paths: pd.Series) -> bool:
    return bool(paths.str.lower().str.endswith(tuple(DICOM_SUFFIXES)).all())


def _share(values: pd.Series, known: set[str]) -> float:
    return float(values.isin(known).mean())


def _in_one_folder(
    name: str, values: pd.Series, found: list[list[str]], share: float, rank: int
) -> Iterator[PathColumn]:
    """Yield ``folder/{name}.png`` if all pictures found are in one folder and of one suffix."""
    if any(len(paths) > 1 for paths in found) or values.str.contains("/").any():
        return
    folders = {path.rpartition("/")[0] for paths in found for path in paths}
    suffixes = {"." + path.rpartition(".")[2] for paths in found for path in paths}
    suffixes_are_dicom = suffixes <= set(DICOM_SUFFIXES)
    if len(folders) == 1 and (rank == 2 or len(suffixes) == 1):
        folder, suffix = folders.pop(), "" if rank == 2 else suffixes.pop()
        yield PathColumn(
            f"{folder}/{{{name}}}{suffix}".lstrip("/"),
            "as_given",
            (name,),
            share,
            rank,
            share == 1 and suffixes_are_dicom,
        )


def _in_named_folders(
    name: str,
    texts: dict[str, pd.Series],
    found: list[list[str]],
    pictures: Pictures,
    rank: int,
) -> Iterator[PathColumn]:
    """Yield ``{folder}/{name}`` if another column has the folders."""
    suffixes = sorted({"." + path.rpartition(".")[2] for paths in found for path in paths})
    endings = [""] if rank == 2 else suffixes[:1] if len(suffixes) == 1 else []
    for other, folders in texts.items():
        if other == name or folders.isna().any():
            continue
        for ending in endings:
            joined = folders.str.strip("/") + "/" + texts[name] + ending
            template = f"{{{other}}}/{{{name}}}{ending}"
            share = _share(joined, pictures.paths)
            dicom = share == 1 and _are_dicom(joined)
            yield PathColumn(template, "as_given", (other, name), share, rank - 1, dicom)
