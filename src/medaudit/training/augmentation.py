"""Random resized crop, flip and rotation of images, resampled bicubically.

Together they are one affine map per image. A view without rotation is what torchvision's
``RandomResizedCrop`` and horizontal flip give on a Pillow image: a box of whole pixels, resized
bicubically with antialias. A rotated one is interpolated from the image in one step; corners that
the rotation exposes show the image around the crop instead of black. Where a crop has more pixels
than its view, the image is first shrunk (with antialias) to the resolution of the view.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import affine_grid, grid_sample, interpolate

TRIES = 10
"""Crops drawn per image until one fits, as in torchvision, before the largest central one."""

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
    rng: np.random.Generator, count: int, sizes: int | np.ndarray, augmentation: Augmentation
) -> np.ndarray:
    """Draw one random view for each of `count` images.

    Parameters
    ----------
    rng : numpy.random.Generator
        Consumes the same number of draws whatever their values, see `TRIES`.
    count : int
        Number of images.
    sizes : int or numpy.ndarray
        Side of square images in pixels, or height and width of each image, [count, 2].
    augmentation : Augmentation
        Ranges and probabilities.

    Returns
    -------
    numpy.ndarray
        float32 [count, 2, 3]: the map from coordinates of the view to coordinates of the image,
        both from -1 to 1, as `torch.nn.functional.affine_grid` takes it.
    """
    sides = np.broadcast_to(np.asarray(sizes), (count, 2))[:, ::-1]  # width, height
    uniform = rng.random((count, 4))
    corner, box = _draw_boxes(rng, uniform, sides, augmentation)
    angle = np.deg2rad(augmentation.rotation * (2 * uniform[:, _ANGLE] - 1))
    mirror = np.where(uniform[:, _FLIP] < augmentation.flip, -1.0, 1.0)
    cosine, sine = np.cos(angle), np.sin(angle)
    (left, top), (width, height) = (corner / sides).T, (box / sides).T
    matrix = np.empty((count, 2, 3), np.float32)
    matrix[:, 0, 0], matrix[:, 0, 1] = width * mirror * cosine, -width * mirror * sine
    matrix[:, 1, 0], matrix[:, 1, 1] = height * sine, height * cosine
    matrix[:, 0, 2], matrix[:, 1, 2] = 2 * left + width - 1, 2 * top + height - 1
    return matrix


def apply_views(
    images: torch.Tensor | Sequence[torch.Tensor], matrices: torch.Tensor, side: int
) -> torch.Tensor:
    """Return the views of images.

    Parameters
    ----------
    images : torch.Tensor or sequence of torch.Tensor
        uint8 [n, channels, h, w]; or n images [channels, h, w] of any sizes.
    matrices : torch.Tensor
        float32 [n, 2, 3] from `draw_views`. They decide which pixels are read, so on a GPU they
        are best given on the CPU: reading them back would wait for the device.
    side : int
        Side of the views in pixels.

    Returns
    -------
    torch.Tensor
        float32 [n, channels, side, side] in [0, 1], on the device of the images.
    """
    maps = matrices.cpu()
    # Lengths of the crop along the image's axes, as fractions of it, and the corner.
    length = maps[:, :, :2].norm(dim=2)
    start = ((maps[:, :, 2] - length + 1) / 2).tolist()
    turned = (maps[:, [0, 1], [1, 0]] != 0).any(dim=1).tolist()
    mirrored = (maps[:, 0, 0] < 0).tolist()
    own = _sizes(images)
    # The size at which a crop has no more pixels than its view.
    size = torch.minimum((side / length.flip(1)).round().clamp(min=1).long(), own).tolist()
    shrinks = (torch.tensor(size) != own).any(dim=1).tolist() if len(size) else []
    views: dict[int, torch.Tensor] = {}
    together: dict[tuple, list[int]] = {}
    for k, part in enumerate(length.tolist()):
        if turned[k]:
            # Rotated views of images that need not shrink are computed together, below.
            together.setdefault((*size[k], k if shrinks[k] else None), []).append(k)
        else:
            views[k] = _crop(images[k], start[k], part, side, mirrored[k])
    for (height, width, _), places in together.items():
        pixels = _resize(_stack(images, places), (height, width))
        found = _turn(pixels, maps[places], side)
        if len(places) == len(maps):
            return found.div_(255).clamp_(0, 1)
        views |= dict(zip(places, found.split(1), strict=True))
    return torch.cat([views[k] for k in range(len(maps))]).div_(255).clamp_(0, 1)


def _sizes(images: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the height and width of each image: int64 [n, 2]."""
    if isinstance(images, torch.Tensor):
        return torch.tensor(images.shape[2:]).expand(len(images), 2)
    return torch.tensor([image.shape[1:] for image in images]).reshape(len(images), 2)


def _stack(images: torch.Tensor | Sequence[torch.Tensor], places: list[int]) -> torch.Tensor:
    """Return images of one size as one tensor of floating-point numbers."""
    if isinstance(images, torch.Tensor):
        return (images if len(places) == len(images) else images[places]).float()
    return torch.stack([images[k] for k in places]).float()


def _crop(
    image: torch.Tensor, start: list[float], length: list[float], side: int, mirrored: bool
) -> torch.Tensor:
    """Return a box of whole pixels, resized: [1, channels, side, side] from 0 to 255."""
    width, height = image.shape[2], image.shape[1]
    left, top = round(start[0] * width), round(start[1] * height)
    right, bottom = left + round(length[0] * width), top + round(length[1] * height)
    box = image[None, :, top : max(bottom, top + 1), left : max(right, left + 1)].float()
    view = _resize(box, (side, side))
    return view.flip(3) if mirrored else view


def _turn(pixels: torch.Tensor, maps: torch.Tensor, side: int) -> torch.Tensor:
    """Return rotated views of images of one size: [n, channels, side, side] from 0 to 255."""
    # Coordinates are from -1 to 1, so that shrinking an image does not change its map.
    maps = maps.to(pixels.device, non_blocking=True)
    grid = affine_grid(maps, [len(maps), 1, side, side], align_corners=False)
    return grid_sample(pixels, grid, mode="bicubic", padding_mode="border", align_corners=False)


def _resize(pixels: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    if pixels.shape[2:] == size:
        return pixels
    return interpolate(pixels, size, mode="bicubic", antialias=True)


def _draw_boxes(
    rng: np.random.Generator, uniform: np.ndarray, sides: np.ndarray, augmentation: Augmentation
) -> tuple[np.ndarray, np.ndarray]:
    """Return left and top, and width and height, of each crop in pixels: [count, 2] each.

    `sides` are the widths and heights of the images, [count, 2].
    """
    # All tries are drawn at once: drawing until one fits would make the draws of an image depend
    # on those of the images before it, and so on how a batch is divided over processes.
    tries = rng.random((2, len(uniform), TRIES))
    low, high = augmentation.scale
    area = sides.prod(axis=1)[:, None] * (low + (high - low) * tries[0])
    log_ratio = np.log(augmentation.ratio)
    ratio = np.exp(log_ratio[0] + (log_ratio[1] - log_ratio[0]) * tries[1])
    size = np.round(np.sqrt(np.stack([area * ratio, area / ratio], axis=-1)))
    fits = ((size > 0) & (size <= sides[:, None])).all(axis=-1)
    first = np.take_along_axis(size, fits.argmax(axis=1)[:, None, None], axis=1)[:, 0]
    corner = np.floor(uniform[:, [_LEFT, _TOP]] * (sides - first + 1))
    # Where none fits: torchvision's fallback, the largest central box with an allowed ratio.
    shape = sides[:, 0] / sides[:, 1]
    bound = np.clip(shape, *augmentation.ratio)
    whole = np.where(
        (shape < bound)[:, None],
        np.stack([sides[:, 0], np.round(sides[:, 0] / bound)], axis=1),
        np.where(
            (shape > bound)[:, None],
            np.stack([np.round(sides[:, 1] * bound), sides[:, 1]], axis=1),
            sides,
        ),
    )
    found = fits.any(axis=1)[:, None]
    return np.where(found, corner, (sides - whole) // 2), np.where(found, first, whole)
