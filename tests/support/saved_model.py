"""Writes the variables of a TensorFlow SavedModel as TensorFlow lays them out, without it.

Written against the descriptions of LevelDB's tables, of protocol buffers and of TensorFlow's
tensor bundles, not against the reader under test.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MAGIC = 0xDB4775248B80FB57
DTYPES = {"float32": 1, "float64": 2, "int64": 9, "float16": 19}
GRAPH = "_CHECKPOINTABLE_OBJECT_GRAPH"
RESTART_EVERY, BLOCK = 16, 4096
_TABLE = [0] * 256
for _n in range(256):
    _c = _n
    for _ in range(8):
        _c = (_c >> 1) ^ (0x82F63B78 if _c & 1 else 0)
    _TABLE[_n] = _c


def crc32c(data: bytes) -> int:
    """Return the Castagnoli checksum, a byte at a time."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def masked(crc: int) -> int:
    """Return LevelDB's masked form: rotated right by 15 bits, plus a constant."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) % 2**32


def varint(value: int) -> bytes:
    """Return a base-128 number, least part first."""
    out = b""
    while value >= 128:
        out += bytes([value % 128 + 128])
        value //= 128
    return out + bytes([value])


def number(field: int, value: int) -> bytes:
    """Return a field of wire type 0; zero is left out, as proto3 does."""
    return varint(field << 3) + varint(value) if value else b""


def nested(field: int, value: bytes) -> bytes:
    """Return a field of wire type 2."""
    return varint(field << 3 | 2) + varint(len(value)) + value


@dataclass
class Damage:
    """Ways to spoil a bundle while its checksums stay right."""

    entry: Callable[[str, dict], dict] = lambda key, entry: entry
    block: Callable[[bytes], bytes] = lambda block: block
    kind: int = 0
    endianness: int = 0
    header: bool = True
    graph: Callable[[bytes], bytes] = lambda graph: graph
    handles: Callable[[dict[bytes, bytes]], dict[bytes, bytes]] = lambda handles: handles


def write(
    folder: Path,
    variables: dict[str, np.ndarray],
    named: bool = True,
    damage: Damage | None = None,
    shards: int = 1,
) -> Path:
    """Write ``variables/variables.{index,data-*}`` and return the index.

    With `named` the keys are numbered and an object graph gives the names, as TensorFlow 2 does;
    without, the names are the keys, as TensorFlow 1 does.
    """
    damage, place = damage or Damage(), folder / "variables"
    place.mkdir(parents=True, exist_ok=True)
    keys = {name: f"variables/{i}/.ATTRIBUTES/VARIABLE_VALUE" for i, name in enumerate(variables)}
    parts, entries = [b""] * shards, {}
    tensors = {(keys[name] if named else name): value for name, value in variables.items()}
    for i, key in enumerate(sorted(tensors)):
        data = tensors[key].astype(tensors[key].dtype.newbyteorder("<")).tobytes()
        kind = DTYPES[tensors[key].dtype.name]
        entries[key] = _place(parts, i % shards, data, kind, tensors[key].shape, data)
    if named:
        text = damage.graph(object_graph(keys))
        length = varint(len(text))
        plain = struct.pack("<I", len(text))
        stored = struct.pack("<I", masked(crc32c(plain)))
        data = length + stored + text
        entries[GRAPH] = _place(parts, 0, data, 7, (), plain + stored + text)
    entries = {key: damage.entry(key, entry) for key, entry in entries.items()}
    rows = {key.encode(): entry_proto(**entry) for key, entry in entries.items()}
    if damage.header:
        rows[b""] = number(1, shards) + number(2, damage.endianness) + nested(3, number(1, 1))
    index = place / "variables.index"
    index.write_bytes(table(rows, damage))
    for i, part in enumerate(parts):
        (place / f"variables.data-{i:05d}-of-{shards:05d}").write_bytes(part)
    return index


def _place(parts: list[bytes], shard: int, data: bytes, kind: int, shape, summed: bytes) -> dict:
    offset = len(parts[shard])
    parts[shard] += data
    place = {"shard": shard, "offset": offset, "size": len(data)}
    return {"kind": kind, "shape": shape, **place, "crc": masked(crc32c(summed))}


def entry_proto(kind, shape, shard, offset, size, crc, slices=b"") -> bytes:
    """Return a ``BundleEntryProto``."""
    dims = b"".join(nested(2, number(1, length)) for length in shape)
    checksum = varint(6 << 3 | 5) + struct.pack("<I", crc)
    places = number(3, shard) + number(4, offset) + number(5, size)
    return number(1, kind) + nested(2, dims) + places + checksum + slices


def object_graph(keys: dict[str, str]) -> bytes:
    """Return a ``TrackableObjectGraph``: a root with one child a variable."""
    children = b"".join(
        nested(1, number(1, i + 1) + nested(2, str(i).encode())) for i in range(len(keys))
    )
    nodes = nested(1, children)
    for name, key in keys.items():
        attribute = (
            nested(1, b"VARIABLE_VALUE") + nested(2, name.encode()) + nested(3, key.encode())
        )
        nodes += nested(1, nested(2, attribute))
    return nodes


def table(rows: dict[bytes, bytes], damage: Damage) -> bytes:
    """Return a LevelDB table: data blocks, an empty metaindex, the index, the footer."""
    out, handles, pending = b"", {}, {}
    for key in sorted(rows):
        pending[key] = rows[key]
        if sum(map(len, pending.values())) > BLOCK or key == max(rows):
            out, handles[key] = _append(out, damage.block(block(pending)), damage.kind)
            pending = {}
    out, meta = _append(out, block({}), 0)
    out, index = _append(out, block(damage.handles(handles)), 0)
    return out + (meta + index).ljust(40, b"\0") + struct.pack("<Q", MAGIC)


def block(rows: dict[bytes, bytes]) -> bytes:
    """Return a block: each key without the start it shares with the one before it."""
    out, restarts, before = b"", [], b""
    for i, (key, value) in enumerate(rows.items()):
        shared = 0
        if i % RESTART_EVERY == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(before), len(key)) and before[shared] == key[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value))
        out += key[shared:] + value
        before = key
    restarts = restarts or [0]
    return out + struct.pack(f"<{len(restarts)}I", *restarts) + struct.pack("<I", len(restarts))


def _append(out: bytes, content: bytes, kind: int) -> tuple[bytes, bytes]:
    handle = varint(len(out)) + varint(len(content))
    crc = masked(crc32c(content + bytes([kind])))
    return out + content + bytes([kind]) + struct.pack("<I", crc), handle
