"""The image store: what is decoded, what is refused, and what survives a kill."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.uid import JPEG2000Lossless

from image_files import make_picture, save_dicom, write_cohort
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import COHORT, IMAGES, read_json, read_table, write_json, write_table
from medaudit.data.images import images, open_store
from medaudit.data.readers.decode import UnreadableImage, decode_file, resize_image

SIZE = 32


def overlap(old: int, new: int) -> np.ndarray:
    """Weights ``[new, old]``: the share of each new pixel that each old one covers."""
    edges = np.arange(new + 1) * old / new
    low, high = edges[:-1, None], edges[1:, None]
    pixel = np.arange(old)
    return np.clip(np.minimum(high, pixel + 1) - np.maximum(low, pixel), 0, None) * new / old


def expect(picture: np.ndarray, size: int = SIZE) -> np.ndarray:
    """The area average with the aspect ratio kept, as two products of matrices: the oracle."""
    height, width = (round(length * size / min(picture.shape[:2])) for length in picture.shape[:2])
    rows, columns = overlap(picture.shape[0], height), overlap(picture.shape[1], width)
    return np.round(np.einsum("yh,hw...,xw->yx...", rows, picture.astype(float), columns))


def assert_close(got: np.ndarray, wanted: np.ndarray, most: int = 2) -> None:
    assert got.dtype == np.uint8
    assert np.abs(got.astype(int) - wanted).max() <= most


def file_settings(folder: Path, **more) -> dict:
    dataset = {"loader": "nih", "folder": str(folder)}
    return {"cohort": "zoo", "dataset": dataset, "image_size": SIZE, **more}


PHANTOM = {"cohort": "made", "dataset": {"loader": "nih", "folder": None}, "image_size": SIZE}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    return tmp_path / "data"


# ------------------------------------------------------------------ decoding


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA", "1"])
def test_png_modes(folder, mode):
    source = Image.fromarray(make_picture()).convert(mode)
    source.save(folder / "a.png")
    assert_close(decode_file(folder / "a.png", SIZE), expect(np.asarray(source.convert("L"))), 3)


def test_png_16_bit_keeps_its_full_range(folder):
    deep = (make_picture().astype(np.uint16) * 257).astype(np.uint16)
    cv2.imwrite(str(folder / "a.png"), deep)
    assert_close(decode_file(folder / "a.png", SIZE), expect(make_picture()))


def test_tiff_16_bit(folder):
    Image.fromarray(make_picture().astype(np.uint16) * 257).save(folder / "a.tif")
    assert_close(decode_file(folder / "a.tif", SIZE), expect(make_picture()))


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_modes(folder, mode):
    source = Image.fromarray(make_picture()).convert(mode)
    source.save(folder / "a.jpg", quality=95)
    wanted = np.asarray(Image.open(folder / "a.jpg").convert("L"))
    assert_close(decode_file(folder / "a.jpg", SIZE), expect(wanted), 3)


def test_large_jpeg_is_decoded_smaller_within_a_grey_level(folder):
    picture = make_picture(1200, 1000)
    Image.fromarray(picture).save(folder / "a.jpg", quality=95)
    got = decode_file(folder / "a.jpg", SIZE).astype(int)
    assert np.abs(got - expect(np.asarray(Image.open(folder / "a.jpg")))).mean() < 1


def test_colour_is_kept_in_three_channels(folder):
    colour = np.stack([make_picture(seed=i) for i in range(3)], axis=2)
    for name in ("a.png", "a.jpg", "a.webp"):
        Image.fromarray(colour).save(folder / name, quality=100, lossless=True)
        got = decode_file(folder / name, SIZE, 3)
        assert got.shape == (SIZE, 43, 3)
        wanted = np.asarray(Image.open(folder / name).convert("RGB"))
        assert_close(got, expect(wanted), 4)


def test_grey_is_repeated_in_three_channels(folder):
    cv2.imwrite(str(folder / "a.png"), make_picture())
    grey, colour = (decode_file(folder / "a.png", SIZE, c) for c in (1, 3))
    assert np.array_equal(colour, np.repeat(grey[..., None], 3, axis=2))


def test_content_decides_not_the_name(folder):
    Image.fromarray(make_picture()).save(folder / "real.png")
    (folder / "real.png").rename(folder / "wrong.jpg")
    assert_close(decode_file(folder / "wrong.jpg", SIZE), expect(make_picture()))


def test_one_pixel(folder):
    cv2.imwrite(str(folder / "a.png"), np.full((1, 1), 77, np.uint8))
    assert (decode_file(folder / "a.png", SIZE) == 77).all()


@pytest.mark.parametrize("shape", [(96, 128), (100, 70), (33, 31), (1000, 80), (390, 320)])
def test_resize_averages_areas_exactly_and_keeps_the_aspect_ratio(shape):
    picture = make_picture(*shape)
    got = resize_image(picture, 24)
    assert min(got.shape) == 24
    assert max(got.shape) == round(24 * max(shape) / min(shape))
    assert (got.shape[0] > got.shape[1]) == (shape[0] > shape[1])
    assert np.abs(got - expect(picture, 24)).max() <= 1
    pillow = Image.fromarray(picture).resize(got.shape[::-1], Image.Resampling.BOX)
    assert np.abs(got.astype(float) - np.asarray(pillow)).mean() < 2  # its borders are rounder


def test_resize_does_not_alias():
    stripes = np.tile(np.array([0, 255], np.uint8), (256, 128))
    assert np.abs(resize_image(stripes, 32).astype(int) - 127.5).max() <= 1


def test_a_small_image_is_enlarged_by_its_shorter_side():
    assert resize_image(make_picture(20, 30), 40).shape == (40, 60)


def test_an_image_like_a_line_is_refused():
    assert resize_image(make_picture(10, 160), 16).shape == (16, 256)
    with pytest.raises(UnreadableImage, match="161 x 10 pixels.*crop"):
        resize_image(make_picture(10, 161), 16)


# ------------------------------------------------------------------ DICOM


def test_dicom_8_bit_stays_as_it_is(folder):
    save_dicom(folder / "a.dcm", make_picture())
    assert_close(decode_file(folder / "a.dcm", SIZE), expect(make_picture()))


def test_dicom_monochrome1_is_inverted(folder):
    save_dicom(folder / "a.dcm", 255 - make_picture(), "MONOCHROME1")
    assert_close(decode_file(folder / "a.dcm", SIZE), expect(make_picture()))


@pytest.mark.parametrize("syntax", [None, JPEG2000Lossless])
def test_dicom_rescale_and_window(folder, syntax):
    stored = make_picture().astype(np.uint16) * 10 + 100
    tags = {"RescaleSlope": 2, "RescaleIntercept": -1000, "compress": syntax}
    tags |= {"WindowCenter": [1000, 5], "WindowWidth": [1001, 5], "BitsStored": 12}
    save_dicom(folder / "a.dcm", stored, **tags)
    values = stored * 2.0 - 1000
    share = (values - 999.5) / 1000 + 0.5  # PS3.3 C.11.2.1.2.1
    wanted = np.clip(share * 255, 0, 255).round().astype(np.uint8)
    assert_close(decode_file(folder / "a.dcm", SIZE), expect(wanted))


def test_dicom_without_window_is_stretched(folder):
    save_dicom(folder / "a.dcm", make_picture().astype(np.uint16) * 16 + 300, BitsStored=13)
    assert_close(decode_file(folder / "a.dcm", SIZE), expect(make_picture()))


def test_dicom_lookup_table(folder):
    item = Dataset()
    item.LUTDescriptor = [256, 0, 16]
    item.LUTData = np.arange(65535, -1, -257, dtype=np.uint16).tobytes()
    save_dicom(folder / "a.dcm", make_picture(), VOILUTSequence=[item])
    assert_close(decode_file(folder / "a.dcm", SIZE), expect(255 - make_picture()))


# ------------------------------------------------------------------ what is refused


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def save_broken(folder: Path) -> dict[str, str]:
    """Write the zoo; return for each file a word of its error."""
    picture = Image.fromarray(make_picture())
    frames = [Image.fromarray(make_picture(seed=i)) for i in range(3)]
    for name in ("short.png", "short.jpg", "flipped.png", "short.tif"):
        picture.save(folder / name)
    for name in ("short.png", "short.jpg", "short.tif"):
        truncate(folder / name)
    data = bytearray((folder / "flipped.png").read_bytes())
    data[len(data) // 2] ^= 255
    (folder / "flipped.png").write_bytes(data)
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("404 not found")
    (folder / "header.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    for name in ("moves.gif", "moves.png", "moves.webp"):
        frames[0].save(folder / name, save_all=True, append_images=frames[1:])
    save_dicom(folder / "pixels.dcm", make_picture())
    save_dicom(folder / "frames.dcm", np.stack([make_picture()] * 2)[:, :, :], NumberOfFrames=2)
    save_dicom(folder / "short.dcm", make_picture())
    truncate(folder / "short.dcm")
    strip_pixels(folder / "pixels.dcm")
    (folder / "random.dcm").write_bytes(bytes(range(256)) * 4)
    (folder / "folder.png").mkdir()
    bomb = bytearray((folder / "moves.png").read_bytes()[:200])
    bomb[16:24] = (100_000).to_bytes(4, "big") * 2
    (folder / "bomb.png").write_bytes(bomb)
    return {
        "short.png": "truncated",
        "short.jpg": "Premature",
        "short.tif": "",
        "flipped.png": "corrupt",
        "empty.png": "0 bytes",
        "text.png": "not a readable image",
        "header.png": "truncated",
        "moves.gif": "3 frames",
        "moves.png": "animated",
        "moves.webp": "3 frames",
        "pixels.dcm": "no pixel data",
        "frames.dcm": "frames",
        "short.dcm": "",
        "random.dcm": "",
        "folder.png": "directory",
        "bomb.png": "limit",
        "../outside.png": "leaves",
        "/etc/passwd": "leaves",
        "none.png": "no such file",
    }


def strip_pixels(path: Path) -> None:
    from pydicom import dcmread

    data = dcmread(path)
    del data.PixelData
    data.save_as(path)


def test_the_zoo_is_listed_counted_and_excluded(tmp_path, folder):
    words = save_broken(folder)
    Image.fromarray(make_picture()).save(folder / "good.png")
    Image.fromarray(make_picture()).save(tmp_path / "outside.png")
    files = [*words, "good.png"]
    cohort = write_cohort(tmp_path / "cohort.parquet", files)
    settings = file_settings(folder, on_error="exclude")
    images(settings, cohort=cohort, output=tmp_path / "out", threads=2)
    index = read_table(tmp_path / "out/index.parquet", IMAGES).assign(path=files)
    errors = index.set_index("path")["error"]
    assert index["row"].tolist() == [-1] * len(words) + [0]
    for name, word in words.items():
        assert errors[name], name
        assert word.lower() in errors[name].lower(), (name, errors[name])
        assert str(tmp_path) not in errors[name]
    card = read_json(tmp_path / "out/card.json")
    assert card["counts"] == {"ok": 1, "missing": 1, "broken": len(words) - 1}
    assert card["phantom"] is False
    assert {e["path"] for e in card["errors"]} <= set(words)
    store = open_store(tmp_path / "out")
    assert_close(store.read([f"image{len(words)}"])[0], expect(make_picture()))
    with pytest.raises(MedauditError, match=r"image4.*0 bytes"):
        store.rows(["image4"])
    with pytest.raises(MedauditError, match="does not belong"):
        store.rows(["somebody"])


def test_failing_names_files_and_count_and_goes_on_after_the_repair(tmp_path, folder):
    cv2.imwrite(str(folder / "a.png"), make_picture())
    (folder / "b.png").write_bytes(b"")
    cohort = write_cohort(tmp_path / "cohort.parquet", ["a.png", "b.png", "c.png"])
    output = tmp_path / "out"
    with pytest.raises(MedauditError, match=r"2 of 3.*b\.png: .*0 bytes.*c\.png: .*no such"):
        images(file_settings(folder), cohort=cohort, output=output)
    assert not (output / "images.npy").exists()
    assert (tmp_path / "out.partial/000000.npy").exists()
    for seed, name in enumerate(("b.png", "c.png"), start=1):
        cv2.imwrite(str(folder / name), make_picture(seed=seed))
    images(file_settings(folder), cohort=cohort, output=output)
    pictures = open_store(output).read(["image1", "image2"])
    assert_close(pictures[0], expect(make_picture(seed=1)))
    assert_close(pictures[1], expect(make_picture(seed=2)))
    assert not (tmp_path / "out.partial").exists()


def test_nothing_readable_fails_under_either_policy(tmp_path, folder):
    cohort = write_cohort(tmp_path / "cohort.parquet", ["a.png"])
    with pytest.raises(MedauditError, match="1 of 1"):
        images(file_settings(folder, on_error="exclude"), cohort=cohort, output=tmp_path / "out")


@pytest.mark.parametrize(
    "wrong", [{"channels": 2}, {"on_error": "ignore"}, {"image_size": 3}, {"image_size": "64"}]
)
def test_wrong_settings_are_refused(tmp_path, wrong):
    cohort = write_cohort(tmp_path / "cohort.parquet", ["a"])
    with pytest.raises(MedauditError, match=next(iter(wrong))):
        images({**PHANTOM, **wrong}, cohort=cohort, output=tmp_path / "out")


def test_a_bomb_is_refused_before_decoding(folder):
    cv2.imwrite(str(folder / "a.png"), np.zeros((12_000, 12_000), np.uint8))
    start = time.process_time()
    with pytest.raises(UnreadableImage, match="limit"):
        decode_file(folder / "a.png", SIZE)
    assert time.process_time() - start < 0.1


# ------------------------------------------------------------------ the stage


def read_bytes(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_same_bytes_for_any_number_of_threads(tmp_path, folder):
    files = [f"{i}.png" for i in range(20)]
    for i, name in enumerate(files):
        cv2.imwrite(str(folder / name), make_picture(40 + i, 50, seed=i))
    cohort = write_cohort(tmp_path / "cohort.parquet", files)
    for threads in (1, 2):
        output = tmp_path / f"out{threads}"
        images(file_settings(folder), cohort=cohort, output=output, threads=threads)
    assert read_bytes(tmp_path / "out1") == read_bytes(tmp_path / "out2")


def test_phantom_rows_do_not_depend_on_the_cohort(tmp_path):
    columns = {"y_Mass": [1.0, 0.0, 1.0]}
    first = write_cohort(tmp_path / "a.parquet", ["x", "y", "z"], **columns)
    rows = read_table(first, COHORT)
    write_table(rows.iloc[::-1], tmp_path / "b.parquet", COHORT)
    for name in ("a", "b"):
        images(PHANTOM, cohort=tmp_path / f"{name}.parquet", output=tmp_path / name)
    a, b = (open_store(tmp_path / name) for name in ("a", "b"))
    assert a.card["phantom"] is True
    assert np.array_equal(a.images[::-1], b.images)
    assert np.array_equal(a.read(rows["image_id"]), b.read(rows["image_id"]))


def test_three_channels_of_a_phantom(tmp_path):
    cohort = write_cohort(tmp_path / "cohort.parquet", ["x"])
    images({**PHANTOM, "channels": 3}, cohort=cohort, output=tmp_path / "out")
    pixels = open_store(tmp_path / "out").images
    assert pixels.shape == (1, SIZE, SIZE, 3)
    assert np.array_equal(pixels[..., 0], pixels[..., 2])


def run_stage(settings: dict, cohort: Path, output: Path) -> subprocess.Popen:
    import json

    command = [sys.executable, "-m", "medaudit.data.images", "--settings", json.dumps(settings)]
    command += ["--cohort", str(cohort), "--output", str(output)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_killed_in_the_middle_it_resumes_to_the_same_bytes(tmp_path):
    n = 3000
    cohort = write_cohort(tmp_path / "cohort.parquet", ["x"] * n, y_Edema=np.arange(n) % 2.0)
    settings = {**PHANTOM, "image_size": 40}
    process = run_stage(settings, cohort, tmp_path / "out")
    first, second = (tmp_path / f"out.partial/00000{i}.json" for i in range(2))
    while not second.exists() and process.poll() is None:
        time.sleep(0.002)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "out/images.npy").exists()
    (tmp_path / "out.partial/.000002.npy.left.npy").write_bytes(b"half a chunk")
    before = first.stat().st_mtime_ns
    partial = tmp_path / "out.partial"
    kept = {path.name: path.stat().st_mtime_ns for path in partial.glob("0*.json")}
    assert len(kept) < 6
    again = run_stage(settings, cohort, tmp_path / "out")
    _, log = again.communicate()
    assert again.returncode == 0, log
    assert "chunk 0:" not in log
    assert "chunk 5:" in log
    assert before == kept["000000.json"]
    images(settings, cohort=cohort, output=tmp_path / "whole", threads=2)
    assert read_bytes(tmp_path / "out") == read_bytes(tmp_path / "whole")


def test_killed_while_it_cleans_up_it_ends_all_the_same(tmp_path, monkeypatch):
    cohort = write_cohort(tmp_path / "cohort.parquet", ["x"] * 20, y_Edema=np.zeros(20))
    settings, arguments = {**PHANTOM, "image_size": 40}, {"cohort": cohort, "threads": 1}
    images(settings, output=tmp_path / "whole", **arguments)

    def remove_a_chunk_and_die(folder: Path) -> None:
        (folder / "000000.npy").unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("medaudit.data.images.shutil.rmtree", remove_a_chunk_and_die)
        with pytest.raises(KeyboardInterrupt):
            images(settings, output=tmp_path / "out", **arguments)
    assert (tmp_path / "out.partial/000000.json").exists()
    images(settings, output=tmp_path / "out", **arguments)
    assert read_bytes(tmp_path / "out") == read_bytes(tmp_path / "whole")
    assert not (tmp_path / "out.partial").exists()


def make_partial(tmp_path: Path, settings: dict, cohort: Path) -> None:
    """Leave a partial folder whose one chunk is complete but wrong, to see whether it is used."""
    with pytest.raises(MedauditError):
        images(settings, cohort=cohort, output=tmp_path / "out")
    chunk = tmp_path / "out.partial/000000.npy"
    np.save(chunk, np.full_like(np.load(chunk), 7))
    note = read_json(chunk.with_suffix(".json"))
    write_json({**note, "status": ["ok"], "errors": [None]}, chunk.with_suffix(".json"))


@pytest.mark.parametrize("change", ["nothing", "settings", "cohort", "file"])
def test_a_partial_folder_is_used_only_for_the_same_work(tmp_path, folder, change):
    settings = file_settings(folder)
    (folder / "a.png").write_bytes(b"")
    cohort = write_cohort(tmp_path / "cohort.parquet", ["a.png"])
    make_partial(tmp_path, settings, cohort)
    if change == "settings":
        settings["image_size"] = SIZE + 1
    if change == "cohort":
        write_cohort(cohort, ["a.png"], a_sex=["male"])
    if change == "file":
        cv2.imwrite(str(folder / "a.png"), make_picture())
    if change in ("settings", "cohort"):  # redone, so the empty file is found again
        with pytest.raises(MedauditError, match="0 bytes"):
            images(settings, cohort=cohort, output=tmp_path / "out")
        return
    images(settings, cohort=cohort, output=tmp_path / "out")
    assert (open_store(tmp_path / "out").images == 7).all() == (change == "nothing")


def test_an_output_that_cannot_be_written_is_a_clear_error(tmp_path):
    cohort = write_cohort(tmp_path / "cohort.parquet", ["x"])
    with pytest.raises(MedauditError, match="cannot write .*cohort.parquet/out"):
        images(PHANTOM, cohort=cohort, output=cohort / "out")


def test_an_index_of_other_pixels_is_refused(tmp_path):
    cohort = write_cohort(tmp_path / "cohort.parquet", ["x", "y"])
    images(PHANTOM, cohort=cohort, output=tmp_path / "out")
    np.save(tmp_path / "out/images.npy", np.zeros((3, SIZE, SIZE), np.uint8))
    with pytest.raises(MedauditError, match="does not|3"):
        open_store(tmp_path / "out")
    with pytest.raises(MedauditError, match="run the stage"):
        open_store(tmp_path / "nowhere")


def test_reading_the_store_needs_no_torch():
    code = "import medaudit.data.images, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
