"""Stage `embed`: one vector an image from a frozen model, computed once for all that follows."""

import logging
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from medaudit.artefacts import COHORT, EMBEDDINGS, read_table, write_table
from medaudit.errors import MedauditError
from medaudit.images.store import Store, open_store
from medaudit.models import Encoder, build
from medaudit.stage import run

BATCH = 128

log = logging.getLogger(__name__)


def embed(settings: dict, *, cohort: Path, images: Path, output: Path, threads: int = 1) -> None:
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
    store = open_store(images)
    ids = usable_images(cohort, store)
    encoder = build({**settings["entry"], "name": settings["model"]})
    limit_threads(threads)
    vectors = encode(encoder, store.images, store.rows(ids))
    check_finite(ids, vectors, settings["model"])
    write_embeddings(
        ids,
        vectors,
        output,
        spec=encoder.spec(),
        cohort=settings["cohort"],
        model=settings["model"],
        phantom=store.card["phantom"],
    )


def usable_images(cohort: Path, store: Store) -> np.ndarray:
    """Return the ids of the cohort's images that the store did not exclude, in their order."""
    ids = read_table(cohort, COHORT, columns=["image_id"])["image_id"]
    excluded = ids.isin(store.excluded["image_id"])
    if excluded.any():
        log.warning("%d of %d images were excluded by the store", excluded.sum(), len(ids))
    return ids[~excluded].to_numpy()


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
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)


def write_embeddings(ids: np.ndarray, vectors: np.ndarray, path: Path, **metadata: object) -> None:
    """Write embeddings ``[n, d]`` without turning them into Python objects."""
    offsets = np.arange(len(vectors) + 1, dtype=np.int32) * vectors.shape[1]
    lists = pa.ListArray.from_arrays(offsets, pa.array(vectors.reshape(-1)))
    frame = pd.DataFrame({"image_id": ids, "embedding": pd.arrays.ArrowExtensionArray(lists)})
    write_table(frame, path, EMBEDDINGS, **metadata)


def read_embeddings(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read the embeddings that `embed` wrote.

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
    run(embed)
