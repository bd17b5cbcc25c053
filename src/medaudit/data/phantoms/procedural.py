"""Procedural images: non-medical, drawn by rules; photographs' stand-in in the default audit.

Each image is noise with a natural (power-law) spectrum, covered by overlapping objects, the largest
first ("dead leaves"): ellipses, rectangles and polygons with their own grey level, grating or
noise. They share edges, occlusion, texture and scale with photographs and nothing with radiographs.
Everything that shows or names them must call them procedural.
"""

import cv2
import numpy as np

from medaudit.core.seeds import generator

CHUNK = 128  # images per random stream; so the first n images do not depend on the count


def render(count: int, side: int, seed: int = 0) -> np.ndarray:
    """Draw procedural images.

    Parameters
    ----------
    count : int
        Number of images; a larger count starts with the same images.
    side : int
        Side of the images in pixels.
    seed : int
        Another seed gives other images.

    Returns
    -------
    numpy.ndarray
        uint8 [count, side, side].
    """
    images = np.empty((count, side, side), np.uint8)
    for start in range(0, count, CHUNK):
        rng = generator("procedural", seed, side, start)
        images[start : start + CHUNK] = _render_chunk(rng, side)[: count - start]
    return images


def _render_chunk(rng: np.random.Generator, side: int) -> np.ndarray:
    canvas = _noise(rng, side, rng.uniform(1.0, 2.2, CHUNK))
    textures = _noise(rng, side, rng.uniform(0.0, 1.5, CHUNK))
    for number, image in enumerate(canvas):
        for radius in np.sort(_radii(rng, int(rng.integers(3, 25))))[::-1]:
            mask = _shape(rng, side, radius * side)
            image[mask] = _surface(rng, textures[rng.integers(CHUNK)])[mask]
        canvas[number] = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.8) * side / 64)
    low, high = np.percentile(canvas, [1, 99], axis=(1, 2), keepdims=True)
    return np.clip(255 * (canvas - low) / (high - low + 1e-6), 0, 255).astype(np.uint8)


def _noise(rng: np.random.Generator, side: int, exponent: np.ndarray) -> np.ndarray:
    """Return float32 noise, mean 0, sd 1, with amplitudes proportional to frequency ** -exponent."""
    spectrum = np.fft.rfft2(rng.standard_normal((len(exponent), side, side)))
    frequency = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    frequency[0, 0] = 1.0
    spectrum *= frequency[None] ** -exponent[:, None, None]
    spectrum[:, 0, 0] = 0
    noise = np.fft.irfft2(spectrum, s=(side, side))
    return (noise / noise.std(axis=(1, 2), keepdims=True)).astype(np.float32)


def _radii(rng: np.random.Generator, count: int) -> np.ndarray:
    """Return radii from 0.08 to 0.5 of the side with density r ** -3: scale-invariant scenes."""
    # Inverse of the distribution function of r ** -3 between the two limits.
    low, high = 0.08**-2, 0.5**-2
    return (low - rng.random(count) * (low - high)) ** -0.5


def _shape(rng: np.random.Generator, side: int, radius: float) -> np.ndarray:
    mask = np.zeros((side, side), np.uint8)
    centre = rng.uniform(0, side, 2)
    kind = rng.integers(3)
    if kind == 0:
        axes = np.maximum(radius * rng.uniform(0.4, 1.2, 2), 1)
        box = (centre.tolist(), (2 * axes).tolist(), rng.uniform(0, 180))
        cv2.ellipse(mask, box, 1, -1)
        return mask.astype(bool)
    corners = 4 if kind == 1 else rng.integers(3, 9)
    angles = 2 * np.pi * (np.arange(corners) / corners + rng.random())
    reach = radius * (1.0 if kind == 1 else rng.uniform(0.4, 1.2, corners))
    points = centre + np.stack([reach * np.cos(angles), reach * np.sin(angles)], axis=1)
    cv2.fillPoly(mask, [np.round(points).astype(np.int32)], 1)
    return mask.astype(bool)


def _surface(rng: np.random.Generator, texture: np.ndarray) -> np.ndarray:
    level, kind = rng.uniform(-2.5, 2.5), rng.integers(3)
    if kind == 0:
        return np.full_like(texture, level)
    if kind == 1:
        return level + rng.uniform(0.1, 0.8) * texture
    side = len(texture)
    angle, waves = rng.uniform(0, np.pi), rng.uniform(2, 12)
    rows, columns = np.mgrid[0:side, 0:side] / side
    phase = 2 * np.pi * waves * (columns * np.cos(angle) + rows * np.sin(angle))
    return (level + rng.uniform(0.3, 1.2) * np.sin(phase)).astype(np.float32)
