"""Synthetic coronal T1 slices of a brain, superior at the top: the phantom of OASIS-1.

The shape of the brain depends on the subject, the position of the cut on the slice. Age widens
ventricles and sulci. Dementia widens them further, widens the temporal horns and shrinks the
hippocampi; these additional changes are multiplied by the planted visibility.
"""

import numpy as np
import pandas as pd

from medaudit.data.phantoms.scan import Batch, draw_rows, make_grid, show
from medaudit.data.phantoms.shapes import band, disc, patches, ramp
from medaudit.data.phantoms.tables.oasis import SLICES

WHITE, GREY, FLUID = 0.93, 0.66, 0.20
NOISE = 0.03  # of the brightest tissue, at 64 pixels


def render(rows: pd.DataFrame, settings: dict, image_size: int, threads: int = 1) -> np.ndarray:
    """Draw a slice for each row: uint8 ``[n, image_size, image_size]`` (see `measure`)."""
    return show(measure(rows, settings, image_size, threads), settings)


def measure(rows: pd.DataFrame, settings: dict, size: int, threads: int = 1) -> np.ndarray:
    """Return slices whose brightest tissue is about 1, float32 ``[n, size, size]``.

    ``path`` ends in ``=<slice>``, which counts from the back, 0 to `SLICES` - 1 (see
    `scan.draw_rows`).
    """
    (task,) = (column[2:] for column in rows.columns if column.startswith("y_"))
    return draw_rows(rows, settings, task, size, _draw, threads)


def _draw(batch: Batch, size: int) -> np.ndarray:
    u, v, found = batch.person, batch.image, batch.finding
    x, y = make_grid(size)
    number = batch.rows["path"].str.rpartition("=")[2].to_numpy(np.float32)[:, None, None]
    front = (2 * number + 1) / SLICES - 1
    old = np.clip((batch.age - 60) / 35, -1.0, 1.0)
    loss = np.clip(0.30 + 0.25 * old + 0.45 * (u[2] - 0.5), 0, 1) + found * (0.12 + 0.36 * u[3])
    scale = np.sqrt(np.clip(1 - 0.85 * front**2, 0.02, 1))
    x, y = x * (1 + 0.05 * (u[4] - 0.5)) + 0.02 * (u[5] - 0.5), y * (1 + 0.05 * (u[6] - 0.5))

    edge = 3.0 / size
    brain, depth = _outline(x, y, batch, (scale, front), edge)
    folds = _fold(x, y, u, size)
    cortex = 0.10 + 0.11 * folds - 0.015 * loss
    tissue = GREY + (WHITE - GREY) * ramp(depth - cortex, 0.05 + edge)
    opening = 0.30 + 0.55 * loss
    sulci = ramp(opening * 0.35 - (1 - folds), 0.12) * ramp(0.16 + 0.05 * loss - depth, 0.08)
    tissue = _lay(tissue, FLUID, np.clip(sulci * (0.35 + 0.6 * ramp(0.25 - y, 0.25)), 0, 0.9))
    tissue = _add_nuclei(tissue, x, y, u, (scale, front), edge)
    tissue = _add_spaces(tissue, x, y, batch, (loss, scale, front), edge)
    shading = 1 + 0.10 * (v[0] - 0.5) * x + 0.10 * (v[1] - 0.5) * y
    picture = brain * tissue * shading * (0.96 + 0.08 * v[2])
    picture = picture + NOISE * (size / 64) ** 0.5 * batch.noise(size) * (brain > 0.02)
    return np.maximum(picture, 0)


def _lay(under: np.ndarray, value, cover: np.ndarray) -> np.ndarray:
    return under + cover * (value - under)


def _outline(x, y, batch: Batch, place, edge: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the mask of the brain in [0, 1], and the depth of each pixel below its surface."""
    u = batch.person
    scale, front = place
    side = np.abs(x)
    wide, high = (0.74 + 0.05 * (u[7] - 0.5)) * scale, (0.60 + 0.05 * (u[8] - 0.5)) * scale
    top = _bulge(x, y + 0.13, wide, high)
    lobe = np.clip(1.2 - 1.6 * np.abs(front + 0.02), 0, 1)
    low = _bulge(side - 0.46, y - 0.36, 0.25 * lobe, 0.24 * lobe)
    stem = _bulge(x, y - 0.45, 0.15 * (front < 0.15), 0.26)
    behind = np.clip(-front - 0.12, 0, 0.4)
    hind = _bulge(x, y - 0.47, 1.2 * behind * scale + 0.1 * (behind > 0), 0.27 * (behind > 0))
    depth = np.maximum(np.maximum(top, low), np.maximum(stem, hind))
    return ramp(depth, edge), depth


def _bulge(x, y, rx, ry) -> np.ndarray:
    """Return the depth below an ellipse's edge, negative outside; -1 for an ellipse of size 0."""
    radius = np.hypot(x / np.maximum(rx, 0.01), y / np.maximum(ry, 0.01))
    least = np.minimum(rx, ry)
    return np.where(least > 0.02, (1 - radius) * least, -1.0)


def _fold(x, y, u, size: int) -> np.ndarray:
    """Return 1 in the sulci and 0 on the gyri, in a pattern specific to the subject."""
    wander = 3.0 * (patches(size)[(12 * u[9][:, 0, 0]).astype(int)] - 0.5)
    angle = np.arctan2(y + 0.1, x)
    wave = np.cos((9 + np.floor(4 * u[10])) * angle + 6.3 * u[11] + wander)
    return 0.5 + 0.5 * wave


def _add_nuclei(tissue, x, y, u, place, edge: float) -> np.ndarray:
    scale, front = place
    side = np.abs(x)
    deep = np.clip(1 - 1.5 * np.abs(front), 0, 1)
    for x0, y0, rx, ry in (
        (0.15, 0.12, 0.11, 0.10),
        (0.30, 0.08, 0.07, 0.12),
        (0.13, -0.12, 0.05, 0.05),
    ):
        nucleus = disc(side, y, x0 * scale, y0, rx * deep + 0.01, ry * deep + 0.01, 2 * edge)
        tissue = _lay(tissue, GREY + 0.06 + 0.04 * u[12], nucleus * deep)
    return tissue


def _add_spaces(tissue, x, y, batch: Batch, state, edge: float) -> np.ndarray:
    """Add fissures, ventricles, hippocampi and temporal horns."""
    loss, scale, front = state
    u, side = batch.person, np.abs(x)
    fissure = band(x, 0.012 + 0.022 * loss + 0.3 * edge) * ramp(-0.24 - y, 0.08)
    sylvian = band(y - 0.11 + 0.35 * (side - 0.45), 0.018 + 0.035 * loss + 0.3 * edge)
    tissue = _lay(tissue, FLUID, np.clip(fissure + sylvian * ramp(side - 0.44, 0.08), 0, 1))
    size = (0.40 + 1.0 * loss) * (0.8 + 0.4 * u[13])
    tilt = y + 0.07 - 0.55 * (side - 0.10)
    middle = 0.045 + 0.05 * size
    body = disc(side, tilt, middle, -0.07, 0.020 + 0.055 * size, 0.035 + 0.055 * size, 1.5 * edge)
    third = band(x, 0.010 + 0.020 * size + 0.2 * edge) * ramp(0.10 - np.abs(y - 0.16), 0.05)
    tissue = _lay(tissue, FLUID, np.clip(body + third * (np.abs(front) < 0.3), 0, 1))
    near = np.clip(1.15 - 2.5 * np.abs(front + 0.08), 0, 1)
    shrink = np.clip(1.25 - 0.75 * loss, 0.3, 1.2)
    hippocampus = disc(side, y, 0.34, 0.37, 0.085 * shrink, 0.05 * shrink, 1.5 * edge)
    tissue = _lay(tissue, GREY - 0.02, hippocampus * near)
    wide = 0.012 + 0.055 * loss
    horn = disc(side, y, 0.42 - 0.02 * shrink, 0.325, wide, 0.8 * wide, edge + 0.01)
    return _lay(tissue, FLUID, horn * near)
