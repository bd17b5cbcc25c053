"""Synthetic abdominal CT slices at the third lumbar vertebra: the phantom of OL3I.

They are seen from the feet, anterior at the top. Build, fat and muscle depend on the person; age
reduces muscle and calcifies the aorta a little. Ischemic heart disease adds visceral fat, fat in
the muscle and calcium in the aortic wall; all three are multiplied by the planted visibility.
"""

import numpy as np
import pandas as pd

from medaudit.data.datasets.ol3i import TASK
from medaudit.data.phantoms.scan import Batch, draw_rows, make_grid, show
from medaudit.data.phantoms.shapes import band, blob, disc, patches, ramp

AIR, FAT, MUSCLE, BOWEL, MARROW, CORTEX = -1000.0, -100.0, 55.0, 40.0, 170.0, 600.0
NOISE = 12.0  # Hounsfield units at 64 pixels


def render(rows: pd.DataFrame, settings: dict, image_size: int, threads: int = 1) -> np.ndarray:
    """Draw a slice for each row: uint8 ``[n, image_size, image_size]`` (see `measure`)."""
    return show(measure(rows, settings, image_size, threads), settings)


def measure(rows: pd.DataFrame, settings: dict, size: int, threads: int = 1) -> np.ndarray:
    """Return slices in Hounsfield units, float32 ``[n, size, size]`` (see `scan.draw_rows`)."""
    return draw_rows(rows, settings, TASK, size, _draw, threads)


def _draw(batch: Batch, size: int) -> np.ndarray:
    u, v, found = batch.person, batch.image, batch.finding
    x, y = make_grid(size)
    edge = 2.5 / size
    x, y = x - 0.06 * (v[0] - 0.5), y - 0.02 - 0.05 * (v[1] - 0.5)
    old = np.clip((batch.age - 40) / 45, -0.3, 1.1)
    fat = np.clip(0.15 + 0.75 * u[2] + 0.12 * (1 - batch.male), 0, 1)
    visceral = np.clip(0.25 * batch.male + 0.45 * u[3] + 0.2 * old, 0, 1)
    visceral = visceral + found * (0.10 + 0.25 * v[2])
    lean = 1 - 0.22 * old - 0.25 * u[4] + 0.12 * batch.male
    density = MUSCLE - 18 * old - 25 * u[5] - found * (5 + 25 * v[3])

    wide = 0.60 + 0.05 * batch.male + 0.07 * visceral  # inner wall of the abdomen
    deep = 0.40 + 0.02 * batch.male + 0.11 * visceral
    skin = 0.03 + 0.15 * fat + 0.03 * (1 - batch.male)
    wall = 0.035 + 0.025 * lean
    hu = np.full((len(u[0]), size, size), AIR, np.float32)
    hu = _lay(hu, FAT - 5, _body(x, y, wide + wall + skin * 0.9, deep + wall + skin, edge))
    muscle = density * (0.9 + 0.2 * patches(size)[_pick(u[6])])
    hu = _lay(hu, muscle, _body(x, y, wide + wall, deep + wall, edge))
    cavity = _body(x, y + 0.06, wide, deep - 0.03, edge)
    hu = _lay(hu, FAT, cavity)
    hu = _lay(hu, FAT + 40 * (1 - visceral), cavity * patches(size)[_pick(v[4])])
    hu = _add_bowel(hu, batch, x, y, (wide, deep, visceral), cavity)
    hu = _add_back(hu, x, y, (muscle, lean, deep), edge)
    hu = _add_spine(hu, batch, x, y, deep, edge)
    hu = _add_vessels(hu, batch, x, y, (deep, old), edge)
    hu = _lay(hu, 120.0, _table(x, y, deep + wall + skin, edge))
    return hu + NOISE * (size / 64) ** 0.5 * batch.noise(size) * (hu > -900)


def _pick(draw: np.ndarray) -> np.ndarray:
    return (12 * draw[:, 0, 0]).astype(int)


def _lay(under: np.ndarray, value, cover: np.ndarray) -> np.ndarray:
    return under + cover * (value - under)


def _body(x, y, rx, ry, edge: float) -> np.ndarray:
    """Return the mask of an ellipse that is flatter at the back (below)."""
    below = np.where(y > 0, 1.08, 1.0)
    return disc(x, y * below, 0.0, 0.0, rx * 1.02, ry, edge)


def _add_bowel(hu, batch: Batch, x, y, build, cavity) -> np.ndarray:
    wide, deep, visceral = build
    loops = np.stack([stream.random((9, 5), np.float32) for stream in batch.streams])
    for number in range(9):
        a, r, size, gas, bright = (loops[:, number, k][:, None, None] for k in range(5))
        angle = np.pi * (1.0 + (number + a) / 9)  # the front half
        x0 = 0.80 * wide * (0.45 + 0.5 * r) * np.cos(angle)
        y0 = 0.72 * deep * (0.35 + 0.6 * r) * np.sin(angle) + 0.02
        radius = (0.085 + 0.07 * size) * (1.1 - 0.35 * np.minimum(visceral, 1.2))
        cover = cavity * disc(x, y, x0, y0, radius * (1 + 0.5 * a), radius, 0.05)
        hu = _lay(hu, BOWEL + 90 * np.square(bright), cover)
        pocket = disc(x, y, x0, y0 - 0.25 * radius, 0.7 * radius, 0.45 * radius, 0.04)
        hu = _lay(hu, -800.0, cover * pocket * (gas > 0.72))
    return hu


def _add_back(hu, x, y, build, edge: float) -> np.ndarray:
    """Add the psoas, quadratus lumborum and erector muscles on both sides of the spine."""
    muscle, lean, deep = build
    side = np.abs(x)
    for x0, y0, rx, ry in (
        (0.185, 0.50 * deep, 0.085, 0.105),
        (0.33, 0.66 * deep, 0.085, 0.055),
        (0.155, 0.98 * deep, 0.125, 0.085),
    ):
        grown = 0.75 + 0.3 * lean
        hu = _lay(hu, muscle + 4, disc(side, y, x0, y0, rx * grown, ry * grown, 2 * edge))
    return hu


def _add_spine(hu, batch: Batch, x, y, deep, edge: float) -> np.ndarray:
    u = batch.person
    marrow = MARROW + 70 * (u[7] - 0.5) - 1.6 * np.clip(batch.age - 40, 0, 50)
    middle = 0.46 * deep
    body = disc(x, y, 0.0, middle, 0.135, 0.105, edge)
    hu = _lay(hu, CORTEX, body)
    hu = _lay(hu, marrow, disc(x, y, 0.0, middle, 0.115, 0.086, edge))
    hu = _lay(hu, 25.0, disc(x, y, 0.0, middle + 0.15, 0.055, 0.045, edge))
    arch = band(np.hypot(x, (y - middle - 0.15) * 1.1) - 0.085, 0.022) * ramp(y - middle - 0.1, 0.1)
    hu = _lay(hu, CORTEX - 150, np.clip(1.3 * arch, 0, 1))
    process = disc(x, y, 0.0, middle + 0.29, 0.022, 0.085, edge)
    hu = _lay(hu, CORTEX - 200, process)
    wings = disc(np.abs(x), y - 0.25 * np.abs(x), 0.19, middle + 0.09, 0.085, 0.018, edge)
    return _lay(hu, CORTEX - 250, wings)


def _add_vessels(hu, batch: Batch, x, y, build, edge: float) -> np.ndarray:
    deep, old = build
    u, v = batch.person, batch.image
    contrast = 45 + 110 * (v[5] > 0.4) * (0.5 + v[6])
    top = 0.46 * deep - 0.165
    radius = 0.048 + 0.008 * batch.male + 0.010 * np.clip(old, 0, 1)
    hu = _lay(hu, contrast - 5, disc(x, y, -0.085, top + 0.015, radius * 1.15, radius * 0.9, edge))
    hu = _lay(hu, contrast + 10, disc(x, y, 0.045, top, radius, radius, edge))
    angle = 2 * np.pi * v[7]
    distance = np.hypot(x - 0.045, y - top) - radius
    around = 0.5 + 0.5 * np.cos(np.arctan2(y - top, x - 0.045) - angle)
    wall = band(distance, 0.022 + 0.6 * edge) * around**2
    calcium = 500 * np.clip(old - 0.5 - 0.5 * u[8], 0, 0.5)
    calcium = calcium + batch.finding * (700 * v[8])
    hu = hu + calcium * wall
    hilum = blob(np.abs(x), y, 0.42, 0.30 * deep, 0.05, 0.07)  # lower poles of the kidneys
    return _lay(hu, 35 + 0.6 * contrast, np.clip(1.4 * hilum, 0, 1) * (u[9] > 0.5))


def _table(x, y, bottom, edge: float) -> np.ndarray:
    """Return the mask of the curved table under the patient."""
    return band(y - bottom - 0.06 + 0.10 * np.square(x), 0.010 + 0.6 * edge) * ramp(
        0.8 - np.abs(x), 0.1
    )
