"""Card of an image store: what was stored how, what could not be read, and what decoded it."""

import importlib.metadata
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from medaudit.data.datasets import what_is_drawn

SHOWN = 20
"""Largest number of errors and of sizes in a card."""
DECODERS = ("h5py", "nibabel", "numpy", "opencv-python-headless", "pillow", "pydicom", "simplejpeg")


def describe_store(
    rows: pd.DataFrame, index: pd.DataFrame, settings: Mapping[str, Any], digest: str
) -> dict:
    """Return the content of ``card.json``.

    Parameters
    ----------
    rows, index : pandas.DataFrame
        The cohort, and its index (`medaudit.core.table_io.IMAGES`) in the same order.
    settings : dict
        Settings of the stage.
    digest : str
        SHA-256 of the pixels.
    """
    counts = index["status"].value_counts()
    drawn = what_is_drawn(settings["dataset"])
    return {
        "cohort": settings["cohort"],
        "image_size": settings["image_size"],
        "channels": settings.get("channels", 1),
        "resize": "aspect ratio kept, area average, whole frame without padding",
        "sizes": describe_sizes(stored_sizes(index)),
        "phantom": drawn is not None,
        **{key: (drawn or {}).get(key, []) for key in ("planted", "marks")},
        "counts": {status: int(counts.get(status, 0)) for status in ("ok", "missing", "broken")},
        "errors": list_errors(rows, index),
        "sha256": digest,
        "decoders": decoder_versions(),
    }


def stored_sizes(index: pd.DataFrame) -> np.ndarray:
    """Return height and width of the images that could be decoded: [n, 2]."""
    return index.loc[index["status"] == "ok", ["stored_height", "stored_width"]].to_numpy()


def describe_sizes(sizes: np.ndarray) -> dict:
    """Return how many images have which size (width x height), the most frequent first."""
    found, counts = np.unique(sizes[:, ::-1], axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    shown = {f"{found[k, 0]} x {found[k, 1]}": int(counts[k]) for k in order[:SHOWN]}
    return {
        "number": len(found),
        "images": shown,
        "square": int((sizes[:, 0] == sizes[:, 1]).sum()),
    }


def list_errors(rows: pd.DataFrame, index: pd.DataFrame) -> list[dict]:
    """Return the first images that could not be read, with path, status and reason."""
    bad = (index["status"] != "ok").to_numpy()
    listed = index[bad].assign(path=rows["path"].to_numpy()[bad]).head(SHOWN)
    return listed[["image_id", "path", "status", "error"]].to_dict("records")


def decoder_versions() -> dict[str, str]:
    """Return the versions of the packages that decode images."""
    return {name: importlib.metadata.version(name) for name in DECODERS}
