"""Near-duplicate images across splits, found by perceptual hashes of the image store."""

import numpy as np
from PIL import Image
from scipy.fft import dct

from medaudit.audit.lint.problems import Finding, examples
from medaudit.data.image_store import Images, StoredImages

SIDE, KEPT = 32, 8
BLOCK = 4096
MOST_PAIRS = 100_000


def perceptual_hashes(images: StoredImages, rows: np.ndarray) -> np.ndarray:
    """Return the 64-bit pHash of each image, as `imagehash.phash` computes it.

    Parameters
    ----------
    images : StoredImages
        uint8, ``[n, height, width]``, ``[n, height, width, channels]`` or
        ``[n, channels, height, width]`` (1 or 3 channels), or images of several sizes.
    rows : numpy.ndarray
        The rows to hash.

    Returns
    -------
    numpy.ndarray
        uint64 [rows]. The image is reduced to 32 x 32 in greyscale, and its 8 x 8 lowest DCT
        coefficients are compared with their median (Zauner 2010).
    """
    hashes = np.empty(len(rows), np.uint64)
    for start in range(0, len(rows), BLOCK):
        small = thumbnails(images[rows[start : start + BLOCK]])
        low = dct(dct(small.astype(float), axis=1), axis=2)[:, :KEPT, :KEPT].reshape(len(small), -1)
        bits = low > np.median(low, axis=1, keepdims=True)
        hashes[start : start + BLOCK] = np.packbits(bits, axis=1).view(">u8").ravel()
    return hashes


def thumbnails(images: Images) -> np.ndarray:
    """Return each image in greyscale at 32 x 32, uint8."""
    size = (SIDE, SIDE)
    grey = (Image.fromarray(_plane(image)).convert("L") for image in images)
    return np.stack([np.asarray(image.resize(size, Image.Resampling.LANCZOS)) for image in grey])


def _plane(image: np.ndarray) -> np.ndarray:
    if image.ndim == 3 and image.shape[0] in (1, 3) and image.shape[2] not in (1, 3):
        image = np.moveaxis(image, 0, -1)
    return (
        image[..., 0] if image.ndim == 3 and image.shape[-1] == 1 else np.ascontiguousarray(image)
    )


def close_pairs(left: np.ndarray, right: np.ndarray, distance: int) -> np.ndarray:
    """Return the index pairs ``[pairs, 2]`` of hashes at most `distance` bits apart.

    Every pair is compared, in blocks of bounded memory. The search stops after the block in which
    it has found 100,000 pairs: a store full of one picture needs no longer list.
    """
    found, count = [], 0
    rows = max(1, 8_000_000 // max(1, len(right)))
    for start in range(0, len(left), rows):
        block = left[start : start + rows, None] ^ right[None, :]
        i, j = np.nonzero(np.bitwise_count(block) <= distance)
        found.append(np.column_stack([i + start, j]))
        count += len(i)
        if count > MOST_PAIRS:
            break
    return np.concatenate(found) if found else np.empty((0, 2), int)


def near_duplicates(
    images: StoredImages,
    rows: np.ndarray,
    ids: np.ndarray,
    splits: np.ndarray,
    *,
    distance: int = 2,
    grey_levels: float = 2.0,
) -> list[Finding]:
    """Find images that appear in two splits, of the same patient or not.

    Parameters
    ----------
    images : StoredImages
        The store, see `perceptual_hashes`; may be memory-mapped.
    rows, ids, splits : numpy.ndarray
        Row in the store, image id and split of each image.
    distance : int
        Largest Hamming distance of two near-duplicates' hashes.
    grey_levels : float
        Largest mean absolute difference of their 32 x 32 thumbnails, of 255. Chest radiographs
        are so alike that different images can have the same hash.

    Returns
    -------
    list of Finding
        Identical images are an error, nearly identical ones a warning; ``count`` is the number of
        pairs.
    """
    hashes = perceptual_hashes(images, rows)
    of = {split: np.flatnonzero(splits == split) for split in ("train", "val", "test")}
    pairs = [
        np.column_stack([of[a][found[:, 0]], of[b][found[:, 1]]])
        for a, b in (("train", "val"), ("train", "test"), ("val", "test"))
        if len(found := close_pairs(hashes[of[a]], hashes[of[b]], distance))
    ]
    if not pairs:
        return []
    together = np.concatenate(pairs)
    alike, equal = _compare(images, rows[together], grey_levels)
    return [
        _finding(ids, splits, together[chosen], severity, text)
        for chosen, severity, text in (
            (
                equal,
                "error",
                "are identical, pixel for pixel: remove one of each, or put both in one split",
            ),
            (
                alike & ~equal,
                "warning",
                "look the same (perceptual hash and thumbnail): check them",
            ),
        )
        if chosen.any()
    ]


def _compare(images, pairs: np.ndarray, grey_levels: float) -> tuple[np.ndarray, np.ndarray]:
    alike, equal = np.zeros(len(pairs), bool), np.zeros(len(pairs), bool)
    for start in range(0, len(pairs), BLOCK):
        part = slice(start, start + BLOCK)
        left, right = images[pairs[part, 0]], images[pairs[part, 1]]
        difference = thumbnails(left).astype(float) - thumbnails(right)
        alike[part] = np.abs(difference).mean(axis=(1, 2)) <= grey_levels
        equal[part] = [np.array_equal(a, b) for a, b in zip(left, right, strict=True)]
    return alike, equal


def _finding(ids, splits, pairs: np.ndarray, severity: str, text: str) -> Finding:
    named = [f"{ids[i]} ({splits[i]}) = {ids[j]} ({splits[j]})" for i, j in pairs[:5]]
    message = f"{len(pairs)} pairs of images in different splits {text}"
    where = examples(named) + (f" of {len(pairs)}" if len(pairs) > 5 else "")
    return Finding("near_duplicates", severity, message, len(pairs), where)
