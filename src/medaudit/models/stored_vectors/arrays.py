"""NumPy files: an ``.npy`` with its ids in a second file, or an ``.npz`` that has both."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from medaudit.core.errors import MedauditError
from medaudit.core.files import data_root
from medaudit.models.stored_vectors.opened import (
    ID_NAMES,
    VECTOR_NAMES,
    Opened,
    as_ids,
    check_count,
    choose,
    reshaped,
)
from medaudit.models.weights.npz import npz_headers, read_npz


def open_npy(path: Path, entry: Mapping[str, Any]) -> Opened:
    """Open an array ``[n, ...]``; ``ids`` of the entry names the file with its ids."""
    array = _map(path)
    if entry.get("ids") is None:
        raise MedauditError(
            f"{path} holds no ids; name the file with one id per vector, in the same order, in `ids` "
            "(.npy, .txt with one per line, .csv)"
        )
    ids = read_ids(data_root() / entry["ids"])
    check_count(len(ids), len(array) if array.ndim else 0, str(path))
    shape = reshaped(array.shape, entry, str(path))
    return Opened(shape, array.dtype, path.name, lambda: (ids, array.reshape(shape)))


def read_ids(path: Path) -> np.ndarray:
    """Read ids, text ``[n]``, from an ``.npy``, one per line of a ``.txt``, or a table's column."""
    if not path.is_file():
        raise MedauditError(f"there is no file of ids {path}")
    if path.suffix == ".npy":
        return as_ids(_map(path), str(path))
    if path.suffix == ".txt":
        return np.array(path.read_text(encoding="utf-8").split(), dtype=object)
    from medaudit.data.readers.sheet import as_text, read_sheet

    frame = read_sheet(path).frame
    column = choose(frame.columns, None, ID_NAMES, f"ids of {path.name}")
    return as_text(frame[column]).to_numpy(object)


def open_npz(path: Path, entry: Mapping[str, Any]) -> Opened:
    """Open an archive: an array of vectors and one of ids, or one array per image."""
    headers = npz_headers(path)
    if (
        len(headers) > 2
        and not entry.get("ids")
        and len({shape for shape, _ in headers.values()}) == 1
    ):
        return _one_per_image(path, headers, entry)
    numbers = [
        name for name, (shape, kind) in headers.items() if kind.kind in "fiub" and len(shape) > 1
    ]
    texts = [
        name for name, (shape, kind) in headers.items() if kind.kind in "SUiu" and len(shape) == 1
    ]
    array = choose(numbers or headers, entry.get("array"), VECTOR_NAMES, "array")
    others = [name for name in texts if name != array]
    if not others and not entry.get("ids"):
        raise MedauditError(
            f"{path} has no array of ids; it has {', '.join(headers)}. Save it again with "
            "numpy.savez(file, ids=..., embeddings=...)"
        )
    ids = choose(others, entry.get("ids"), ID_NAMES, "ids")
    (shape, kind), (count, _) = headers[array], headers[ids]
    check_count(count[0], shape[0], str(path))
    shape = reshaped(shape, entry, f"{path}: {array}")

    def load() -> tuple[np.ndarray, np.ndarray]:
        found = read_npz(path, [array, ids])
        return as_ids(found[ids], f"{path}: {ids}"), found[array].reshape(shape)

    return Opened(shape, kind, array, load)


def _one_per_image(path: Path, headers: dict, entry: Mapping[str, Any]) -> Opened:
    one, kind = next(iter(headers.values()))
    where = f"{path}: the arrays, one per image,"
    shape = reshaped((len(headers), *one), entry, where)

    def load() -> tuple[np.ndarray, np.ndarray]:
        found = read_npz(path)
        return np.array(list(found), dtype=object), np.stack(list(found.values())).reshape(shape)

    return Opened(shape, kind, where, load)


def _map(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError, SyntaxError) as error:
        raise MedauditError(
            f"{path} is not a plain .npy array ({error}); save it again with numpy.save and an array "
            "of numbers or text (no object array)"
        ) from error
