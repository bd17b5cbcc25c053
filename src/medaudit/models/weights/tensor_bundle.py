"""Read the variables of a TensorFlow SavedModel or checkpoint, without TensorFlow.

Variables are stored as a TensorBundle: an index (``variables.index``), and next to it data files
with plain numbers (``variables.data-00000-of-00001``). Nothing in them can be executed.

The index is a LevelDB table: blocks of sorted key-value pairs, each block with a checksum, a block
that lists the others, and a footer of 48 bytes that locates this list and ends with a magic number.
Values are protocol buffers. The value of the empty key is the header (number of data files, byte
order); any other value is a ``BundleEntryProto`` (type, shape, data file, offset, size, checksum).

The index has checksums of itself and of every tensor, and all are compared here. So the hash of
the index, which the catalogue has, identifies the data files as well.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import google_crc32c
import numpy as np
import torch

from medaudit.core.errors import MedauditError
from medaudit.core.protobuf import fields as _fields
from medaudit.core.protobuf import message as _message
from medaudit.core.protobuf import number as _number
from medaudit.core.protobuf import text as _text
from medaudit.core.protobuf import varint as _varint

MAGIC = bytes.fromhex("57fb808b247547db")
FOOTER, TRAILER = 48, 5  # bytes at the end of the table; after each block: its type, its checksum
GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
TEXT = 7  # DT_STRING
TYPES = {1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 6: "i1", 9: "<i8", 10: "?", 19: "<f2"}
"""NumPy types, by the number of TensorFlow's ``DataType``."""
_LARGEST_EXPANSION = 20  # of the keys of a block, which share their beginnings


@dataclass(frozen=True)
class Entry:
    """Type, shape and place of a tensor, from its ``BundleEntryProto``."""

    kind: int
    shape: tuple[int, ...]
    shard: int
    offset: int
    size: int
    checksum: int


def read_bundle(path: Path) -> dict[str, torch.Tensor]:
    """Read all numeric variables.

    Parameters
    ----------
    path : Path
        The index; the data files are next to it.

    Returns
    -------
    dict of str to torch.Tensor
        Keyed by the variables' own names in the object graph, e.g.
        ``resnet/root_block/standardized_conv2d/kernel``, or by their keys in the index if there is
        no object graph or a name is not unique. Text variables are left out.

    Raises
    ------
    MedauditError
        A file is missing, truncated, damaged (offsets, sizes, checksums), compressed or big-endian,
        or has a variable in slices or of an unknown type.
    """
    try:
        entries, shards = _read_index(path)
        names = _variable_names(entries, shards)
        return {
            names.get(key, key): _read_array(key, entry, shards[entry.shard])
            for key, entry in entries.items()
            if entry.kind != TEXT
        }
    except (ValueError, OSError, OverflowError) as error:
        raise MedauditError(
            f"{path} is not a valid index of a TensorFlow SavedModel ({error}): download the whole "
            "`variables` folder again"
        ) from error


def _read_index(path: Path) -> tuple[dict[str, Entry], list[Path]]:
    table = _read_table(path.read_bytes())
    if b"" not in table:
        raise ValueError("it has no header")
    header = dict(_fields(table.pop(b"")))
    if header.get(2, 0) != 0:
        raise ValueError("its numbers are big-endian")
    count = header.get(1, 0)
    if not isinstance(count, int) or not 0 < count <= 10_000:
        raise ValueError(f"it announces {count!r} data files")
    shards = [path.with_suffix(f".data-{i:05d}-of-{count:05d}") for i in range(count)]
    entries = {key.decode(): _read_entry(key.decode(), value) for key, value in table.items()}
    _check_places(entries, shards)
    return entries, shards


def _read_table(data: bytes) -> dict[bytes, bytes]:
    """Return the entries of a LevelDB table."""
    # Blocks must not overlap: a small file could otherwise list one block any number of times.
    if len(data) < FOOTER or not data.endswith(MAGIC):
        raise ValueError("it does not end with the magic number of such an index")
    _, start = _read_handle(data, len(data) - FOOTER)
    handle, _ = _read_handle(data, start)
    table: dict[bytes, bytes] = {}
    end = 0
    for _, place in _read_block(data, handle):
        offset, size = _read_handle(place, 0)[0]
        if offset < end:
            raise ValueError("its blocks overlap")
        end = offset + size
        table |= _read_block(data, (offset, size))
    return table


def _read_handle(data: bytes, start: int) -> tuple[tuple[int, int], int]:
    offset, start = _varint(data, start)
    size, start = _varint(data, start)
    return (offset, size), start


def _read_block(data: bytes, handle: tuple[int, int]) -> Iterator[tuple[bytes, bytes]]:
    offset, size = handle
    if offset + size + TRAILER > len(data) - FOOTER:
        raise ValueError(f"a block at {offset} of {size} bytes is outside of it")
    block, trailer = data[offset : offset + size], data[offset + size : offset + size + TRAILER]
    if trailer[0] != 0:
        raise ValueError(f"the block at {offset} is compressed (type {trailer[0]})")
    if _masked(google_crc32c.value(block + trailer[:1])) != int.from_bytes(trailer[1:], "little"):
        raise ValueError(f"the checksum of the block at {offset} differs")
    # A block ends with the places where keys are written in full (for binary search; not needed
    # here) and their number.
    restarts = int.from_bytes(block[-4:], "little")
    end = size - 4 * (restarts + 1)
    if size < 4 or end < 0:
        raise ValueError(f"the block at {offset} is truncated")
    return _read_entries(block[:end])


def _read_entries(block: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values of a block; keys are stored without the start shared with the last."""
    key, start, expanded = b"", 0, 0
    while start < len(block):
        shared, start = _varint(block, start)
        fresh, start = _varint(block, start)
        size, start = _varint(block, start)
        if shared > len(key) or start + fresh + size > len(block):
            raise ValueError("an entry is longer than its block")
        key = key[:shared] + block[start : start + fresh]
        start += fresh + size
        expanded += len(key)
        if expanded > _LARGEST_EXPANSION * len(block):
            raise ValueError("its keys expand without limit")
        yield key, block[start - size : start]


def _read_entry(key: str, value: bytes) -> Entry:
    # BundleEntryProto: 1 dtype, 2 shape, 3 shard_id, 4 offset, 5 size, 6 crc32c, 7 slices.
    fields = list(_fields(value))
    if any(number == 7 for number, _ in fields):
        raise ValueError(f"{key} is stored in slices")
    found = dict(fields)
    shape = [dim for number, dim in _fields(_message(found.get(2, b""))) if number == 2]
    try:
        sizes = tuple(_number(dict(_fields(_message(dim))).get(1, 0)) for dim in shape)
        kind, shard, offset, size, checksum = (_number(found.get(k, 0)) for k in (1, 3, 4, 5, 6))
    except ValueError as error:
        raise ValueError(f"the description of {key} is damaged ({error})") from error
    return Entry(kind, sizes, shard, offset, size, checksum)


def _check_places(entries: dict[str, Entry], shards: list[Path]) -> None:
    """Check that every tensor is inside its data file and that none overlap."""
    used = sorted({entry.shard for entry in entries.values()})
    if used and used[-1] >= len(shards):
        raise ValueError(f"it refers to data file {used[-1]}, but there are only {len(shards)}")
    lengths = {shard: shards[shard].stat().st_size for shard in used}
    end = dict.fromkeys(used, 0)
    for key, entry in sorted(entries.items(), key=lambda item: item[1].offset):
        if entry.size and entry.offset < end[entry.shard]:
            raise ValueError(f"{key} overlaps another tensor")
        end[entry.shard] = max(end[entry.shard], entry.offset + entry.size)
        if end[entry.shard] > lengths[entry.shard]:
            raise ValueError(
                f"{key} ends at byte {end[entry.shard]} of {shards[entry.shard].name}, which has "
                f"{lengths[entry.shard]}"
            )


def _variable_names(entries: dict[str, Entry], shards: list[Path]) -> dict[str, str]:
    """Return the variables' names by their keys, from TensorFlow 2's object graph."""
    # TrackableObjectGraph: 1 nodes; of a node: 2 attributes; of these: 2 full name, 3 key.
    if GRAPH not in entries:
        return {}
    names = {}
    graph = _read_text(entries[GRAPH], shards[entries[GRAPH].shard])
    for node in (value for number, value in _fields(graph) if number == 1):
        for attribute in (value for number, value in _fields(_message(node)) if number == 2):
            found = dict(_fields(_message(attribute)))
            name, key = (_text(found.get(number, b"")) for number in (2, 3))
            if name and key in entries:
                names[key] = name
    taken = Counter(names.values())
    return {key: name for key, name in names.items() if taken[name] == 1 and name not in entries}


def _read_text(entry: Entry, shard: Path) -> bytes:
    """Return a scalar text variable."""
    # Stored as its length (a varint), a checksum of the length, then the bytes. The checksum of the
    # whole counts the length as four bytes.
    data = _read_bytes(entry, shard)
    length, start = _varint(data, 0)
    text = data[start + 4 :]
    if entry.kind != TEXT or entry.shape or length != len(text):
        raise ValueError("its object graph is damaged")
    _compare(GRAPH, length.to_bytes(4, "little") + data[start:], entry)
    return text


def _read_array(key: str, entry: Entry, shard: Path) -> torch.Tensor:
    if entry.kind not in TYPES:
        raise ValueError(f"{key} has TensorFlow's type {entry.kind}, which is not supported")
    kind = np.dtype(TYPES[entry.kind])
    if math.prod(entry.shape) * kind.itemsize != entry.size:
        raise ValueError(f"{key} has {entry.size} bytes for {list(entry.shape)} {kind}")
    data = _read_bytes(entry, shard)
    _compare(key, data, entry)
    return torch.from_numpy(np.frombuffer(data, kind).reshape(entry.shape).copy())


def _read_bytes(entry: Entry, shard: Path) -> bytes:
    with shard.open("rb") as stream:
        stream.seek(entry.offset)
        return stream.read(entry.size)


def _compare(key: str, data: bytes, entry: Entry) -> None:
    if _masked(google_crc32c.value(data)) != entry.checksum:
        raise ValueError(f"the checksum of {key} differs")


def _masked(checksum: int) -> int:
    """Return a CRC-32C as LevelDB stores it: rotated right by 15 bits, plus a constant."""
    turned = (checksum >> 15) | (checksum << 17)
    return (turned + 0xA282EAD8) & 0xFFFFFFFF
