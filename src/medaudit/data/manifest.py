"""Turn a dataset as its owner ships it into a manifest: one row an image."""

import logging
from pathlib import Path

import pandas as pd

from medaudit.core.files import sha256
from medaudit.core.stage import run
from medaudit.core.table_io import MANIFEST, write_json, write_table
from medaudit.data import datasets

_log = logging.getLogger(__name__)


def manifest(settings: dict, *, output: Path, card: Path, threads: int = 1) -> None:
    """Write the manifest of a dataset and its card.

    Parameters
    ----------
    settings : dict
        The dataset's catalogue entry plus ``name``.
    output : Path
        The manifest, `medaudit.core.table_io.MANIFEST` as Parquet, rows in the owner's order.
    card : Path
        JSON: ``dataset``, ``tables`` (role: file name and sha256), ``n_images``, ``n_patients``,
        ``labels`` (label: positive, negative, missing), ``attributes`` (attribute: images of each
        level, and missing), ``views``, ``age``, ``exclusions``, ``notes``, ``phantom`` (whether
        there are no real images).
    threads : int
        Not used.

    Raises
    ------
    MedauditError
        The owner's files are not there or not as expected.
    """
    source = datasets.load(settings)
    write_table(source.frame, output, MANIFEST)
    write_json(describe(source, settings), card)
    _log.info("%s: %d images", settings["name"], len(source.frame))


def describe(source: datasets.Source, settings: dict) -> dict:
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
        "phantom": settings.get("folder") is None,
    }


def count_levels(column: pd.Series) -> dict[str, int]:
    """Return the number of rows of each level, and of those without one as ``(missing)``."""
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
