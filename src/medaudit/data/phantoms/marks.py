"""Spurious marks on phantoms: correlated with the finding in training, but not elsewhere.

A mark imitates an artefact of a camera. Two kinds of images differ in the sign of a stripe pattern:
columns, each one pixel wide at any size, alternate by less than the grain of the skin. A backbone
trained on images without the pattern hardly responds to it; one that is fine-tuned from its first
layer learns it within a few steps.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.seeds import generator
from medaudit.data.phantoms.chest.planted import match_rows

CONTRAST = 10
"""Grey levels (of 255) by which a column differs from the image without the mark."""


def read_marks(rows: pd.DataFrame, phantom: dict) -> np.ndarray:
    """Return the mark of each image, int8 ``[n]``: 1 or -1 for the two kinds, 0 for none.

    Parameters
    ----------
    rows : pandas.DataFrame
        Has ``image_id`` and the columns that the rules name.
    phantom : dict
        ``marks`` is a list of rules ``{"where": {...}, "chance": 0..1}``. `where` is as in a
        planted rule and can also name ``split`` and labels, e.g. ``{split: train, malignant: 1}``.
        The last rule that applies to a row decides: the image has the first kind of mark with this
        probability, otherwise the second. Without a rule there is no mark.

    Raises
    ------
    MedauditError
        A rule has an unknown key or column, or its chance is outside [0, 1].
    """
    chance = np.full(len(rows), np.nan)
    for rule in phantom.get("marks") or []:
        if set(rule) != {"where", "chance"} or not 0 <= rule["chance"] <= 1:
            raise MedauditError(
                f"phantom: the mark {rule} is not valid; it takes `where` and a `chance` from 0 to 1"
            )
        chance[match_rows(rows, rule["where"])] = rule["chance"]
    marks = np.zeros(len(rows), np.int8)
    for k in np.flatnonzero(~np.isnan(chance)):
        draw = generator("phantom mark", rows["image_id"].iloc[k]).random()
        marks[k] = 1 if draw < chance[k] else -1
    return marks


def draw_mark(picture: np.ndarray, mark: int) -> None:
    """Draw a mark, 1 or -1, on an image ``[size, size, 3]``, in place."""
    columns = np.where(np.arange(picture.shape[1]) % 2, CONTRAST, -CONTRAST) * int(mark)
    picture[:] = np.clip(picture + columns[None, :, None], 0, 255)


def draw_pictures(
    rows: pd.DataFrame,
    strengths: np.ndarray,
    phantom: dict,
    size: int,
    threads: int,
    draw: Callable[[dict, float, int, int], np.ndarray],
) -> np.ndarray:
    """Draw one colour image with its mark for each row: uint8 ``[n, size, size, 3]``.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of the manifest or cohort.
    strengths : numpy.ndarray
        Visibility of the finding in each image, ``[n]`` in [0, 1].
    phantom : dict
        ``seed`` and ``marks``.
    size, threads : int
        Side in pixels; number of threads.
    draw : callable
        Takes a row as a dict, its strength, the seed and the size; returns an image.
    """
    marks = read_marks(rows, phantom)
    pictures = np.empty((len(rows), size, size, 3), np.uint8)
    records = rows.to_dict("records")

    def fill(k: int) -> None:
        pictures[k] = draw(records[k], float(strengths[k]), phantom.get("seed", 0), size)
        if marks[k]:
            draw_mark(pictures[k], marks[k])

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(fill, range(len(rows))))
    return pictures
