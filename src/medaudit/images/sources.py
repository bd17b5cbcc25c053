"""Where the pixels of a cohort's rows come from: the owner's files, or the phantom."""

import importlib
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import pandas as pd

from medaudit.datasets import dataset_folder
from medaudit.images.decode import BrokenPicture, decode_file


@dataclass(frozen=True)
class Part:
    """Pixels ``[n, ...]`` of some rows; those whose status is not ``ok`` are zero."""

    pixels: np.ndarray
    status: list[str]
    errors: list[str | None]


def read_files(rows: pd.DataFrame, settings: dict, threads: int) -> Part:
    """Decode the files of the rows; what cannot be read gets a status and the reason."""
    cv2.setNumThreads(1)  # the files are what runs in parallel
    folder, locate = _locator(settings["dataset"])
    size, channels = settings["image_size"], settings.get("channels", 1)
    pixels = np.zeros((len(rows), *picture_shape(settings)), np.uint8)

    def read(task: tuple[int, str]) -> tuple[str, str | None]:
        row, path = task
        status, error, picture = _read_one(partial(locate, folder), path, size, channels)
        if picture is not None:
            pixels[row] = picture
        return status, error

    with ThreadPoolExecutor(threads) as pool:
        results = list(pool.map(read, enumerate(rows["path"])))
    return Part(pixels, [status for status, _ in results], [error for _, error in results])


def draw_phantoms(rows: pd.DataFrame, settings: dict, threads: int) -> Part:
    """Draw a phantom for each of the rows."""
    from medaudit.datasets.phantom import render

    pixels = render(rows, settings["dataset"], settings["image_size"], threads)
    if settings.get("channels", 1) == 3:
        pixels = np.repeat(pixels[..., None], 3, axis=3)
    return Part(pixels, ["ok"] * len(rows), [None] * len(rows))


def picture_shape(settings: dict) -> tuple[int, ...]:
    """Return the shape of one picture of the store."""
    size = settings["image_size"]
    return (size, size) if settings.get("channels", 1) == 1 else (size, size, 3)


def describe_files(rows: pd.DataFrame, settings: dict) -> list[list[int] | None]:
    """Return size and time of change of each row's file, None where there is none."""
    folder, locate = _locator(settings["dataset"])
    return [_state(partial(locate, folder), path) for path in rows["path"]]


def _locator(dataset: dict) -> tuple[Path, Callable[[Path, str], Path]]:
    module = importlib.import_module(f"medaudit.datasets.{dataset['loader']}")
    return dataset_folder(dataset), getattr(
        module, "image_path", lambda folder, path: folder / path
    )


def _leaves_folder(path: str) -> bool:
    parts = PurePosixPath(path.replace("\\", "/"))
    return parts.is_absolute() or ".." in parts.parts or "\0" in path


def _state(locate: Callable[[str], Path], path: str) -> list[int] | None:
    if _leaves_folder(path):
        return None
    try:
        state = locate(path).stat()
    except OSError:
        return None
    return [state.st_size, state.st_mtime_ns]


def _read_one(
    locate: Callable[[str], Path], path: str, size: int, channels: int
) -> tuple[str, str | None, np.ndarray | None]:
    if _leaves_folder(path):
        return "broken", "the path leaves the dataset's folder", None
    try:
        return "ok", None, decode_file(locate(path), size, channels)
    except FileNotFoundError:
        return "missing", "there is no such file", None
    except MemoryError:
        raise
    except BrokenPicture as error:
        return "broken", _plain(str(error)), None
    except OSError as error:
        return "broken", f"cannot be read: {error.strerror or error}", None
    except Exception as error:  # decoders raise what they like on damaged data; it is reported
        return "broken", _plain(f"{type(error).__name__}: {error}"), None


def _plain(message: str) -> str:
    """Return a decoder's message without what differs between two runs."""
    return re.sub(r"\s*<_io\.BytesIO object at 0x\w+>", "", message).splitlines()[0]
