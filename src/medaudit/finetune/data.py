"""Rows of a cohort that a fine-tuning reads, and batches made of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from medaudit.artefacts import COHORT, read_table
from medaudit.models.torch_encoder import TorchEncoder
from medaudit.probe import check_splits, targets
from medaudit.seeds import generator
from medaudit.training.augmentation import Augmentation, apply_views, draw_views


@dataclass(frozen=True)
class Split:
    """Images of a split.

    Parameters
    ----------
    positions : numpy.ndarray
        int64 [n], rows of the cohort's table.
    rows : numpy.ndarray
        int64 [n], rows of the image store.
    y : numpy.ndarray
        float32 [n, tasks]: 1, 0 or NaN; NaN throughout for the test split, whose labels training
        never sees.
    """

    positions: np.ndarray
    rows: np.ndarray
    y: np.ndarray

    def __or__(self, other: "Split") -> "Split":
        """Return both splits in the cohort's order."""
        positions = np.concatenate([self.positions, other.positions])
        order = positions.argsort(kind="stable")
        parts = (("rows", self.rows, other.rows), ("y", self.y, other.y))
        joined = {name: np.concatenate([a, b])[order] for name, a, b in parts}
        return Split(positions[order], **joined)


def read_splits(
    cohort: Path, ids: np.ndarray, rows: np.ndarray, settings: dict
) -> tuple[dict[str, Split], pd.DataFrame]:
    """Return the splits by name, and the table of the images that the store holds."""
    table = read_table(cohort, COHORT).set_index("image_id", drop=False)
    frame = table.loc[ids].reset_index(drop=True)
    y = targets(frame, settings["tasks"], settings["task_type"] == "multiclass")
    masks = {name: (frame["split"] == name).to_numpy() for name in ("train", "val", "test")}
    check_splits(masks, y, settings["tasks"])
    y = np.where(masks["test"][:, None], np.float32(np.nan), y)
    positions = {name: np.flatnonzero(mask) for name, mask in masks.items()}
    return {name: Split(at, rows[at], y[at]) for name, at in positions.items()}, frame


def training_batch(
    pixels: np.ndarray, rows: np.ndarray, encoder: TorchEncoder, entry: dict, key: tuple
) -> torch.Tensor:
    """Return images as the model wants them, augmented if the method says so.

    Random views are cut out of the stored pixels and keep their size, so that a model's own
    preprocessing is the same for training and for prediction.

    Parameters
    ----------
    pixels : numpy.ndarray
        The image store, uint8.
    rows : numpy.ndarray
        Rows of it.
    encoder : TorchEncoder
        Its `prepare` is the model's preprocessing.
    entry : dict
        The method's entry; ``augmentation`` is null for the plain images.
    key : tuple
        What the random views are a function of: seed, step, process.
    """
    images = pixels[rows]
    if not entry.get("augmentation"):
        return encoder.prepare(images)
    ranges = {k: tuple(v) if isinstance(v, list) else v for k, v in entry["augmentation"].items()}
    side, rng = pixels.shape[1], generator("views", *key)
    matrices = torch.from_numpy(draw_views(rng, len(rows), side, Augmentation(**ranges)))
    grey = images.ndim == 3
    channels = torch.from_numpy(images if grey else np.moveaxis(images, 3, 1))
    views = apply_views(channels[:, None] if grey else channels, matrices, side)
    views = (views * 255).round().to(torch.uint8).numpy()
    return encoder.prepare(views[:, 0] if grey else np.moveaxis(views, 1, 3))
