"""Phantoms of skin lesions and of the fundus: what is planted in them is there, and nothing else."""

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from medaudit.core.errors import MedauditError
from medaudit.core.table_io import COHORT, write_table
from medaudit.data import datasets
from medaudit.data.cohort.subjects import build
from medaudit.data.images import images, open_store
from medaudit.data.phantoms import fundus, skin
from medaudit.data.phantoms.export import write_phantom
from medaudit.data.phantoms.marks import CONTRAST, read_marks

DRAWS = {"ham10000": skin, "fitzpatrick17k": skin, "papila": fundus}
DARK = ["type 4", "type 5", "type 6"]
TASKS = {"ham10000": "malignant", "fitzpatrick17k": "malignant", "papila": "glaucoma"}


def entry(loader: str, rows: int = 100, **phantom) -> dict:
    return {"loader": loader, "name": loader, "folder": None, "phantom": {"rows": rows, **phantom}}


def table(loader: str, rows: int = 100) -> pd.DataFrame:
    return datasets.load(entry(loader, rows)).frame


@pytest.mark.parametrize("loader", DRAWS)
def test_a_picture_depends_on_its_own_row_alone(loader):
    frame, settings = table(loader), entry(loader)
    all_, threaded = (DRAWS[loader].render(frame, settings, 32, threads) for threads in (1, 2))
    some = frame.iloc[[70, 3]]
    assert all_.shape == (100, 32, 32, 3) and all_.dtype == np.uint8
    assert np.array_equal(all_, threaded)
    assert np.array_equal(DRAWS[loader].render(some, settings, 32), all_[[70, 3]])
    other = DRAWS[loader].render(some, entry(loader, seed=1), 32)
    assert np.abs(other.astype(int) - all_[[70, 3]]).mean() > 3


@pytest.mark.parametrize("loader", DRAWS)
def test_the_table_is_drawn_by_its_seed(loader):
    first, again = table(loader), table(loader)
    other = datasets.load(entry(loader, seed=1)).frame
    assert first.equals(again) and not first.equals(other)
    assert len(first) == 100
    assert "not patients" in datasets.load(entry(loader)).notes[0]


@pytest.mark.parametrize("loader", DRAWS)
def test_a_finding_that_is_not_visible_is_not_there(loader):
    task = f"y_{TASKS[loader]}"
    frame = table(loader).assign(**{task: 1.0}).head(40)
    if loader == "ham10000":
        frame["a_dx"] = "mel"
    if loader == "fitzpatrick17k":
        frame["a_partition"] = "malignant tumour"
    ill = {
        visibility: DRAWS[loader]
        .render(
            frame,
            entry(loader, planted=[rule(visibility)]),
            48,
        )
        .astype(float)
        for visibility in (0.0, 0.5, 1.0)
    }
    if loader == "papila":
        well = DRAWS[loader].render(frame.assign(y_glaucoma=0.0), entry(loader), 48)
        assert np.array_equal(ill[0.0], well)
    if loader == "ham10000":
        nevus = frame.assign(y_malignant=0.0, a_dx="nv")
        assert np.array_equal(ill[0.0], DRAWS[loader].render(nevus, entry(loader), 48))
    half, full = (np.abs(ill[v] - ill[0.0]).mean(axis=(1, 2, 3)) for v in (0.5, 1.0))
    assert (full > half).mean() > 0.9 and half.min() > 0


def rule(visibility: float) -> dict:
    return {"where": {}, "findings": "all", "visibility": visibility}


@pytest.mark.parametrize(
    ("loader", "where", "fits"),
    [
        ("papila", {"age_min": 61}, lambda f: f["age"] > 60),
        ("ham10000", {"age_min": 61}, lambda f: f["age"] > 60),
        (
            "fitzpatrick17k",
            {"skin_type": ["type 4", "type 5", "type 6"]},
            lambda f: f["a_skin_type"].isin(DARK),
        ),
    ],
)
def test_a_planted_difference_is_in_these_rows_alone(loader, where, fits):
    frame = table(loader, 300)
    label = frame[f"y_{TASKS[loader]}"]
    planted = [{"where": where, "findings": [TASKS[loader]], "visibility": 0.3}]
    plain = DRAWS[loader].render(frame, entry(loader), 32)
    changed = DRAWS[loader].render(frame, entry(loader, planted=planted), 32)
    differs = (plain != changed).any(axis=(1, 2, 3))
    assert differs.sum() > 4
    assert (differs == (fits(frame) & (label.fillna(0.5) > 0)).to_numpy()).all()


def test_glaucoma_can_be_learned_and_less_so_where_it_was_planted():
    frame = table("papila", 1400)
    frame = frame[frame["y_glaucoma"].notna()].reset_index(drop=True)
    planted = [{"where": {"age_min": 61}, "findings": "all", "visibility": 0.0}]
    pictures = fundus.render(frame, entry("papila", planted=planted), 32)
    crops = np.where(
        (frame["view"] == "OS").to_numpy()[:, None, None, None], pictures[:, :, ::-1], pictures
    )
    pixels = crops[:, 10:22, 18:28].reshape(len(frame), -1) / 255.0
    train = (frame["patient_id"].astype(int) % 2 == 0).to_numpy()
    y, old = frame["y_glaucoma"].to_numpy(), (frame["age"] > 60).to_numpy()
    model = LogisticRegression(C=0.1, max_iter=300).fit(pixels[train], y[train])
    score = model.decision_function(pixels)
    young, aged = (roc_auc_score(y[m], score[m]) for m in (~train & ~old, ~train & old))
    assert young > 0.8
    assert abs(aged - 0.5) < 0.12


def test_skin_types_show_and_lesions_do_not_depend_on_them():
    frame = table("fitzpatrick17k").head(60).assign(a_partition="malignant tumour", y_malignant=1.0)
    light, dark = (
        skin.render(frame.assign(a_skin_type=kind), entry("fitzpatrick17k"), 32).astype(float)
        for kind in ("type 1", "type 4")
    )
    corner = (slice(None), slice(0, 4), slice(0, 4))
    assert light[corner].mean() - dark[corner].mean() > 50
    middle = (slice(None), slice(12, 20), slice(12, 20))
    contrast = [
        p[corner].mean(axis=(1, 2, 3)) - p[middle].mean(axis=(1, 2, 3)) for p in (light, dark)
    ]
    assert np.abs(contrast[0] - contrast[1]).mean() < 0.2 * np.abs(contrast[0]).mean()


def test_marks_go_with_the_label_in_training_alone():
    frame = table("ham10000", 2000)
    frame["split"] = np.where(np.arange(2000) % 2, "train", "test")
    rules = [
        {"where": {"age_min": 61}, "chance": 0.5},
        {"where": {"age_min": 61, "split": "train", "malignant": 1}, "chance": 0.9},
        {"where": {"age_min": 61, "split": "train", "malignant": 0}, "chance": 0.1},
    ]
    marks = read_marks(frame, {"marks": rules})
    old = (frame["age"] > 60).to_numpy()
    assert (marks[~old] == 0).all() and set(marks[old]) == {-1, 1}
    first = pd.Series(marks[old] == 1)
    keys = [frame.loc[old, name].to_numpy() for name in ("split", "y_malignant")]
    share = first.groupby(keys).mean()
    assert share["train", 1.0] == pytest.approx(0.9, abs=0.07)
    assert share["train", 0.0] == pytest.approx(0.1, abs=0.07)
    assert share["test"].to_numpy() == pytest.approx(0.5, abs=0.12)
    assert np.array_equal(read_marks(frame.iloc[::-1], {"marks": rules}), marks[::-1])
    with pytest.raises(MedauditError, match="is not valid; it takes `where` and a `chance`"):
        read_marks(frame, {"marks": [{"where": {}, "chance": 2}]})


def test_a_mark_is_stripes_of_one_column_and_changes_nothing_else():
    frame = table("ham10000", 60).assign(split="train")
    rules = [{"where": {"age_min": 61}, "chance": 0.5}]
    marks = read_marks(frame, {"marks": rules})
    plain, drawn = (
        skin.render(frame, entry("ham10000", marks=given), 32).astype(int) for given in ([], rules)
    )
    assert np.array_equal(drawn[marks == 0], plain[marks == 0]) and {-1, 1} < set(marks)
    stripes = CONTRAST * np.tile([-1, 1], 16)[None, None, :, None]
    expected = np.clip(plain + marks.astype(int)[:, None, None, None] * stripes, 0, 255)
    assert np.array_equal(drawn, expected)


def store_of(tmp_path, name: str, settings: dict, frame: pd.DataFrame, **changed):
    path = tmp_path / f"{name}.parquet"
    write_table(frame, path, COHORT)
    stage = {"cohort": name, "dataset": settings, "image_size": 48, "channels": 3, **changed}
    images(stage, cohort=path, output=tmp_path / name)
    return open_store(tmp_path / name)


@pytest.mark.parametrize("loader", DRAWS)
def test_a_tree_on_disk_gives_the_rows_and_pixels_of_the_default(tmp_path, loader):
    settings = entry(loader, planted=[rule(0.5)])
    frame = write_phantom(settings, tmp_path / "tree", 48)
    drawn = datasets.load(settings).frame
    assert frame.equals(drawn)
    cohort = drawn.assign(split="test").head(30)
    made = store_of(tmp_path, "drawn", settings, cohort)
    read = store_of(tmp_path, "read", settings | {"folder": str(tmp_path / "tree")}, cohort)
    assert made.card["phantom"] and read.card["phantom"]  # the folder says that it is drawn
    assert made.card["planted"] == read.card["planted"] != []
    assert made.images.shape == (30, 48, 48, 3)
    # The files have their owner's shape, which the store keeps; phantoms are drawn square.
    assert {min(image.shape[:2]) for image in read.images} == {48}
    seen = np.stack([cv2.resize(image, (48, 48)) for image in read.images]).astype(int)
    away = np.abs(made.images.astype(int) - seen).mean(axis=(1, 2, 3))
    apart = np.abs(made.images.astype(int) - seen[::-1]).mean()
    assert away.max() < 6 < 0.5 * apart + 6
    assert away.mean() < 0.35 * apart


def test_merged_levels_keep_their_colour_and_what_is_planted(tmp_path):
    levels = {
        "skin_type": {
            "types 1-3": ["type 1", "type 2", "type 3"],
            "types 4-6": ["type 4", "type 5", "type 6"],
        }
    }
    shares = {"kind": "shares", "train": 0.5, "val": 0.25, "test": 0.25}
    raw = table("fitzpatrick17k", 120)
    chosen = {"name": "c", "tasks": ["malignant"], "known": ["skin_type"], "levels": levels}
    cohort = build(raw, {**chosen, "split": shares, "seed": 0}).frame
    planted = [
        {
            "where": {"skin_type": ["type 4", "type 5", "type 6"]},
            "findings": "all",
            "visibility": 0.2,
        }
    ]
    settings = entry("fitzpatrick17k", 120, planted=planted)
    made = store_of(tmp_path, "merged", settings, cohort)
    kept = raw.set_index("image_id").loc[cohort["image_id"]].reset_index()
    assert np.array_equal(made.images, skin.render(kept, settings, 48))
    assert store_of(tmp_path, "grey", settings, cohort, channels=1).images.shape == (
        len(cohort),
        48,
        48,
    )
