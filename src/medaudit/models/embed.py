"""Stage `embed`: one vector per image from a frozen model, computed once for all later stages."""

import logging
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

import numpy as np
from tqdm import tqdm

from medaudit.core.embeddings import write_embeddings
from medaudit.core.entry_types import ModelEntry
from medaudit.core.errors import MedauditError
from medaudit.core.stage import run
from medaudit.core.table_io import COHORT, read_table
from medaudit.data.image_store import StoredImages, open_store, usable_images
from medaudit.models.interface import Encoder, StoredVectors
from medaudit.models.kinds import build

if TYPE_CHECKING:
    from medaudit.models.torch_encoder import TorchEncoder

BATCH = 128
"""Images per batch on a CPU."""

log = logging.getLogger(__name__)


class EmbedSettings(TypedDict):
    """Settings of the stage."""

    cohort: str
    model: str
    entry: ModelEntry


def embed(
    settings: EmbedSettings, *, cohort: Path, images: Path, output: Path, threads: int = 1
) -> None:
    """Embed every image of a cohort with one frozen model.

    Parameters
    ----------
    settings : dict
        ``cohort`` and ``model`` (names) and ``entry``, the model's catalogue entry.
    cohort : Path
        The cohort's table.
    images : Path
        The image store's folder. Images that it excludes get no embedding.
    output : Path
        Table of `medaudit.core.table_io.EMBEDDINGS`, in the cohort's order. Its footer has ``spec``
        (the encoder's description), ``model``, ``cohort`` and ``phantom``.
    threads : int
        Processor threads that torch may use.

    Raises
    ------
    MedauditError
        The store belongs to another cohort, the model cannot be built, or a vector is not finite.
    """
    store = open_store(images)
    ids = usable_images(cohort, store)
    encoder = build({**settings["entry"], "name": settings["model"]})
    if encoder.uses_torch:
        limit_torch(threads)
    if isinstance(encoder, StoredVectors):
        frame = read_table(cohort, COHORT)
        ids, vectors = encoder.find(frame[frame["image_id"].isin(ids)])
    else:
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


def encode(encoder: Encoder, pixels: StoredImages, rows: np.ndarray) -> np.ndarray:
    """Return the embeddings, float32 ``[len(rows), d]``, of these rows of the store's `pixels`."""
    if not len(rows):
        raise MedauditError(
            "embed: the image store has no readable image of this cohort; see its index.parquet"
        )
    started, vectors = time.perf_counter(), np.empty((0, 0), np.float32)
    with tqdm(total=len(rows), desc="embed", unit="img", disable=None) as bar:
        for part, found in batches(encoder, pixels, rows):
            vectors = found
            bar.update(len(rows[part]))
    seconds = time.perf_counter() - started
    log.info("%d images in %.1f s: %.0f images/s", len(rows), seconds, len(rows) / seconds)
    return vectors


def batches(
    encoder: Encoder, pixels: StoredImages, rows: np.ndarray
) -> Iterator[tuple[slice, np.ndarray]]:
    """Encode batch after batch, see `medaudit.models.encode_batches.encode_batches`."""
    if encoder.uses_torch:
        from medaudit.models.encode_batches import encode_batches

        yield from encode_batches(cast("TorchEncoder", encoder), pixels, rows, BATCH)
        return
    vectors = None
    for start in range(0, len(rows), BATCH):
        part = slice(start, start + BATCH)
        found = encoder.encode_images(pixels[rows[part]])
        if vectors is None:
            vectors = np.empty((len(rows), found.shape[1]), np.float32)
        vectors[part] = found
        yield part, vectors


def check_finite(ids: np.ndarray, vectors: np.ndarray, model: str) -> None:
    """Raise a `MedauditError` naming the images whose embedding is not finite, if there are any."""
    broken = ids[~np.isfinite(vectors).all(axis=1)]
    if len(broken):
        raise MedauditError(
            f"model {model} gives NaN or infinite embeddings for {len(broken)} of {len(ids)} "
            f"images, e.g. {broken[:5].tolist()}: check the weights (overflow in half precision?) "
            "and these images"
        )


def limit_torch(threads: int) -> None:
    """Let torch use this many processor threads."""
    import torch  # not at the top: `pixels` needs no torch

    torch.set_num_threads(threads)


if __name__ == "__main__":
    run(embed)
