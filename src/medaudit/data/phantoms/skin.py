"""Synthetic images of a skin lesion: the phantom of HAM10000 and Fitzpatrick17k.

Shape and colours depend on the lesion, pose and light on the image. The tone of the skin follows
the Fitzpatrick type and does not change the lesion: it darkens any skin by the same amount. So a
difference between skin types is planted or due to chance. The signs of a malignant lesion
(irregular border, several colours, asymmetry) decrease with its planted visibility; at 0 it looks
like a nevus.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd

from medaudit.core.seeds import generator
from medaudit.data.phantoms.chest.planted import read_visibility
from medaudit.data.phantoms.marks import draw_pictures

TONES = {  # red, green, blue of skin by Fitzpatrick type
    "type 1": (232, 198, 180),
    "type 2": (222, 182, 158),
    "type 3": (204, 160, 132),
    "type 4": (176, 130, 102),
    "type 5": (146, 104, 80),
    "type 6": (122, 86, 68),
}
USUAL_TONES = (0.35, 0.42, 0.23)  # chances of types 1 to 3, if the table has no skin type
BORDER = np.arange(2, 8)  # waves around the border
GRAIN = 0.035


@dataclass(frozen=True)
class Look:
    """Appearance of a diagnosis; colours are added to those of the skin, in [0, 1]."""

    colour: tuple[float, float, float]
    radius: float = 0.40
    ragged: float = 0.05
    edge: float = 0.10
    variegated: float = 0.05
    spots: float = 0.0
    centre: float = 0.0
    red: float = 0.0
    solid: float = 1.0


NEVUS = Look((-0.19, -0.23, -0.23))
LOOKS = {
    "nv": NEVUS,
    "mel": Look((-0.27, -0.27, -0.23), 0.50, 0.11, 0.09, 0.12, spots=0.5),
    "akiec": Look((-0.06, -0.17, -0.15), 0.50, 0.11, 0.18, 0.10, spots=0.3, red=0.06),
    "bcc": Look((-0.02, -0.14, -0.11), 0.42, 0.07, 0.14, 0.07, centre=0.08, red=0.05),
    "bkl": Look((-0.15, -0.19, -0.20), 0.48, 0.07, 0.05, 0.08, spots=0.25),
    "df": Look((-0.13, -0.17, -0.16), 0.36, 0.04, 0.18, 0.04, centre=0.14),
    "vasc": Look((-0.10, -0.26, -0.21), 0.34, 0.05, 0.07, 0.04, red=0.04),
    "rash": Look((-0.02, -0.13, -0.11), 0.72, 0.12, 0.40, 0.05, red=0.03, solid=0.6),
}
PARTITIONS = {
    "malignant tumour": ("mel", "akiec"),
    "benign tumour": ("nv", "bkl", "df"),
    "other condition": ("rash", "rash", "nv"),
}


def render(rows: pd.DataFrame, settings: dict, image_size: int, threads: int = 1) -> np.ndarray:
    """Draw one image for each row.

    Parameters
    ----------
    rows : pandas.DataFrame
        ``image_id``, ``patient_id`` (the lesion), ``age``, ``y_malignant``, ``a_dx`` or
        ``a_partition``, and optionally ``a_sex`` and ``a_skin_type``.
    settings : dict
        A dataset's entry; ``phantom`` has ``planted`` (see
        `medaudit.data.phantoms.chest.planted.read_visibility`; the finding is ``malignant``),
        ``marks`` (`medaudit.data.phantoms.marks`: striped columns) and ``seed``.
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
    visible = read_visibility(rows, phantom, ["malignant"], canonical=str)["malignant"]
    return draw_pictures(rows, visible, phantom, image_size, threads, _draw)


def _draw(row: dict, visible: float, seed: int, size: int) -> np.ndarray:
    lesion = generator("phantom skin", seed, row["patient_id"])
    image = generator("phantom skin", seed, row["patient_id"], row["image_id"])
    tone = _tone(row, lesion)
    look = _look(row, visible, lesion)
    x, y = _pose(size, image)
    picture = _skin(row, tone, lesion, image, x, y)
    shade, colour = _lesion(look, lesion, x, y)
    picture += shade[..., None] * colour
    picture *= 1 + np.float32(0.16 * (image.random() - 0.5))
    picture += 0.03 * (image.random(3, np.float32) - np.float32(0.5))
    picture += GRAIN * image.standard_normal((size, size, 1), np.float32)
    return np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)


def _tone(row: dict, lesion: np.random.Generator) -> np.ndarray:
    usual = f"type {1 + lesion.choice(3, p=USUAL_TONES)}"
    tone = TONES.get(str(row.get("a_skin_type")), TONES[usual])
    return np.array(tone, np.float32) / 255


def _look(row: dict, visible: float, lesion: np.random.Generator) -> dict[str, np.ndarray]:
    """Return the parameters of a lesion: those of its diagnosis, each times a random factor."""
    draw = lesion.random()
    kind = row.get("a_dx")
    if kind not in LOOKS:
        kinds = PARTITIONS[row["a_partition"]]
        kind = kinds[int(draw * len(kinds))]
    look, plain = LOOKS[kind], NEVUS
    share = visible if row["y_malignant"] == 1 else 1.0
    spread = dict.fromkeys(vars(look), 1.0) | {
        "radius": lesion.uniform(0.7, 1.2),
        "ragged": lesion.uniform(0.3, 2.2),
        "edge": lesion.uniform(0.6, 1.6),
        "variegated": lesion.uniform(0.3, 2.2),
        "colour": lesion.uniform(0.65, 1.25),
        "spots": lesion.uniform(0.2, 1.8),
    }
    return {
        name: spread[name]
        * (share * np.asarray(value, np.float32) + (1 - share) * np.asarray(getattr(plain, name)))
        for name, value in vars(look).items()
    }


def _pose(size: int, image: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return each pixel's x and y in the lesion's own plane, ``[size, size]`` each, centre at 0."""
    centres = (np.arange(size, dtype=np.float32) + 0.5) * np.float32(2 / size) - 1
    angle, zoom = image.uniform(0, 2 * np.pi), image.uniform(0.85, 1.15)
    shift = image.uniform(-0.12, 0.12, 2)
    x, y = centres[None, :] - np.float32(shift[0]), centres[:, None] - np.float32(shift[1])
    cos, sin = np.float32(np.cos(angle) / zoom), np.float32(np.sin(angle) / zoom)
    return cos * x + sin * y, cos * y - sin * x


def _skin(row: dict, tone: np.ndarray, lesion, image, x, y) -> np.ndarray:
    """Return skin with light and shade; more freckles with age, hair more often in men."""
    size = len(x)
    age = row["age"] if row["age"] == row["age"] else 45.0
    shade = _cloud(image, 4, size, 0.04) + _cloud(lesion, 24, size, 0.012 + 0.0003 * age)
    picture = tone * (1 + shade[..., None])
    picture[..., 0] += _cloud(lesion, 6, size, 0.012)
    hairs = int(image.integers(0, 9 if row.get("a_sex") == "male" else 4))
    return _draw_hairs(picture, hairs, image) if hairs > 2 else picture


def _cloud(rng: np.random.Generator, cells: int, size: int, strength: float) -> np.ndarray:
    coarse = rng.standard_normal((cells, cells), np.float32) * np.float32(strength)
    return cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)


def _draw_hairs(picture: np.ndarray, hairs: int, image: np.random.Generator) -> np.ndarray:
    size = len(picture)
    canvas = np.zeros((size, size), np.uint8)
    ends = image.uniform(0, size, (hairs, 2))
    way = image.uniform(0, 2 * np.pi) + image.normal(0, 0.3, hairs)
    reach = size * image.uniform(0.3, 0.7, (hairs, 1)) * np.stack([np.cos(way), np.sin(way)], 1)
    bend = 0.15 * size * image.standard_normal((hairs, 2))
    for start, step, curve in zip(ends, reach, bend, strict=True):
        t = np.linspace(0, 1, 6)[:, None]
        points = start + t * step + (t * (1 - t)) * curve
        cv2.polylines(canvas, [(points * 8).astype(np.int32)], False, 255, 1, cv2.LINE_AA, 3)
    return picture * (1 - canvas[..., None] * np.float32(0.5 / 255))


def _lesion(look: dict, lesion: np.random.Generator, x, y) -> tuple[np.ndarray, np.ndarray]:
    """Return the lesion's mask in [0, 1], and the colour it adds, ``[size, size, 3]``."""
    size = len(x)
    distance = np.sqrt(x * x + y * y) + np.float32(1e-6)
    border = _border(look, lesion, x / distance, y / distance)
    shade = np.clip((border - distance) / np.float32(look["edge"]) + np.float32(0.5), 0, 1)
    shade *= shade * (3 - 2 * shade)
    patches = _warp(lesion, 7, x, y)
    dark = np.clip(_warp(lesion, 11, x, y) - np.float32(0.9), 0, 1) * look["spots"]
    middle = np.clip(1 - distance / np.float32(0.5 * look["radius"]), 0, 1) * look["centre"]
    light = np.float32(look["variegated"]) * patches - np.float32(0.35) * dark + middle
    colour = np.minimum(look["colour"] + light[..., None], np.float32(0.03))
    colour[..., 0] += look["red"] * _warp(lesion, 5, x, y)
    colour[..., 2] += 0.5 * look["variegated"] * _warp(lesion, 5, x, y)
    if look["solid"] < 1:  # a rash has healthy skin in between
        shade = shade * np.clip(np.float32(look["solid"]) + 0.5 * _cloud(lesion, 9, size, 1), 0, 1)
    return shade, colour


def _border(look: dict, lesion: np.random.Generator, cos, sin) -> np.ndarray:
    """Return the border's radius in each pixel's direction: a circle plus waves."""
    # cos(n * angle) for all n by complex powers of (cos + i sin), which is faster than arctan2.
    swing = np.float32(look["ragged"]) * lesion.standard_normal(len(BORDER)) / (BORDER - 1) ** 0.8
    phase = lesion.uniform(0, 2 * np.pi, len(BORDER))
    turn = (cos + 1j * sin).astype(np.complex64)
    power, wave = turn, np.zeros(cos.shape, np.float32)
    for height, start in zip(swing, phase, strict=True):
        power = power * turn
        wave += (power * np.complex64(height * np.exp(1j * start))).real
    return np.float32(look["radius"]) * np.clip(1 + wave, 0.35, 1.9)


def _warp(lesion: np.random.Generator, cells: int, x, y) -> np.ndarray:
    """Return a cloudy texture in the lesion's own plane, so that it turns with the lesion."""
    coarse = lesion.standard_normal((cells, cells), np.float32)
    half = np.float32((cells - 1) / 2)
    return cv2.remap(
        coarse, (x * half + half), (y * half + half), cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
