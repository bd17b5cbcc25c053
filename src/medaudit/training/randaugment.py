"""RandAugment: a few random operations per image, as in timm's ``rand-m6-mstd0.5-inc1``.

Cubuk et al. 2020, "RandAugment: practical automated data augmentation with a reduced search
space", arXiv 1909.13719. The pixel operations are timm's. Only the random draws are made here:
timm draws from the global generators of Python and NumPy, which the loader's threads share, so
its draws would depend on the order in which threads run.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image
from timm.data.auto_augment import NAME_TO_OP

HIGHEST = 10.0
"""Magnitude at which an operation has its full strength."""


@dataclass(frozen=True)
class RandAugment:
    """How many operations are drawn for each image, and how strong they are.

    Parameters
    ----------
    magnitude : float
        Mean strength of an operation, from 0 to 10.
    std : float
        Standard deviation of the strength, which is clipped to [0, 10].
    layers : int
        Operations per image, drawn with replacement.
    probability : float
        Probability that a drawn operation is applied.
    """

    magnitude: float = 6.0
    std: float = 0.5
    layers: int = 2
    probability: float = 0.5


@dataclass(frozen=True)
class Operations:
    """Drawn operations of some images.

    Parameters
    ----------
    names : numpy.ndarray
        int64 [n, layers], positions in `ARGUMENTS`; -1 for no operation.
    levels : numpy.ndarray
        float64 [n, layers], strengths from 0 to 1.
    signs : numpy.ndarray
        float64 [n, layers], -1 or 1.
    """

    names: np.ndarray
    levels: np.ndarray
    signs: np.ndarray

    def __getitem__(self, part: slice | np.ndarray) -> "Operations":
        """Return the operations of some of the images."""
        return Operations(self.names[part], self.levels[part], self.signs[part])


def _nothing(level: float, sign: float) -> tuple:
    return ()


def _enhance(level: float, sign: float) -> tuple[float]:
    return (max(0.1, 1 + sign * 0.9 * level),)


def _up_to(largest: float) -> Callable[[float, float], tuple[float]]:
    return lambda level, sign: (sign * largest * level,)


ARGUMENTS: dict[str, Callable[[float, float], tuple]] = {
    "AutoContrast": _nothing,
    "Equalize": _nothing,
    "Invert": _nothing,
    "Rotate": _up_to(30.0),
    "PosterizeIncreasing": lambda level, sign: (max(1, 4 - int(level * 4)),),
    "SolarizeIncreasing": lambda level, sign: (256 - int(level * 256),),
    "SolarizeAdd": lambda level, sign: (int(level * 110),),
    "ColorIncreasing": _enhance,
    "ContrastIncreasing": _enhance,
    "BrightnessIncreasing": _enhance,
    "SharpnessIncreasing": _enhance,
    "ShearX": _up_to(0.3),
    "ShearY": _up_to(0.3),
    "TranslateXRel": _up_to(0.45),
    "TranslateYRel": _up_to(0.45),
}
"""timm's operations; each function maps a strength from 0 to 1 and a sign to the arguments.

At full strength timm posterizes to 0 bits, which Pillow refuses; here the lowest is 1 bit.
"""


def draw_operations(rng: np.random.Generator, count: int, policy: RandAugment) -> Operations:
    """Draw the random operations of `count` images."""
    shape = (count, policy.layers)
    names = rng.integers(len(ARGUMENTS), size=shape)
    applied = rng.random(shape) < policy.probability
    strengths = rng.normal(policy.magnitude, policy.std, shape).clip(0, HIGHEST)
    signs = rng.choice([-1.0, 1.0], size=shape)
    return Operations(np.where(applied, names, -1), strengths / HIGHEST, signs)


def apply_operations(images: np.ndarray, operations: Operations, fill: list[int]) -> np.ndarray:
    """Return the images after each one's own operations, applied in turn.

    Parameters
    ----------
    images : numpy.ndarray
        uint8 [n, h, w] (grey) or [n, h, w, 3].
    operations : Operations
        Drawn for these images.
    fill : list of int
        Grey level, or RGB colour, of the area that moves into view.

    Returns
    -------
    numpy.ndarray
        Shape and type of `images`. Geometric operations interpolate bicubically.
        ``ColorIncreasing`` does not change grey pixels.
    """
    changed = images.copy()
    colour = tuple(fill) if images.ndim == 4 else fill[0]
    drawn = zip(operations.names, operations.levels, operations.signs, strict=True)
    for image, (names, levels, signs) in zip(changed, drawn, strict=True):
        if (names >= 0).any():
            image[...] = _transform(Image.fromarray(image), names, levels, signs, colour)
    return changed


def _transform(image: Image.Image, names, levels, signs, colour) -> np.ndarray:
    known = list(ARGUMENTS)
    for number, level, sign in zip(names, levels, signs, strict=True):
        if number >= 0:
            name = known[number]
            arguments = ARGUMENTS[name](float(level), float(sign))
            bicubic = Image.Resampling.BICUBIC
            image = NAME_TO_OP[name](image, *arguments, fillcolor=colour, resample=bicubic)
    return np.asarray(image)
