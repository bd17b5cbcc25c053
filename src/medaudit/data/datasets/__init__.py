"""Datasets as their owners ship them: one module a source, found by name."""

import importlib
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from medaudit.core.errors import MedauditError
from medaudit.core.files import data_root

if TYPE_CHECKING:
    import pandas as pd

PHANTOMS = {
    **dict.fromkeys(("ham10000", "fitzpatrick17k"), "skin"),
    "papila": "fundus",
    "ol3i": "abdomen",
    "oasis": "brain",
    "harvard_gf3300": "nerve",
}
"""What draws the phantoms of a loader: a module with ``render(rows, settings, size, threads)``."""

DETAIL = "_detail"
"""Ends the name of the attribute that keeps the levels of one whose levels a cohort merged."""

TABLES = (
    *("*.csv", "*.csv.gz", "*.tab", "*.xlsx", "CheXpert-v1.0*/*.csv"),
    *("HAM10000_metadata", "*/HAM10000_metadata", "*/HAM10000_metadata.tab"),
    *("*/HAM10000_metadata.csv", "*/fitzpatrick17k.csv", "*/data_summary.csv"),
    *("ClinicalData/*.xlsx", "ClinicalData/*.csv"),
    *("*/ClinicalData/*.xlsx", "*/ClinicalData/*.csv"),
)


@dataclass(frozen=True)
class Source:
    """What a loader returns.

    Parameters
    ----------
    frame : pandas.DataFrame
        One row an image, the columns of `medaudit.core.table_io.MANIFEST`.
    tables : dict of str to Path
        Files that were read, by role; their SHA-256 goes into the card.
    exclusions : list of dict
        ``{"reason": str, "count": int}`` for every row or value left out.
    notes : list of str
        Sentences that every output made from this dataset must repeat.
    """

    frame: "pd.DataFrame"
    tables: dict[str, Path]
    exclusions: list[dict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def load(settings: dict) -> Source:
    """Load a dataset by the ``loader`` of its catalogue entry.

    A loader is a module ``medaudit.data.datasets.<loader>`` with ``load(settings) -> Source``. What
    cannot be printed becomes a space in levels of attributes: they end in pictures and documents.
    """
    source = importlib.import_module(f"medaudit.data.datasets.{settings['loader']}").load(settings)
    for column in source.frame.columns:
        if column.startswith("a_"):
            levels = source.frame[column].dropna().unique()
            if odd := {level: as_line(level) for level in levels if not level.isprintable()}:
                source.frame[column] = source.frame[column].replace(odd)
    return source


def as_line(text: str) -> str:
    """Return a text with single spaces for what cannot be printed."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def phantom_of(settings: dict) -> str:
    """Return the module that draws the phantoms of a dataset; of chest radiographs by default."""
    return PHANTOMS.get(settings["loader"], "chest")


def as_shipped(rows: "pd.DataFrame") -> "pd.DataFrame":
    """Return a cohort's rows with every attribute at the levels that its dataset has."""
    kept = [column for column in rows.columns if column.endswith(DETAIL)]
    return rows.assign(**{column.removesuffix(DETAIL): rows[column] for column in kept})


def dataset_folder(settings: dict) -> Path | None:
    """Return the owner's folder, or None where the embedded table is to be used.

    Raises
    ------
    MedauditError
        A folder is configured and does not exist.
    """
    if settings.get("folder") is None:
        return None
    folder = data_root() / settings["folder"]
    if not folder.is_dir():
        raise MedauditError(
            f"dataset {settings.get('name', settings['loader'])}: there is no folder {folder}; "
            "set `folder` to where the data lie, or to null for the embedded default"
        )
    return folder


def source_tables(settings: dict) -> list[Path]:
    """Return the tables of the owner's folder and those named elsewhere; none if embedded."""
    folder = dataset_folder(settings)
    found = {path for kind in TABLES for path in folder.glob(kind)} if folder else set()
    if folder and settings.get("table") and (folder / settings["table"]).is_file():
        found.add(folder / settings["table"])
    if settings.get("demographics") and (data_root() / settings["demographics"]).is_file():
        found.add(data_root() / settings["demographics"])
    return sorted(found)


def embedded_table(name: str) -> Path:
    """Return a table that the package torchxrayvision ships, without importing it."""
    spec = find_spec("torchxrayvision")
    if spec is None:
        raise MedauditError("the embedded tables need the package torchxrayvision: pip install it")
    return Path(spec.submodule_search_locations[0]) / "data" / name
