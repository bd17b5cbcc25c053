"""One picture file to one small uint8 picture.

What is inside decides, not the file's name. Shrinking averages areas (antialiased), the two sides
independently: a picture is squashed to a square, as in the papers. Colour becomes grey by
ITU-R 601 luma; transparency is dropped; EXIF orientation is not applied.
"""

import io
import struct
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import simplejpeg
from PIL import Image

from medaudit.images.dicom import decode_dicom, is_dicom

MAX_PIXELS = 120_000_000
MAX_BYTES = 1 << 30
PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
OTHER_FORMATS = ("TIFF", "BMP", "GIF", "WEBP", "JPEG", "PNG")


class BrokenPicture(Exception):
    """Why a file cannot be a picture of the store."""


def decode_file(path: Path, size: int, channels: int = 1) -> np.ndarray:
    """Read a picture file and resize it to a square.

    Parameters
    ----------
    path : Path
        PNG, JPEG, DICOM, TIFF, BMP, GIF or WebP, one frame.
    size : int
        Pixels a side of the result.
    channels : {1, 3}
        Grey, or red-green-blue (a grey picture is repeated).

    Returns
    -------
    numpy.ndarray
        uint8 ``[size, size]`` or ``[size, size, 3]``. Pixels of 16 bits are divided by 257, so
        that the full range stays the full range; DICOM as in `dicom.decode_dicom`.

    Raises
    ------
    BrokenPicture
        The file is empty, truncated, no picture, animated, or too large to be decoded safely.
    FileNotFoundError
        There is no such file.
    """
    length = path.stat().st_size
    if length == 0 or length > MAX_BYTES:
        raise BrokenPicture(f"the file has {length:,} bytes")
    data = path.read_bytes()
    picture = _match_channels(_decode(data, path.suffix.lower(), size, channels), channels)
    return resize_picture(picture, size)


def resize_picture(picture: np.ndarray, size: int) -> np.ndarray:
    """Return a uint8 picture squashed to `size` x `size`: areas averaged, or bilinear to enlarge."""
    height, width = picture.shape[:2]
    smaller = (min(width, size), min(height, size))
    if smaller != (width, height):
        picture = cv2.resize(picture, smaller, interpolation=cv2.INTER_AREA)
    if smaller != (size, size):
        picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_LINEAR)
    return picture


def _decode(data: bytes, suffix: str, size: int, channels: int) -> np.ndarray:
    if data.startswith(PNG):
        return _decode_png(data)
    if data.startswith(JPEG):
        return _decode_jpeg(data, size, channels)
    if is_dicom(data, suffix):
        return decode_dicom(data, check_size)
    return _decode_other(data)


def check_size(height: int, width: int) -> None:
    """Refuse a picture that would take too much memory to decode, or has no pixels."""
    if not 0 < height * width <= MAX_PIXELS or min(height, width) < 1:
        raise BrokenPicture(f"{width} x {height} pixels; the limit is {MAX_PIXELS:,} in all")


def _decode_png(data: bytes) -> np.ndarray:
    if len(data) < 33:
        raise BrokenPicture("the PNG data are truncated")
    width, height = struct.unpack(">II", data[16:24])
    check_size(height, width)
    if b"acTL" in _png_chunks(data):
        raise BrokenPicture("the PNG is animated; one frame is wanted")
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise BrokenPicture("the PNG data are truncated or corrupt")
    if picture.dtype == np.uint16:
        picture = ((picture.astype(np.uint32) + 128) // 257).astype(np.uint8)
    if picture.ndim == 3:
        picture = cv2.cvtColor(np.ascontiguousarray(picture[:, :, :3]), cv2.COLOR_BGR2RGB)
    return picture


def _png_chunks(data: bytes) -> Iterator[bytes]:
    start = len(PNG)
    while start + 8 <= len(data):
        length, kind = struct.unpack(">I4s", data[start : start + 8])
        yield kind
        if kind == b"IDAT":
            return
        start += 12 + length


def _decode_jpeg(data: bytes, size: int, channels: int) -> np.ndarray:
    try:
        height, width, space, _ = simplejpeg.decode_jpeg_header(data)
        check_size(height, width)
        if space in ("CMYK", "YCCK"):
            return _decode_other(data)
        wanted = "GRAY" if channels == 1 or space == "Gray" else "RGB"
        # At least twice the wanted size: within one grey level of decoding in full.
        picture = simplejpeg.decode_jpeg(data, wanted, min_height=2 * size, min_width=2 * size)
    except ValueError as error:
        raise BrokenPicture(f"JPEG: {error}") from error
    return picture[:, :, 0] if wanted == "GRAY" else picture


def _decode_other(data: bytes) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(data), formats=OTHER_FORMATS) as image:
            check_size(image.height, image.width)
            frames = getattr(image, "n_frames", 1)
            if frames != 1:
                raise BrokenPicture(f"the {image.format} holds {frames} frames; one is wanted")
            return _from_pillow(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BrokenPicture(f"not a picture that can be read: {error}") from error


def _from_pillow(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I;16"):
        return ((np.asarray(image).astype(np.uint32) + 128) // 257).astype(np.uint8)
    if image.mode in ("I", "F"):
        raise BrokenPicture(f"{image.format} pixels of 32 bits have no known range")
    return np.asarray(image.convert("L" if image.mode in ("1", "L", "LA") else "RGB"))


def _match_channels(picture: np.ndarray, channels: int) -> np.ndarray:
    if channels == 1 and picture.ndim == 3:
        return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    if channels == 3 and picture.ndim == 2:
        return cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
    return picture
