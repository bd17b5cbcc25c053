"""Find datasets below a folder by their owners' tables, using the loader of each dataset."""

import importlib
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medaudit.core.entry_types import DatasetEntry
from medaudit.core.errors import MedauditError
from medaudit.data import datasets

SAMPLE = 200
"""Number of images whose files are looked for, spread evenly over the table."""

COLUMNS = "columns"
"""The loader of entries that describe their own tables."""

LEVELS = 3
"""Number of folders that may be the dataset's folder: the table's own and those above it."""


@dataclass(frozen=True)
class FoundDataset:
    """A dataset that its loader could read.

    Attributes
    ----------
    name, loader : str
        Of its entry in the catalogue.
    folder : Path
        Absolute; the value of ``folder`` in its entry.
    images : int
        Rows of its table.
    seen, sampled : int
        Number of images whose files exist, and number of images looked for.
    attributes : tuple of str
        Attributes of its entry that have a value; ``age_group`` where there are ages.
    """

    name: str
    loader: str
    folder: Path
    images: int
    seen: int
    sampled: int
    attributes: tuple[str, ...]


def find_datasets(
    catalogue: dict[str, DatasetEntry], root: Path, files: list[Path]
) -> tuple[list[FoundDataset], list[str]]:
    """Return the datasets among `files`, and sentences on what resembles one but is not.

    Parameters
    ----------
    catalogue : dict of str to dict
        Entries of datasets; of several with the same loader, the first is used. A loader lists the
        file names of its owner's tables in ``TABLES``, as patterns; an entry of the loader
        `columns` names its own, and each of these is tried.
    root : Path
        Folders above it are not tried.
    files : list of Path
        Below `root`.
    """
    found: list[FoundDataset] = []
    problems: list[str] = []
    known: set[str] = set()
    for name, entry in catalogue.items():
        loader = entry["loader"]
        if loader in known:
            continue
        known |= {loader} - {COLUMNS}
        tables = [
            path for path in files if any(fnmatch(path.name, kind) for kind in _patterns(entry))
        ]
        best, more = _best({**entry, "name": name}, root, tables)
        if loader == COLUMNS:  # where its owner's own loader reads the folder, that one is meant
            best = [one for one in best if one.folder not in {other.folder for other in found}]
        found += best
        # a table called labels.csv may be anybody's: that it is not this owner's is no news
        problems += more if loader != COLUMNS or best else []
    return found, problems


def _patterns(entry: DatasetEntry) -> tuple[str, ...]:
    """Return the names of a dataset's own tables."""
    if entry["loader"] == COLUMNS:
        named = [entry.get("table"), *entry.get("tables", [])]
        return tuple(Path(table).name for table in named if table)
    module = importlib.import_module(f"medaudit.data.datasets.{entry['loader']}")
    return getattr(module, "TABLES", ())


def _best(
    entry: dict[str, Any], root: Path, tables: list[Path]
) -> tuple[list[FoundDataset], list[str]]:
    """Return the most complete dataset with these tables, and what is wrong with the others."""
    read: dict[Path, FoundDataset] = {}
    problems: list[str] = []
    for table in tables:
        places, error = _read_places(entry, root, table)
        read |= {place.folder: place for place in places}
        problems += [f"{table} cannot be read as {entry['name']}: {error}"] if error else []
    ordered = sorted(
        read.values(),
        key=lambda one: (-one.seen, -one.images, -len(one.folder.parts), str(one.folder)),
    )
    for other in ordered[1:]:
        if other.folder not in (*ordered[0].folder.parents, *_below(ordered[0].folder, read)):
            problems.append(f"{other.folder} has {entry['name']} too; {ordered[0].folder} is used")
    return ordered[:1], problems


def _below(folder: Path, others: Iterable[Path]) -> list[Path]:
    return [other for other in others if folder in other.parents]


def _read_places(entry: dict[str, Any], root: Path, table: Path) -> tuple[list[FoundDataset], str]:
    """Read a table from its folder, then from those above, until all sampled images exist."""
    places: list[FoundDataset] = []
    error = ""
    above = [folder for folder in table.parents if folder == root or root in folder.parents]
    for folder in above[:LEVELS]:
        try:
            places.append(_read(entry, folder))
        except MedauditError as problem:
            error = error or str(problem)
            continue
        if places[-1].seen == places[-1].sampled:
            break
    return places, "" if places else error


def _read(entry: dict[str, Any], folder: Path) -> FoundDataset:
    place = {"folder": str(folder.absolute())}
    searched = {} if entry["loader"] == COLUMNS else {"table": None}
    with _quiet():  # the loader would warn about each missing image; they are counted below
        frame = datasets.load({**entry, **place, **searched}).frame
    sample = np.unique(np.linspace(0, len(frame) - 1, min(SAMPLE, len(frame))).astype(int))
    files = frame["path"].iloc[sample].str.partition("#")[0]
    return FoundDataset(
        name=entry["name"],
        loader=entry["loader"],
        folder=folder.absolute(),
        images=len(frame),
        seen=sum((folder / name).is_file() for name in files),
        sampled=len(sample),
        attributes=tuple(name for name in entry["attributes"] if _has(frame, name)),
    )


@contextmanager
def _quiet() -> Iterator[None]:
    logger = logging.getLogger("medaudit.data.datasets")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)


def _has(frame: pd.DataFrame, attribute: str) -> bool:
    column = "age" if attribute == "age_group" else f"a_{attribute}"
    return column in frame and bool(frame[column].notna().any())
