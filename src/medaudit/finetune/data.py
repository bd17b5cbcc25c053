"""Rows of a cohort that a fine-tuning reads, and batches made of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from medaudit.artefacts import COHORT, read_table
from medaudit.models import ImageInput
from medaudit.models.torch_encoder import prepare_images
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
    pixels: np.ndarray, rows: np.ndarray, image_input: ImageInput, entry: dict, key: tuple
) -> torch.Tensor:
    """Return augmented, normalised pixels: float32 [b, channels, size, size].

    Parameters
    ----------
    pixels : numpy.ndarray
        The image store, uint8.
    rows : numpy.ndarray
        Rows of it.
    image_input : ImageInput
        The model's preprocessing.
    entry : dict
        The method's entry; ``augmentation`` is null for the plain images.
    key : tuple
        What the random views are a function of: seed, step, process.
    """
    if not entry.get("augmentation"):
        return prepare_images(pixels[rows], image_input)
    chosen = {k: tuple(v) if isinstance(v, list) else v for k, v in entry["augmentation"].items()}
    images = torch.from_numpy(pixels[rows])
    images = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)
    views = draw_views(generator("views", *key), len(rows), pixels.shape[1], Augmentation(**chosen))
    views = apply_views(images, torch.from_numpy(views), image_input.size)
    return normalise(views, image_input)


def normalise(views: torch.Tensor, image_input: ImageInput) -> torch.Tensor:
    """Return pixels in [0, 1] with the model's channels, mean and deviation."""
    if image_input.channels == 1:
        views = views.mean(dim=1, keepdim=True)
    mean, std = (
        torch.tensor(values).view(1, -1, 1, 1) for values in (image_input.mean, image_input.std)
    )
    return (views - mean) / std
