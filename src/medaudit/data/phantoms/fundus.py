"""Synthetic fundus images: the phantom of PAPILA.

They show retina, vessels, macula, optic disc and cup. Anatomy depends on the patient and the eye
(the disc is on the right in OD, on the left in OS), light and focus on the image. Glaucoma widens
the cup, makes the rim pale and thins the nerve fibres around the disc; all of it decreases with the
planted visibility.
"""

import cv2
import numpy as np
import pandas as pd

from medaudit.core.seeds import generator
from medaudit.data.phantoms.chest.planted import read_visibility
from medaudit.data.phantoms.marks import draw_pictures

APERTURE = 0.96
FUNDUS = np.array((0.72, 0.34, 0.16), np.float32)
DISC = np.array((0.22, 0.30, 0.22), np.float32)
CUP = np.array((0.06, 0.19, 0.17), np.float32)
BLOOD = np.array((-0.26, -0.20, -0.08), np.float32)
GRAIN = 0.02
HEALTHY = {"cup": (0.42, 0.11), "pale": (0.0, 0.15), "thin": (0.0, 0.10)}
GLAUCOMA = {"cup": (0.70, 0.11), "pale": (0.45, 0.20), "thin": (0.40, 0.20)}
"""Mean and standard deviation of cup-to-disc ratio, pallor of the rim and loss of fibres."""


def render(rows: pd.DataFrame, settings: dict, image_size: int, threads: int = 1) -> np.ndarray:
    """Draw one image for each row.

    Parameters
    ----------
    rows : pandas.DataFrame
        ``image_id``, ``patient_id``, ``age``, ``view`` (``OD`` or ``OS``), ``y_glaucoma`` (1:
        glaucoma, 0: none, missing: half of its changes).
    settings : dict
        A dataset's entry; ``phantom`` has ``planted`` (the finding is ``glaucoma``), ``marks``
        and ``seed`` (see `medaudit.data.phantoms.skin.render`).
    image_size : int
        Side in pixels, at least 16.
    threads : int
        Number of images drawn at the same time.

    Returns
    -------
    numpy.ndarray
        uint8 ``[n, image_size, image_size, 3]``, red, green, blue. An image depends only on its
        own row, the settings and the size.
    """
    phantom = settings.get("phantom") or {}
    visible = read_visibility(rows, phantom, ["glaucoma"], canonical=str)["glaucoma"]
    strength = rows["y_glaucoma"].fillna(0.5).to_numpy(np.float32) * visible
    return draw_pictures(rows, strength, phantom, image_size, threads, _draw)


def _draw(row: dict, strength: float, seed: int, size: int) -> np.ndarray:
    patient = generator("phantom fundus", seed, row["patient_id"])
    eye = generator("phantom fundus", seed, row["patient_id"], row["view"])
    age = row["age"] if row["age"] == row["age"] else 60.0  # NaN differs from itself
    centres = (np.arange(size, dtype=np.float32) + 0.5) * np.float32(2 / size) - 1
    x, y = np.broadcast_arrays(centres[None, :], centres[:, None])
    radius = np.sqrt(x * x + y * y)
    side = -1.0 if row["view"] == "OS" else 1.0
    disc = (side * eye.uniform(0.34, 0.46), eye.uniform(-0.08, 0.08))
    picture = _retina(patient, eye, x, y, radius, disc)
    _add_fibres(picture, eye, strength, x, y, disc)
    _add_disc(picture, eye, strength, x, y, disc)
    picture += _vessels(eye, size, disc, side)[..., None] * BLOOD
    return _expose(picture, eye, radius, age)


def _retina(patient, eye, x, y, radius, disc) -> np.ndarray:
    """Return the background: bright in the middle, dark at the macula, in the patient's colour."""
    pigment = patient.uniform(0.75, 1.1) * (1 + 0.08 * patient.standard_normal(3))
    shade = 1.02 - 0.28 * radius * radius + _cloud(eye, 9, len(x), 0.03)
    picture = shade[..., None] * (FUNDUS * pigment.astype(np.float32))
    macula = np.exp(-((x + 0.55 * disc[0]) ** 2 + (y - 0.05) ** 2) / 0.03)
    return picture * (1 - 0.28 * macula[..., None]).astype(np.float32)


def _add_fibres(picture, eye, strength: float, x, y, disc) -> None:
    """Add the sheen of the nerve fibres above and below the disc, which glaucoma thins."""
    loss = np.clip(_spread(eye, "thin", strength), 0, 1)
    away = np.hypot(x - disc[0], (np.abs(y - disc[1]) - 0.28) * 1.3)
    sheen = np.exp(-(away**2) / 0.05) * 0.09 * (1 - loss)
    picture += sheen[..., None].astype(np.float32) * np.array((0.6, 1.0, 0.7), np.float32)


def _add_disc(picture, eye, strength: float, x, y, disc) -> None:
    """Add the optic disc with its cup, and the pale ring that often accompanies glaucoma."""
    height = eye.uniform(0.17, 0.23)
    width = height * eye.uniform(0.82, 0.96)
    soft = max(0.05, 2.2 / len(x))
    cup = np.clip(_spread(eye, "cup", strength), 0.12, 0.92)
    pale = np.clip(_spread(eye, "pale", strength), 0, 1)
    dx, dy = x - np.float32(disc[0]), y - np.float32(disc[1])
    whole = _ellipse(dx, dy, width, height, soft)
    shift = eye.normal(0, 0.05) * height
    hole = _ellipse(dx, dy - shift, width * cup * 0.95, height * cup, soft)
    ring = _ellipse(dx, dy, width * 1.3, height * 1.25, 2 * soft) - whole
    rim = DISC * np.float32(1 + 0.35 * pale) + np.float32(0.06 * pale)
    picture += whole[..., None] * rim + hole[..., None] * (CUP * np.float32(1 - 0.2 * pale))
    picture += ring[..., None] * np.float32(0.10 * pale)


def _spread(eye: np.random.Generator, trait: str, strength: float) -> float:
    """Return a trait between its healthy and its glaucomatous value for this eye."""
    draw = eye.standard_normal()
    healthy, ill = (mean + spread * draw for mean, spread in (HEALTHY[trait], GLAUCOMA[trait]))
    return (1 - strength) * healthy + strength * ill


def _ellipse(dx, dy, width: float, height: float, soft: float) -> np.ndarray:
    radius = np.sqrt((dx / np.float32(width)) ** 2 + (dy / np.float32(height)) ** 2)
    t = np.clip((1 - radius) * np.float32(min(width, height) / soft) + np.float32(0.5), 0, 1)
    return t * t * (3 - 2 * t)


def _vessels(eye: np.random.Generator, size: int, disc, side: float) -> np.ndarray:
    """Return the arcades that leave the disc up and down and bend around the macula."""
    fine = max(128, size)
    canvas = np.zeros((fine, fine), np.uint8)
    t = np.linspace(0, 1, 14)
    for up in (-1, 1):
        for reach, width in ((1.25, 0.016), (1.05, 0.011), (0.7, 0.008), (-0.45, 0.009)):
            bend = eye.uniform(0.42, 0.62) * up
            x = disc[0] - side * reach * t**1.3 + 0.02 * eye.standard_normal()
            y = disc[1] + bend * np.sin(t * eye.uniform(1.9, 2.4)) * (0.6 + 0.4 * abs(reach))
            y += 0.015 * np.cumsum(eye.standard_normal(len(t)))
            points = ((np.stack([x, y], 1) + 1) * (fine / 2) * 8).astype(np.int32)
            thick = max(1, round(width * fine * eye.uniform(0.8, 1.2)))
            cv2.polylines(canvas, [points], False, 255, thick, cv2.LINE_AA, 3)
    return cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA) * np.float32(1 / 255)


def _cloud(rng: np.random.Generator, cells: int, size: int, strength: float) -> np.ndarray:
    coarse = rng.standard_normal((cells, cells), np.float32) * np.float32(strength)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)


def _expose(picture, eye, radius, age: float) -> np.ndarray:
    """Apply lens, focus and light; an old lens is yellow and lowers contrast."""
    size = len(picture)
    haze = np.float32(np.clip((age - 45) / 45, 0, 1) * eye.uniform(0.1, 0.5))
    veil = np.array((0.52, 0.34, 0.16), np.float32)
    picture = picture * (1 - haze) + haze * veil
    blur = eye.uniform(0.0, 0.012) * size
    if blur > 0.3:
        picture = cv2.GaussianBlur(picture, (0, 0), blur)
    picture = picture * np.float32(eye.uniform(0.85, 1.12))
    picture += np.float32(GRAIN) * eye.standard_normal((size, size, 1), np.float32)
    inside = np.clip((APERTURE - radius) * (size / 3), 0, 1)
    return np.clip(picture * inside[..., None] * 255 + 0.5, 0, 255).astype(np.uint8)
