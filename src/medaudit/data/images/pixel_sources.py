"""The pixels of some rows of a cohort: decoded from the owner's files, or drawn by a phantom."""

import importlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
import pandas as pd

from medaudit.core.entry_types import DatasetEntry
from medaudit.data.datasets import dataset_folder, phantom_module, restore_original_levels
from medaudit.data.readers.decode import decode_file, resize_image
from medaudit.data.readers.image_containers import (
    container_files,
    read_members,
    split_address,
    to_grey,
)
from medaudit.data.readers.limits import UnreadableImage

LONGEST = 300
"""Largest number of characters in the reason why an image cannot be read."""


Wanted = list[tuple[int, str | None]]
"""Images of one file: position of the row, and member of the file (None: the file is the image)."""


@dataclass(frozen=True)
class DecodedChunk:
    """Images of some rows, uint8 ``[h, w]`` or ``[h, w, 3]``; None where the status is not ``ok``."""

    images: list[np.ndarray | None]
    status: list[str]
    errors: list[str | None]


def read_files(rows: pd.DataFrame, settings: Mapping[str, Any], threads: int) -> DecodedChunk:
    """Decode the files of the rows; an image that cannot be read gets a status and the reason.

    A file of many images (`medaudit.data.readers.image_containers`) is opened once for all its
    rows, and its values become grey levels by the dataset's ``window``.
    """
    cv2.setNumThreads(1)  # files are decoded in parallel; OpenCV's own threads would compete
    folder, locate = _locator(settings["dataset"])
    status = ["ok"] * len(rows)
    errors: list[str | None] = [None] * len(rows)
    images: list[np.ndarray | None] = [None] * len(rows)

    def read(task: tuple[str, Wanted]) -> None:
        file, wanted = task
        members = [member for _, member in wanted]
        found = _read_one(partial(locate, folder), file, members, settings)
        for (row, _), one in zip(wanted, found, strict=True):
            if isinstance(one, np.ndarray):
                images[row] = one
            else:
                status[row], errors[row] = one

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(read, _group_files(rows["path"])))
    return DecodedChunk(images, status, errors)


def _group_files(paths: pd.Series) -> list[tuple[str, Wanted]]:
    """Return each file with its rows, and the member of the file that each row names."""
    wanted: dict[str, Wanted] = {}
    for row, path in enumerate(paths):
        file, member = split_address(path)
        wanted.setdefault(file, []).append((row, member))
    return list(wanted.items())


def draw_phantoms(rows: pd.DataFrame, settings: Mapping[str, Any], threads: int) -> DecodedChunk:
    """Draw a phantom image for each row, with the settings' number of channels."""
    module = importlib.import_module(
        f"medaudit.data.phantoms.{phantom_module(settings['dataset'])}"
    )
    # Phantoms depend on attributes, e.g. skin type; a cohort that merges levels gets the same
    # images.
    original = restore_original_levels(rows)
    pixels = module.render(original, settings["dataset"], settings["image_size"], threads)
    channels = settings.get("channels", 1)
    if channels == 3 and pixels.ndim == 3:
        pixels = np.repeat(pixels[..., None], 3, axis=3)
    elif channels == 1 and pixels.ndim == 4:
        pixels = np.stack([cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in pixels])
    return DecodedChunk(list(pixels), ["ok"] * len(rows), [None] * len(rows))


def describe_files(rows: pd.DataFrame, settings: Mapping[str, Any]) -> list[list[int] | None]:
    """Return size and modification time of each row's file; None where there is no such file."""
    folder, locate = _locator(settings["dataset"])
    files = [split_address(path)[0] for path in rows["path"]]
    states = {file: _state(partial(locate, folder), file) for file in dict.fromkeys(files)}
    return [states[file] for file in files]


def _locator(dataset: DatasetEntry) -> tuple[Path, Callable[[Path, str], Path]]:
    """Return the dataset's folder, and the function that finds the file of a ``path`` in it."""
    module = importlib.import_module(f"medaudit.data.datasets.{dataset['loader']}")
    folder = dataset_folder(dataset)
    assert folder is not None  # a dataset without a folder has phantoms
    return folder, getattr(module, "image_path", lambda folder, path: folder / path)


def _leaves_folder(path: str) -> bool:
    # Paths come from a table: one like "../../etc/passwd" must not be opened.
    parts = PurePosixPath(path.replace("\\", "/"))
    return parts.is_absolute() or ".." in parts.parts or "\0" in path


def _state(locate: Callable[[str], Path], path: str) -> list[int] | None:
    if _leaves_folder(path):
        return None
    try:
        states = [part.stat() for part in container_files(locate(path))]
    except OSError:
        return None
    return [number for state in states for number in (state.st_size, state.st_mtime_ns)]


def _read_one(
    locate: Callable[[str], Path], path: str, members: list[str | None], settings: Mapping[str, Any]
) -> list[np.ndarray | tuple[str, str]]:
    """Return the images of a file; for those that cannot be read, status and reason."""
    if _leaves_folder(path):
        return [("broken", "the path leaves the dataset's folder")] * len(members)
    try:
        return [
            _excuse(found) if isinstance(found, Exception) else found
            for found in _decode(locate(path), members, settings)
        ]
    except MemoryError:
        raise
    except Exception as error:  # decoders raise errors of any kind on damaged data
        return [_excuse(error)] * len(members)


def _decode(
    file: Path, members: list[str | None], settings: Mapping[str, Any]
) -> Iterator[np.ndarray | Exception]:
    size, channels = settings["image_size"], settings.get("channels", 1)
    if members[0] is None:
        yield from [decode_file(file, size, channels)] * len(members)
        return
    window = settings["dataset"].get("window")
    if window is None:
        raise UnreadableImage("a file of many images needs the dataset's `window`: set it")
    for values in read_members(file, [member or "" for member in members]):
        yield values if isinstance(values, Exception) else _to_image(values, window, settings)


def _to_image(
    values: np.ndarray, window: Sequence[float], settings: Mapping[str, Any]
) -> np.ndarray | Exception:
    try:
        image = resize_image(to_grey(values, window), settings["image_size"])
    except UnreadableImage as error:
        return error
    return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB) if settings.get("channels") == 3 else image


def _excuse(error: Exception) -> tuple[str, str]:
    if isinstance(error, FileNotFoundError):
        return "missing", _plain(str(error)) if error.errno is None else "there is no such file"
    if isinstance(error, UnreadableImage):
        return "broken", _plain(str(error))
    if isinstance(error, OSError):
        return "broken", _plain(f"cannot be read: {error.strerror or error}")
    return "broken", _plain(f"{type(error).__name__}: {error}")


def _plain(message: str) -> str:
    """Return a decoder's message on one line, without addresses and folders of this machine."""
    # The message is written into results, which must be the same on every machine.
    same = re.sub(r"\s*<[\w.]+ object at 0x\w+>", "", message)
    short = re.sub(r"(?<![\w.])/(?:[^/'\"\s]+/)+", "", same)
    line = "".join(c if c.isprintable() else " " for c in short.strip()[:LONGEST])
    return " ".join(line.split()) or "no reason given"
