"""Pictures that share a file: slices of HDF5 and Analyze files, arrays of NumPy archives."""

import io
import os
import pickle
import zipfile
from pathlib import Path

import h5py
import nibabel
import numpy as np
import pandas as pd
import pytest

from medaudit.core.errors import MedauditError
from medaudit.core.table_io import COHORT, read_json, write_table
from medaudit.data.images import images, open_store
from medaudit.data.images.pixel_sources import describe_files
from medaudit.data.readers import image_containers as containers
from medaudit.data.readers.decode import UnreadableImage
from medaudit.data.readers.image_containers import read_members, split_address, to_grey
from medaudit.data.readers.npz_arrays import read_key

SIZE = 16


def write_volume(path: Path, voxels: np.ndarray) -> None:
    """Write Analyze 7.5 with a fourth axis, big-endian, as OASIS ships it."""
    header = nibabel.AnalyzeHeader(endianness=">")
    header.set_data_dtype(np.int16)
    header.set_data_shape((*voxels.shape, 1))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        header.write_to(stream)
    path.with_suffix(".img").write_bytes(voxels.astype(">i2").tobytes(order="F"))


def make_store(tmp_path: Path, paths: list[str], window, on_error="fail", size=SIZE):
    n = len(paths)
    rows = pd.DataFrame(
        {
            "image_id": [f"i{k}" for k in range(n)],
            "patient_id": [f"p{k}" for k in range(n)],
            "path": paths,
            "age": 50.0,
            "view": "x",
            "split": "train",
        }
    )
    write_table(rows, tmp_path / "cohort.parquet", COHORT)
    dataset = {"loader": "ol3i", "folder": str(tmp_path), "window": window}
    settings = {"cohort": "c", "dataset": dataset, "image_size": size, "on_error": on_error}
    images(settings, cohort=tmp_path / "cohort.parquet", output=tmp_path / "store", threads=2)
    return open_store(tmp_path / "store")


def test_an_address_is_only_one_in_a_container():
    assert split_address("l3_slices.h5#12") == ("l3_slices.h5", "12")
    assert split_address("a/x_gfc.hdr#coronal=88") == ("a/x_gfc.hdr", "coronal=88")
    assert split_address("a/b#c.png") == ("a/b#c.png", None)
    assert split_address("plain.png") == ("plain.png", None)


def test_hounsfield_units_become_grey_by_the_window(tmp_path):
    hu = np.array([[-1000, -160], [40, 240], [3000, -159]], np.int16).repeat(8, 0).repeat(12, 1)
    with h5py.File(tmp_path / "l3.h5", "w") as file:
        file["7"] = hu
        file["8"] = np.full((24, 24), 40.0)
    store = make_store(tmp_path, ["l3.h5#7", "l3.h5#8"], [-160, 240], size=24)
    wanted = np.round(np.clip((hu + 160.0) / 400, 0, 1) * 255)
    assert np.abs(store.images[0].astype(int) - wanted).max() <= 1
    assert set(np.unique(store.images[1])) <= {127, 128}


def test_a_slice_of_a_volume_is_the_right_one_the_right_way_up(tmp_path):
    voxels = np.zeros((20, 24, 20), np.int16)
    voxels[:, 5, :] = 1000
    voxels[2:4, 5, 16:] = 2000  # low x, high z: left of the picture, at its top
    voxels[:, 6, :] = 1
    write_volume(tmp_path / "d/v.hdr", voxels)
    found = list(
        read_members(tmp_path / "d/v.hdr", ["coronal=5", "coronal=6", "axial=17", "sagittal=2"])
    )
    scale = np.percentile(voxels[::2, ::2, ::2][voxels[::2, ::2, ::2] > 0], 99.5)
    wanted = np.full((20, 20), 1000.0)
    wanted[:4, 2:4] = 2000
    np.testing.assert_allclose(found[0], wanted / scale, rtol=1e-6)
    np.testing.assert_allclose(found[1], 1 / scale, rtol=1e-6)
    assert found[2].shape == (24, 20)
    assert found[2][::-1][5, 3] == pytest.approx(2000 / scale)
    assert found[3].shape == (20, 24)
    assert found[3][0, 5] == pytest.approx(2000 / scale)
    assert containers.count_slices(tmp_path / "d/v.hdr", "coronal") == 24


def test_a_file_is_opened_once_for_all_its_rows(tmp_path, monkeypatch):
    volumes = [f"v{k}.hdr" for k in range(5)]
    rng = np.random.default_rng(0)
    for name in volumes:
        write_volume(tmp_path / name, rng.integers(1, 1000, (16, 30, 16)))
    opened = []
    read = containers._open_volume
    monkeypatch.setattr(containers, "_open_volume", lambda file: opened.append(file) or read(file))
    monkeypatch.setattr(
        "medaudit.data.images.CHUNK_BYTES", 40 * SIZE**2
    )  # chunks of at most 40 rows
    paths = [f"{name}#coronal={k}" for name in volumes for k in range(25)]
    store = make_store(tmp_path, paths, [0, 1])
    assert len(store.images) == 125
    assert sorted(file.name for file in opened) == volumes


def test_what_is_missing_or_broken_concerns_its_own_rows(tmp_path):
    with h5py.File(tmp_path / "l3.h5", "w") as file:
        file["good"] = np.ones((20, 20), np.int16)
        file["cube"] = np.ones((20, 20, 20), np.int16)
        file["nan"] = np.full((20, 20), np.nan)
        file["away"] = h5py.ExternalLink("other.h5", "x")
        file.create_group("group")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = np.ones((20, 20))
    write_volume(tmp_path / "cut.hdr", np.ones((16, 16, 16)))
    (tmp_path / "cut.img").write_bytes(b"123")
    write_volume(tmp_path / "lone.hdr", np.ones((16, 16, 16)))
    (tmp_path / "lone.img").unlink()
    write_volume(tmp_path / "v.hdr", np.arange(4096).reshape(16, 16, 16))
    (tmp_path / "not.h5").write_bytes(b"text")
    wanted = {
        "l3.h5#good": "ok",
        "l3.h5#absent": "missing",
        "l3.h5#cube": "broken",
        "l3.h5#nan": "broken",
        "l3.h5#away": "broken",
        "l3.h5#group": "broken",
        "gone.h5#1": "missing",
        "not.h5#1": "broken",
        "cut.hdr#coronal=1": "broken",
        "lone.hdr#coronal=1": "missing",
        "v.hdr#coronal=1": "ok",
        "v.hdr#coronal=16": "missing",
        "v.hdr#oblique=1": "broken",
        "../l3.h5#good": "broken",
    }
    make_store(tmp_path, list(wanted), [0, 1], on_error="exclude")
    index = pd.read_parquet(tmp_path / "store/index.parquet")
    assert dict(zip(wanted, index["status"], strict=True)) == wanted
    assert index.loc[index["status"] != "ok", "error"].notna().all()


def test_a_changed_volume_is_read_again(tmp_path):
    write_volume(tmp_path / "v.hdr", np.full((16, 16, 16), 10))
    rows = pd.DataFrame({"path": ["v.hdr#coronal=1"]})
    settings = {"dataset": {"loader": "oasis", "folder": str(tmp_path)}}
    before = describe_files(rows, settings)
    (tmp_path / "v.img").write_bytes(b"another")
    assert describe_files(rows, settings) != before


def test_not_finite_pixels_are_refused():
    with pytest.raises(UnreadableImage, match="1 pixels are not finite"):
        to_grey(np.array([[0.0, np.inf]]), (0, 1))


RNFLT = np.random.default_rng(0).uniform(-2, 350, (20, 30)).astype(np.float32)
HELD = {
    "rnflt": RNFLT,
    "turned": np.asfortranarray(RNFLT),
    "big": RNFLT.astype(">f8"),
    "md": np.float64(-3.5),
    "race": 1,
    "names": np.array(["a", "bc"]),
}


@pytest.mark.parametrize("form", ["members", "dictionary", "compressed", "one"])
@pytest.mark.parametrize("key", HELD)
def test_arrays_are_read_as_numpy_would(tmp_path, form, key):
    path = tmp_path / "data.npz"
    if form == "members":
        np.savez(path, **HELD)
    elif form == "dictionary":
        np.savez(path, np.array(HELD, dtype=object))
    elif form == "compressed":
        np.savez_compressed(path, data=np.array(HELD, dtype=object))
    else:
        np.savez(path, np.array([HELD], dtype=object))
    found = read_key(path, key)
    np.testing.assert_array_equal(found, np.asarray(HELD[key]))
    with pytest.raises(KeyError):
        read_key(path, "absent")


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return os.mkdir, (str(self.place),)


def save_pickle(path: Path, payload: bytes, shape: str = "()") -> None:
    """Write an archive whose one member is an object array with this pickle."""
    text = f"{{'descr': '|O', 'fortran_order': False, 'shape': {shape}, }}"
    header = text + " " * (64 - (10 + len(text) + 1) % 64) + "\n"
    magic = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("arr_0.npy", magic + header.encode() + payload)


def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path):
    held = {"rnflt": RNFLT, "more": Evil(tmp_path / "evil")}
    np.savez(tmp_path / "e.npz", np.array(held, dtype=object))
    with pytest.raises(ValueError, match=r"asks for \w+.mkdir"):
        read_key(tmp_path / "e.npz", "rnflt")
    with pytest.raises(MedauditError, match="could run code: refused"):
        make_store(tmp_path, ["e.npz#rnflt"], [-2, 350])
    assert not (tmp_path / "evil").exists()
    with pytest.raises(FileExistsError):  # numpy would have run it
        (tmp_path / "evil").mkdir()
        np.load(tmp_path / "e.npz", allow_pickle=True)["arr_0"]


@pytest.mark.parametrize(
    "payload",
    [
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cnumpy.f2py.capi_maps\ngetinit\n.",
        b"cnumpy\nload\n.",
        pickle.dumps({"rnflt": 1}),
        pickle.dumps([1, 2]),
        pickle.dumps(np.array([{"rnflt": [1, 2]}], dtype=object)),
        pickle.dumps(np.array([{"rnflt": np.array([None])}], dtype=object)),
        pickle.dumps(np.array([{"rnflt": np.zeros(2, "i4,f8")}], dtype=object)),
        pickle.dumps(np.array([{}, {}], dtype=object)),
        pickle.dumps(RNFLT),
        b"",
        b"\x80\x04garbage",
    ],
)
def test_other_pickles_are_refused(tmp_path, payload):
    save_pickle(tmp_path / "x.npz", payload)
    with pytest.raises(ValueError):
        read_key(tmp_path / "x.npz", "rnflt")


def test_an_array_that_lies_about_its_size_is_refused(tmp_path):
    dumped = pickle.dumps(np.array({"rnflt": np.arange(4, dtype="<i8")}, dtype=object), protocol=2)
    lying = dumped.replace(b"K\x04\x85", b"K\x05\x85")
    assert lying != dumped
    save_pickle(tmp_path / "x.npz", lying)
    with pytest.raises(ValueError, match="do not make an array of shape"):
        read_key(tmp_path / "x.npz", "rnflt")
    (tmp_path / "cut.npz").write_bytes((tmp_path / "x.npz").read_bytes()[:60])
    with pytest.raises(ValueError, match="not a readable NumPy archive"):
        read_key(tmp_path / "cut.npz", "rnflt")
    member = io.BytesIO()
    np.save(member, np.zeros((3, 3)))
    with zipfile.ZipFile(tmp_path / "short.npz", "w") as archive:
        archive.writestr("rnflt.npy", member.getvalue()[:-8])
    with pytest.raises(ValueError, match="64 bytes do not make an array"):
        read_key(tmp_path / "short.npz", "rnflt")


def test_the_formula_of_the_nerve_fibre_map(tmp_path):
    np.savez(tmp_path / "a.npz", np.array({"rnflt": RNFLT}, dtype=object))
    store = make_store(tmp_path, ["a.npz#rnflt"], [-2, 350], size=min(RNFLT.shape))
    direct = (RNFLT + 2) / 352 * 255
    assert store.images[0].shape == RNFLT.shape
    rows = store.images[0].astype(float).mean(axis=0)
    assert np.abs(rows - direct.mean(axis=0)).max() < 2.5
    card = read_json(tmp_path / "store/card.json")
    assert {"h5py", "nibabel"} <= set(card["decoders"])


def test_a_window_upside_down_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", rnflt=RNFLT)
    with pytest.raises(MedauditError, match=r"window is \[350, -2\]"):
        make_store(tmp_path, ["a.npz#rnflt"], [350, -2])
