"""Check the size in a compressed DICOM frame's own header, before a decoder reserves memory for it.

The data set around the frame can announce a small image and the frame a huge one.
"""

import struct
from typing import TYPE_CHECKING

from pydicom.encaps import get_frame
from pydicom.uid import RLELossless

from medaudit.data.readers.limits import MAX_DECODED

if TYPE_CHECKING:
    from pydicom import Dataset

_NO_FRAME_HEADER = {0xC4, 0xC8, 0xCC}  # JPEG markers among C0 to CF that start no frame
_RLE_HEADER = 64
_RLE_EXPANSION = 64


def check_frame(dataset: "Dataset") -> None:
    """Compare the size of a compressed frame with that of the data set around it.

    Parameters
    ----------
    dataset : pydicom.Dataset
        Data set with one frame that is not decoded yet.

    Raises
    ------
    ValueError
        Rows, columns or samples differ, the frame's header cannot be read, or the run lengths of an
        RLE frame sum to more than the image.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_compressed:
        return
    wanted = (int(dataset.Rows), int(dataset.Columns), int(dataset.SamplesPerPixel))
    frame = get_frame(dataset.PixelData, 0, number_of_frames=1)
    if syntax == RLELossless:
        _check_runs(frame, wanted[0] * wanted[1])
        return
    found = read_size(frame)
    if found is None:
        raise ValueError(f"the frame is not a readable {syntax.name} image")
    if found != wanted:
        raise ValueError(
            f"the compressed frame has {found} rows, columns and samples, but the data set {wanted}"
        )


def read_size(frame: bytes) -> tuple[int, int, int] | None:
    """Return rows, columns and samples of a JPEG, JPEG-LS or JPEG 2000 frame; None for others."""
    if frame[4:8] == b"jP  ":
        frame = _unwrap(frame)
    if frame[:4] == b"\xff\x4f\xff\x51" and len(frame) >= 42:
        right, bottom, left, top = struct.unpack(">4I", frame[8:24])
        return bottom - top, right - left, struct.unpack(">H", frame[40:42])[0]
    return _read_jpeg(frame) if frame[:2] == b"\xff\xd8" else None


def _read_jpeg(frame: bytes) -> tuple[int, int, int] | None:
    place = 2
    while place + 10 <= len(frame) and frame[place] == 0xFF:
        marker = frame[place + 1]
        if marker == 0xFF:  # padding
            place += 1
            continue
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in _NO_FRAME_HEADER):
            return struct.unpack(">HHB", frame[place + 5 : place + 10])
        place += 2 + int.from_bytes(frame[place + 2 : place + 4], "big")
    return None


def _unwrap(frame: bytes) -> bytes:
    """Return the code stream of a JP2 file, which some writers put into a frame as a whole."""
    place = 0
    while place + 8 <= len(frame):
        size = int.from_bytes(frame[place : place + 4], "big")
        if frame[place + 4 : place + 8] == b"jp2c":
            return frame[place + 8 :]
        if size < 8:
            break
        place += size
    return b""


def _check_runs(frame: bytes, pixels: int) -> None:
    """Raise a ValueError if the run lengths of an RLE frame sum to more than the image's pixels.

    A frame too short to expand beyond the memory limit is not checked: run by run, this is slow.
    """
    if len(frame) * _RLE_EXPANSION <= MAX_DECODED:
        return
    count, *offsets = struct.unpack("<16I", frame[:_RLE_HEADER])
    starts = [*offsets[: min(count, 15)], len(frame)]
    most = pixels + 128  # a writer may pad
    for start, end in zip(starts, starts[1:], strict=False):
        if not _RLE_HEADER <= start <= end or _add_runs(frame, start, end, most) > most:
            raise ValueError("its run lengths sum to more pixels than the image has")


def _add_runs(frame: bytes, place: int, end: int, most: int) -> int:
    # PackBits: 0-127 copies code + 1 bytes, 129-255 repeats one byte 257 - code times, 128 is
    # empty.
    total = 0
    while place < end and total <= most:
        code = frame[place]
        total += code + 1 if code < 128 else (257 - code) % 129
        place += code + 2 if code < 128 else 2 if code > 128 else 1
    return total
