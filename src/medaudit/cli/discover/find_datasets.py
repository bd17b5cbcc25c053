"""Recognise datasets below a folder by their owners' tables, each with the loader that reads it."""

import importlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.data import datasets

SAMPLE = 200
"""Pictures that are looked for, evenly over the table."""

LEVELS = 3
"""A table's own folder and so many above it may be the dataset's folder."""


@dataclass(frozen=True)
class FoundDataset:
    """A dataset that its loader could read.

    Attributes
    ----------
    name, loader : str
        Of the catalogue.
    folder : Path
        For the catalogue's ``folder``; absolute.
    images : int
        Rows of its table.
    seen, sampled : int
        Of so many pictures sampled, so many files are there.
    attributes : tuple of str
        Those of the catalogue's that have a value; ``age_group`` where there are ages.
    """

    name: str
    loader: str
    folder: Path
    images: int
    seen: int
    sampled: int
    attributes: tuple[str, ...]


def find_datasets(
    catalogue: dict[str, dict], root: Path, files: list[Path]
) -> tuple[list[FoundDataset], list[str]]:
    """Return the datasets among `files`, and what looks like one and is none.

    Parameters
    ----------
    catalogue : dict of str to dict
        Entries of datasets; of several with the same loader the first is taken. A loader is known
        by its ``TABLES``, patterns of the names of its owner's tables.
    root : Path
        Folders above it are not tried.
    files : list of Path
        Below `root`.
    """
    found, problems, known = [], [], set()
    for name, entry in catalogue.items():
        loader = entry["loader"]
        if loader in known:
            continue
        known.add(loader)
        module = importlib.import_module(f"medaudit.data.datasets.{loader}")
        patterns = getattr(module, "TABLES", ())
        tables = [path for path in files if any(fnmatch(path.name, kind) for kind in patterns)]
        best, said = _best({**entry, "name": name}, root, tables)
        found += best
        problems += said
    return found, problems


def _best(entry: dict, root: Path, tables: list[Path]) -> tuple[list[FoundDataset], list[str]]:
    """Return the fullest dataset that these tables belong to, and what is wrong with the others."""
    read, problems = {}, []
    for table in tables:
        places, error = _read_places(entry, root, table)
        read |= {place.folder: place for place in places}
        problems += [f"{table} is not read as {entry['name']}: {error}"] if error else []
    ordered = sorted(
        read.values(),
        key=lambda one: (-one.seen, -one.images, -len(one.folder.parts), str(one.folder)),
    )
    for other in ordered[1:]:
        if other.folder not in (*ordered[0].folder.parents, *_below(ordered[0].folder, read)):
            problems.append(
                f"{other.folder} holds {entry['name']} too; {ordered[0].folder} is taken"
            )
    return ordered[:1], problems


def _below(folder: Path, others) -> list[Path]:
    return [other for other in others if folder in other.parents]


def _read_places(entry: dict, root: Path, table: Path) -> tuple[list[FoundDataset], str]:
    """Read a table from its folder, then from those above, until all sampled pictures are there."""
    places, error = [], ""
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


def _read(entry: dict, folder: Path) -> FoundDataset:
    with _quiet():  # pictures that are not there are counted here
        frame = datasets.load({**entry, "folder": str(folder.absolute()), "table": None}).frame
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
