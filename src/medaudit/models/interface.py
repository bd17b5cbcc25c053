"""The interface of all models (`Encoder`), and the preprocessing that a model asks for.

A kind of model is a module ``medaudit.models.kinds.<kind>`` with ``build(settings) -> Encoder``,
where `settings` is the model's catalogue entry; `medaudit.models.weights.files` finds its files.
The encoder does its own preprocessing: it gets uint8 pixels as the image store keeps them, grey
``[b, h, w]`` or colour ``[b, h, w, 3]`` of any size, or a list of images of different sizes, and
crops, pads or stretches, resizes and normalises them itself.

An encoder made of torch (`medaudit.models.torch_encoder`) also has ``module`` (its
``torch.nn.Module``), ``input`` (an `ImageInput`), and ``prepare(images) -> Tensor`` and
``prepare_views(views) -> Tensor``, which fine-tuning reuses. Vision-language models add ``encode_texts``.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd

from medaudit.core.entry_types import ModelEntry
from medaudit.core.errors import MedauditError
from medaudit.data.image_store import Images

INTERPOLATIONS = ("bicubic", "bilinear")
SQUARES = ("crop", "pad", "stretch")
OWNERS_SQUARES = {"gloria": "pad", "medclip": "pad", "siglip": "stretch"}
"""What owners of a kind do with an image that is not square, where they do not crop it."""


class ModelSettings(ModelEntry, total=False):
    """A model's catalogue entry as `medaudit.models.kinds.build` gets it."""

    name: str
    drop_path: float
    """Rate of stochastic depth; set by fine-tuning, not in the catalogue."""


class Encoder(Protocol):
    """What every model offers."""

    uses_torch: bool
    """Whether it computes with torch, whose threads a job then limits."""

    def encode_images(self, images: Images) -> np.ndarray:
        """Return float32 ``[b, d]`` for uint8 ``[b, h, w]`` or ``[b, h, w, 3]``, or a list."""

    def spec(self) -> dict:
        """Return what the embeddings depend on, as JSON: weights, preprocessing, versions."""


@runtime_checkable
class StoredVectors(Protocol):
    """A model whose embeddings are looked up by the images' ids, not computed."""

    def find(self, cohort: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
        """Return the ids ``[n]`` of the images that have a vector, and float32 ``[n, d]``."""


@dataclass(frozen=True)
class ImageInput:
    """Preprocessing of a model: the ``input`` of its catalogue entry.

    Parameters
    ----------
    size : int
        Side of the square the model sees, in pixels.
    mean, std : tuple of float
        Per channel, for pixels scaled to [0, 1].
    channels : int
        1 or 3. A model with three channels gets grey images repeated; one with one channel gets
        the mean over the channels of colour images.
    interpolation : str
        ``bicubic`` or ``bilinear``, always antialiased.
    square : str
        What happens to an image that is not square: ``crop`` (resized by its shorter side, then
        the middle), ``pad`` (with black to a square) or ``stretch``.
    resize : int or None
        Length to which the image is resized before its middle `size` is cropped, e.g. 256 for 224,
        as in the evaluation of ImageNet models; None: `size`, the whole image.
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: int = 3
    interpolation: str = "bicubic"
    square: str = "crop"
    resize: int | None = None

    def __post_init__(self) -> None:
        if self.channels not in (1, 3) or {len(self.mean), len(self.std)} != {self.channels}:
            raise MedauditError(
                f"model input: channels is {self.channels}, with {len(self.mean)} means and "
                f"{len(self.std)} stds; give 1 or 3 channels, and one mean and one std per channel"
            )
        if self.interpolation not in INTERPOLATIONS:
            raise MedauditError(
                f"model input: interpolation is {self.interpolation!r}; use one of {INTERPOLATIONS}"
            )

        if self.square not in SQUARES:
            raise MedauditError(f"model input: square is {self.square!r}; use one of {SQUARES}")
        if self.resize is not None and self.resize < self.size:
            raise MedauditError(
                f"model input: resize is {self.resize}, less than size {self.size}, which is cropped "
                "from it; give a larger number, or null"
            )

    @property
    def resized(self) -> int:
        """Length to which images are resized before `size` is cropped."""
        return self.resize or self.size

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> "ImageInput":
        """Return the ``input`` of a catalogue entry, checked, with the defaults of its kind."""
        square = OWNERS_SQUARES.get(settings.get("kind", ""), "crop")
        given = {"square": square, **settings["input"]}
        return cls(**{**given, "mean": tuple(given["mean"]), "std": tuple(given["std"])})

    def spec(self) -> dict:
        """Return the preprocessing as JSON."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std), "antialias": True}
