"""Rows of a cohort for fine-tuning, and augmented images of these rows."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import interpolate

from medaudit.adapt.finetune_settings import FinetuneSettings, TrainingEntry
from medaudit.adapt.targets import check_splits, targets
from medaudit.core.seeds import generator
from medaudit.core.table_io import COHORT, read_table
from medaudit.data.image_store import Images, StoredImages, sizes_of
from medaudit.metrics.attributes import read_attributes
from medaudit.models.torch_encoder import TorchEncoder, pad_to_square
from medaudit.training.augmentation import Augmentation, apply_views, draw_views
from medaudit.training.batches import CPU, channels_first, to_device
from medaudit.training.randaugment import RandAugment, apply_operations, draw_operations


@dataclass(frozen=True)
class Split:
    """Images of one split, with their targets and groups.

    Parameters
    ----------
    positions : numpy.ndarray
        int64 [n], positions in the table of the images that the store contains.
    rows : numpy.ndarray
        int64 [n], rows of the image store.
    y : numpy.ndarray
        float32 [n, tasks]: 1, 0 or NaN. All NaN for the test split, so that training cannot use
        its labels.
    groups : numpy.ndarray or None
        Text [n], the group of each image for a fairness-aware trainer; empty if it is unknown,
        and for the test split. None if the method names no attribute.
    """

    positions: np.ndarray
    rows: np.ndarray
    y: np.ndarray
    groups: np.ndarray | None = None

    def take(self, chosen: np.ndarray) -> "Split":
        """Return some of the images, by their positions within the split."""
        groups = None if self.groups is None else self.groups[chosen]
        return Split(self.positions[chosen], self.rows[chosen], self.y[chosen], groups)

    def __or__(self, other: "Split") -> "Split":
        """Return the images of both splits in the cohort's order, without groups."""
        positions = np.concatenate([self.positions, other.positions])
        order = positions.argsort(kind="stable")
        parts = (("rows", self.rows, other.rows), ("y", self.y, other.y))
        joined = {name: np.concatenate([a, b])[order] for name, a, b in parts}
        return Split(positions[order], **joined)


def read_splits(
    cohort: Path, ids: np.ndarray, rows: np.ndarray, settings: FinetuneSettings
) -> tuple[dict[str, Split], pd.DataFrame]:
    """Return the splits by name, and the cohort's rows of the images that the store contains.

    Parameters
    ----------
    cohort : Path
        The cohort's table.
    ids, rows : numpy.ndarray
        Ids of the usable images, and their rows in the image store.
    settings : dict
        Settings of the stage.
    """
    table = read_table(cohort, COHORT).set_index("image_id", drop=False)
    frame = table.loc[ids].reset_index(drop=True)
    y = targets(frame, settings["tasks"], settings["task_type"] == "multiclass")
    masks = {name: (frame["split"] == name).to_numpy() for name in ("train", "val", "test")}
    check_splits(masks, y, settings["tasks"])
    y = np.where(masks["test"][:, None], np.float32(np.nan), y)
    positions = {name: np.flatnonzero(mask) for name, mask in masks.items()}
    groups = read_groups(frame, attribute_of(settings["entry"]), masks["test"])
    whole = Split(np.arange(len(frame)), rows, y, groups)
    return {name: whole.take(at) for name, at in positions.items()}, frame


def attribute_of(entry: TrainingEntry) -> str | list[str] | None:
    """Return the attribute by whose groups a method trains: its own, or its objective's."""
    return entry.get("attribute") or (entry.get("objective") or {}).get("attribute")


def read_groups(
    frame: pd.DataFrame, name: str | list[str] | None, test: np.ndarray
) -> np.ndarray | None:
    """Return each image's group by an attribute or intersection, see `Split`; None without one."""
    if not name:
        return None
    attribute = read_attributes(frame, np.ones(len(frame), bool), [name])[1]
    # Code -1 (unknown) picks the last name, the empty one.
    return np.where(test, "", np.array([*attribute.levels, ""])[attribute.codes])


def load_training_images(
    pixels: StoredImages,
    rows: np.ndarray,
    encoder: TorchEncoder,
    entry: TrainingEntry,
    key: tuple,
    part: slice | np.ndarray = slice(None),
) -> torch.Tensor:
    """Return training images, augmented as the method says and preprocessed for the model.

    A random view is cut from the image as the model's owner frames it: from the whole picture
    (``input.square: crop``), from the padded, or from the stretched one. It has the model's input
    size and is not cropped again, as with the owners' ``RandomResizedCrop``. RandAugment comes
    after the views.

    Parameters
    ----------
    pixels : StoredImages
        The images of the store, uint8.
    rows : numpy.ndarray
        Rows of the image store in the whole batch.
    encoder : TorchEncoder
        Its `prepare` and `prepare_views` are the model's preprocessing.
    entry : dict
        The method's entry; with ``augmentation: null`` images are not augmented.
    key : tuple
        Names the random stream of the views: seed and step.
    part : slice or numpy.ndarray
        Positions of the batch to return; the draws of an image do not depend on it.
    """
    images = pixels[rows[part]]
    augmentation = entry.get("augmentation")
    if not augmentation:
        return encoder.prepare(images)
    given: dict[str, Any] = {**augmentation}
    policy = given.pop("randaugment", None)
    ranges: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    # Draw for the whole batch, then take a part: the views of an image must not depend on the
    # number of processes.
    rng = generator("views", *key)
    square = encoder.input.square
    sizes = frame_sizes(sizes_of(pixels, rows), square)
    matrices = draw_views(rng, len(rows), sizes, Augmentation(**ranges))
    views = cut_views(images, matrices[part], encoder.input.size, square, encoder.device)
    if policy:
        operations = draw_operations(rng, len(rows), RandAugment(**policy))
        views = apply_operations(views, operations[part], fill_of(encoder, views.ndim == 3))
    return encoder.prepare_views(views)


def frame_sizes(sizes: np.ndarray, square: str) -> np.ndarray:
    """Return height and width of the frames from which views are cut, [n, 2]; see `cut_views`."""
    return sizes if square == "crop" else np.repeat(sizes.max(axis=1, keepdims=True), 2, axis=1)


def cut_views(
    images: Images, matrices: np.ndarray, side: int, square: str, device: torch.device = CPU
) -> np.ndarray:
    """Return views (`medaudit.training.augmentation.draw_views`) of uint8 images, as uint8.

    They are resampled on the device and come back for RandAugment, which works on the processor.

    Parameters
    ----------
    images : numpy.ndarray or list of numpy.ndarray
        ``[h, w]`` or ``[h, w, 3]`` each.
    matrices : numpy.ndarray
        float32 [n, 2, 3].
    side : int
        Side of the views in pixels.
    square : str
        The frame from which views are cut: ``crop``: the image; ``pad``: the image in a black
        square; ``stretch``: the image stretched to a square.
    device : torch.device
        Where views are computed.
    """
    frames = to_device(channels_first(images), device)
    if square != "crop":
        make_square = pad_to_square if square == "pad" else stretch_to_square
        if isinstance(frames, torch.Tensor):
            frames = make_square(frames)
        else:
            frames = [make_square(image[None])[0] for image in frames]
    views = apply_views(frames, torch.from_numpy(matrices), side)
    views = (views * 255).round().to(torch.uint8).cpu().numpy()
    return views[:, 0] if views.shape[1] == 1 else np.moveaxis(views, 1, 3)


def stretch_to_square(images: torch.Tensor) -> torch.Tensor:
    """Return uint8 images [n, channels, h, w] with their shorter side enlarged to the longer one."""
    side = max(images.shape[2:])
    if min(images.shape[2:]) == side:
        return images
    square = interpolate(images.float(), (side, side), mode="bicubic", antialias=True)
    return square.round().clamp(0, 255).to(torch.uint8)


def fill_of(encoder: TorchEncoder, grey: bool) -> list[int]:
    """Return the model's mean grey level or colour, with which RandAugment fills empty areas."""
    levels = [round(255 * value) for value in encoder.input.mean]
    return [round(sum(levels) / len(levels))] if grey else (levels * 3)[:3]
