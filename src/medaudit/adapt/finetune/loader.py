"""What a network is fed: images, prepared when they are needed."""

from typing import Protocol

import numpy as np
import torch

from medaudit.adapt.finetune.inputs import training_batch
from medaudit.models.torch_encoder import TorchEncoder


class Feed(Protocol):
    """Batches, and the level of `medaudit.adapt.finetune.block_chain.Stages` that they enter at."""

    level: int

    def training(self, rows: np.ndarray, part: np.ndarray, key: tuple, epoch: int) -> torch.Tensor:
        """Return the `part` of a training batch of store rows.

        `key` (seed, step) and `epoch` say which random views.
        """

    def plain(self, rows: np.ndarray) -> torch.Tensor:
        """Return images of the store without augmentation."""


class ImageFeed:
    """Pixels as the model wants them.

    Parameters
    ----------
    pixels : numpy.ndarray
        The image store, uint8.
    encoder : TorchEncoder
        Its `prepare` is the model's preprocessing.
    entry : dict
        The method's entry: ``augmentation``, and ``views``: None for new views in each step, or
        how many fixed views of an image take turns from epoch to epoch.
    """

    level = 0

    def __init__(self, pixels: np.ndarray, encoder: TorchEncoder, entry: dict) -> None:
        self.pixels, self.encoder, self.entry = pixels, encoder, entry

    @property
    def views(self) -> int | None:
        """How many different pictures of a training image there are; None if each is new."""
        return self.entry.get("views") if self.entry.get("augmentation") else 1

    def training(self, rows: np.ndarray, part: np.ndarray, key: tuple, epoch: int) -> torch.Tensor:
        """Return the `part` of a training batch, see `Feed`."""
        if self.entry.get("augmentation") and self.views is not None:
            return self.fixed(rows[part], self.turn(rows[part], epoch))
        return training_batch(self.pixels, rows, self.encoder, self.entry, key, part)

    def turn(self, rows: np.ndarray, epoch: int) -> np.ndarray:
        """Return whose turn it is: the number of each image's fixed view in an epoch."""
        return (rows + epoch) % self.views

    def fixed(self, rows: np.ndarray, views: np.ndarray) -> torch.Tensor:
        """Return fixed views, each a function of the image's row and the view's number alone."""
        if not self.entry.get("augmentation"):
            return self.plain(rows)
        one = [
            training_batch(self.pixels, rows[i : i + 1], self.encoder, self.entry, ("fixed", v, r))
            for i, (r, v) in enumerate(zip(rows.tolist(), views.tolist(), strict=True))
        ]
        return torch.cat(one)

    def plain(self, rows: np.ndarray) -> torch.Tensor:
        """Return images without augmentation."""
        return self.encoder.prepare(self.pixels[rows])
