"""Loaders: batches of images for a network, preprocessed when they are needed."""

from typing import Protocol

import numpy as np
import torch

from medaudit.adapt.finetune.inputs import load_training_images
from medaudit.adapt.finetune_settings import TrainingEntry
from medaudit.data.image_store import StoredImages
from medaudit.models.torch_encoder import TorchEncoder


class Loader(Protocol):
    """Batches of images, as pixels or as stored outputs of frozen blocks.

    `level` is the level of `medaudit.adapt.finetune.block_chain.BlockChain` at which the batches enter
    the network: 0 for pixels.
    """

    level: int

    def training_batch(
        self, rows: np.ndarray, part: np.ndarray, key: tuple, epoch: int
    ) -> torch.Tensor:
        """Return the `part` of a training batch, augmented as the method says.

        Parameters
        ----------
        rows : numpy.ndarray
            Rows of the image store in the whole batch.
        part : numpy.ndarray
            Positions in `rows` that this process needs.
        key : tuple
            Names the random stream of new views: seed and step.
        epoch : int
            Determines which of an image's fixed views is used.
        """

    def plain_batch(self, rows: np.ndarray) -> torch.Tensor:
        """Return images of the store without augmentation."""


class ImageLoader:
    """Batches of pixels, preprocessed for the model.

    Parameters
    ----------
    pixels : StoredImages
        The images of the store, uint8.
    encoder : TorchEncoder
        Its `prepare` is the model's preprocessing.
    entry : dict
        The method's entry: ``augmentation``, and ``views``: null for a new random view in each
        step, or the number of fixed views per image, which alternate from epoch to epoch.
    """

    level = 0

    def __init__(self, pixels: StoredImages, encoder: TorchEncoder, entry: TrainingEntry) -> None:
        self.pixels, self.encoder, self.entry = pixels, encoder, entry

    @property
    def views(self) -> int | None:
        """Number of different views of a training image; None if each step draws a new one."""
        return self.entry.get("views") if self.entry.get("augmentation") else 1

    def training_batch(
        self, rows: np.ndarray, part: np.ndarray, key: tuple, epoch: int
    ) -> torch.Tensor:
        """Return the `part` of a training batch, see `Loader`."""
        if self.entry.get("augmentation") and self.views is not None:
            return self.fixed_views(rows[part], self.view_in_epoch(rows[part], epoch))
        return load_training_images(self.pixels, rows, self.encoder, self.entry, key, part)

    def view_in_epoch(self, rows: np.ndarray, epoch: int) -> np.ndarray:
        """Return the number of the fixed view that each image shows in an epoch."""
        if self.views is None:
            raise ValueError("images have no fixed views: the method's `views` is null")
        return (rows + epoch) % self.views

    def fixed_views(self, rows: np.ndarray, views: np.ndarray) -> torch.Tensor:
        """Return fixed views of images; row of the image and number of the view determine each."""
        if not self.entry.get("augmentation"):
            return self.plain_batch(rows)
        one = [
            load_training_images(
                self.pixels, rows[i : i + 1], self.encoder, self.entry, ("fixed", v, r)
            )
            for i, (r, v) in enumerate(zip(rows.tolist(), views.tolist(), strict=True))
        ]
        return torch.cat(one)

    def plain_batch(self, rows: np.ndarray) -> torch.Tensor:
        """Return images of the store without augmentation."""
        return self.encoder.prepare(self.pixels[rows])
