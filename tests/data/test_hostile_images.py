"""Picture files that lie: small ones that claim much, links that lead elsewhere, pickles."""

import os
import struct
import zlib

import cv2
import h5py
import numpy as np
import pandas as pd
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    MPEG2MPML,
    DeflatedExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)

from hostile_files import (
    PICKLE_BOMBS,
    chunk,
    npy_header,
    png,
    run_bounded,
    save_object_array,
    save_zip,
)
from image_files import make_picture, save_dicom, write_cohort
from medaudit.data.images.pixel_sources import read_files
from medaudit.data.readers.decode import decode_file
from medaudit.data.readers.image_containers import read_members
from medaudit.data.readers.limits import UnreadableImage
from medaudit.data.readers.npz_arrays import read_key

GREATEST = 700
DECODE = """
import sys; from pathlib import Path; import cv2, PIL.Image, pydicom.pixels; from medaudit.data.readers.decode import decode_file
for name in sys.argv[1:]:
    try:
        decode_file(Path(name), 32)
        print("decoded")
    except Exception as error:
        print(type(error).__name__, error)
"""


def frame(folder, name, syntax, content, rows=32, columns=32):
    """Write a DICOM file whose compressed frame is `content`, whatever the data set says."""
    save_dicom(folder / name, np.zeros((rows, columns), np.uint8))
    data = dcmread(folder / name)
    data.file_meta.TransferSyntaxUID = syntax
    data.PixelData = encapsulate([content])
    data["PixelData"].is_undefined_length = True
    data.save_as(folder / name)


def write_bombs(folder):
    """Write files below a megabyte that would need gigabytes; return for each a word of why not."""
    (folder / "wide.png").write_bytes(png(30_000, 30_000, bits=1, rows=300))
    (folder / "deep.png").write_bytes(png(9_000, 9_000, bits=16, kind=6, rows=99))
    jpeg = cv2.imencode(".jpg", np.zeros((7_000, 7_000), np.uint8))[1].tobytes()
    frame(folder, "jpeg.dcm", JPEGBaseline8Bit, jpeg)
    size = struct.pack(">2H4I4I", 41, 0, 30_000, 30_000, 0, 0, 30_000, 30_000, 0, 0)
    siz = b"\xff\x4f\xff\x51" + size + struct.pack(">H3B", 1, 7, 1, 1) + b"\xff\xd9"
    frame(folder, "jpeg2000.dcm", JPEG2000Lossless, siz)
    runs = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\0" * (4 << 20)
    frame(folder, "runs.dcm", RLELossless, runs)
    save_dicom(folder / "rows.dcm", make_picture())
    data = dcmread(folder / "rows.dcm")
    data.Rows = data.Columns = 30_000
    data.save_as(folder / "rows.dcm")
    data = dcmread(folder / "rows.dcm")
    data.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data.Rows, data.Columns = 96, 128
    data.add_new(0x00091010, "OB", bytes(100 << 20))
    data.save_as(folder / "deflated.dcm")
    return {
        "wide.png": "30000 x 30000 pixels",
        "deep.png": "9000 x 9000 pixels of 8 bytes",
        "jpeg.dcm": "compressed frame has (7000, 7000, 1)",
        "jpeg2000.dcm": "compressed frame has (30000, 30000, 1)",
        "runs.dcm": "run lengths sum to more",
        "rows.dcm": "30000 x 30000 pixels",
        "deflated.dcm": "is deflated",
    }


def test_bombs_are_refused_with_little_memory(tmp_path):
    words = write_bombs(tmp_path)
    places = [tmp_path / name for name in words]
    said = run_bounded(DECODE, GREATEST, *places).splitlines()
    for name, line in zip(words, said, strict=True):
        assert words[name] in line, (name, line)


def test_the_largest_that_is_decoded_stays_below_a_gigabyte(tmp_path):
    (tmp_path / "grey.png").write_bytes(png(10_900, 10_900, bits=16))
    assert run_bounded(DECODE, 900, tmp_path / "grey.png").strip() == "decoded"


def test_texts_in_a_png_that_unpack_without_end_are_not_unpacked(tmp_path):
    packed = zlib.compress(bytes(100 << 20), 1)
    for kind in (b"zTXt", b"iCCP"):
        (tmp_path / kind.decode()).write_bytes(png(40, 40, more=chunk(kind, b"a\0\0" + packed)))
    places = [tmp_path / "zTXt", tmp_path / "iCCP"]
    assert run_bounded(DECODE, 80, *places).split() == ["decoded"] * 2


def test_a_syntax_without_decoder_is_named(tmp_path):
    frame(tmp_path, "film.dcm", MPEG2MPML, b"\0" * 64)
    with pytest.raises(ValueError, match="not a readable MPEG2 Main Profile"):
        decode_file(tmp_path / "film.dcm", 32)


def test_hdf5_shows_nothing_of_other_files(tmp_path):
    (tmp_path / "secret.bin").write_bytes(bytes(range(256)) * 16)
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["group/x"] = np.ones((4, 4))
    layout = h5py.VirtualLayout((4, 4), "f8")
    layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "group/x", (4, 4))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["away"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/group")
        file["soft"] = h5py.SoftLink("/away/x")
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset(
            "raw", (64, 64), "u1", external=[(str(tmp_path / "secret.bin"), 0, 4096)]
        )
        huge = {"chunks": (11_000, 11_000), "maxshape": (None, None), "compression": "gzip"}
        file.create_dataset("chunk", (2, 2), "u1", **huge)
        file["own/x"] = np.ones((4, 4))
    names = ["away/x", "soft", "virtual", "raw", "chunk", "own", "", "..", "own/x"]
    *refused, good = read_members(tmp_path / "a.h5", names)
    assert all(isinstance(one, UnreadableImage | FileNotFoundError) for one in refused), refused
    np.testing.assert_array_equal(good, np.ones((4, 4)))


@pytest.mark.parametrize("bomb", [*PICKLE_BOMBS])
def test_a_pickle_that_asks_for_memory_is_refused(tmp_path, bomb):
    save_object_array(tmp_path / "a.npz", PICKLE_BOMBS[bomb])
    with pytest.raises(ValueError):
        read_key(tmp_path / "a.npz", "rnflt")


def test_pickle_bombs_take_little_memory(tmp_path):
    places = [
        save_object_array(tmp_path / f"{k}.npz", bomb)
        for k, bomb in enumerate(PICKLE_BOMBS.values())
    ]
    said = run_bounded(
        """
import sys; from pathlib import Path; from medaudit.data.readers.npz_arrays import read_key
for name in sys.argv[1:]:
    try: read_key(Path(name), "x")
    except ValueError: print("refused")
""",
        300,
        *places,
    )
    assert said.split() == ["refused"] * len(PICKLE_BOMBS)


@pytest.mark.parametrize(
    "shape",
    ["(-1, 4)", "(10**10, 4)", "(2.5, 2)", "(30000, 30000)", "(" * 3000 + ")" * 3000]
    + ["(__import__('os').mkdir('mark'),)"],
)
def test_an_npy_header_is_no_code_and_cannot_lie(tmp_path, monkeypatch, shape):
    monkeypatch.chdir(tmp_path)
    save_zip(tmp_path / "a.npz", {"x.npy": npy_header(shape) + bytes(16)})
    with pytest.raises(ValueError):
        read_key(tmp_path / "a.npz", "x")
    assert not (tmp_path / "mark").exists()


def test_links_and_what_is_no_file(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    cv2.imwrite(str(tmp_path / "elsewhere.png"), make_picture())
    (tmp_path / "secret.txt").write_text("root:x:0:0")
    (folder / "linked.png").symlink_to(tmp_path / "elsewhere.png")
    (folder / "secret.png").symlink_to(tmp_path / "secret.txt")
    (folder / "nowhere.png").symlink_to(tmp_path / "nowhere")
    (folder / "round.png").symlink_to(folder / "round.png")
    for name in ("pipe.png", "pipe.h5", "pipe.npz", "pipe.hdr", "pipe.img"):
        os.mkfifo(folder / name)
    (folder / "zero.png").symlink_to("/dev/zero")
    files = ["linked.png", "secret.png", "nowhere.png", "round.png", "zero.png", "pipe.png"]
    files += ["pipe.h5#x", "pipe.npz#x", "pipe.hdr#coronal=1", "../elsewhere.png", "a\\..\\..\\x"]
    files += [str(tmp_path / "elsewhere.png"), "linked.png/../../elsewhere.png", "a\0b", "x" * 5000]
    settings = {
        "dataset": {"loader": "harvard_gf3300", "folder": str(folder), "window": [0, 1]},
        "image_size": 16,
    }
    rows = pd.read_parquet(write_cohort(tmp_path / "cohort.parquet", files))
    part = read_files(rows, settings, 2)
    assert part.status == ["ok", "broken", "missing", *["broken"] * (len(files) - 3)]
    assert part.errors[0] is None and "root" not in str(part.errors)
    assert [error for error in part.errors if "leaves the dataset's folder" in str(error)] == (
        ["the path leaves the dataset's folder"] * 5
    )
    assert all("device" in error for error in part.errors[4:9])


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_picture_without_permission_is_listed(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), make_picture())
    (tmp_path / "a.png").chmod(0)
    with pytest.raises(PermissionError):
        decode_file(tmp_path / "a.png", 32)
