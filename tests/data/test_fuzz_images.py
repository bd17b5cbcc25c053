"""Pictures damaged at random: each is read, or counted and listed with a reason; others stay exact.

Some of each format, by seed; thousands with ``pytest -m slow``.
"""

import io
from collections import Counter
from pathlib import Path

import cv2
import h5py
import nibabel
import numpy as np
import pandas as pd
import pydicom.uid
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.pixels import pixel_array

from hostile_files import truncations
from image_files import make_picture, save_dicom, write_cohort
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import IMAGES, read_json, read_table
from medaudit.data.images import images, open_store
from medaudit.data.images.pixel_sources import LONGEST, read_files
from medaudit.data.readers.decode import decode_file, resize_image

SIZE = 16
PICTURE = make_picture(48, 40)
WINDOW = [0, 255]
PILLOW = ("png", "jpg", "tif", "gif", "webp", "bmp")
SYNTAXES = ("RLELossless", "JPEG2000Lossless", "JPEG2000", "JPEGLSLossless")


def save_pictures(folder: Path) -> dict[str, str]:
    """Write one sound picture of each format; return its row's path by its file."""
    for suffix in PILLOW:
        Image.fromarray(PICTURE).save(folder / f"a.{suffix}")
    save_dicom(folder / "plain.dcm", PICTURE.astype(np.uint16) * 16, BitsStored=12)
    save_dicom(folder / "runs.dcm", PICTURE, compress=pydicom.uid.RLELossless)
    save_dicom(folder / "wave.dcm", PICTURE, compress=pydicom.uid.JPEG2000Lossless)
    np.savez_compressed(folder / "members.npz", x=PICTURE)
    np.savez(folder / "pickled.npz", np.array({"x": PICTURE.astype(float)}, dtype=object))
    with h5py.File(folder / "table.h5", "w") as file:
        file.create_dataset("x", data=PICTURE, chunks=(8, 8), compression="gzip")
    volume = np.stack([PICTURE] * 3, axis=1).astype(np.int16)
    nibabel.AnalyzeImage(volume, np.eye(4)).to_filename(folder / "volume.hdr")
    members = {"members.npz": "#x", "pickled.npz": "#x", "table.h5": "#x"}
    names = sorted(path.name for path in folder.iterdir() if path.suffix != ".img")
    return {n: n + ("#coronal=1" if n == "volume.hdr" else members.get(n, "")) for n in names}


def settings_of(folder: Path, **more) -> dict:
    dataset = {"loader": "harvard_gf3300", "folder": str(folder), "window": WINDOW}
    return {"cohort": "zoo", "dataset": dataset, "image_size": SIZE, **more}


def damage(folder: Path, rows: dict[str, str], count: int, seed: int) -> list[str]:
    """Write damaged copies of each picture; return the paths of their rows."""
    paths = []
    for number, (name, row) in enumerate(rows.items()):
        content = (folder / name).read_bytes()
        for k, spoilt in enumerate(truncations(content, count, seed + number)):
            paths.append(f"{k:04d}_{row}")
            (folder / f"{k:04d}_{name}").write_bytes(spoilt)
            if name == "volume.hdr":
                voxels = (folder / "volume.img").read_bytes()
                (folder / f"{k:04d}_volume.img").write_bytes(voxels[: len(voxels) >> k % 2])
    return paths


def check_store(tmp_path: Path, count: int, seed: int) -> Counter:
    folder = tmp_path / "data"
    folder.mkdir()
    rows = save_pictures(folder)
    good = list(rows.values())
    alone = write_cohort(tmp_path / "good.parquet", good)
    images(settings_of(folder), cohort=alone, output=tmp_path / "good")
    spoilt = damage(folder, rows, count, seed)
    cohort = write_cohort(tmp_path / "cohort.parquet", [*spoilt, *good])
    images(settings_of(folder, on_error="exclude"), cohort=cohort, output=tmp_path / "out")
    index = read_table(tmp_path / "out/index.parquet", IMAGES)
    assert set(index["status"]) <= {"ok", "broken", "missing"}
    lost = index[index["status"] != "ok"]
    for reason in lost["error"]:
        assert 0 < len(reason) <= LONGEST and reason.isprintable() and str(tmp_path) not in reason
        assert " at 0x" not in reason
    card = read_json(tmp_path / "out/card.json")
    counts = {status: int((index["status"] == status).sum()) for status in card["counts"]}
    assert card["counts"] == counts and sum(counts.values()) == len(index)
    kept = open_store(tmp_path / "out").images[-len(good) :]
    for one, other in zip(kept, open_store(tmp_path / "good").images, strict=True):
        np.testing.assert_array_equal(one, other)
    return Counter(index["status"])


def test_damage_at_random_is_listed_and_the_rest_exact(tmp_path):
    counts = check_store(tmp_path, 15, seed=7)
    assert counts["broken"] > 100 and counts["ok"] >= 13


@pytest.mark.slow
def test_much_damage_at_random(tmp_path):
    print(dict(check_store(tmp_path, 1500, seed=70)))


def cut_everywhere(folder: Path, step: int) -> tuple[int, int]:
    """Cut each picture off every `step` bytes; return how many were refused and how many read."""
    counts = Counter()
    for name, row in save_pictures(folder).items():
        content = (folder / name).read_bytes()
        whole = read_files(pd.DataFrame({"path": [row]}), settings_of(folder), 1).images[0]
        for end in range(0, len(content), step):
            (folder / name).write_bytes(content[:end])
            part = read_files(pd.DataFrame({"path": [row]}), settings_of(folder), 1)
            if part.status == ["ok"]:
                np.testing.assert_array_equal(part.images[0], whole)
            counts[part.status[0]] += 1
    return counts["broken"], counts["ok"]


def test_what_is_cut_off_is_refused_or_lacks_nothing(tmp_path):
    refused, read = cut_everywhere(tmp_path, 61)
    assert refused > 400 and read < 5


@pytest.mark.slow
def test_what_is_cut_off_at_every_byte(tmp_path):
    print(cut_everywhere(tmp_path, 1), "cut pictures refused and read whole")


def test_a_run_with_broken_pictures_stops_by_default(tmp_path):
    rows = save_pictures(tmp_path)
    (tmp_path / "a.png").write_bytes(b"")
    cohort = write_cohort(tmp_path / "cohort.parquet", list(rows.values()))
    with pytest.raises(
        MedauditError, match=r"1 of \d+ cannot be read, e\.g\. a\.png: the file has 0"
    ):
        images(settings_of(tmp_path), cohort=cohort, output=tmp_path / "out")


@pytest.mark.parametrize("name", SYNTAXES)
def test_compressed_dicom_is_what_pydicom_decodes(tmp_path, name):
    syntax = getattr(pydicom.uid, name)
    options = {"j2k_cr": [2]} if name == "JPEG2000" else {}
    save_dicom(tmp_path / "a.dcm", PICTURE)
    data = dcmread(tmp_path / "a.dcm")
    try:
        data.compress(syntax, **options)
    except (RuntimeError, NotImplementedError) as error:
        pytest.skip(f"no encoder: {error}")
    data.save_as(tmp_path / "a.dcm")
    wanted = resize_image(pixel_array(tmp_path / "a.dcm"), SIZE)
    np.testing.assert_array_equal(decode_file(tmp_path / "a.dcm", SIZE), wanted)


@pytest.mark.parametrize("name", ["JPEGBaseline8Bit", "JPEGExtended12Bit"])
def test_jpeg_within_dicom(tmp_path, name):
    from pydicom.encaps import encapsulate

    save_dicom(tmp_path / "a.dcm", PICTURE)
    data = dcmread(tmp_path / "a.dcm")
    data.file_meta.TransferSyntaxUID = getattr(pydicom.uid, name)
    data.PixelData = encapsulate([cv2.imencode(".jpg", PICTURE)[1].tobytes()])
    data["PixelData"].is_undefined_length = True
    data.save_as(tmp_path / "a.dcm")
    wanted = resize_image(pixel_array(tmp_path / "a.dcm"), SIZE)
    np.testing.assert_array_equal(decode_file(tmp_path / "a.dcm", SIZE), wanted)


@pytest.mark.parametrize("bits", [8, 10, 16])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("tags", [{}, {"RescaleSlope": 1.7, "RescaleIntercept": -900.0}])
def test_tones_by_level_are_the_formulas(tmp_path, bits, signed, kind, tags):
    rng = np.random.default_rng(bits)
    raw = rng.integers(0, 1 << bits, (SIZE, SIZE)).astype(np.uint8 if bits == 8 else np.uint16)
    save_dicom(tmp_path / "a.dcm", raw, kind, BitsStored=bits, **tags)
    data = dcmread(tmp_path / "a.dcm")
    data.PixelRepresentation = int(signed)
    data.save_as(tmp_path / "a.dcm")
    plain = pixel_array(tmp_path / "a.dcm")
    values = plain * tags.get("RescaleSlope", 1.0) + tags.get("RescaleIntercept", 0.0)
    share = (values - values.min()) / (values.max() - values.min())
    shown = np.floor(share * 255 + 0.5)
    if plain.dtype == np.uint8 and not tags:
        shown = plain.astype(float)
    wanted = 255 - shown if kind == "MONOCHROME1" else shown
    np.testing.assert_array_equal(decode_file(tmp_path / "a.dcm", SIZE), wanted)


def test_a_wrong_suffix_does_not_matter_and_an_oriented_one_is_not_turned(tmp_path):
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PICTURE).save(stream, "JPEG", exif=exif)
    (tmp_path / "a.dcm.txt").write_bytes(stream.getvalue())
    plain = cv2.imdecode(
        np.frombuffer(stream.getvalue(), np.uint8),
        cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION,
    )
    found = decode_file(tmp_path / "a.dcm.txt", SIZE).astype(int)
    assert np.abs(found - resize_image(plain, SIZE)).max() <= 2
