"""Stage `manifest`: a dataset as its owner ships it becomes a table with one row per image."""

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from medaudit.core.files import sha256
from medaudit.core.stage import run
from medaudit.core.table_io import MANIFEST, write_json, write_table
from medaudit.data import datasets

_log = logging.getLogger(__name__)


def manifest(settings: datasets.DatasetSettings, *, output: Path, card: Path) -> None:
    """Write the manifest of a dataset and its card.

    Parameters
    ----------
    settings : dict
        The dataset's catalogue entry and its ``name``.
    output : Path
        The manifest (`medaudit.core.table_io.MANIFEST`, Parquet), rows in the owner's order.
    card : Path
        JSON: ``dataset``, ``tables`` (file name and SHA-256 by role), ``n_images``, ``n_patients``,
        ``labels`` (numbers of positive, negative and missing by label), ``attributes`` (images per
        level, and missing, by attribute), ``views``, ``age``, ``exclusions``, ``notes``, ``unit``
        (what ``patient_id`` identifies) and ``phantom`` (true if the images are synthetic).

    Raises
    ------
    MedauditError
        The owner's files are missing, or their content is not as expected.
    """
    source = datasets.load(settings)
    write_table(source.frame, output, MANIFEST)
    write_json(describe(source, settings), card)
    _log.info("%s: %d images", settings["name"], len(source.frame))


def describe(source: datasets.LoadedDataset, settings: datasets.DatasetSettings) -> dict[str, Any]:
    """Return the card of a manifest (see `manifest`)."""
    frame = source.frame
    labels = [column for column in frame.columns if column.startswith("y_")]
    attributes = [column for column in frame.columns if column.startswith("a_")]
    return {
        "dataset": settings["name"],
        "tables": {
            role: {"file": path.name, "sha256": sha256(path)}
            for role, path in source.tables.items()
        },
        "n_images": len(frame),
        "n_patients": int(frame["patient_id"].nunique()),
        "labels": {column[2:]: _count_label(frame[column]) for column in labels},
        "attributes": {column[2:]: count_levels(frame[column]) for column in attributes},
        "views": count_levels(frame["view"]),
        "age": _span(frame["age"]),
        "exclusions": source.exclusions,
        "notes": source.notes,
        "unit": source.unit,
        "phantom": datasets.what_is_drawn(settings) is not None,
    }


def count_levels(column: pd.Series) -> dict[str, int]:
    """Return the number of rows per level, and the number without a value as ``(missing)``."""
    counts = {str(level): int(n) for level, n in column.value_counts().items()}
    missing = int(column.isna().sum())
    return counts | ({"(missing)": missing} if missing else {})


def _count_label(column: pd.Series) -> dict[str, int]:
    return {
        "positive": int((column == 1).sum()),
        "negative": int((column == 0).sum()),
        "missing": int(column.isna().sum()),
    }


def _span(age: pd.Series) -> dict[str, float | int | None]:
    known = age.dropna()
    return {
        "min": float(known.min()) if len(known) else None,
        "max": float(known.max()) if len(known) else None,
        "missing": int(age.isna().sum()),
    }


if __name__ == "__main__":
    run(manifest)
