"""Synthetic maps of the retinal nerve fibre layer: the phantom of Harvard-GF3300.

The maps have the thickness in micrometres, and -2 where it is invalid (inside the optic disc, at
some borders). The arcades depend on the patient and get thinner with age. Glaucoma thins the whole
layer a little, and wedges of the upper or lower arcade much; this loss is multiplied by the planted
visibility.
"""

import numpy as np
import pandas as pd

from medaudit.data.datasets.harvard_gf3300 import TASK
from medaudit.data.phantoms.scan import Batch, draw_rows, make_grid, show
from medaudit.data.phantoms.shapes import band, patches, ramp

INVALID = -2.0
FLOOR = 30.0  # micrometres that remain in glaucoma
NOISE = 5.0  # micrometres at 64 pixels


def render(rows: pd.DataFrame, settings: dict, image_size: int, threads: int = 1) -> np.ndarray:
    """Draw a map for each row: uint8 ``[n, image_size, image_size]`` (see `measure`)."""
    return show(measure(rows, settings, image_size, threads), settings)


def measure(rows: pd.DataFrame, settings: dict, size: int, threads: int = 1) -> np.ndarray:
    """Return thickness in micrometres, float32 ``[n, size, size]`` (see `scan.draw_rows`)."""
    return draw_rows(rows, settings, TASK, size, _draw, threads)


def _draw(batch: Batch, size: int) -> np.ndarray:
    u, v = batch.person, batch.image
    x, y = make_grid(size)
    x = np.where(u[2] < 0.5, x, -x) - 0.10 * (v[0] - 0.5)  # right and left eyes: nasal is x > 0
    y = y - 0.10 * (v[1] - 0.5)
    radius, angle = np.hypot(x, y) + 1e-6, np.arctan2(y, x)
    bend = angle - np.sign(y) * 0.35 * np.clip(radius - 0.25, 0, 1)  # arcades bend to the fovea
    layer = _healthy(batch, radius, bend)
    layer = FLOOR + (layer - FLOOR) * (1 - _damage(batch, radius, bend))
    layer = layer + _vessels(batch, radius, bend, size)
    layer = layer * (0.94 + 0.12 * patches(size)[(12 * u[3][:, 0, 0]).astype(int)])
    layer = layer + NOISE * (size / 64) ** 0.5 * batch.noise(size)
    return _invalidate(np.maximum(layer, 0), batch, x, y, radius, size)


def _healthy(batch: Batch, radius, bend) -> np.ndarray:
    u = batch.person
    thick = 150 + 70 * (u[4] - 0.5) - 0.35 * (batch.age - 50)
    fall = np.exp(-np.clip(radius - 0.28, 0, 2) / (0.75 + 0.2 * u[5]))
    lobes: np.ndarray | float = 0.0
    for place, width, share in (
        (-1.75 + 0.3 * (u[6] - 0.5), 0.50, 1.0),
        (1.80 + 0.3 * (u[7] - 0.5), 0.48, 1.08),
    ):
        lobes = lobes + share * np.exp(-0.5 * np.square(_turn(bend - place) / width))
    floor = 45 + 14 * (u[8] - 0.5)
    return floor + fall * (0.15 * thick + thick * lobes)


def _turn(angle: np.ndarray) -> np.ndarray:
    """Return angles in [-pi, pi)."""
    return (angle + np.pi) % (2 * np.pi) - np.pi


def _damage(batch: Batch, radius, bend) -> np.ndarray:
    """Return the share of the layer above `FLOOR` that is lost to glaucoma, 0 to 0.95."""
    u = batch.person
    low, both = u[9] < 0.6, u[10] < 0.35
    wedge: np.ndarray | float = 0.0
    for sign, hit in ((1, low | both), (-1, ~low | both)):
        place = sign * (2.05 + 0.9 * (u[11] - 0.5))
        width = 0.18 + 0.22 * u[12]
        wedge = wedge + hit * np.exp(-0.5 * np.square(_turn(bend - place) / width))
    severity = 0.20 + 0.60 * u[13]
    loss = 0.18 * u[14] + severity * wedge * ramp(radius - 0.15, 0.2)
    return np.clip(batch.finding * loss, 0, 0.95)


def _vessels(batch: Batch, radius, bend, size: int) -> np.ndarray:
    u = batch.person
    lines: np.ndarray | float = 0.0
    for place, draw in ((-1.35, u[15]), (-1.95, u[16]), (1.30, u[17]), (1.95, u[18])):
        away = _turn(bend - place - 0.4 * (draw - 0.5)) * radius
        lines = lines + band(away, 0.018 + 0.6 / size) * np.clip(1.4 - radius, 0, 1)
    return 45 * np.minimum(lines, 1.2)


def _invalidate(layer, batch: Batch, x, y, radius, size: int) -> np.ndarray:
    u, v = batch.person, batch.image
    oval = np.hypot(x / (0.9 + 0.1 * u[19]), y) < 0.20 + 0.08 * u[20]
    cut = 1.02 - 0.25 * np.clip(v[2] - 0.75, 0, 1)
    border = (v[3] < 0.5) * (y > cut) + (v[3] >= 0.5) * (x > cut)
    return np.where(oval | (border > 0), np.float32(INVALID), layer.astype(np.float32))
