"""Lateral view of a chest without findings; the patient looks to the left of the image."""

import numpy as np

from medaudit.data.phantoms import shapes
from medaudit.data.phantoms.chest.frontal import AIR, Chest
from medaudit.data.phantoms.chest.traits import Traits

SPINE = 0.50


def build(t: Traits, size: int) -> tuple[np.ndarray, Chest]:
    """Return images ``[n, size, size]`` of chests without findings, and their fields."""
    x, y = shapes.make_grid(size)
    edge = max(0.03, 3 / size)
    out, floor, lung = lungs(t, x, y, edge)
    middle = mediastinum(t, x, y, edge)
    bank = shapes.vessels(size)
    trees = bank[(t.tree_left.ravel() * shapes.BANK).astype(int)]
    trees = np.maximum(trees, trees[:, :, ::-1])
    markings = 0.12 * trees * lung * (1 - 0.6 * middle)
    chest = Chest(x, y, np.sign(x), out, floor, lung, middle, markings, edge, lungs, mediastinum)
    return _compose(t, chest), chest


def lungs(t: Traits, x, y, edge: float, flatten=0.0) -> tuple[np.ndarray, ...]:
    """Return ``out``, ``floor`` and ``lung`` of `Chest`; `flatten` lowers and flattens the dome."""
    up = np.clip((0.20 - y) / (0.20 - t.apex), 0, None)
    down = np.clip((y - 0.20) / 1.5, 0, None)
    centre = 0.02 + 0.10 * up * up
    depth = 0.86 * t.wall * (1 + 0.10 * flatten)
    out = np.square((x - centre) / depth) + up * up * up + down * down
    dome = t.dome_right - 0.02 + 0.12 * flatten
    floor = dome + (0.85 - 0.5 * flatten) * np.square(x + 0.12)
    return out, floor, shapes.ramp(0.3 * (1 - out), edge) * shapes.ramp(floor - y, edge)


def mediastinum(t: Traits, x, y, edge: float, heart=1.0, wide=0.0) -> np.ndarray:
    """Return the mask of heart and great vessels; `heart` scales the heart, `wide` widens above."""
    size = t.heart * heart
    dx, dy = x + 0.26 - 0.08 * (size - 1), y - 0.26
    along, across = dx - 0.5 * dy, dy + 0.5 * dx
    core = 1 - np.hypot(along / (0.29 * size), across / (0.35 * size))
    arch = 0.10 + 0.03 * t.knob + 0.10 * wide - np.hypot(x - 0.06, 0.8 * (y + 0.32))
    root = np.minimum(0.10 + 0.10 * wide - np.abs(x + 0.02 + 0.3 * y), 0.05 - np.abs(y + 0.1) / 4)
    band = shapes.ramp(np.maximum(arch, root), 3 * edge)
    return np.maximum(shapes.ramp(0.2 * core, 1.6 * edge), 0.6 * band)


def _compose(t: Traits, c: Chest) -> np.ndarray:
    body, tissue = _body(t, c)
    lung = c.lung * (1 - c.middle)
    picture = tissue - AIR * lung + 0.04 * c.middle + c.markings
    picture += t.bone * (_spine(t, c) + _ribs(t, c))
    picture -= (
        0.10
        * shapes.ramp(0.035 - np.abs(c.x - 0.10 - 0.1 * c.y), 0.04)
        * shapes.ramp(-0.15 - c.y, 0.1)
    )
    return picture * body + 0.03


def _body(t: Traits, c: Chest) -> tuple[np.ndarray, np.ndarray]:
    chest = 0.16 * t.breast * shapes.bell(np.square((c.y - 0.22 - 0.05 * t.old) / 0.22))
    front = -(t.wall + 0.02 + 0.14 * t.fat) - chest + 0.35 * shapes.ramp(-0.45 - c.y, 0.5)
    back = t.wall + 0.17 + 0.08 * t.fat - 0.1 * shapes.ramp(-0.6 - c.y, 0.4)
    body = shapes.ramp(c.x - front, 0.06) * shapes.ramp(back - c.x, 0.06)
    tissue = 0.56 + 0.10 * shapes.ramp(-0.45 - c.y, 0.5) + 0.12 * shapes.ramp(c.y - c.floor, 0.5)
    return body, tissue - 0.10 * shapes.ramp(front + 0.25 - c.x, 0.4)


def _spine(t: Traits, c: Chest) -> np.ndarray:
    middle = SPINE + 0.07 * np.cos(np.float32(2.2) * (c.y + 0.1)) * (1 + 0.6 * t.old) - 0.05
    column = shapes.ramp(0.10 - np.abs(c.x - middle), 0.05)
    discs = 0.7 + 0.3 * np.cos((c.y * 2 * np.pi) / (t.rib_spacing * 0.95))
    return 0.15 * column * discs


def _ribs(t: Traits, c: Chest) -> np.ndarray:
    slope = 0.45 * (SPINE - c.x)
    wave = np.cos((c.y - slope) * (2 * np.pi / t.rib_spacing) + 2 * np.pi * t.rib_phase)
    return 0.06 * np.clip(wave, 0, None) * c.lung
