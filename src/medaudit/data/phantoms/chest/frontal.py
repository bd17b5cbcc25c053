"""Frontal view of a chest without findings."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from medaudit.data.phantoms import shapes
from medaudit.data.phantoms.chest.traits import Traits

AIR = 0.40  # how much darker lung is than soft tissue


@dataclass(frozen=True)
class Chest:
    """Anatomical fields of n chests: arrays ``[n, size, size]`` or broadcastable to it.

    Attributes
    ----------
    x, y : numpy.ndarray
        Coordinates, see `shapes`.
    side : numpy.ndarray
        +1 on the patient's left, -1 on the right.
    out : numpy.ndarray
        0 in the middle of a lung, 1 at its outer wall or apex.
    floor : numpy.ndarray
        y of the diaphragm.
    lung, middle : numpy.ndarray
        Soft masks in [0, 1] of the lungs and of heart and mediastinum.
    markings : numpy.ndarray
        Brightness of the lungs' vessels.
    edge : float
        Width of a sharp edge.
    lungs, mediastinum : callable
        The functions that drew the masks, for findings that change their shape.
    """

    x: np.ndarray
    y: np.ndarray
    side: np.ndarray
    out: np.ndarray
    floor: np.ndarray
    lung: np.ndarray
    middle: np.ndarray
    markings: np.ndarray
    edge: float
    lungs: Callable[..., tuple[np.ndarray, ...]]
    mediastinum: Callable[..., np.ndarray]

    @property
    def seen(self) -> np.ndarray:
        """How visible a change inside the lung is: less where the heart projects over it."""
        return self.lung * (1 - 0.7 * self.middle)

    def take(self, rows: np.ndarray) -> "Chest":
        """Return the fields of some of the chests."""
        picked = {
            name: getattr(self, name)[rows]
            for name in ("out", "floor", "lung", "middle", "markings")
        }
        return replace(self, **picked)


def build(t: Traits, size: int) -> tuple[np.ndarray, Chest]:
    """Return images ``[n, size, size]`` of chests without findings, and their fields."""
    x, y = shapes.make_grid(size)
    edge = max(0.03, 3 / size)
    side = np.sign(x)
    out, floor, lung = lungs(t, x, y, edge)
    middle = mediastinum(t, x, y, edge)
    markings = 0.16 * _vessels(t, size) * lung * (1 - 0.6 * middle)
    chest = Chest(x, y, side, out, floor, lung, middle, markings, edge, lungs, mediastinum)
    return _compose(t, chest), chest


def lungs(t: Traits, x, y, edge: float, flatten=0.0) -> tuple[np.ndarray, ...]:
    """Return ``out``, ``floor`` and ``lung`` of `Chest`; `flatten` lowers and flattens the dome."""
    a = np.abs(x)
    widest = np.float32(0.22)
    up = np.clip((widest - y) / (widest - t.apex), 0, None)
    down = np.clip((y - widest) / 1.5, 0, None)
    centre = 0.53 * t.wall - 0.11 * up * up
    out = np.square((a - centre) / (0.49 * t.wall)) + up * up * up + down * down
    dome = np.where(x > 0, t.dome_left, t.dome_right) + 0.14 * flatten
    floor = dome + (2.1 - 1.5 * flatten) * np.square(a - 0.55 * t.wall)
    inside = 0.25 * t.wall * (1 - out)  # approximates the distance to the wall
    return out, floor, shapes.ramp(inside, edge) * shapes.ramp(floor - y, edge)


def mediastinum(t: Traits, x, y, edge: float, heart=1.0, wide=0.0) -> np.ndarray:
    """Return the mask of heart and mediastinum; `heart` scales the heart, `wide` widens above."""
    size = t.heart * heart
    dx, dy = x - 0.08 - 0.11 * size, y - 0.38 + 0.08 * size
    along, across = dx + 0.45 * dy, dy - 0.30 * dx
    left = 1 - np.hypot(along / (0.285 * size), across / (0.25 * size))
    right = 1 - np.hypot((x + 0.02) / (0.175 * size), (y - 0.20) / (0.27 * size))
    radius = 0.06 + 0.02 * t.knob
    knob = radius - np.hypot(x - 0.085 - 0.035 * t.knob, y + 0.30 - 0.02 * t.old)
    vessel = 0.125 + 0.03 * t.old + wide * (0.11 + 0.04 * np.sign(x))
    column = vessel - np.abs(x - 0.012) + 0.12 * np.square(np.clip(-0.45 - y, 0, 1))
    depth = _union(_union(0.2 * left, 0.2 * right, 0.05), _union(column, knob, 0.04), 0.05)
    return shapes.ramp(depth, 1.3 * edge)


def _union(a: np.ndarray, b: np.ndarray, blend: float) -> np.ndarray:
    return 0.5 * (a + b + np.sqrt(np.square(a - b) + np.float32(blend * blend))) - 0.25 * blend


def _vessels(t: Traits, size: int) -> np.ndarray:
    bank = shapes.vessels(size)
    half = size // 2
    left = bank[(t.tree_left.ravel() * shapes.BANK).astype(int)]
    right = bank[(t.tree_right.ravel() * shapes.BANK).astype(int), :, ::-1]
    return np.concatenate([right[:, :, :half], left[:, :, half:]], axis=2)


def _compose(t: Traits, c: Chest) -> np.ndarray:
    body, tissue = _body(t, c)
    lung = c.lung * (1 - c.middle)
    picture = tissue - AIR * lung + 0.06 * c.middle + c.markings
    picture += _spine(t, c) + _bones(t, c) * (0.35 + 0.65 * c.lung * (1 - 0.8 * c.middle))
    picture -= _trachea(c)
    picture += _breasts(t, c) + _calcium(t, c)
    return picture * body + 0.03


def _body(t: Traits, c: Chest) -> tuple[np.ndarray, np.ndarray]:
    a = np.abs(c.x)
    half = t.wall + 0.12 + 0.16 * t.fat + 0.5 * shapes.ramp(-0.42 - c.y, 0.5)
    slope = -1.02 + (0.42 + 0.1 * (1 - t.fat)) * np.clip(a - 0.24, 0, 1)
    body = shapes.ramp(half - a, 0.06) * shapes.ramp(c.y - slope, 0.06)
    thick = 1 - 0.22 * np.square(c.x / half)
    tissue = (0.56 + 0.03 * t.fat) * thick + 0.12 * shapes.ramp(c.y - c.floor - 0.1, 0.5)
    return body, tissue


def _spine(t: Traits, c: Chest) -> np.ndarray:
    column = shapes.ramp(0.085 - np.abs(c.x), 0.05)
    discs = 0.75 + 0.25 * np.cos((c.y * 2 * np.pi) / (t.rib_spacing * 0.95))
    return 0.10 * t.bone * column * discs


def _bones(t: Traits, c: Chest) -> np.ndarray:
    a = np.abs(c.x)
    r = a / t.wall
    back = -0.16 * np.sin(np.float32(2.4) * r) + 0.20 * r * r * r
    wave = np.cos((c.y - back) * (2 * np.pi / t.rib_spacing) + 2 * np.pi * t.rib_phase)
    posterior = np.clip(wave + 0.15, 0, None) * shapes.ramp(t.wall + 0.03 - a, 0.06)
    posterior = posterior * shapes.ramp(0.75 - c.y, 0.3) * shapes.ramp(a - 0.07, 0.06)
    front = 0.42 * (1 - r)
    wave = np.cos((c.y - front) * (2 * np.pi / (1.2 * t.rib_spacing)) + 6 * t.rib_phase)
    anterior = np.clip(wave - 0.2, 0, None) * shapes.ramp(r - 0.45, 0.3)
    anterior = anterior * shapes.ramp(1.02 - r, 0.06)
    line = t.clavicle + 0.10 - 0.26 * r + 0.05 * np.sin(np.float32(5) * r)
    clavicle = shapes.band(c.y - line, 0.026) * shapes.ramp(a - 0.12, 0.06)
    blade = c.y - (-0.35 + 1.9 * (a - t.wall + 0.12 * t.ap))
    scapula = shapes.ramp(-np.abs(blade) + 0.22, 0.1) * shapes.ramp(a - t.wall + 0.16, 0.1)
    scapula = scapula * shapes.ramp(0.1 - c.y, 0.2)
    return t.bone * (0.105 * posterior + 0.06 * anterior + 0.14 * clavicle + 0.05 * scapula)


def _trachea(c: Chest) -> np.ndarray:
    return 0.12 * shapes.ramp(0.035 - np.abs(c.x), 0.04) * shapes.ramp(-0.15 - c.y, 0.1)


def _breasts(t: Traits, c: Chest) -> np.ndarray:
    sag = 0.05 * t.old
    shape = shapes.disc(
        np.abs(c.x), c.y, 0.42, 0.30 + sag, 0.30 + 0.06 * t.fat, 0.27 + 0.05 * t.fat, 0.10
    )
    lower = shapes.ramp(c.y - 0.02 - sag, 0.5)
    return 0.13 * t.breast * shape * lower


def _calcium(t: Traits, c: Chest) -> np.ndarray:
    radius = np.hypot(c.x - 0.10 - 0.035 * t.knob, c.y + 0.33)
    arc = shapes.band(radius - 0.07 - 0.028 * t.knob, 0.018) * shapes.ramp(c.x - 0.10, 0.05)
    return 0.35 * t.calcium * arc
