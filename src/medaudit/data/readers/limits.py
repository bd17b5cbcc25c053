"""How much a picture may claim before it is decoded: no small file may fill the memory."""

import stat
from pathlib import Path

MAX_PIXELS = 120_000_000
MAX_DECODED = 4 * MAX_PIXELS
"""Bytes of one decoded picture; what works on it takes a few times as much."""
MAX_BYTES = 1 << 30
"""Bytes of a file that is one picture."""


class BrokenPicture(Exception):
    """Why a file cannot be a picture of the store."""


def check_size(height: int, width: int, depth: int = 1) -> None:
    """Refuse a picture that has no pixels, or too many to be decoded safely.

    Parameters
    ----------
    height, width : int
        Pixels, as its header says.
    depth : int
        Bytes of a pixel.

    Raises
    ------
    BrokenPicture
        More than `MAX_PIXELS` or `MAX_DECODED`, or none.
    """
    if min(height, width) < 1 or height * width > MAX_PIXELS:
        raise BrokenPicture(f"{width} x {height} pixels; the limit is {MAX_PIXELS:,} in all")
    if height * width * depth > MAX_DECODED:
        raise BrokenPicture(
            f"{width} x {height} pixels of {depth} bytes; the limit is {MAX_DECODED:,} bytes"
        )


def check_regular(path: Path) -> int:
    """Return the length of a file; a pipe or a device could be waited for without end.

    A symbolic link is followed: pictures often lie on another disk.

    Raises
    ------
    FileNotFoundError
        There is none, or the link leads nowhere.
    BrokenPicture
        It is empty, a directory, or no file at all.
    """
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise BrokenPicture("it is a directory" if path.is_dir() else "it is no file but a device")
    if state.st_size == 0:
        raise BrokenPicture("the file has 0 bytes")
    return state.st_size
