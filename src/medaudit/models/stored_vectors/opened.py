"""What all formats have in common: an opened file, and which of its parts are vectors and ids."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from medaudit.core.errors import MedauditError

ID_NAMES = (
    *("image_id", "ids", "id", "image_ids", "image/id", "dicom_id", "image", "image_index"),
    *("path", "paths", "file", "files", "filename", "filenames", "file_name", "file_names"),
    *("name", "names", "key", "keys", "image_path", "img_path", "img_id"),
)
"""Names of ids that are recognised, in any case, with space or hyphen for the underscore."""

VECTOR_NAMES = (
    *("embedding", "embeddings", "features", "feature", "vectors", "vector", "x", "emb", "feats"),
    *("image_embedding", "image_embeddings", "all_contrastive_img_emb", "img_emb"),
)
"""Names of vectors that are recognised where a file holds several arrays."""


@dataclass(frozen=True)
class Opened:
    """An opened file of vectors.

    Parameters
    ----------
    shape : tuple of int
        ``[n, ...]``; -1 in the first place where the number of images is not known yet.
    dtype : numpy.dtype
        Type of the numbers in the file.
    array : str
        Name of the array of vectors, for messages.
    load : callable
        Returns the ids, text ``[n]``, and the vectors ``[n, ...]``.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    array: str
    load: Callable[[], tuple[np.ndarray, np.ndarray]]


def choose(names: Iterable[str], wanted: str | None, known: Iterable[str], what: str) -> str:
    """Return the name that the entry asks for, the only one there is, or a recognised one.

    Parameters
    ----------
    names : iterable of str
        What the file has that could be meant.
    wanted : str or None
        The entry's setting.
    known : iterable of str
        Names that are recognised, the most likely first.
    what : str
        The setting, for the error: ``array`` or ``ids``.

    Raises
    ------
    MedauditError
        There is none, or several and none is recognised.
    """
    offered = list(names)
    if wanted is not None:
        if wanted in offered:
            return wanted
        raise MedauditError(f"`{what}: {wanted}` is not in the file; it has {_listed(offered)}")
    if len(offered) == 1:
        return offered[0]
    plain = {_plain(name): name for name in reversed(offered)}
    for name in known:
        if name in plain:
            return plain[name]
    raise MedauditError(
        f"which part of the file holds the {'ids' if what == 'ids' else 'vectors'}? Name it in "
        f"`{what}`; the file has {_listed(offered)}"
    )


def as_ids(values: np.ndarray, where: str) -> np.ndarray:
    """Return ids as text ``[n]``; bytes are decoded, whole numbers are written out.

    Raises
    ------
    MedauditError
        They are neither text nor whole numbers, or not one per image.
    """
    flat = np.asarray(values)
    if flat.ndim == 2 and flat.shape[1] == 1:
        flat = flat[:, 0]
    if flat.ndim != 1 or flat.dtype.kind not in "SUOiuT":
        raise MedauditError(
            f"{where} has the shape {list(flat.shape)} and type {flat.dtype}; ids must be one text "
            "or whole number per image"
        )
    if flat.dtype.kind == "S":
        return np.char.decode(flat, "utf-8").astype(object)
    return np.array(
        [v.decode() if isinstance(v, bytes) else str(v) for v in flat.tolist()], dtype=object
    )


def check_count(ids: int, vectors: int, where: str) -> None:
    """Check that there are as many ids as vectors."""
    if ids != vectors:
        raise MedauditError(
            f"{where} has {vectors} vectors and {ids} ids: they do not belong together; give the ids "
            "of exactly these vectors, in the same order"
        )


def reshaped(shape: tuple[int, ...], entry: Mapping[str, Any], where: str) -> tuple[int, ...]:
    """Return the shape ``[n, ...]`` after the entry's ``shape`` of one image is applied."""
    wanted = entry.get("shape")
    if not wanted:
        return shape
    if prod(wanted) != prod(shape[1:]):
        raise MedauditError(
            f"{where} has {prod(shape[1:])} numbers per image ({list(shape[1:])}), `shape` asks for "
            f"{list(wanted)} = {prod(wanted)}"
        )
    return (shape[0], *wanted)


def _plain(name: str) -> str:
    return name.casefold().replace(" ", "_").replace("-", "_")


def _listed(names: list[str]) -> str:
    return ", ".join(map(repr, names[:8])) + (
        f" and {len(names) - 8} more" if len(names) > 8 else ""
    )
