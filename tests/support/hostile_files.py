"""Writes files that are wrong or hostile; a gadget that is run leaves a mark behind."""

import os
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np


class Gadget:
    """Makes a folder when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.mark),)


class FileGadget:
    """Makes a file when it is unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


def chunk(kind: bytes, data: bytes) -> bytes:
    """Return a chunk of a PNG file."""
    checksum = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def png(
    width: int,
    height: int,
    bits: int = 8,
    kind: int = 0,
    more: bytes = b"",
    rows: int | None = None,
) -> bytes:
    """Return a black PNG picture; `rows` are fewer than its header says."""
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[kind]
    row = bytes(1 + (width * bits * samples + 7) // 8)
    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(row) for _ in range(rows or height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0)
    parts = chunk(b"IHDR", header) + more + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def npy_header(shape: str, kind: str = "|u1") -> bytes:
    """Return the header of a NumPy array; `shape` is Python text, right or wrong."""
    text = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


def save_zip(path: Path, members: dict[str, bytes], packed: bool = True) -> Path:
    """Write a zip archive."""
    way = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(path, "w", way) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def edit_zip(source: Path, target: Path, change) -> Path:
    """Copy a zip archive; `change(name, content)` returns what a member becomes, None drops it."""
    with zipfile.ZipFile(source) as archive:
        members = {name: change(name, archive.read(name)) for name in archive.namelist()}
    return save_zip(target, {k: v for k, v in members.items() if v is not None})


def save_object_array(path: Path, payload: bytes) -> Path:
    """Write an ``.npz`` whose one member is an object array with this pickle."""
    return save_zip(path, {"arr_0.npy": npy_header("()", "|O") + payload})


PICKLE_BOMBS = {
    "memo": b"\x80\x02Nr\xff\xff\xff\x0f.",
    "long text": b"\x80\x04\x8d" + struct.pack("<Q", 1 << 40) + b".",
    "long bytes": b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b".",
    "frame": b"\x80\x04\x95" + struct.pack("<Q", 1 << 40) + b".",
    "number": b"\x80\x02\x8b" + struct.pack("<i", 1 << 30) + b".",
    "tuples": b"(" * 300_000 + b"t" * 300_000 + b".",
    "marks": b"(" * 2_500_000 + b".",
    "lists": b"]" * 300_000 + b"a" * 299_999 + b".",
    "copies": pickle.dumps("a" * (1 << 20), 2)[:-1] + b"q\x00c__builtin__\nlist\nq\x01"
    b"0" + b"h\x01h\x00\x85R" * 400 + b".",
}
"""Pickles of little length that make Python reserve, or fill, any amount of memory."""


def truncations(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Yield a content cut off, overwritten or turned over at random places."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        place = int(rng.integers(1, len(content)))
        if number % 3 == 0:
            yield content[:place]
        elif number % 3 == 1:
            noise = rng.bytes(int(rng.integers(1, 9)))
            yield content[:place] + noise + content[place + len(noise) :]
        else:
            yield (
                content[:place]
                + bytes([content[place] ^ 1 << int(rng.integers(8))])
                + (content[place + 1 :])
            )


def run_bounded(code: str, megabytes: int, *arguments: object) -> str:
    """Run code in a process that may take so much more memory than its imports; return its output.

    The code's first line imports; a process of its own, since a peak that was there hides a lower.
    """
    imports, _, rest = code.strip().partition("\n")
    limit = f"""
import resource, sys
{imports}
own = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
most = own + ({megabytes} << 20)
resource.setrlimit(resource.RLIMIT_AS, (most, most))
{rest}
"""
    command = [sys.executable, "-c", limit, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
