"""Decode an image file and resize it, with its aspect ratio, to a small uint8 array.

The content decides about the format, not the file's name. The shorter side gets the wanted length,
and nothing is cropped or padded: each model does that as its owner does. Shrinking averages areas
(antialiased). Colour becomes grey by ITU-R 601 luma; transparency is dropped; EXIF orientation is
not applied.
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
from medaudit.data.readers.limits import MAX_BYTES, UnreadableImage, check_regular, check_size

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
OTHER_FORMATS = ("TIFF", "BMP", "GIF", "WEBP", "JPEG", "PNG")
MAX_RATIO = 16
"""Largest ratio of an image's sides."""
_COPIES = 4  # of an image in memory while Pillow decodes and converts it
_SAMPLES = {0: 1, 2: 3, 3: 4, 4: 2, 6: 4}  # per pixel, by PNG's colour type
_TO_8_BITS = ((np.arange(1 << 16, dtype=np.uint32) + 128) // 257).astype(np.uint8)


def decode_file(path: Path, size: int, channels: int = 1) -> np.ndarray:
    """Read an image file and resize its shorter side.

    Parameters
    ----------
    path : Path
        PNG, JPEG, DICOM, TIFF, BMP, GIF or WebP file with one frame.
    size : int
        Shorter side of the result in pixels.
    channels : {1, 3}
        1: grey; 3: red, green, blue (a grey image is repeated).

    Returns
    -------
    numpy.ndarray
        uint8 ``[height, width]`` or ``[height, width, 3]``. 16-bit pixels are divided by 257, which maps
        the full range to the full range; DICOM as in `medaudit.data.readers.dicom.decode_dicom`.

    Raises
    ------
    UnreadableImage
        The file is empty, truncated, not an image, animated, too large to be decoded safely, or
        more than `MAX_RATIO` times as long as wide (or the reverse).
    FileNotFoundError
        There is no such file.
    """
    if (length := check_regular(path)) > MAX_BYTES:
        raise UnreadableImage(f"the file has {length:,} bytes; the limit is {MAX_BYTES:,}")
    data = path.read_bytes()
    image = _match_channels(_decode(data, path.suffix.lower(), size, channels), channels)
    return resize_image(image, size)


def resize_image(image: np.ndarray, size: int) -> np.ndarray:
    """Resize the shorter side of a uint8 image to `size` pixels: area average, or bilinear.

    The aspect ratio is kept, to the nearest pixel of the longer side.

    Raises
    ------
    UnreadableImage
        One side is more than `MAX_RATIO` times the other.
    """
    height, width = image.shape[:2]
    shorter, longer = sorted((height, width))
    if longer > MAX_RATIO * shorter:
        raise UnreadableImage(
            f"the image is {width} x {height} pixels; one side may be at most {MAX_RATIO} times the "
            "other: crop it"
        )
    if shorter == size:
        return image
    # Half up, in whole numbers: rounding of floats could differ between machines.
    wanted = [(2 * side * size + shorter) // (2 * shorter) for side in (width, height)]
    method = cv2.INTER_AREA if shorter > size else cv2.INTER_LINEAR
    return cv2.resize(image, wanted, interpolation=method)


def _decode(data: bytes, suffix: str, size: int, channels: int) -> np.ndarray:
    # By magic numbers, first the formats with fast decoders. DICOM comes after them: files without
    # a preamble are recognised only by their suffix. Pillow, last, tries the remaining formats.
    if data.startswith(PNG):
        return _decode_png(data)
    if data.startswith(JPEG):
        return _decode_jpeg(data, size, channels)
    if is_dicom(data, suffix):
        return decode_dicom(data)
    return _decode_other(data)


def _decode_png(data: bytes) -> np.ndarray:
    if len(data) < 33:
        raise UnreadableImage("the PNG data are truncated")
    width, height, bits, kind = struct.unpack(">IIBB", data[16:26])
    check_size(height, width, _SAMPLES.get(kind, 4) * (2 if bits == 16 else 1))
    if b"acTL" in _png_chunks(data):
        raise UnreadableImage("the PNG is animated; give one frame per file")
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise UnreadableImage("the PNG data are truncated or corrupt")
    if image.dtype == np.uint16:
        image = cv2.LUT(image, _TO_8_BITS)
    if image.ndim == 3:
        turn = cv2.COLOR_BGRA2RGB if image.shape[2] == 4 else cv2.COLOR_BGR2RGB
        image = cv2.cvtColor(image, turn)
    return image


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
        if space in ("CMYK", "YCCK"):  # which simplejpeg does not convert
            return _decode_other(data)
        wanted = "GRAY" if channels == 1 or space == "Gray" else "RGB"
        # libjpeg can decode at 1/2, 1/4 or 1/8 of the size, which is faster. At no less than twice
        # the wanted size the result is within one grey level of full decoding.
        image = simplejpeg.decode_jpeg(data, wanted, min_height=2 * size, min_width=2 * size)
    except ValueError as error:
        raise UnreadableImage(f"JPEG: {error}") from error
    return image[:, :, 0] if wanted == "GRAY" else image


def _decode_other(data: bytes) -> np.ndarray:
    try:
        with Image.open(io.BytesIO(data), formats=OTHER_FORMATS) as image:
            check_size(image.height, image.width, _COPIES * len(image.getbands()))
            frames = getattr(image, "n_frames", 1)
            if frames != 1:
                raise UnreadableImage(
                    f"the {image.format} file has {frames} frames; give one per file"
                )
            return _from_pillow(image)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UnreadableImage(f"not a readable image: {error}") from error


def _from_pillow(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I;16"):
        return cv2.LUT(np.asarray(image).astype(np.uint16, copy=False), _TO_8_BITS)
    if image.mode in ("I", "F"):
        raise UnreadableImage(
            f"32-bit {image.format} pixels have no known range; save 8 or 16 bits"
        )
    return np.asarray(image.convert("L" if image.mode in ("1", "L", "LA") else "RGB"))


def _match_channels(image: np.ndarray, channels: int) -> np.ndarray:
    if channels == 1 and image.ndim == 3:
        return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if channels == 3 and image.ndim == 2:
        return cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    return image
