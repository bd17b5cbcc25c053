"""The untrained control: a fixed random projection of the pixels, computed with NumPy.

The result of a probe on it is due to the pixels and the labels, not to any pretraining.
"""

import numpy as np

from medaudit.core.seeds import generator
from medaudit.data.image_store import Images, by_size
from medaudit.models.interface import ModelSettings

SIDE = 32


def build(settings: ModelSettings) -> "Pixels":
    """Build the projection to embeddings of length ``settings["dimension"]``."""
    return Pixels(settings["dimension"])


class Pixels:
    """Encoder: area-average to 32 x 32 grey, standardise per image, project with Gaussian weights.

    Parameters
    ----------
    dimension : int
        Length of an embedding.
    """

    uses_torch = False

    def __init__(self, dimension: int) -> None:
        weights = generator("pixels", dimension).standard_normal((SIDE * SIDE, dimension))
        self.weights = (weights / SIDE).astype(np.float32)

    def encode_images(self, images: Images) -> np.ndarray:
        """Return float32 ``[b, dimension]``; a uniform image gives zeros."""
        if isinstance(images, list):
            vectors = np.empty((len(images), self.weights.shape[1]), np.float32)
            for positions, part in by_size(images):
                vectors[positions] = self.encode_images(part)
            return vectors
        grey = images.mean(axis=-1) if images.ndim == 4 else images
        rows, columns = (area_weights(length) for length in grey.shape[1:])
        small = (rows @ grey.astype(np.float32) @ columns.T).reshape(len(grey), -1)
        small -= small.mean(axis=1, keepdims=True)
        scale = small.std(axis=1, keepdims=True)
        return (small / np.where(scale > 1e-3, scale, np.inf)) @ self.weights

    def spec(self) -> dict:
        """Return the projection's description as JSON."""
        return {
            "kind": "pixels",
            "dimension": self.weights.shape[1],
            "preprocessing": {"size": SIDE, "channels": 1, "standardised": "per image"},
            "versions": {"numpy": np.__version__},
        }


def area_weights(length: int, side: int = SIDE) -> np.ndarray:
    """Return the matrix ``[side, length]`` that averages pixels by their overlap with each cell."""
    edges = np.linspace(0, length, side + 1)
    starts, ends = edges[:-1, None], edges[1:, None]
    pixel = np.arange(length)
    overlap = np.clip(np.minimum(ends, pixel + 1) - np.maximum(starts, pixel), 0, None)
    return (overlap / (ends - starts)).astype(np.float32)
