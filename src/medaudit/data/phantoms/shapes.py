"""Shapes with soft edges on a batch of pixel grids: arrays that broadcast to ``[n, size, size]``.

Coordinates run from -`FIELD` to `FIELD`, x to the patient's left (right in the image), y downwards.
"""

from functools import cache

import cv2
import numpy as np

BANK = 12  # variants of each texture
FIELD = 0.9  # half the width of the image
REFERENCE = 256  # textures are made at this size, then resized


def make_grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return x as ``[1, 1, size]`` and y as ``[1, size, 1]`` at the centres of the pixels."""
    centres = (((np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1) * FIELD).astype(
        np.float32
    )
    return centres[None, None, :], centres[None, :, None]


def ramp(distance: np.ndarray, width: float) -> np.ndarray:
    """Return a smooth step: 0 where `distance` < -`width`/2, 1 where it is > `width`/2."""
    t = np.clip(distance * np.float32(1 / width) + np.float32(0.5), 0, 1)
    return t * t * (3 - 2 * t)


def bell(squared: np.ndarray) -> np.ndarray:
    """Return a bump, similar to a Gaussian: 1 at distance 0, and 0 from a squared distance of 4."""
    t = np.clip(1 - squared * np.float32(0.25), 0, 1)
    return t * t * t


def blob(x, y, x0, y0, rx, ry) -> np.ndarray:
    """Return a bell of the radii `rx`, `ry` (about one standard deviation) around a point."""
    return bell(np.square((x - x0) / rx) + np.square((y - y0) / ry))


def disc(x, y, x0, y0, rx, ry, edge: float) -> np.ndarray:
    """Return an ellipse with a soft edge of about `edge`."""
    radius = np.sqrt(np.square((x - x0) / rx) + np.square((y - y0) / ry))
    return ramp((1 - radius) * np.minimum(rx, ry), edge)


def band(distance: np.ndarray, half_width) -> np.ndarray:
    """Return the profile of a line, given the distance to its middle."""
    return bell(np.square(distance / half_width))


@cache
def vessels(size: int) -> np.ndarray:
    """Return `BANK` trees of lung vessels, ``[BANK, size, size]``, for the patient's left lung."""
    rng = np.random.default_rng(1)
    return np.stack([_resize(_draw_tree(rng), size) for _ in range(BANK)])


@cache
def patches(size: int) -> np.ndarray:
    """Return `BANK` cloudy textures in [0, 1], mean about 0.5, ``[BANK, size, size]``."""
    rng = np.random.default_rng(2)
    noise = [_smooth_noise(rng, 9) for _ in range(BANK)]
    return np.stack([_resize(np.clip(0.5 + 0.35 * field, 0, 1), size) for field in noise])


@cache
def nets(size: int) -> np.ndarray:
    """Return `BANK` nets of fine lines in [0, 1], ``[BANK, size, size]``."""
    rng = np.random.default_rng(3)
    noise = [_smooth_noise(rng, 4) for _ in range(BANK)]
    return np.stack([_resize(np.exp(-np.square(field / 0.35)), size) for field in noise])


def _smooth_noise(rng: np.random.Generator, sigma: float) -> np.ndarray:
    field = cv2.GaussianBlur(rng.standard_normal((REFERENCE, REFERENCE)), (0, 0), sigma)
    return (field - field.mean()) / field.std()


def _resize(picture: np.ndarray, size: int) -> np.ndarray:
    method = cv2.INTER_AREA if size < REFERENCE else cv2.INTER_CUBIC
    return cv2.resize(picture.astype(np.float32), (size, size), interpolation=method)


def _draw_tree(rng: np.random.Generator) -> np.ndarray:
    canvas = np.zeros((2 * REFERENCE, 2 * REFERENCE), np.uint8)
    for angle in np.linspace(-1.8, 1.5, 9):
        _branch(canvas, rng, np.array([0.17, -0.03]), angle + rng.normal(0, 0.15), 0.17, 0.020)
    return cv2.GaussianBlur(canvas, (0, 0), 1.5).astype(np.float32) / 255


def _branch(canvas, rng, start, angle, length, width) -> None:
    if width < 0.0045:
        return
    end = start + length * np.array([np.cos(angle), np.sin(angle)])
    grey = int(min(255, 60 + 9000 * width))
    first, last = ([int(v) for v in (p / FIELD + 1) * REFERENCE * 16] for p in (start, end))
    thickness = max(1, round(width * REFERENCE))
    cv2.line(canvas, first, last, grey, thickness, cv2.LINE_AA, shift=4)
    for turn in (-0.3, 0.3):
        bend = angle + turn + rng.normal(0, 0.2)
        _branch(canvas, rng, end, bend, length * rng.uniform(0.65, 1.0), width * 0.7)
