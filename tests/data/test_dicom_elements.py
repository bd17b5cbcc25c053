"""DICOM files as they come: empty elements, padding, no meta information."""

import io
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset

from image_files import make_picture, save_dicom
from medaudit.data.readers.decode import decode_file
from medaudit.data.readers.dicom import decode_dicom

DEEP = make_picture().astype(np.uint16) * 16


def decode(path: Path) -> np.ndarray:
    return decode_dicom(path.read_bytes())


def edited(path: Path, **elements) -> np.ndarray:
    """Return the picture of a file after elements are set (None: present and empty)."""
    data = dcmread(path)
    for name, value in elements.items():
        if name.startswith("PixelPadding"):  # of two possible types, which pydicom does not choose
            data.add_new(name, "SS" if data.PixelRepresentation else "US", value)
        else:
            setattr(data, name, value)
    data.save_as(path)
    return decode(path)


EMPTY = (
    *("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction"),
    *("PixelPaddingValue", "PixelPaddingRangeLimit", "VOILUTSequence", "NumberOfFrames"),
)


@pytest.mark.parametrize("window", [{}, {"WindowCenter": 2000, "WindowWidth": 3000}])
@pytest.mark.parametrize("name", EMPTY)
def test_an_element_that_is_empty_is_one_that_is_absent(tmp_path, name, window):
    path = tmp_path / "a.dcm"
    others = {key: value for key, value in window.items() if not name.startswith("Window")}
    save_dicom(path, DEEP, BitsStored=12, **others)
    absent = decode(path)
    assert np.array_equal(edited(path, **{name: None}), absent)


def test_an_empty_item_beside_a_good_window_leaves_the_window(tmp_path):
    path = tmp_path / "a.dcm"
    save_dicom(path, DEEP, BitsStored=12, WindowCenter=2000, WindowWidth=3000)
    windowed = decode(path)
    item = Dataset()
    item.LUTExplanation = "nothing"
    assert np.array_equal(edited(path, VOILUTSequence=[item]), windowed)


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("window", [False, True])
def test_padding_is_black_and_takes_no_part_in_the_stretch(tmp_path, kind, window):
    path = tmp_path / "a.dcm"
    tags = {"WindowCenter": 2000, "WindowWidth": 4096} if window else {}
    save_dicom(path, DEEP, kind, **tags)
    whole = decode(path)
    padded = DEEP.copy()
    padded[:8] = 65535
    inside = padded != 65535
    save_dicom(path, padded, kind, **tags)
    found = edited(path, PixelPaddingValue=65535)
    assert (found[:8] == 0).all()
    if window:
        assert np.array_equal(found[8:], whole[8:])
    else:
        low, high = float(DEEP[8:].min()), float(DEEP[8:].max())
        share = (DEEP[8:] - low) / (high - low)
        grey = np.floor(share * 255 + 0.5)
        assert np.array_equal(found[8:], 255 - grey if kind == "MONOCHROME1" else grey)
    assert found[inside].std() > 20


def test_a_range_of_padding_and_a_negative_value(tmp_path):
    path = tmp_path / "a.dcm"
    values = make_picture().astype(np.int16)
    values[:4], values[4:8] = -2000, -1990
    save_dicom(path, values, PixelRepresentation=1)
    found = edited(path, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1985)
    assert (found[:8] == 0).all() and found[8:].min() == 0 and found[8:].max() == 255


def test_an_image_that_is_nothing_but_the_padding_value_is_shown(tmp_path):
    path = tmp_path / "a.dcm"
    save_dicom(path, np.full((16, 16), 9, np.uint8))
    assert (edited(path, PixelPaddingValue=9) == 9).all()


@pytest.mark.parametrize("implicit", [True, False])
def test_a_file_without_meta_information_is_read(tmp_path, implicit):
    path = tmp_path / "a.dcm"
    save_dicom(path, make_picture())
    data = dcmread(path)
    stream = io.BytesIO()
    bare = Dataset(data)
    bare.save_as(stream, implicit_vr=implicit, little_endian=True, enforce_file_format=False)
    assert stream.getvalue()[128:132] != b"DICM"
    path.write_bytes(stream.getvalue())
    assert np.array_equal(decode(path), make_picture())
    assert min(decode_file(path, 64).shape) == 64
