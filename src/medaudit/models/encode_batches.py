"""Embeddings of many images by a torch encoder: reading, copying and computing at the same time.

Threads read and preprocess the next batches while the device computes. The embeddings of a batch are
copied back while the next one is computed, and the processor waits only at the end.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch

from medaudit.data.image_store import StoredImages, sizes_of
from medaudit.models.torch_encoder import TorchEncoder
from medaudit.training.batches import read_ahead

LARGEST = 512
"""Largest batch on a GPU; larger ones are not faster."""
LARGEST_PINNED = 2e9
"""Bytes of embeddings up to which they are copied to pinned memory."""


def encode_batches(
    encoder: TorchEncoder, pixels: StoredImages, rows: np.ndarray, size: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield which of `rows` were encoded, and the array that has their embeddings.

    Parameters
    ----------
    encoder : TorchEncoder
        The frozen model.
    pixels : StoredImages
        The images of the store, uint8.
    rows : numpy.ndarray
        Rows of the store, at least one.
    size : int
        Images per batch on a CPU. On a GPU it is the largest power of two up to `LARGEST` that
        fits the memory (`choose_batch`).

    Yields
    ------
    slice
        Positions in `rows` of the batch.
    numpy.ndarray
        float32 ``[len(rows), d]``, the same array each time. On a GPU, it is complete only after
        the last batch.
    """
    device = encoder.device
    gpu = device.type == "cuda"
    if gpu:
        largest = rows[sizes_of(pixels, rows).prod(axis=1).argmax()]
        size = choose_batch(partial(fits, encoder, pixels[int(largest)]))
    parts = [slice(start, start + size) for start in range(0, len(rows), size)]
    jobs = (partial(_prepare, encoder, pixels, rows[part]) for part in parts)
    vectors = None
    for part, batch in zip(parts, read_ahead(jobs, _readers(gpu), device), strict=True):
        features = encoder.features(batch)
        if vectors is None:
            shape = (len(rows), features.shape[1])
            # A copy from a GPU does not wait only if its target is pinned memory, which is scarce.
            pinned = gpu and 4 * shape[0] * shape[1] <= LARGEST_PINNED
            vectors = torch.empty(shape, dtype=torch.float32, pin_memory=pinned)
        if part is parts[-1]:
            vectors[part].copy_(features)  # on the same stream as all others: they are complete
        else:
            vectors[part].copy_(features, non_blocking=True)
        yield part, vectors.numpy()


def choose_batch(fit: Callable[[int], bool]) -> int:
    """Return the largest power of two up to `LARGEST` of which twice as many images fit, or 1.

    Twice, because batches that are read ahead are in the memory too.
    """
    size = LARGEST
    while size > 1 and not fit(2 * size):
        size //= 2
    return size


def fits(encoder: TorchEncoder, image: np.ndarray, count: int) -> bool:
    """Return whether `count` copies of an image ``[h, w, ...]`` fit the memory at once."""
    try:
        encoder.features(encoder.prepare(np.repeat(image[None], count, axis=0)))
        torch.cuda.synchronize(encoder.device)
    except torch.OutOfMemoryError:
        return False
    finally:
        torch.cuda.empty_cache()
    return True


def _prepare(encoder: TorchEncoder, pixels: StoredImages, rows: np.ndarray) -> torch.Tensor:
    return encoder.prepare(pixels[rows])


def _readers(gpu: bool) -> int:
    # On a CPU, threads that prepare batches would compete with those that compute: one is enough.
    return max(2, torch.get_num_threads()) if gpu else 1
