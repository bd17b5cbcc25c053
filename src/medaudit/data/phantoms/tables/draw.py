"""Datasets whose table is synthetic too: written in the owner's layout, then read by its loader."""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medaudit.core.seeds import generator
from medaudit.data.datasets import DatasetSettings, LoadedDataset, dataset_folder


def load_or_draw(
    settings: DatasetSettings,
    write: Callable[[Path, int | None, np.random.Generator], None],
    read: Callable[[Path, DatasetSettings], LoadedDataset],
) -> LoadedDataset:
    """Load the owner's folder; without a folder, draw the table and load that.

    Parameters
    ----------
    settings : DatasetSettings
        The catalogue entry; ``phantom`` has ``rows`` (null: as many as the owner's) and ``seed``
        (default 0).
    write : callable
        Writes a synthetic table: takes a folder, the number of rows and a random generator.
    read : callable
        The loader: takes a folder and the settings.

    Returns
    -------
    LoadedDataset
        A synthetic one has no ``tables``, since none is kept, and a note that it is synthetic.
    """
    folder = dataset_folder(settings)
    if folder is not None:
        return read(folder, settings)
    phantom = settings.get("phantom") or {}
    rng = generator("phantom", "table", settings["loader"], phantom.get("seed", 0))
    with tempfile.TemporaryDirectory() as place:
        write(Path(place), phantom.get("rows"), rng)
        source = read(Path(place), settings)
    note = (
        "The dataset has no folder: the rows of its table are drawn at random, with the published "
        "shares of labels and groups if there are any, and so are the images. They are not patients."
    )
    return LoadedDataset(source.frame, {}, source.exclusions, [note, *source.notes], source.unit)


def draw_levels(rng: np.random.Generator, counts: Mapping[Any, float], n: int) -> np.ndarray:
    """Return `n` random levels, objects, with probabilities proportional to their counts."""
    shares = np.array(list(counts.values()), float)
    levels = np.array(list(counts), dtype=object)
    return levels[rng.choice(len(levels), n, p=shares / shares.sum())]
