"""Decode DICOM files to uint8, with the grey levels that a viewer shows first."""

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from medaudit.data.readers.limits import check_size

if TYPE_CHECKING:
    from pydicom import Dataset

PREAMBLE = 128
DEFLATED = b"1.2.840.10008.1.2.1.99"  # transfer syntax
OPTIONAL = (
    *("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit", "NumberOfFrames", "ModalityLUTSequence"),
)
"""Elements that count as absent where they are empty."""
_BLOCK = 1 << 20


def is_dicom(data: bytes, suffix: str) -> bool:
    """Return whether data are DICOM: by the magic number, or without a preamble by the suffix."""
    return data[PREAMBLE : PREAMBLE + 4] == b"DICM" or suffix in (".dcm", ".dicom")


def decode_dicom(data: bytes) -> np.ndarray:
    """Return the image of a DICOM file as uint8 ``[h, w]`` or ``[h, w, 3]``.

    The steps are those of the standard (PS3.3 C.11): modality transformation (rescale slope and
    intercept, or lookup table), then the first VOI window or VOI lookup table. Without a VOI
    transformation, 8-bit pixels stay as they are and deeper ones are stretched from their lowest to
    their highest value. MONOCHROME1 (white is the lowest value) is inverted at the end. Pixels that
    only pad the image (PixelPaddingValue) are black and take no part in the stretching. An element
    that is there and empty counts as absent, as viewers treat it. Files without meta information
    are read by the encoding that their first elements show.

    Parameters
    ----------
    data : bytes
        Content of the file.

    Raises
    ------
    UnreadableImage
        The image has more pixels than the limits allow.
    ValueError
        There are no pixel data or several frames, the data set is deflated (it could expand to any
        size), the size of a compressed frame differs from the data set, or pydicom cannot decode
        it.
    """
    from pydicom import dcmread
    from pydicom.pixels import apply_color_lut, pixel_array

    from medaudit.data.readers.dicom_frame import check_frame

    if DEFLATED in data:
        raise ValueError("the DICOM data set is deflated; save it with another transfer syntax")
    dataset = dcmread(io.BytesIO(data), force=True)
    _complete(dataset)
    if "PixelData" not in dataset:
        raise ValueError("the DICOM file has no pixel data")
    # Sizes are checked before decoding, first those of the data set, then those of the frame
    # itself.
    depth = int(dataset.SamplesPerPixel) * -(-int(dataset.BitsAllocated) // 8)
    check_size(int(dataset.Rows), int(dataset.Columns), depth)
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise ValueError(f"the DICOM file has {frames} frames; give one frame per file")
    check_frame(dataset)
    pixels = pixel_array(dataset)
    kind = dataset.PhotometricInterpretation
    if kind == "PALETTE COLOR":
        return _to_bytes(apply_color_lut(pixels, dataset) / 65535.0)
    if pixels.ndim == 3:
        return pixels if pixels.dtype == np.uint8 else _by_level(pixels, _stretched)
    return _by_level(pixels, lambda levels: _show_without_padding(levels, dataset))


def _complete(dataset: "Dataset") -> None:
    """Remove empty elements, which stop pydicom, and name the encoding of a file without meta."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    for name in OPTIONAL:
        if name in dataset and _is_empty(dataset[name].value):
            delattr(dataset, name)
    tables = [
        item
        for item in dataset.get("VOILUTSequence") or []
        if item.get("LUTData") and item.get("LUTDescriptor")
    ]
    if "VOILUTSequence" in dataset:
        if tables:
            dataset.VOILUTSequence = tables
        else:
            del dataset.VOILUTSequence
    if ("RescaleSlope" in dataset) != ("RescaleIntercept" in dataset):
        for name, value in (("RescaleSlope", 1), ("RescaleIntercept", 0)):
            if name not in dataset:
                setattr(dataset, name, value)
    if not getattr(dataset, "file_meta", None) or "TransferSyntaxUID" not in dataset.file_meta:
        implicit, little = dataset.original_encoding
        explicit = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
        meta = getattr(dataset, "file_meta", None) or FileMetaDataset()
        meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else explicit
        dataset.file_meta = meta


def _is_empty(value: Any) -> bool:
    many = hasattr(value, "__len__") and not isinstance(value, str)
    return value in (None, "") or (many and all(one in (None, "") for one in value))


def _show_without_padding(levels: np.ndarray, dataset: "Dataset") -> np.ndarray:
    """Return the grey levels of stored values; those of padding are black."""
    shown = np.zeros(levels.shape, np.uint8)
    image = ~_is_padding(levels, dataset)
    if not image.any():  # then the value is one of the image's own
        image = np.ones(levels.shape, bool)
    grey = _show(levels[image], dataset)
    shown[image] = 255 - grey if dataset.PhotometricInterpretation == "MONOCHROME1" else grey
    return shown


def _is_padding(levels: np.ndarray, dataset: "Dataset") -> np.ndarray:
    first = dataset.get("PixelPaddingValue")
    if first is None:
        return np.zeros(levels.shape, bool)
    last = dataset.get("PixelPaddingRangeLimit")
    ends = [_stored(value, levels.dtype) for value in (first, first if last is None else last)]
    return (levels >= min(ends)) & (levels <= max(ends))


def _stored(value: Any, dtype: np.dtype) -> int:
    """Return an element's number as the pixels have it: some writers mix up the signs."""
    number = int.from_bytes(value, "little") if isinstance(value, bytes) else int(value)
    bits = 8 * dtype.itemsize
    signed = number - (1 << bits) if number >= 1 << (bits - 1) else number
    return signed if dtype.kind == "i" else number % (1 << bits)


def _by_level(pixels: np.ndarray, tone: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return `tone` applied to pixels; computed once per grey level if they have 8 or 16 bits."""
    # An image has millions of pixels and at most 65536 levels: a lookup table saves
    # floating-point arithmetic on every pixel. `tone` must see exactly the levels that occur,
    # since stretching depends on the lowest and the highest.
    if pixels.itemsize > 2:
        return tone(pixels)
    plain = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))
    codes = plain.view(f"u{plain.itemsize}")
    flat, seen = codes.reshape(-1), np.zeros(256**plain.itemsize, bool)
    for start in range(0, flat.size, _BLOCK):
        seen[flat[start : start + _BLOCK]] = True
    table = np.zeros(len(seen), np.uint8)
    # `view` and not `astype`: codes are the bit patterns of what may be signed numbers.
    table[seen] = tone(np.flatnonzero(seen).astype(codes.dtype).view(plain.dtype))
    return cv2.LUT(codes, table)


def _stretched(values: np.ndarray) -> np.ndarray:
    return _to_bytes(_stretch(values))


def _show(pixels: np.ndarray, dataset: "Dataset") -> np.ndarray:
    """Return grey levels after the modality and VOI transformations."""
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    # The modality transformation comes first: VOI windows are in its unit (Hounsfield, for CT).
    values = apply_modality_lut(pixels, dataset).astype(np.float64)
    if dataset.get("VOILUTSequence"):
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        table = apply_voi_lut(values.astype(np.int64), dataset, prefer_lut=True)
        return _to_bytes(table / (2.0**bits - 1))
    if dataset.get("WindowCenter") is not None and dataset.get("WindowWidth") is not None:
        return _to_bytes(_window(values, dataset))
    if pixels.dtype == np.uint8 and np.array_equal(values, pixels):
        return pixels
    return _stretched(values)


def _window(values: np.ndarray, dataset: "Dataset") -> np.ndarray:
    """Return values as shares of the first VOI window, 0 at its low end and 1 at its high end."""
    # PS3.3 C.11.2.1.2: LINEAR maps centre - 0.5 - (width - 1) / 2 to 0; LINEAR_EXACT has no -0.5,
    # -1.
    centre, width = _first(dataset.WindowCenter), _first(dataset.WindowWidth)
    function = dataset.get("VOILUTFunction") or "LINEAR"
    if function == "SIGMOID":
        return 1 / (1 + np.exp(-4 * (values - centre) / width))
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1
    if width <= 0:
        return (values > centre).astype(np.float64)
    return (values - centre) / width + 0.5


def _first(value: Any) -> float:
    """Return a number, or the first of several: a file can offer more than one window."""
    return float(value[0] if hasattr(value, "__len__") and not isinstance(value, str) else value)


def _stretch(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    return (values - low) / max(high - low, 1e-12)


def _to_bytes(shares: np.ndarray) -> np.ndarray:
    return np.clip(shares * 255 + 0.5, 0, 255).astype(np.uint8)
