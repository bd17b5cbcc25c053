"""Stage `images`: decodes every image of a cohort once, resized, into one memory-mapped array.

Images keep their aspect ratio: their shorter side has the cohort's ``image_size``.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict

import numpy as np
import pandas as pd

from medaudit.core.code_version import code_version
from medaudit.core.entry_types import DatasetEntry
from medaudit.core.errors import MedauditError
from medaudit.core.files import sha256
from medaudit.core.table_io import (
    COHORT,
    IMAGES,
    atomic,
    read_json,
    read_table,
    write_array,
    write_json,
    write_table,
)
from medaudit.data.datasets import phantom_module
from medaudit.data.image_store import Store, open_store
from medaudit.data.images.card import (
    decoder_versions,
    describe_store,
    list_errors,
    stored_sizes,
)
from medaudit.data.images.pixel_sources import (
    DecodedChunk,
    describe_files,
    draw_phantoms,
    read_files,
)
from medaudit.data.readers.image_containers import split_address

__all__ = ["Store", "images", "open_store"]

log = logging.getLogger(__name__)
CHUNK_BYTES = 1 << 24
STAMP = "fingerprint.json"


class ImagesSettings(TypedDict, total=False):
    """Settings of the stage."""

    cohort: str
    dataset: DatasetEntry
    image_size: int
    channels: int
    on_error: str


def images(settings: ImagesSettings, *, cohort: Path, output: Path, threads: int = 1) -> None:
    """Decode or draw the images of a cohort into one memory-mapped array.

    Parameters
    ----------
    settings : dict
        ``cohort`` (name), ``dataset`` (its catalogue entry; without a ``folder``, phantom images
        are drawn), ``image_size`` (shorter side of the stored images in pixels), ``channels`` (1,
        the default, or 3) and ``on_error``: ``fail`` (default) or ``exclude``.
    cohort : Path
        The cohort's table.
    output : Path
        The folder for ``images.npy`` (only images that could be decoded: uint8 ``[n, h, w]`` or
        ``[n, h, w, 3]`` if all have one size, else ``[bytes]``, one image after the other),
        ``index.parquet`` (`medaudit.core.table_io.IMAGES`: the cohort's rows in their order,
        ``stored_height`` and ``stored_width`` in pixels; ``row`` -1 and size 0 where the status is
        not ``ok``) and ``card.json``.
    threads : int
        Number of images decoded at the same time.

    Raises
    ------
    MedauditError
        A setting is invalid; an image is missing or broken and ``on_error`` is ``fail``; or no
        image can be decoded. Finished chunks stay in ``<output>.partial``, from which the next run
        continues.
    """
    _check_settings(settings)
    rows = read_table(cohort, COHORT)
    partial = output.with_name(output.name + ".partial")
    _open_partial(partial, _fingerprint(settings, cohort))
    parts = [
        _finish_chunk(partial, number, chunk, settings, threads)
        for number, chunk in enumerate(_chunks(rows, settings))
    ]
    index = _make_index(rows, parts)
    _check_errors(rows, index, settings)
    digest = _write_pixels(partial, len(parts), index, settings, output / "images.npy")
    write_table(index, output / "index.parquet", IMAGES)
    write_json(describe_store(rows, index, settings, digest), output / "card.json")
    _discard(partial)


def _check_settings(settings: ImagesSettings) -> None:
    allowed = {"channels": (1, 3), "on_error": ("fail", "exclude")}
    for key, values in allowed.items():
        if settings.get(key, values[0]) not in values:
            raise MedauditError(f"images: {key} is {settings.get(key)!r}; use one of {values}")
    size = settings["image_size"]
    if not isinstance(size, int) or not 16 <= size <= 4096:
        raise MedauditError(
            f"images: image_size is {size!r}; give a whole number between 16 and 4096"
        )
    low, high = settings["dataset"].get("window", (0, 1))
    if not low < high:
        raise MedauditError(
            f"images: the dataset's window is [{low}, {high}]; give the lower number first"
        )


def _is_phantom(settings: ImagesSettings) -> bool:
    return settings["dataset"].get("folder") is None


def _fingerprint(settings: ImagesSettings, cohort: Path) -> str:
    """Hash everything that the pixels depend on, so that no outdated chunk is used again."""
    relevant = {key: value for key, value in settings.items() if key != "on_error"}
    dataset = settings["dataset"]
    source = (
        f"phantoms.{phantom_module(dataset)}"
        if _is_phantom(settings)
        else f"datasets.{dataset['loader']}"
    )
    code = code_version("data.images", f"data.{source}")
    text = json.dumps([relevant, sha256(cohort), code, decoder_versions()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _open_partial(partial: Path, fingerprint: str) -> None:
    stamp = partial / STAMP
    if partial.exists() and not (stamp.exists() and read_json(stamp) == fingerprint):
        log.info("deleting %s: it was made with other settings or other code", partial)
        _discard(partial)
    write_json(fingerprint, stamp)


def _discard(partial: Path) -> None:
    """Delete the folder, and first the file that declares it valid: a kill may leave the rest."""
    (partial / STAMP).unlink(missing_ok=True)
    shutil.rmtree(partial)


def _chunks(rows: pd.DataFrame, settings: ImagesSettings) -> Iterator[pd.DataFrame]:
    """Split the rows into chunks, if possible between files, so that no file is opened twice."""
    each = settings["image_size"] ** 2 * settings.get("channels", 1)
    step = int(np.clip(CHUNK_BYTES // each, 16, 512))
    files = np.array([split_address(path)[0] for path in rows["path"]], dtype=object)
    changes = np.flatnonzero(files[1:] != files[:-1]) + 1
    start = 0
    while start < len(rows):
        end = min(start + step, len(rows))
        within = changes[(changes > start) & (changes <= end)]
        if end < len(rows) and len(within):
            end = int(within[-1])
        yield rows.iloc[start:end]
        start = end


def _finish_chunk(
    partial: Path, number: int, rows: pd.DataFrame, settings: ImagesSettings, threads: int
) -> dict:
    """Return status and errors of a chunk; decode it unless it is finished and unchanged."""
    files = None if _is_phantom(settings) else describe_files(rows, settings)
    note = _chunk_path(partial, number).with_suffix(".json")
    if note.exists():
        done = read_json(note)
        # A chunk with errors is decoded again: the user may have replaced the broken file.
        if done["files"] == files and set(done["status"]) <= {"ok"}:
            return done
    work = draw_phantoms if _is_phantom(settings) else read_files
    chunk: DecodedChunk = work(rows, settings, threads)
    sizes = [[0, 0] if image is None else list(image.shape[:2]) for image in chunk.images]
    decoded = [image.ravel() for image in chunk.images if image is not None]
    flat = np.concatenate([np.empty(0, np.uint8), *decoded])
    write_array(flat, _chunk_path(partial, number))
    done = {"files": files, "sizes": sizes, "status": chunk.status, "errors": chunk.errors}
    write_json(done, note)  # after the pixels: it declares them complete
    log.info("chunk %d: %d images", number, len(rows))
    return done


def _make_index(rows: pd.DataFrame, parts: list[dict]) -> pd.DataFrame:
    status = np.array([one for part in parts for one in part["status"]], dtype=object)
    ok = status == "ok"
    sizes = np.array([size for part in parts for size in part["sizes"]], np.int64).reshape(-1, 2)
    return pd.DataFrame(
        {
            "image_id": rows["image_id"].to_numpy(),
            "row": np.where(ok, np.cumsum(ok) - 1, -1),
            "status": status,
            "error": [one for part in parts for one in part["errors"]],
            "stored_height": sizes[:, 0],
            "stored_width": sizes[:, 1],
        }
    )


def _check_errors(rows: pd.DataFrame, index: pd.DataFrame, settings: ImagesSettings) -> None:
    bad = int((index["status"] != "ok").sum())
    none_left = bad == len(index)
    if bad == 0 and not none_left:
        return
    if none_left or settings.get("on_error", "fail") == "fail":
        shown = [f"{e['path']}: {e['error']}" for e in list_errors(rows, index)[:5]]
        advice = (
            "check the dataset's folder, or replace the files"
            if none_left
            else "replace these files, or set the cohort's on_error to exclude; images that were "
            "read are kept"
        )
        raise MedauditError(
            f"images of {settings['cohort']}: {bad} of {len(index)} cannot be read, e.g. "
            f"{'; '.join(shown)}; {advice}"
        )
    log.warning("%d of %d images are excluded", bad, len(index))


def _chunk_path(partial: Path, number: int) -> Path:
    return partial / f"{number:06d}.npy"


def _write_pixels(
    partial: Path, chunks: int, index: pd.DataFrame, settings: ImagesSettings, path: Path
) -> str:
    """Copy the decoded images of all chunks into one array; return the SHA-256 of its pixels."""
    digest = hashlib.sha256()
    header = {
        "descr": "|u1",
        "fortran_order": False,
        "shape": _stored_shape(stored_sizes(index), settings.get("channels", 1)),
    }
    # Written, not memory-mapped: on a full disk, a mapped page kills the process without a message.
    with atomic(path) as temporary, temporary.open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        for number in range(chunks):
            pixels = np.load(_chunk_path(partial, number), allow_pickle=False).tobytes()
            stream.write(pixels)
            digest.update(pixels)
    return digest.hexdigest()


def _stored_shape(sizes: np.ndarray, channels: int) -> tuple[int, ...]:
    """Return the shape of the array of all images; with several sizes it is flat."""
    if (sizes != sizes[0]).any():
        return (int(sizes.prod(axis=1).sum()) * channels,)
    shape = (len(sizes), *sizes[0].tolist())
    return shape if channels == 1 else (*shape, channels)
