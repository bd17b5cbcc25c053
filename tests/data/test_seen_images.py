"""Images that a model has seen: lists in every form, counted by group and task, and left out."""

import hashlib

import numpy as np
import pandas as pd
import pytest

from medaudit.audit.lint.seen_checks import seen_test_images
from medaudit.core.errors import MedauditError
from medaudit.data.cohort.exclude_seen import exclude_seen
from medaudit.data.cohort.selection import Selection
from medaudit.data.seen_images import seen_images


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDAUDIT_DATA", str(tmp_path))
    return tmp_path


def nih(count=40):
    """A cohort of NIH's images: two per patient, every fourth in validation, half in the test."""
    names = [f"{k // 2 + 1:08d}_{k % 2:03d}.png" for k in range(count)]
    split = np.array(["train", "train", "test", "val"] * 2 + ["test"] * 4)
    people = [name.split("_")[0] for name in names]
    rng = np.random.default_rng(0)
    return pd.DataFrame({
        "image_id": names, "path": [f"images_{k % 3 + 1:03d}/images/{n}" for k, n in enumerate(names)],
        "patient_id": people, "split": np.resize(split, count), "y_Edema": rng.integers(0, 2, count).astype(float),
        "y_Mass": rng.integers(0, 2, count).astype(float),
        "a_sex": rng.choice(["female", "male"], count), "a_race": [None if k % 7 == 0 else "x" for k in range(count)],
    })  # fmt: skip


def train_val_list(root, names):
    (root / "list.txt").write_text("\n".join(names) + "\n")
    return {"file": "list.txt"}


def with_datasets(root, names):
    """As RAD-DINO: images of several datasets in one table, each by its own kind of id."""
    others = [("mimic", f"p10/p{k}/s{k}/{k:040x}.jpg") for k in range(30)]
    rows = [*others, *(("nih", name) for name in names)]
    pd.DataFrame(rows, columns=["dataset", "image"]).to_csv(
        root / "training_images.csv", index=False
    )
    return {"file": "training_images.csv", "where": {"dataset": "nih"}}


def without_where(root, names):
    return {"file": with_datasets(root, names)["file"]}


def split_table(root, names):
    other = [f"{k:08d}_999.png" for k in range(50)]
    table = pd.DataFrame({"n": range(50 + len(names)), "dicom": [*other, *names]})
    table["split"] = ["validate"] * 50 + ["train"] * len(names)
    table.to_csv(root / "split.csv.gz", index=False)
    return {"file": "split.csv.gz", "where": {"split": ["train", "other"]}}


def stems_in_paths(root, names):
    paths = [f"/mnt/data/NIH/{name.removesuffix('.png')}.jpg" for name in names]
    pd.DataFrame({"Path": paths, "Label": 1}).to_parquet(root / "seen.parquet")
    return {"file": "seen.parquet"}


def hashes(root, names):
    frame = nih()
    for name, path in zip(frame["image_id"], frame["path"], strict=True):
        (root / "nih" / path).parent.mkdir(parents=True, exist_ok=True)
        (root / "nih" / path).write_bytes(name.encode() * 9)
    found = [hashlib.md5(name.encode() * 9).hexdigest().upper() for name in names]
    pd.DataFrame({"file": range(len(names)), "md5": found}).to_csv(root / "h.csv", index=False)
    return {"file": "h.csv", "hash": "md5"}


LISTS = [train_val_list, with_datasets, without_where, split_table, stems_in_paths, hashes]


@pytest.mark.parametrize("write", LISTS)
def test_a_list_in_any_form_marks_exactly_its_images(root, write):
    frame = nih()
    chosen = np.random.default_rng(1).random(len(frame)) < 0.4
    one = write(root, frame.loc[chosen, "image_id"].tolist())
    found = seen_images([one], frame, "nih", "nih")
    assert found.images.tolist() == chosen.tolist() and found.applies
    assert one["file"] in found.notes[0] and f"{chosen.sum()} of 40 images by" in found.notes[0]


def test_lists_of_another_dataset_do_not_apply_and_several_add_up(root):
    frame = nih()
    first = train_val_list(root, frame["image_id"][:5])
    second = split_table(root, frame["image_id"].tolist()[3:9])
    found = seen_images([{**first, "dataset": "CheXpert"}], frame, "nih")
    assert not found.applies and not found.images.any()
    both = seen_images([{**first, "dataset": "NIH"}, second], frame, "nih")
    assert np.flatnonzero(both.images).tolist() == list(range(9)) and len(both.notes) == 2


def test_test_images_are_counted_by_group_and_by_task(root):
    frame = nih()
    seen = np.random.default_rng(2).random(len(frame)) < 0.5
    lists = {"rad": [train_val_list(root, frame.loc[seen, "image_id"])]}
    (found,), answered = seen_test_images(frame, lists, ["Edema", "Mass"], ["sex", "race", ["sex", "race"]], "nih", None)  # fmt: skip
    test = frame["split"] == "test"
    assert found.severity == "warning" and found.where == "rad" and answered == {"rad"}
    assert found.count == (seen & test).sum()
    assert f"has seen {(seen & test).sum()} of the {test.sum()} test images" in found.message
    for level in ("female", "male"):
        group = test & (frame["a_sex"] == level)
        assert f"{level} {(group & seen).sum()} of {group.sum()}" in found.message
    group = test & frame["a_race"].isna()
    assert f"missing {(group & seen).sum()} of {group.sum()}" in found.message
    for task in ("Edema", "Mass"):
        group = test & (frame[f"y_{task}"] == 1)
        assert f"{task} {(group & seen).sum()} of {group.sum()}" in found.message


def test_none_seen_is_an_info_and_a_list_without_any_image_answers_nothing(root):
    frame = nih()
    train = frame.loc[frame["split"] == "train", "image_id"]
    lists = {"m": [train_val_list(root, train)]}
    (found,), answered = seen_test_images(frame, lists, [], [], "nih", None)
    assert found.severity == "info" and "none of the" in found.message and answered == {"m"}
    (found,), answered = seen_test_images(frame, {"m": [train_val_list(root, ["a", "b"])]}, [], [], "nih", None)  # fmt: skip
    assert found.severity == "info" and "or the ids have another form" in found.message
    assert answered == set()  # the names of datasets still warn


def test_seen_images_are_left_out_of_validation_and_test_and_counted(root):
    frame = nih()
    seen = np.random.default_rng(3).random(len(frame)) < 0.5
    selection = Selection(frame)
    exclude_seen(selection, {"rad": [train_val_list(root, frame.loc[seen, "image_id"])]}, "c", "nih", None)  # fmt: skip
    kept = ~seen | (frame["split"] == "train")
    assert selection.frame["image_id"].tolist() == frame.loc[kept, "image_id"].tolist()
    assert selection.exclusions == [{"reason": "rad has seen the image", "count": (~kept).sum(), "left": kept.sum()}]  # fmt: skip
    assert f"{(~kept).sum()} of {(frame['split'] != 'train').sum()} validation and test" in selection.notes[0]  # fmt: skip


def test_a_cohort_that_was_seen_completely_cannot_be_audited(root):
    frame = nih()
    lists = {"rad": [train_val_list(root, frame.loc[frame["split"] == "test", "image_id"])]}
    with pytest.raises(MedauditError, match="cohort c: rad has seen every test image"):
        exclude_seen(Selection(frame), lists, "c", "nih", None)


WRONG = {
    "no file": ({"file": "none.csv"}, "no list of pretraining images .*none.csv"),
    "no column": ({"file": "t.csv", "column": "x"}, r"no column 'x'; it has \['image', 'split'\]"),
    "no row": (
        {"file": "t.csv", "where": {"split": "training"}},
        r"no row has split \['training'\]; it has e.g. \['train'\]",
    ),  # fmt: skip
    "no hashes": ({"file": "t.csv", "hash": "image"}, "hashes must be MD5"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_list_says_what_it_has(root, what):
    pd.DataFrame({"image": ["a", "b"], "split": "train"}).to_csv(root / "t.csv", index=False)
    one, said = WRONG[what]
    with pytest.raises(MedauditError, match=said):
        seen_images([one], nih(), "nih", "nih")
