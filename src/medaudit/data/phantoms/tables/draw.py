"""Datasets whose table is drawn too: written in the owner's layout, read by the owner's loader."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from medaudit.core.seeds import generator
from medaudit.data.datasets import Source, dataset_folder


def load_or_draw(
    settings: dict,
    write: Callable[[Path, int | None, np.random.Generator], None],
    read: Callable[[Path, dict], Source],
) -> Source:
    """Load the owner's folder, or where there is none draw its table and load that.

    Parameters
    ----------
    settings : dict
        The catalogue entry; ``phantom`` holds ``rows`` (null: as many as the owner's) and
        ``seed`` (default 0).
    write : callable
        Writes the owner's table into a folder: takes the folder, the number of rows and a
        generator.
    read : callable
        The loader: takes the folder and the settings.

    Returns
    -------
    Source
        A drawn one is without tables (none is kept) and has a note that says that it is drawn.
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
        "There is no folder: the table's rows are drawn, at the published shares of labels and "
        "groups where there are any, and their pictures too. They are not patients."
    )
    return Source(source.frame, {}, source.exclusions, [note, *source.notes])


def draw_levels(rng: np.random.Generator, counts: dict, n: int) -> np.ndarray:
    """Draw `n` levels in proportion to their counts, as objects."""
    shares = np.array(list(counts.values()), float)
    levels = np.array(list(counts), dtype=object)
    return levels[rng.choice(len(levels), n, p=shares / shares.sum())]
