"""Foundation models behind one interface: one module a kind, found by name.

A kind is a module ``medaudit.models.kinds.<kind>`` with ``build(settings) -> Encoder``, where `settings`
is the model's catalogue entry; `medaudit.models.weights.files` finds its files. The encoder owns its
preprocessing: it is handed uint8 pixels as the image store keeps them,
grey ``[b, h, w]`` or colour ``[b, h, w, 3]`` of any size, and resizes and normalises them itself.

An encoder made of torch (see `medaudit.models.torch_encoder`) also has ``module`` (its
``torch.nn.Module``), ``input`` (an `ImageInput`) and ``prepare(images) -> Tensor``, which
fine-tuning reuses. Vision-language models add ``encode_texts``.
"""

from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np

from medaudit.core.errors import MedauditError

INTERPOLATIONS = ("bicubic", "bilinear")


class Encoder(Protocol):
    """What every model answers to."""

    def encode_images(self, images: np.ndarray) -> np.ndarray:
        """Return float32 ``[b, d]`` for uint8 ``[b, h, w]`` or ``[b, h, w, 3]``."""

    def spec(self) -> dict:
        """Return what made the embeddings as JSON: weights, preprocessing, versions."""


@dataclass(frozen=True)
class ImageInput:
    """A model's own preprocessing, the ``input`` of its catalogue entry.

    Parameters
    ----------
    size : int
        Side of the square the model sees, in pixels.
    mean, std : tuple of float
        Per channel, for pixels scaled to [0, 1].
    channels : int
        1 or 3. Grey images are repeated over three channels; colour images given to a model of
        one channel become their mean.
    interpolation : str
        ``bicubic`` or ``bilinear``, always with antialias.
    """

    size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: int = 3
    interpolation: str = "bicubic"

    def __post_init__(self) -> None:
        if self.channels not in (1, 3) or {len(self.mean), len(self.std)} != {self.channels}:
            raise MedauditError(
                f"model input: channels is {self.channels}, with {len(self.mean)} means and "
                f"{len(self.std)} stds; give 1 or 3 channels and one mean and std for each"
            )
        if self.interpolation not in INTERPOLATIONS:
            raise MedauditError(
                f"model input: interpolation {self.interpolation!r} is none of {INTERPOLATIONS}"
            )

    @classmethod
    def from_settings(cls, settings: dict) -> "ImageInput":
        """Read the ``input`` of a catalogue entry."""
        given = {**settings["input"]}
        return cls(**{**given, "mean": tuple(given["mean"]), "std": tuple(given["std"])})

    def spec(self) -> dict:
        """Return the preprocessing as JSON."""
        return {**asdict(self), "mean": list(self.mean), "std": list(self.std), "antialias": True}
