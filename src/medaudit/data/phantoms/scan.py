"""Shared by the phantoms of scans: random numbers, planted visibility, batches.

A scan has the values of the owner's unit (Hounsfield units, micrometres); `show` makes an image of
it.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.seeds import generator
from medaudit.data.phantoms.chest.planted import read_visibility
from medaudit.data.readers.image_containers import to_grey

BATCH_PIXELS = 131_072  # small enough for the arrays of a batch to stay in the processor's cache
PERSON_DRAWS = 24
IMAGE_DRAWS = 12


@dataclass(frozen=True)
class Batch:
    """Rows that are drawn together. Arrays are float32 and broadcast to ``[n, size, size]``.

    Parameters
    ----------
    rows : pandas.DataFrame
        Rows of the cohort or manifest.
    person, image : list of numpy.ndarray
        Uniform random numbers of the row's person and of the image, each ``[n, 1, 1]``.
    finding : numpy.ndarray
        Visibility of the finding, 0 without it, ``[n, 1, 1]``.
    male, age : numpy.ndarray
        Sex (1 male) and age in years; drawn for the person where missing.
    streams : list of numpy.random.Generator
        Source of further random numbers of each image.
    """

    rows: pd.DataFrame
    person: list[np.ndarray]
    image: list[np.ndarray]
    finding: np.ndarray
    male: np.ndarray
    age: np.ndarray
    streams: list[np.random.Generator]

    def noise(self, size: int) -> np.ndarray:
        """Return white noise, mean 0, standard deviation 1, ``[n, size, size]``."""
        return np.stack([s.standard_normal((size, size), np.float32) for s in self.streams])


def make_grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return x (rightwards, ``[1, 1, size]``) and y (downwards, ``[1, size, 1]``), -1 to 1."""
    centres = (np.arange(size, dtype=np.float32) + 0.5) * np.float32(2 / size) - 1
    return centres[None, None, :], centres[None, :, None]


def draw_rows(
    rows: pd.DataFrame, settings: dict, task: str, size: int, draw: Callable, threads: int = 1
) -> np.ndarray:
    """Draw one scan for each row, in the owner's unit.

    Parameters
    ----------
    rows : pandas.DataFrame
        ``image_id``, ``patient_id``, ``age``, ``y_<task>`` (1 is drawn; 0 and missing are not),
        and the columns that the planted rules name.
    settings : dict
        A dataset's entry; ``phantom`` has ``planted`` (see `chest.planted.read_visibility`) and
        ``seed`` (default 0).
    task : str
        The only finding that can be drawn.
    size : int
        Side in pixels.
    draw : callable
        ``draw(batch, size)`` returns float32 ``[n, size, size]``.
    threads : int
        Number of batches drawn at the same time.

    Returns
    -------
    numpy.ndarray
        float32 ``[n, size, size]``. A scan depends only on its own row, the settings and the size.

    Raises
    ------
    MedauditError
        The rows have another finding, or a planted rule is not valid.
    """
    phantom = settings.get("phantom") or {}
    visible = _find(rows, task) * read_visibility(rows, phantom, [task], _only(task))[task]
    values = np.empty((len(rows), size, size), np.float32)

    def fill(start: int) -> None:
        part = slice(start, start + step)
        batch = _make_batch(rows.iloc[part], visible[part], phantom.get("seed", 0))
        values[part] = draw(batch, size)

    step = max(1, BATCH_PIXELS // size**2)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(fill, range(0, len(rows), step)))
    return values


def show(values: np.ndarray, settings: dict) -> np.ndarray:
    """Return scans as uint8 images, by the dataset's ``window``."""
    return to_grey(values, settings["window"])


def _find(rows: pd.DataFrame, task: str) -> np.ndarray:
    found = [column for column in rows.columns if column.startswith("y_")]
    if found != [f"y_{task}"]:
        raise MedauditError(
            f"phantom: cannot draw {[column[2:] for column in found]}; this dataset's phantom "
            f"draws only {task!r}. Set `folder` of the dataset to use real images"
        )
    return (rows[f"y_{task}"] == 1).to_numpy(np.float32)


def _only(task: str) -> Callable[[str], str]:
    def check(name: str) -> str:
        if name != task:
            raise MedauditError(
                f"phantom: a planted rule names {name!r}; the only finding is {task!r}"
            )
        return name

    return check


def _make_batch(rows: pd.DataFrame, finding: np.ndarray, seed: int) -> Batch:
    people = [generator("phantom", seed, p).random(PERSON_DRAWS) for p in rows["patient_id"]]
    streams = [
        generator("phantom", seed, p, i)
        for p, i in zip(rows["patient_id"], rows["image_id"], strict=True)
    ]
    person = _columns(np.stack(people))
    image = _columns(np.stack([stream.random(IMAGE_DRAWS) for stream in streams]))
    sex = rows["a_sex"].map({"male": 1.0, "female": 0.0}).to_numpy(float)[:, None, None]
    age = rows["age"].to_numpy(float)[:, None, None]
    male = np.where(np.isnan(sex), person[0] < 0.5, sex).astype(np.float32)
    years = np.where(np.isnan(age), 30 + 50 * person[1], age).astype(np.float32)
    return Batch(rows, person, image, _columns(finding[:, None])[0], male, years, streams)


def _columns(draws: np.ndarray) -> list[np.ndarray]:
    return [column[:, None, None] for column in draws.astype(np.float32).T]
