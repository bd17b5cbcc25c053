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

from medaudit.data.readers.dicom import decode_dicom, is_dicom
from medaudit.data.readers.limits import MAX_BYTES, BrokenPicture, check_regular, check_size

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
OTHER_FORMATS = ("TIFF", "BMP", "GIF", "WEBP", "JPEG", "PNG")
_COPIES = 4  # that Pillow makes of a picture on its way
_SAMPLES = {0: 1, 2: 3, 3: 4, 4: 2, 6: 4}
_TO_8_BITS = ((np.arange(1 << 16, dtype=np.uint32) + 128) // 257).astype(np.uint8)


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
    if (length := check_regular(path)) > MAX_BYTES:
        raise BrokenPicture(f"the file has {length:,} bytes; the limit is {MAX_BYTES:,}")
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
        return decode_dicom(data)
    return _decode_other(data)


def _decode_png(data: bytes) -> np.ndarray:
    if len(data) < 33:
        raise BrokenPicture("the PNG data are truncated")
    width, height, bits, kind = struct.unpack(">IIBB", data[16:26])
    check_size(height, width, _SAMPLES.get(kind, 4) * (2 if bits == 16 else 1))
    if b"acTL" in _png_chunks(data):
        raise BrokenPicture("the PNG is animated; one frame is wanted")
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise BrokenPicture("the PNG data are truncated or corrupt")
    if picture.dtype == np.uint16:
        picture = cv2.LUT(picture, _TO_8_BITS)
    if picture.ndim == 3:
        turn = cv2.COLOR_BGRA2RGB if picture.shape[2] == 4 else cv2.COLOR_BGR2RGB
        picture = cv2.cvtColor(picture, turn)
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
            check_size(image.height, image.width, _COPIES * len(image.getbands()))
            frames = getattr(image, "n_frames", 1)
            if frames != 1:
                raise BrokenPicture(f"the {image.format} holds {frames} frames; one is wanted")
            return _from_pillow(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise BrokenPicture(f"not a picture that can be read: {error}") from error


def _from_pillow(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I;16"):
        return cv2.LUT(np.asarray(image).astype(np.uint16, copy=False), _TO_8_BITS)
    if image.mode in ("I", "F"):
        raise BrokenPicture(f"{image.format} pixels of 32 bits have no known range")
    return np.asarray(image.convert("L" if image.mode in ("1", "L", "LA") else "RGB"))


def _match_channels(picture: np.ndarray, channels: int) -> np.ndarray:
    if channels == 1 and picture.ndim == 3:
        return cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    if channels == 3 and picture.ndim == 2:
        return cv2.cvtColor(picture, cv2.COLOR_GRAY2RGB)
    return picture
