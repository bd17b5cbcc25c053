"""Where the pixels of a cohort's rows come from: the owner's files, or the phantom."""

import importlib
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
import pandas as pd

from medaudit.data.datasets import as_shipped, dataset_folder, phantom_of
from medaudit.data.readers.containers import companions, part_address, read_members, to_grey
from medaudit.data.readers.decode import decode_file, resize_picture
from medaudit.data.readers.limits import BrokenPicture

LONGEST = 300
"""Characters of the reason why a picture cannot be read."""


@dataclass(frozen=True)
class Part:
    """Pixels ``[n, ...]`` of some rows; those whose status is not ``ok`` are zero."""

    pixels: np.ndarray
    status: list[str]
    errors: list[str | None]


def read_files(rows: pd.DataFrame, settings: dict, threads: int) -> Part:
    """Decode the files of the rows; what cannot be read gets a status and the reason.

    A file that holds many pictures (see `medaudit.data.readers.containers`) is opened once for all its
    rows, and its values become grey levels by the dataset's ``window``.
    """
    cv2.setNumThreads(1)  # the files are what runs in parallel
    folder, locate = _locator(settings["dataset"])
    status, errors = ["ok"] * len(rows), [None] * len(rows)
    pixels = np.zeros((len(rows), *picture_shape(settings)), np.uint8)

    def read(task: tuple[str, list[tuple[int, str | None]]]) -> None:
        file, wanted = task
        found = _read_one(partial(locate, folder), file, [member for _, member in wanted], settings)
        for (row, _), one in zip(wanted, found, strict=True):
            if isinstance(one, np.ndarray):
                pixels[row] = one
            else:
                status[row], errors[row] = one

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(read, _group_files(rows["path"])))
    return Part(pixels, status, errors)


def _group_files(paths: pd.Series) -> list[tuple[str, list[tuple[int, str | None]]]]:
    """Return each file with its rows and the members of it that they name."""
    wanted: dict[str, list[tuple[int, str | None]]] = {}
    for row, path in enumerate(paths):
        file, member = part_address(path)
        wanted.setdefault(file, []).append((row, member))
    return list(wanted.items())


def draw_phantoms(rows: pd.DataFrame, settings: dict, threads: int) -> Part:
    """Draw a phantom for each of the rows."""
    module = importlib.import_module(f"medaudit.data.phantoms.{phantom_of(settings['dataset'])}")
    shipped = as_shipped(rows)
    pixels = module.render(shipped, settings["dataset"], settings["image_size"], threads)
    channels = settings.get("channels", 1)
    if channels == 3 and pixels.ndim == 3:
        pixels = np.repeat(pixels[..., None], 3, axis=3)
    elif channels == 1 and pixels.ndim == 4:
        pixels = np.stack([cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pixels])
    return Part(pixels, ["ok"] * len(rows), [None] * len(rows))


def picture_shape(settings: dict) -> tuple[int, ...]:
    """Return the shape of one picture of the store."""
    size = settings["image_size"]
    return (size, size) if settings.get("channels", 1) == 1 else (size, size, 3)


def describe_files(rows: pd.DataFrame, settings: dict) -> list[list[int] | None]:
    """Return size and time of change of each row's file, None where there is none."""
    folder, locate = _locator(settings["dataset"])
    files = [part_address(path)[0] for path in rows["path"]]
    states = {file: _state(partial(locate, folder), file) for file in dict.fromkeys(files)}
    return [states[file] for file in files]


def _locator(dataset: dict) -> tuple[Path, Callable[[Path, str], Path]]:
    module = importlib.import_module(f"medaudit.data.datasets.{dataset['loader']}")
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
        states = [part.stat() for part in companions(locate(path))]
    except OSError:
        return None
    return [number for state in states for number in (state.st_size, state.st_mtime_ns)]


def _read_one(
    locate: Callable[[str], Path], path: str, members: list[str | None], settings: dict
) -> list[np.ndarray | tuple[str, str]]:
    """Return the pictures of a file, or status and reason of those that cannot be read."""
    if _leaves_folder(path):
        return [("broken", "the path leaves the dataset's folder")] * len(members)
    try:
        return [
            _excuse(found) if isinstance(found, Exception) else found
            for found in _decode(locate(path), members, settings)
        ]
    except MemoryError:
        raise
    except Exception as error:  # decoders raise what they like on damaged data; it is reported
        return [_excuse(error)] * len(members)


def _decode(
    file: Path, members: list[str | None], settings: dict
) -> Iterator[np.ndarray | Exception]:
    size, channels = settings["image_size"], settings.get("channels", 1)
    if members[0] is None:
        yield from [decode_file(file, size, channels)] * len(members)
        return
    window = settings["dataset"].get("window")
    if window is None:
        raise BrokenPicture("a file of many pictures needs the dataset's `window`")
    for values in read_members(file, members):
        yield values if isinstance(values, Exception) else _make_picture(values, window, settings)


def _make_picture(
    values: np.ndarray, window: tuple[float, float], settings: dict
) -> np.ndarray | Exception:
    try:
        picture = resize_picture(to_grey(values, window), settings["image_size"])
    except BrokenPicture as error:
        return error
    return cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB) if settings.get("channels") == 3 else picture


def _excuse(error: Exception) -> tuple[str, str]:
    if isinstance(error, FileNotFoundError):
        return "missing", _plain(str(error)) if error.errno is None else "there is no such file"
    if isinstance(error, BrokenPicture):
        return "broken", _plain(str(error))
    if isinstance(error, OSError):
        return "broken", _plain(f"cannot be read: {error.strerror or error}")
    return "broken", _plain(f"{type(error).__name__}: {error}")


def _plain(message: str) -> str:
    """Return a decoder's message on one line, without what differs between two runs or machines."""
    same = re.sub(r"\s*<[\w.]+ object at 0x\w+>", "", message)
    short = re.sub(r"(?<![\w.])/(?:[^/'\"\s]+/)+", "", same)
    line = "".join(c if c.isprintable() else " " for c in short.strip()[:LONGEST])
    return " ".join(line.split()) or "no reason is given"
