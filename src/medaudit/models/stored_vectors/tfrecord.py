"""TFRecord files of ``tf.train.Example``, as CXR Foundation writes them, without TensorFlow.

A record is its length (eight bytes), a checksum of the length, the content and a checksum of the
content. Both checksums are CRC-32C, masked. The content is a protocol buffer: ``Example`` 1 is
``Features``, whose 1 are pairs of a name (1) and a ``Feature`` (2): bytes (1), floats (2) or whole
numbers (3), each a list in field 1.
"""

import gzip
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import google_crc32c
import numpy as np

from medaudit.core.errors import MedauditError
from medaudit.core.protobuf import Buffer, fields, message, number, text, varint
from medaudit.models.stored_vectors.opened import ID_NAMES, VECTOR_NAMES, Opened, choose, reshaped

LARGEST = 1 << 30
"""Bytes of a record that are read at most."""

Feature = list[bytes] | np.ndarray


def open_tfrecord(path: Path, entry: Mapping[str, Any]) -> Opened:
    """Open a TFRecord file, or a folder with any number of them, plain or compressed with gzip."""
    files = tfrecord_files(path)
    first = next(read_examples(files[0]), None)
    if first is None:
        raise MedauditError(f"{files[0]} contains no record")
    vectors = [
        name for name, value in first.items() if isinstance(value, np.ndarray) and len(value) > 1
    ]
    array = choose(vectors, entry.get("array"), VECTOR_NAMES, "array")
    texts = [name for name, value in first.items() if isinstance(value, list) and len(value) == 1]
    named = _id_feature(texts, entry)
    values = first[array]
    if not isinstance(values, np.ndarray):
        raise MedauditError(
            f"{files[0]}: {array} holds text, not numbers; name the vectors in `array`"
        )
    shape = reshaped((-1, len(values)), entry, f"{files[0]}: {array}")

    def load() -> tuple[np.ndarray, np.ndarray]:
        return _read_all(path, files, array, named, shape[1:])

    return Opened(shape, values.dtype, array, load)


def _id_feature(texts: list[str], entry: Mapping[str, Any]) -> str | None:
    """Return the feature that holds ids; None: the name of a file is the id of its only record."""
    if entry.get("ids") is None and not texts:
        return None
    return choose(texts, entry.get("ids"), ID_NAMES, "ids")


def tfrecord_files(path: Path) -> list[Path]:
    """Return a file, or the TFRecord files of a folder and its subfolders, sorted."""
    if path.is_file():
        return [path]
    ends = (".tfrecord", ".tfrecords", ".tfrecord.gz")
    found = sorted(file for file in path.rglob("*") if file.name.endswith(ends))
    if not found:
        raise MedauditError(f"the folder {path} contains no file that ends in {', '.join(ends)}")
    return found


def _read_all(
    path: Path, files: list[Path], array: str, named: str | None, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    ids: list[str] = []
    vectors: list[np.ndarray] = []
    for file in files:
        for count, example in enumerate(read_examples(file)):
            values = example.get(array)
            if not isinstance(values, np.ndarray) or len(values) != int(np.prod(shape)):
                size = "no" if values is None else len(values)
                raise MedauditError(
                    f"{file}: record {count + 1} has {size} numbers in {array}, the first record has "
                    f"{int(np.prod(shape))}"
                )
            if named is None and count:
                raise MedauditError(f"{file} has several records and no ids; name them in `ids`")
            ids.append(_id_of(example, named, file, path))
            vectors.append(values.reshape(shape))
    return np.array(ids, dtype=object), np.stack(vectors)


def _id_of(example: dict[str, Feature], named: str | None, file: Path, folder: Path) -> str:
    if named is None:
        return file.relative_to(folder).as_posix() if folder.is_dir() else file.name
    held = example.get(named)
    if not isinstance(held, list) or len(held) != 1:
        raise MedauditError(f"{file}: a record has no id in {named}")
    return held[0].decode()


def read_examples(file: Path) -> Iterator[dict[str, Feature]]:
    """Yield the features of each record by name: a list of bytes, or an array of numbers.

    Raises
    ------
    MedauditError
        The file is truncated, a checksum differs, or a record is no ``Example``.
    """
    try:
        with file.open("rb") as start:
            packed = start.read(2) == b"\x1f\x8b"
        with file.open("rb") as plain, gzip.GzipFile(fileobj=plain) as unpacked:
            for record in _records(unpacked if packed else plain):
                yield _features(record)
    except (ValueError, OSError, EOFError, UnicodeDecodeError) as error:
        raise MedauditError(
            f"{file} is not a valid TFRecord file of Examples ({error}); download it again"
        ) from error


def _records(stream: IO[bytes] | gzip.GzipFile) -> Iterator[bytes]:
    place = 0
    while head := stream.read(12):
        if len(head) < 12 or _masked(head[:8]) != int.from_bytes(head[8:], "little"):
            raise ValueError(f"the checksum of the length at byte {place} differs")
        size = int.from_bytes(head[:8], "little")
        if size > LARGEST:
            raise ValueError(f"the record at byte {place} announces {size:,} bytes")
        content, mark = stream.read(size), stream.read(4)
        if len(mark) < 4:
            raise ValueError(f"the record at byte {place} is truncated")
        if _masked(content) != int.from_bytes(mark, "little"):
            raise ValueError(f"the checksum of the record at byte {place} differs")
        place += size + 16
        yield content


def _masked(content: bytes) -> int:
    """Return a CRC-32C as TFRecord stores it: rotated right by 15 bits, plus a constant."""
    checksum = google_crc32c.value(content)
    return (((checksum >> 15) | (checksum << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _features(record: bytes) -> dict[str, Feature]:
    found: dict[str, Feature] = {}
    for outer, features in fields(record):
        if outer != 1:
            continue
        for inner, pair in fields(message(features)):
            parts = dict(fields(message(pair))) if inner == 1 else {}
            if parts:
                found[text(parts.get(1, b""))] = _feature(message(parts.get(2, b"")))
    return found


def _feature(content: Buffer) -> Feature:
    for kind, values in fields(content):
        held = [value for place, value in fields(message(values)) if place == 1]
        if kind == 1:
            return [bytes(message(value)) for value in held]
        if kind == 2:
            return np.concatenate([_floats(value) for value in held] or [np.empty(0, "<f4")])
        if kind == 3:
            return np.array([n for value in held for n in _whole(value)], dtype=np.int64)
    return []


def _floats(value: int | Buffer) -> np.ndarray:
    """Return packed floats, or the one float that is stored by itself."""
    content = value.to_bytes(4, "little") if isinstance(value, int) else bytes(value)
    return np.frombuffer(content, "<f4")


def _whole(value: int | Buffer) -> Iterator[int]:
    if isinstance(value, int):
        yield number(value) - (1 << 64 if value >> 63 else 0)
        return
    start = 0
    while start < len(value):
        found, start = varint(value, start)
        yield found - (1 << 64 if found >> 63 else 0)
