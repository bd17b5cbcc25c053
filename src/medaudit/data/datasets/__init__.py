"""Loaders of datasets as their owners ship them: one module per dataset, found by its name.

A loader knows the owner's tables, columns, codes and folders, and returns them in the terms of a
manifest. File formats are read by `medaudit.data.readers`. ``<loader>_tables``, ``_files`` and
``_race`` are parts of the loader whose name they start with.
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from medaudit.core.entry_types import DatasetEntry
from medaudit.core.errors import MedauditError
from medaudit.core.files import data_root
from medaudit.core.table_io import read_json

if TYPE_CHECKING:
    import pandas as pd

PHANTOM_MODULES = {
    **dict.fromkeys(("ham10000", "fitzpatrick17k"), "skin"),
    "papila": "fundus",
    "ol3i": "abdomen",
    "oasis": "brain",
    "harvard_gf3300": "nerve",
}
"""Module of `medaudit.data.phantoms` that draws the images of a loader; of the others, ``chest``.

It has ``render(rows, settings, size, threads)``.
"""

DETAIL = "_detail"
"""Suffix of the attribute that keeps the original levels, if a cohort merges levels."""

DRAWN = "DRAWN_BY_MEDAUDIT.json"
"""File in a folder that `medaudit.data.phantoms.export` wrote: what is planted in its images."""


NOTE_OF_DRAWN = (
    "The folder of this dataset was written by medaudit for trying: its tables and images are drawn "
    "at random in the owner's layout. They are not patients."
)

TABLES = (
    *(DRAWN, "*.csv", "*.csv.gz", "*.tab", "*.xlsx", "CheXpert-v1.0*/*.csv"),
    *("HAM10000_metadata", "*/HAM10000_metadata", "*/HAM10000_metadata.tab"),
    *("*/HAM10000_metadata.csv", "*/fitzpatrick17k.csv", "*/data_summary.csv"),
    *("ClinicalData/*.xlsx", "ClinicalData/*.csv"),
    *("*/ClinicalData/*.xlsx", "*/ClinicalData/*.csv"),
)
"""Where owners put tables in their folders; a manifest is made again if one of these changes."""


class DatasetSettings(DatasetEntry, total=False):
    """A dataset's catalogue entry as its loader gets it."""

    name: str


@dataclass(frozen=True)
class LoadedDataset:
    """The content of a dataset: what a loader returns.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row per image, with the columns of `medaudit.core.table_io.MANIFEST`.
    tables : dict of str to Path
        Files that were read, by role; the card lists their SHA-256.
    exclusions : list of dict
        ``{"reason": str, "count": int}`` for rows or values that were left out.
    notes : list of str
        Sentences that every output based on this dataset must repeat.
    unit : str
        What ``patient_id`` identifies: ``patient``, or ``lesion`` or ``image`` where the owner does
        not identify patients.
    """

    frame: "pd.DataFrame"
    tables: dict[str, Path]
    exclusions: list[dict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unit: str = "patient"


def load(settings: Mapping[str, Any]) -> LoadedDataset:
    """Load a dataset with the ``loader`` of its catalogue entry.

    A loader is a module ``medaudit.data.datasets.<loader>`` with
    ``load(settings: DatasetSettings) -> LoadedDataset``.
    """
    module = importlib.import_module(f"medaudit.data.datasets.{settings['loader']}")
    source: LoadedDataset = module.load(cast(DatasetSettings, settings))
    if settings.get("folder") is not None and what_is_drawn(settings) is not None:
        source.notes.insert(0, NOTE_OF_DRAWN)
    # Levels are drawn into figures and written into HTML and LaTeX, which control characters break.
    for column in source.frame.columns:
        if column.startswith("a_"):
            levels = source.frame[column].dropna().unique()
            if odd := {level: as_line(level) for level in levels if not level.isprintable()}:
                source.frame[column] = source.frame[column].replace(odd)
    return source


def as_line(text: str) -> str:
    """Return a text on one line: characters that cannot be printed become single spaces."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def phantom_module(settings: Mapping[str, Any]) -> str:
    """Return the module of `medaudit.data.phantoms` that draws images of this dataset."""
    return PHANTOM_MODULES.get(settings["loader"], "chest")


def restore_original_levels(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Return a cohort's rows with the dataset's own levels, as before the merging of levels."""
    kept = [column for column in rows.columns if column.endswith(DETAIL)]
    return rows.assign(**{column.removesuffix(DETAIL): rows[column] for column in kept})


def dataset_folder(settings: Mapping[str, Any]) -> Path | None:
    """Return the owner's folder; None if none is configured (embedded table, phantom images).

    Raises
    ------
    MedauditError
        The configured folder does not exist.
    """
    if settings.get("folder") is None:
        return None
    folder = data_root() / settings["folder"]
    if not folder.is_dir():
        raise MedauditError(
            f"dataset {settings.get('name', settings['loader'])}: there is no folder {folder}; "
            "set `folder` to the folder of the data, or to null for the embedded default"
        )
    return folder


def what_is_drawn(settings: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what is planted in a dataset whose images are drawn; None if they are the owner's.

    They are drawn if there is no folder, or if `DRAWN` in the folder says so.
    """
    folder = dataset_folder(settings)
    if folder is None:
        return dict(settings.get("phantom") or {})
    return read_json(folder / DRAWN) if (folder / DRAWN).is_file() else None


def source_tables(settings: Mapping[str, Any]) -> list[Path]:
    """Return all tables of a dataset: in the owner's folder and named in the settings."""
    folder = dataset_folder(settings)
    joined = [part["table"] for part in settings.get("join") or []]
    table = settings.get("table")
    named = [*([table] if table else []), *(settings.get("tables") or []), *joined]
    patterns = () if settings["loader"] == "columns" else TABLES
    found = {path for kind in patterns for path in folder.glob(kind)} if folder else set()
    found |= {path for name in named if folder for path in named_files(folder, name)}
    found |= {folder / DRAWN} if folder and (folder / DRAWN).is_file() else set()
    if settings.get("demographics") and (data_root() / settings["demographics"]).is_file():
        found.add(data_root() / settings["demographics"])
    return sorted(found)


def named_files(folder: Path, name: str) -> list[Path]:
    """Return the file of this name below a folder, or those of a pattern with ``*``."""
    exact = folder / name
    found = [exact] if exact.is_file() or "*" not in name else sorted(folder.glob(name))
    return [path for path in found if path.is_file()]


def embedded_table(name: str) -> Path:
    """Return the path of a table in the package torchxrayvision, which is not imported."""
    spec = find_spec("torchxrayvision")
    if spec is None or spec.submodule_search_locations is None:
        raise MedauditError(
            "the embedded tables need the package torchxrayvision: pip install torchxrayvision"
        )
    return Path(spec.submodule_search_locations[0]) / "data" / name
