"""Stage `embed`: one vector an image from a frozen model, computed once for all that follows."""

import logging
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from medaudit.artefacts import COHORT, EMBEDDINGS, IMAGES, read_json, read_table, write_table
from medaudit.errors import MedauditError
from medaudit.models import Encoder, build
from medaudit.stage import run

BATCH = 128

log = logging.getLogger(__name__)


def stage(settings: dict, *, cohort: Path, images: Path, output: Path, threads: int = 1) -> None:
    """Embed every image of a cohort with one frozen model.

    Parameters
    ----------
    settings : dict
        ``cohort`` and ``model`` (names) and ``entry``, the model's catalogue entry.
    cohort : Path
        The cohort's table.
    images : Path
        The image store's folder. Images that it excluded have no embedding.
    output : Path
        Table of `medaudit.artefacts.EMBEDDINGS`, in the cohort's order. Its footer holds ``spec``
        (what the encoder says of itself), ``model``, ``cohort`` and ``phantom``.
    threads : int
        Processor threads.

    Raises
    ------
    MedauditError
        The store is of another cohort, the model cannot be built, or a vector is not finite.
    """
    ids, rows, pixels = stored_images(cohort, images)
    encoder = build({**settings["entry"], "name": settings["model"]})
    limit_threads(threads)
    vectors = encode(encoder, pixels, rows)
    check_finite(ids, vectors, settings["model"])
    write_embeddings(
        ids,
        vectors,
        output,
        spec=encoder.spec(),
        cohort=settings["cohort"],
        model=settings["model"],
        phantom=read_json(images / "card.json").get("phantom", False),
    )


def stored_images(cohort: Path, images: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return ids and rows of the usable images in the cohort's order, and the memory map.

    Raises
    ------
    MedauditError
        The store lacks an image of the cohort: it was made from another one.
    """
    wanted = read_table(cohort, COHORT, columns=["image_id"])["image_id"]
    index = read_table(images / "index.parquet", IMAGES).set_index("image_id")
    absent = wanted[~wanted.isin(index.index)]
    if len(absent):
        raise MedauditError(
            f"{images} lacks {len(absent)} of {len(wanted)} images of {cohort}, e.g. "
            f"{absent.iloc[0]!r}: it was made from another cohort; make it again"
        )
    index = index.loc[wanted]
    usable = (index["status"] == "ok").to_numpy()
    if not usable.all():
        log.warning("%d of %d images were excluded by the store", (~usable).sum(), len(usable))
    pixels = np.load(images / "images.npy", mmap_mode="r", allow_pickle=False)
    return wanted.to_numpy()[usable], index["row"].to_numpy()[usable], pixels


def encode(encoder: Encoder, pixels: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return the embeddings ``[len(rows), d]`` of some rows of the store, each encoded once."""
    started = time.perf_counter()
    vectors = None
    for start in tqdm(range(0, len(rows), BATCH), desc="embed", unit="batch", disable=None):
        batch = encoder.encode_images(pixels[rows[start : start + BATCH]])
        if vectors is None:
            vectors = np.empty((len(rows), batch.shape[1]), np.float32)
        vectors[start : start + len(batch)] = batch
    if vectors is None:
        raise MedauditError("embed: the image store holds no usable image")
    seconds = time.perf_counter() - started
    log.info("%d images in %.1f s: %.0f images/s", len(rows), seconds, len(rows) / seconds)
    return vectors


def check_finite(ids: np.ndarray, vectors: np.ndarray, model: str) -> None:
    """Raise a `MedauditError` that names the images whose embedding is not finite."""
    broken = ids[~np.isfinite(vectors).all(axis=1)]
    if len(broken):
        raise MedauditError(
            f"model {model} gives NaN or infinite embeddings for {len(broken)} of {len(ids)} "
            f"images, e.g. {broken[:5].tolist()}: check the weights (overflow in half precision?) "
            "and those images"
        )


def limit_threads(threads: int) -> None:
    """Let torch, if the model has imported it, use this many threads."""
    import sys

    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def write_embeddings(ids: np.ndarray, vectors: np.ndarray, path: Path, **metadata: object) -> None:
    """Write embeddings ``[n, d]`` without turning them into Python objects."""
    offsets = np.arange(len(vectors) + 1, dtype=np.int32) * vectors.shape[1]
    lists = pa.ListArray.from_arrays(offsets, pa.array(vectors.reshape(-1)))
    frame = pd.DataFrame({"image_id": ids, "embedding": pd.arrays.ArrowExtensionArray(lists)})
    write_table(frame, path, EMBEDDINGS, **metadata)


def read_embeddings(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the embeddings that `stage` wrote.

    Returns
    -------
    ids : numpy.ndarray
        Image ids, text, ``[n]``.
    vectors : numpy.ndarray
        float32 ``[n, d]``; read-only where it is a view of the file's memory.

    Raises
    ------
    MedauditError
        It is no such table, vectors differ in length, or an id stands twice.
    """
    try:
        table = pq.read_table(path, columns=["image_id", "embedding"]).combine_chunks()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise MedauditError(f"cannot read the embeddings {path}: {error}") from error
    ids = table["image_id"].to_numpy()
    lists = pa.concat_arrays(table["embedding"].chunks)
    lengths = np.unique(lists.value_lengths().to_numpy(zero_copy_only=False))
    if len(lengths) != 1 or len(np.unique(ids)) != len(ids):
        raise MedauditError(
            f"{path}: embeddings must be one vector of one length for each image; lengths are "
            f"{lengths[:5].tolist()}, {len(np.unique(ids))} of {len(ids)} ids differ"
        )
    return ids, lists.flatten().to_numpy().reshape(len(ids), -1)


if __name__ == "__main__":
    run(stage)
