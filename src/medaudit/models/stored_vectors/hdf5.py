"""HDF5: a dataset of vectors and one of ids, or one dataset per image."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medaudit.core.errors import MedauditError
from medaudit.models.stored_vectors.opened import (
    ID_NAMES,
    VECTOR_NAMES,
    Opened,
    as_ids,
    check_count,
    choose,
    reshaped,
)

MOST = 1 << 36
"""Bytes of a dataset that are read at most; a small file can announce any size."""


def open_hdf5(path: Path, entry: Mapping[str, Any]) -> Opened:
    """Open an HDF5 file; links to other files are not followed."""
    found = _datasets(path)
    numbers = [
        name for name, (shape, kind) in found.items() if kind.kind in "fiub" and len(shape) > 1
    ]
    texts = [
        name for name, (shape, kind) in found.items() if kind.kind in "SOiu" and len(shape) == 1
    ]
    texts = [name for name in texts if name != entry.get("array")]
    if not entry.get("ids") and not [n for n in texts if found[n][1].kind in "SO"]:
        return _one_per_image(path, found, entry)
    array = choose(numbers or found, entry.get("array"), VECTOR_NAMES, "array")
    ids = choose(texts, entry.get("ids"), ID_NAMES, "ids")
    (shape, kind), (count, _) = found[array], found[ids]
    check_count(count[0], shape[0], str(path))
    shape = reshaped(shape, entry, f"{path}: {array}")

    def load() -> tuple[np.ndarray, np.ndarray]:
        names, vectors = _read(path, [ids, array])
        return as_ids(names, f"{path}: {ids}"), vectors.reshape(shape)

    return Opened(shape, kind, array, load)


def _one_per_image(path: Path, found: dict, entry: Mapping[str, Any]) -> Opened:
    """Open a file whose datasets are named like the images."""
    wanted = entry.get("array")
    names = [name for name in found if wanted is None or name.startswith(f"{wanted}/")]
    shapes = {found[name][0] for name in names}
    if len(names) < 2 or len(shapes) != 1:
        raise MedauditError(
            f"{path} has neither a dataset of ids nor one dataset per image; it has "
            f"{ {name: list(found[name][0]) for name in list(found)[:5]} }. Name them in `array` and "
            "`ids`"
        )
    one, kind = found[names[0]]
    folder = _common_folder(names)
    where = f"{path}: the datasets, one per image,"
    shape = reshaped((len(names), *one), entry, where)

    def load() -> tuple[np.ndarray, np.ndarray]:
        ids = np.array([name.removeprefix(folder) for name in names], dtype=object)
        return ids, np.stack(_read(path, names)).reshape(shape)

    return Opened(shape, kind, where, load)


def _common_folder(names: list[str]) -> str:
    """Return the groups that all names share, with the final slash."""
    parts = [name.split("/")[:-1] for name in names]
    shared = 0
    while all(len(own) > shared for own in parts) and len({own[shared] for own in parts}) == 1:
        shared += 1
    return "".join(f"{part}/" for part in parts[0][:shared])


def _open(path: Path):
    import h5py

    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise MedauditError(f"{path} is not a readable HDF5 file: {error}") from error


def _datasets(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Return shape and type of each dataset whose values are in this file."""
    import h5py

    found: dict[str, tuple[tuple[int, ...], np.dtype]] = {}

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and not (item.is_virtual or item.external):
            if item.size and item.size * max(1, item.dtype.itemsize) > MOST:
                raise MedauditError(f"{path}: {name} announces {item.shape} {item.dtype}: refused")
            found[name] = (item.shape, item.dtype)

    with _open(path) as file:  # visititems follows hard links only
        file.visititems(visit)
    if not found:
        raise MedauditError(f"{path} contains no dataset")
    return found


def _read(path: Path, names: list[str]) -> list[np.ndarray]:
    with _open(path) as file:
        try:
            return [file[name][()] for name in names]
        except (OSError, ValueError) as error:
            raise MedauditError(f"{path}: a dataset cannot be read: {error}") from error
