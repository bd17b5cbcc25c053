"""Rows of a cohort that a fine-tuning reads, and batches made of them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from medaudit.adapt.targets import check_splits, targets
from medaudit.core.seeds import generator
from medaudit.core.table_io import COHORT, read_table
from medaudit.metrics.attributes import read_attributes
from medaudit.models.torch_encoder import TorchEncoder
from medaudit.training.augmentation import Augmentation, apply_views, draw_views
from medaudit.training.randaugment import RandAugment, apply_operations, draw_operations


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
    groups: numpy.ndarray or None
        Text [n], the group that a fairness-aware training puts each image in; empty where the
        owner says nothing, and for the test split. None where the method names no attribute.
    """

    positions: np.ndarray
    rows: np.ndarray
    y: np.ndarray
    groups: np.ndarray | None = None

    def take(self, chosen: np.ndarray) -> "Split":
        """Return some of the images, by their numbers within the split."""
        groups = None if self.groups is None else self.groups[chosen]
        return Split(self.positions[chosen], self.rows[chosen], self.y[chosen], groups)

    def __or__(self, other: "Split") -> "Split":
        """Return both splits in the cohort's order, without their groups."""
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
    groups = read_groups(frame, settings["entry"].get("objective"), masks["test"])
    whole = Split(np.arange(len(frame)), rows, y, groups)
    return {name: whole.take(at) for name, at in positions.items()}, frame


def read_groups(frame: pd.DataFrame, objective: dict | None, test: np.ndarray) -> np.ndarray | None:
    """Return each image's group by a search's objective, see `Split`; None without an attribute."""
    if not objective or not objective["attribute"]:
        return None
    everybody = np.ones(len(frame), bool)
    attribute = read_attributes(frame, everybody, [objective["attribute"]])[1]
    return np.where(test, "", np.array([*attribute.levels, ""])[attribute.codes])


def training_batch(
    pixels: np.ndarray,
    rows: np.ndarray,
    encoder: TorchEncoder,
    entry: dict,
    key: tuple,
    part: slice | np.ndarray = slice(None),
) -> torch.Tensor:
    """Return images as the model wants them, augmented if the method says so.

    Random views are cut out of the stored pixels and keep their size, so that a model's own
    preprocessing is the same for training and for prediction. RandAugment follows the views.

    Parameters
    ----------
    pixels : numpy.ndarray
        The image store, uint8.
    rows : numpy.ndarray
        Rows of it, of the whole batch.
    encoder : TorchEncoder
        Its `prepare` is the model's preprocessing.
    entry : dict
        The method's entry; ``augmentation`` is null for the plain images.
    key : tuple
        What the random views are a function of: seed and step.
    part : slice or numpy.ndarray
        Which of the batch to return: what is drawn for an image does not depend on it.
    """
    images = pixels[rows[part]]
    if not entry.get("augmentation"):
        return encoder.prepare(images)
    given = {**entry["augmentation"]}
    policy = given.pop("randaugment", None)
    ranges = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    rng = generator("views", *key)
    matrices = draw_views(rng, len(rows), pixels.shape[1], Augmentation(**ranges))
    views = cut_views(images, matrices[part])
    if policy:
        operations = draw_operations(rng, len(rows), RandAugment(**policy))
        views = apply_operations(views, operations[part], fill_of(encoder, images.ndim == 3))
    return encoder.prepare(views)


def cut_views(images: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    """Cut views (`medaudit.training.augmentation.draw_views`) out of uint8 images."""
    grey = images.ndim == 3
    channels = torch.from_numpy(images if grey else np.moveaxis(images, 3, 1))
    channels = channels[:, None] if grey else channels
    views = apply_views(channels, torch.from_numpy(matrices), images.shape[1])
    views = (views * 255).round().to(torch.uint8).numpy()
    return views[:, 0] if grey else np.moveaxis(views, 1, 3)


def fill_of(encoder: TorchEncoder, grey: bool) -> list[int]:
    """Return the model's mean as grey level or colour: what RandAugment puts beside an image."""
    levels = [round(255 * value) for value in encoder.input.mean]
    return [round(sum(levels) / len(levels))] if grey else (levels * 3)[:3]
