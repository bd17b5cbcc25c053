"""DICOM pixels to uint8, as a viewer would first show them."""

import io
from collections.abc import Callable

import numpy as np

PREAMBLE = 128


def is_dicom(data: bytes, suffix: str) -> bool:
    """Tell a DICOM file by its magic, or, without the preamble, by its name."""
    return data[PREAMBLE : PREAMBLE + 4] == b"DICM" or suffix in (".dcm", ".dicom")


def decode_dicom(data: bytes, check_size: Callable[[int, int], None]) -> np.ndarray:
    """Return the picture of a DICOM file as uint8 ``[h, w]`` or ``[h, w, 3]``.

    Rescale slope and intercept, then the first VOI window or lookup table (PS3.3 C.11.2); without
    one, 8-bit pixels stay as they are and deeper ones are stretched from their lowest to their
    highest value. MONOCHROME1 is inverted.

    Parameters
    ----------
    data : bytes
        The file.
    check_size : callable
        Called with (rows, columns) before pixels are decoded.

    Raises
    ------
    ValueError
        No pixel data, several frames, or data that pydicom cannot decode.
    """
    from pydicom import dcmread
    from pydicom.pixels import apply_color_lut, pixel_array

    dataset = dcmread(io.BytesIO(data), force=True)
    if "PixelData" not in dataset:
        raise ValueError("the DICOM file has no pixel data")
    check_size(int(dataset.Rows), int(dataset.Columns))
    frames = int(dataset.get("NumberOfFrames") or 1)
    if frames != 1:
        raise ValueError(f"the DICOM file holds {frames} frames; one is wanted")
    pixels = pixel_array(dataset)
    kind = dataset.PhotometricInterpretation
    if kind == "PALETTE COLOR":
        return _to_bytes(apply_color_lut(pixels, dataset) / 65535.0)
    if pixels.ndim == 3:
        return pixels if pixels.dtype == np.uint8 else _to_bytes(_stretch(pixels))
    shown = _show(pixels, dataset)
    return 255 - shown if kind == "MONOCHROME1" else shown


def _show(pixels: np.ndarray, dataset) -> np.ndarray:
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    values = apply_modality_lut(pixels, dataset).astype(np.float64)
    if dataset.get("VOILUTSequence"):
        bits = int(dataset.VOILUTSequence[0].LUTDescriptor[2])
        table = apply_voi_lut(values.astype(np.int64), dataset, prefer_lut=True)
        return _to_bytes(table / (2.0**bits - 1))
    if dataset.get("WindowCenter") is not None and dataset.get("WindowWidth") is not None:
        return _to_bytes(_window(values, dataset))
    if pixels.dtype == np.uint8 and np.array_equal(values, pixels):
        return pixels
    return _to_bytes(_stretch(values))


def _window(values: np.ndarray, dataset) -> np.ndarray:
    centre, width = _first(dataset.WindowCenter), _first(dataset.WindowWidth)
    function = dataset.get("VOILUTFunction") or "LINEAR"
    if function == "SIGMOID":
        return 1 / (1 + np.exp(-4 * (values - centre) / width))
    if function == "LINEAR":
        centre, width = centre - 0.5, width - 1
    if width <= 0:
        return (values > centre).astype(np.float64)
    return (values - centre) / width + 0.5


def _first(value) -> float:
    return float(value[0] if hasattr(value, "__len__") and not isinstance(value, str) else value)


def _stretch(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    return (values - low) / max(high - low, 1e-12)


def _to_bytes(shares: np.ndarray) -> np.ndarray:
    return np.clip(shares * 255 + 0.5, 0, 255).astype(np.uint8)
