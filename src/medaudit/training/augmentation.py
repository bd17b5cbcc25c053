"""Random resized crop, flip and rotation in one resampling of a batch.

Together they are one affine map per image, so an image is interpolated once (bicubic, border
pixels repeated) instead of three times. Corners that a rotation exposes show the image around the
crop instead of black.
"""

from dataclasses import dataclass

import numpy as np
import torch

TRIES = 10
"""Crops drawn per image until one fits, as in torchvision; if none fits, the whole image."""

_ANGLE, _FLIP, _LEFT, _TOP = range(4)


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random crop, flip and rotation of each image.

    Parameters
    ----------
    scale : tuple of float
        Smallest and largest fraction of the image's area in a crop.
    ratio : tuple of float
        Smallest and largest width / height of a crop.
    flip : float
        Probability of a horizontal flip.
    rotation : float
        Largest rotation in degrees, in both directions.
    """

    scale: tuple[float, float] = (0.2, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5
    rotation: float = 7.0


def draw_views(
    rng: np.random.Generator, count: int, side: int, augmentation: Augmentation
) -> np.ndarray:
    """Draw one random view for each of `count` square images.

    Parameters
    ----------
    rng : numpy.random.Generator
        Consumes the same number of draws whatever their values, see `TRIES`.
    count : int
        Number of images.
    side : int
        Side of the images in pixels.
    augmentation : Augmentation
        Ranges and probabilities.

    Returns
    -------
    numpy.ndarray
        float32 [count, 2, 3]: the map from coordinates of the view to coordinates of the image,
        both from -1 to 1, as `torch.nn.functional.affine_grid` takes it.
    """
    uniform = rng.random((count, 4))
    box = _draw_boxes(rng, uniform, side, augmentation)
    angle = np.deg2rad(augmentation.rotation * (2 * uniform[:, _ANGLE] - 1))
    mirror = np.where(uniform[:, _FLIP] < augmentation.flip, -1.0, 1.0)
    cosine, sine = np.cos(angle), np.sin(angle)
    left, top, width, height = box.T / side
    matrix = np.empty((count, 2, 3), np.float32)
    matrix[:, 0, 0], matrix[:, 0, 1] = width * mirror * cosine, -width * mirror * sine
    matrix[:, 1, 0], matrix[:, 1, 1] = height * sine, height * cosine
    matrix[:, 0, 2], matrix[:, 1, 2] = 2 * left + width - 1, 2 * top + height - 1
    return matrix


def apply_views(images: torch.Tensor, matrices: torch.Tensor, side: int) -> torch.Tensor:
    """Return the views of images: one bicubic resampling for each image.

    Parameters
    ----------
    images : torch.Tensor
        uint8 [n, channels, h, w].
    matrices : torch.Tensor
        float32 [n, 2, 3] from `draw_views`, on the device of `images`.
    side : int
        Side of the views in pixels.

    Returns
    -------
    torch.Tensor
        float32 [n, channels, side, side] in [0, 1].
    """
    shape = (len(images), images.shape[1], side, side)
    grid = torch.nn.functional.affine_grid(matrices, shape, align_corners=False)
    views = torch.nn.functional.grid_sample(
        images.float().div_(255), grid, mode="bicubic", padding_mode="border", align_corners=False
    )
    return views.clamp_(0, 1)


def _draw_boxes(
    rng: np.random.Generator, uniform: np.ndarray, side: int, augmentation: Augmentation
) -> np.ndarray:
    """Return left, top, width and height of each crop in pixels: [count, 4]."""
    # All tries are drawn at once: drawing until one fits would make the draws of an image depend
    # on those of the images before it, and so on how a batch is divided over processes.
    tries = rng.random((2, len(uniform), TRIES))
    low, high = augmentation.scale
    area = side**2 * (low + (high - low) * tries[0])
    log_ratio = np.log(augmentation.ratio)
    ratio = np.exp(log_ratio[0] + (log_ratio[1] - log_ratio[0]) * tries[1])
    size = np.round(np.sqrt(np.stack([area * ratio, area / ratio], axis=-1)))
    fits = ((size > 0) & (size <= side)).all(axis=-1)
    first = np.take_along_axis(size, fits.argmax(axis=1)[:, None, None], axis=1)[:, 0]
    size = np.where(fits.any(axis=1)[:, None], first, side)
    corner = np.floor(uniform[:, [_LEFT, _TOP]] * (side - size + 1))
    return np.concatenate([corner, size], axis=1)
