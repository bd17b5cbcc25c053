"""Limits on the size that an image file may announce, checked before it is decoded.

A file of a few bytes can announce an image that fills the memory (a decompression bomb).
"""

import stat
from pathlib import Path

MAX_PIXELS = 120_000_000
MAX_DECODED = 4 * MAX_PIXELS
"""Bytes of one decoded image; decoders need a few times as much."""
MAX_BYTES = 1 << 30
"""Bytes of an image file."""


class UnreadableImage(Exception):
    """An image cannot be decoded; the message is the reason."""


def check_size(height: int, width: int, depth: int = 1) -> None:
    """Check that an image has pixels, and not too many to be decoded safely.

    Parameters
    ----------
    height, width : int
        Size in pixels, from the header of the file.
    depth : int
        Bytes per pixel.

    Raises
    ------
    UnreadableImage
        It has no pixels, or more than `MAX_PIXELS` or `MAX_DECODED` allow.
    """
    if min(height, width) < 1 or height * width > MAX_PIXELS:
        raise UnreadableImage(f"{width} x {height} pixels; the limit is {MAX_PIXELS:,} pixels")
    if height * width * depth > MAX_DECODED:
        raise UnreadableImage(
            f"{width} x {height} pixels of {depth} bytes; the limit is {MAX_DECODED:,} bytes"
        )


def check_regular(path: Path) -> int:
    """Return the length of a regular file; reading from a pipe or a device might never end.

    A symbolic link is followed: images are often on another disk.

    Raises
    ------
    FileNotFoundError
        There is no such file, or the link is broken.
    UnreadableImage
        The file is empty, a directory or a device.
    """
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise UnreadableImage(
            "it is a directory" if path.is_dir() else "it is a device, not a file"
        )
    if state.st_size == 0:
        raise UnreadableImage("the file has 0 bytes")
    return state.st_size
