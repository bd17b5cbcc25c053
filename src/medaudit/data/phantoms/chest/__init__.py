"""Synthetic chest radiographs for the rows of a table, with findings at their anatomical places.

What is planted in them is known, so that an audit can be checked against it. Anatomy depends on the
patient, pose and noise on the image, findings on the ``y_`` columns. Race changes nothing, except
through a planted visibility.
"""

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pandas as pd

from medaudit.core.seeds import generator
from medaudit.data.phantoms.chest import findings, frontal, lateral
from medaudit.data.phantoms.chest.planted import read_findings, read_visibility
from medaudit.data.phantoms.chest.traits import IMAGE_DRAWS, PATIENT_DRAWS, describe, is_lateral

BATCH_PIXELS = 131_072  # small enough for the arrays of a batch to stay in the processor's cache
# Pose and exposure vary as much as the findings do, so that a linear model of the pixels is poor: a
# model has to find a sign wherever it is.
ROTATION = 24.0  # degrees, from one end of the range to the other
ZOOM = 0.32  # likewise, as the logarithm of the magnification
SHIFT = 0.18  # likewise, as a share of the image's side
NOISE = 0.025
CLUTTER = 0.05


def render(rows: pd.DataFrame, settings: dict, image_size: int, threads: int = 1) -> np.ndarray:
    """Draw one image for each row of a manifest or cohort.

    Parameters
    ----------
    rows : pandas.DataFrame
        ``image_id``, ``patient_id``, ``age``, ``view``, ``y_<finding>`` (1 is drawn; 0 and missing
        are not), and the ``a_`` columns that the planted rules name.
    settings : dict
        A dataset's entry; ``phantom`` has ``planted`` (see `planted.read_visibility`) and
        ``seed`` (default 0).
    image_size : int
        Side in pixels, at least 16.
    threads : int
        Number of batches drawn at the same time.

    Returns
    -------
    numpy.ndarray
        uint8 ``[n, image_size, image_size]``. An image depends only on its own row, the settings
        and the size, not on other rows or their order.

    Raises
    ------
    MedauditError
        A finding cannot be drawn, or a planted rule is not valid.
    """
    present = read_findings(rows)
    visible = read_visibility(rows, settings.get("phantom") or {}, list(present))
    seed = (settings.get("phantom") or {}).get("seed", 0)
    pictures = np.empty((len(rows), image_size, image_size), np.uint8)

    def draw(part: np.ndarray) -> None:
        strength = {name: present[name][part] * visible[name][part] for name in present}
        pictures[part] = _draw_batch(rows.iloc[part], strength, seed, image_size)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(draw, _batches(rows, image_size)))
    return pictures


def _batches(rows: pd.DataFrame, size: int) -> list[np.ndarray]:
    """Return the row positions of each batch; a batch has only frontal or only lateral views."""
    sideways = is_lateral(rows)
    step = max(1, BATCH_PIXELS // size**2)
    groups = [np.flatnonzero(~sideways), np.flatnonzero(sideways)]
    return [group[i : i + step] for group in groups for i in range(0, len(group), step)]


def _draw_batch(rows: pd.DataFrame, strength: dict, seed: int, size: int) -> np.ndarray:
    patient = [generator("phantom", seed, p).random(PATIENT_DRAWS) for p in rows["patient_id"]]
    streams = [
        generator("phantom", seed, p, i)
        for p, i in zip(rows["patient_id"], rows["image_id"], strict=True)
    ]
    image = np.stack([stream.random(IMAGE_DRAWS) for stream in streams])
    details = np.stack([stream.random(findings.DRAWS, np.float32) for stream in streams])
    traits = describe(rows, np.stack(patient), image)
    view = lateral if is_lateral(rows)[0] else frontal
    picture, chest = view.build(traits, size)
    findings.add(picture, chest, traits, strength, details)
    picture = traits.brightness + traits.contrast * picture
    return np.stack(
        [
            _expose(one, draws, stream)
            for one, draws, stream in zip(picture, image, streams, strict=True)
        ]
    )


def _expose(picture: np.ndarray, draws: np.ndarray, stream: np.random.Generator) -> np.ndarray:
    """Return the picture in its pose, with noise, as uint8."""
    size = len(picture)
    angle, zoom = ROTATION * (draws[4] - 0.5), float(np.exp(ZOOM * (draws[5] - 0.5)))
    centre = ((size - 1) / 2, (size - 1) / 2)
    pose = cv2.getRotationMatrix2D(centre, angle, zoom).astype(np.float64)
    pose[:, 2] += SHIFT * size * (draws[6:8] - 0.5)
    picture = np.asarray(
        cv2.warpAffine(picture, pose, (size, size), borderMode=cv2.BORDER_REPLICATE)
    )
    clutter = stream.standard_normal((6, 6), np.float32)
    picture += CLUTTER * cv2.resize(clutter, (size, size), interpolation=cv2.INTER_CUBIC)
    picture += NOISE * stream.standard_normal((size, size), np.float32)
    return np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8)
