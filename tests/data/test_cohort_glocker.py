"""`glocker`: filters, splits, subsets and balance, on the real CheXpert table."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medaudit.core.errors import MedauditError
from medaudit.data.cohort.balance_race_sex import balance_race_sex
from medaudit.data.cohort.glocker import build
from medaudit.data.cohort.patient_split import (
    apportion,
    divide_evenly,
    draw_patients,
    split_patients,
)
from medaudit.data.cohort.selection import Selection
from medaudit.data.datasets import load
from medaudit.data.group_levels import age_group

SETTINGS = {
    "name": "chexpert_glocker",
    "tasks": ["No Finding", "Pleural Effusion"],
    "attributes": ["sex", "race", ["sex", "race"]],
    "split_file": None,
    "split": {"train": 0.6, "val": 0.1, "test": 0.3},
    "views": ["AP", "PA"],
    "age_threshold": 60,
    "age_rule": "gt",
    "balance": "none",
    "test_weights": "none",
    "patients": None,
    "seed": 42,
}
SPLIT_FILE = "chexpert_split_2021_08_20.csv"


@pytest.fixture(scope="module")
def chexpert():
    frame = load({"loader": "chexpert", "folder": None}).frame
    return frame.assign(a_age_group=age_group(frame["age"], SETTINGS))


@pytest.fixture(scope="module")
def whole(chexpert):
    return build(chexpert, SETTINGS)


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDAUDIT_DATA", str(tmp_path))
    return tmp_path


def make(frame, **changes):
    return build(frame, {**SETTINGS, **changes})


def tiny(n=40):
    """Return n patients with two frontal films each, the last with a lateral one too."""
    patients = np.append(np.repeat(np.arange(n), 2), n - 1)
    races = np.array(["white", "asian", "black"])
    frame = pd.DataFrame(
        {
            "image_id": [f"train/patient{p}/v{i}.jpg" for i, p in enumerate(patients)],
            "patient_id": [f"patient{p}" for p in patients],
            "age": 50.0,
            "view": ["AP"] * (2 * n) + ["lateral"],
            "a_sex": np.where(patients % 2, "male", "female"),
            "a_race": races[patients % 3],
            "y_No Finding": 1.0,
            "y_Pleural Effusion": 0.0,
        }
    )
    return frame.assign(path=frame["image_id"], a_age_group="<=60").astype({"a_race": "str"})


def test_the_real_filters_leave_the_published_numbers(whole):
    left = {e["reason"]: (e["count"], e["left"]) for e in whole.exclusions}
    assert left["lateral view"] == (32_387, 191_027)
    assert left["view is not AP or PA"] == (17, 191_010)
    assert left["race is not white, asian, black"] == (0, 191_010)
    assert len(whole.frame) == 191_010
    assert (whole.frame["age"] > 60).sum() + (whole.frame["age"] <= 60).sum() == 191_010


def test_the_split_is_by_patient_at_the_shares_in_every_stratum(whole):
    frame = whole.frame
    assert (frame.groupby("patient_id")["split"].nunique() == 1).all()
    people = frame.drop_duplicates("patient_id")
    shares = people["split"].value_counts(normalize=True)
    np.testing.assert_allclose(shares[["train", "val", "test"]], [0.6, 0.1, 0.3], atol=1e-4)
    strata = people.groupby(["a_race", "a_sex", "a_age_group"])["split"]
    counts = strata.value_counts().unstack(fill_value=0)
    wanted = counts.sum(axis=1).to_numpy()[:, None] * np.array([0.3, 0.6, 0.1])
    assert np.abs(counts[["test", "train", "val"]].to_numpy() - wanted).max() < 2


def test_the_seed_alone_decides_the_split(chexpert, whole):
    def split(**changes):
        frame = make(chexpert, **changes).frame
        return frame.set_index("image_id")["split"]

    first = whole.frame.set_index("image_id")["split"]
    assert split(name="other").equals(first)
    balanced = split(balance="race_sex")
    assert balanced.equals(first[balanced.index])
    assert (balanced != "train").sum() == (first != "train").sum()
    assert not split(seed=43).equals(first)


def test_the_split_file_names_rows_of_the_table(chexpert, data):
    frontal = np.flatnonzero(chexpert["view"] == "AP")[:5000]
    patients = chexpert["patient_id"].to_numpy()
    ranks = pd.factorize(patients[frontal])[0] % 3
    names = np.array(["train", "validate", "test"])[ranks]
    order = np.random.default_rng(0).permutation(len(frontal))
    table = pd.DataFrame({"index": frontal, "split": names}).iloc[order]
    table.to_csv(data / SPLIT_FILE)
    selection = make(chexpert, split_file=SPLIT_FILE)
    found = selection.frame["split"]
    assert list(found.index) == sorted(frontal)
    expected = pd.Series(names, frontal).replace({"validate": "val"}).sort_index()
    assert (found == expected).all()
    left = {e["reason"]: e["count"] for e in selection.exclusions}
    assert left["not in the published split file"] == len(chexpert) - 5000
    assert selection.tables == {"split": data / SPLIT_FILE}


def test_the_published_split_gives_the_published_cohort(chexpert):
    root = Path(os.environ.get("MEDAUDIT_DATA", "data"))
    if not (root / SPLIT_FILE).is_file():
        pytest.skip(f"{SPLIT_FILE} is not in the data root {root}; it is public (chexploration)")
    frame = make(chexpert, split_file=SPLIT_FILE).frame
    people = frame.drop_duplicates("patient_id")
    assert (len(frame), len(people)) == (127_118, 42_884)
    assert frame["split"].value_counts().to_dict() == {
        "train": 76_205, "val": 12_673, "test": 38_240
    }  # fmt: skip
    assert people["split"].value_counts().to_dict() == {
        "train": 25_730, "val": 4_288, "test": 12_866
    }  # fmt: skip
    assert frame["view"].value_counts().to_dict() == {"AP": 107_161, "PA": 19_957}
    train = frame[frame["split"] == "train"]
    assert train["a_sex"].value_counts().to_dict() == {"male": 44_773, "female": 31_432}
    assert train["a_age_group"].value_counts().to_dict() == {">60": 44_341, "<=60": 31_864}
    assert int(train["y_Pleural Effusion"].sum()) == 31_015
    assert int(train["y_No Finding"].sum()) == 6_514


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("index,split\n0,train\n80,test\n", "refers to 1 lateral images"),
        ("index,split\n0,train\n81,test\n", "row numbers 0 to 80 .* goes from 0 to 81"),
        ("index,split\n0,train\n0,test\n", "each at most once"),
        ("index,split\n0,training\n", r"'split' has the unknown values \['training'\]"),
        ("row,split\n0,train\n", r"lacks the columns \['index'\]"),
        ("index,split\n", "no rows"),
    ],
)
def test_wrong_split_files_are_refused(data, rows, said):
    (data / "split.csv").write_text(rows)
    with pytest.raises(MedauditError, match=said):
        make(tiny(), split_file="split.csv")
    with pytest.raises(MedauditError, match="there is no split file"):
        make(tiny(), split_file="other.csv")


def test_race_and_ethnicity_filters_count_what_they_remove(data):
    frame = tiny(30)
    frame["a_ethnicity"] = pd.Series(["non-hispanic"] * len(frame), dtype="str")
    frame.loc[0:1, "a_race"] = pd.NA
    frame.loc[2:5, "a_race"] = "other"
    frame.loc[6:7, "a_ethnicity"] = "hispanic"
    frame.loc[8:9, "a_ethnicity"] = pd.NA
    selection = make(frame)
    assert [e["count"] for e in selection.exclusions] == [0, 1, 0, 2, 4, 4]
    assert list(selection.frame.index) == list(range(10, 60))
    rows = [f"{i},{'train' if i < 40 else 'test' if i < 50 else 'validate'}" for i in range(60)]
    (data / "split.csv").write_text("index,split\n" + "\n".join(rows))
    published = make(frame, split_file="split.csv")
    assert list(published.frame.index) == list(range(10, 60))
    assert "10 images of the published split do not pass its own race filter" in published.notes[0]


def test_race_is_needed_unless_the_published_split_stands_for_it(data):
    frame = tiny().assign(a_race=pd.Series(pd.NA, range(81), dtype="str"))
    with pytest.raises(MedauditError, match="needs race"):
        make(frame)
    (data / "split.csv").write_text("index,split\n0,train\n2,test\n4,validate\n")
    selection = make(frame, split_file="split.csv")
    assert list(selection.frame["split"]) == ["train", "test", "val"]
    assert "Race was not checked" in selection.notes[0]


def test_the_validation_table_is_left_out():
    frame = tiny()
    frame.loc[10:11, "image_id"] = ["valid/patient5/a.jpg", "valid/patient5/b.jpg"]
    selection = make(frame)
    assert selection.exclusions[0] == {"reason": "not in train.csv", "count": 2, "left": 79}


def test_a_subset_keeps_the_shares_and_evens_out_groups(chexpert, whole):
    selection = make(chexpert, patients=1500, enrich=["race", "sex"])
    frame = selection.frame
    splits = whole.frame.set_index("image_id")["split"]
    assert frame.set_index("image_id")["split"].equals(splits[frame["image_id"]])
    people = frame.drop_duplicates("patient_id")
    counts = people.groupby(["split", "a_race", "a_sex"]).size().unstack([1, 2])
    assert (counts.loc["train"] == 150).all()
    assert (counts.loc["val"] == 25).all()
    assert (counts.loc["test"] == 75).all()
    assert frame[frame["split"] == "test"].groupby(["a_race", "a_sex"]).size().min() >= 100
    assert "unknown" not in set(frame["a_sex"])
    whole_patients = whole.frame["patient_id"].isin(people["patient_id"])
    assert whole_patients.sum() == len(frame)
    assert "equal numbers by race and sex" in selection.notes[-1]
    plain = make(chexpert, patients=1500).frame.drop_duplicates("patient_id")
    assert plain["split"].value_counts().to_dict() == {"train": 900, "test": 450, "val": 150}
    assert plain["a_race"].value_counts(normalize=True)["white"] == pytest.approx(0.78, abs=0.04)


def test_training_can_keep_its_natural_shares(chexpert):
    enriched = make(chexpert, patients=1500, enrich=["race", "sex"], enrich_training=False)
    people = enriched.frame.drop_duplicates("patient_id")
    counts = people.groupby(["split", "a_race", "a_sex"]).size().unstack([1, 2])
    assert (counts.loc["test"] == 75).all()
    white = (people.loc[people["split"] == "train", "a_race"] == "white").mean()
    assert white == pytest.approx(0.78, abs=0.04)
    assert enriched.details["subset"]["equal_numbers_in"] == ["val", "test"]


def test_too_many_patients_are_refused():
    with pytest.raises(MedauditError, match="needs 30 patients in test, which has only 12"):
        make(tiny(), patients=100)


def test_balance_follows_its_rule(chexpert, whole):
    selection = make(chexpert, balance="race_sex")
    before = whole.frame[whole.frame["split"] == "train"]
    train = selection.frame[selection.frame["split"] == "train"]
    n = before["a_race"].value_counts().min()
    assert train["a_race"].value_counts().to_dict() == {"white": n, "asian": n, "black": n}
    black = before.index[before["a_race"] == "black"]
    assert set(black) <= set(train.index)
    assert train["a_sex"].value_counts().to_dict() == {
        "female": (3 * n) // 2, "male": 3 * n - (3 * n) // 2
    }  # fmt: skip
    share = (before.loc[before["a_race"] == "asian", "a_sex"] == "female").mean()
    asian = train[train["a_race"] == "asian"]
    assert (asian["a_sex"] == "female").mean() == pytest.approx(share, abs=0.02)
    rest = selection.frame["split"] != "train"
    assert selection.frame[rest].equals(whole.frame[whole.frame["split"] != "train"])
    balance = selection.details["balance"]
    assert balance["images_of_each_race"] == n
    assert sum(balance["train_after"].values()) == 3 * n
    assert selection.exclusions[-1]["count"] == len(before) - 3 * n


def test_same_size_draws_as_many_without_balancing(chexpert, whole):
    balanced = make(chexpert, balance="race_sex").frame
    selection = make(chexpert, balance="same_size")
    train = selection.frame[selection.frame["split"] == "train"]
    assert len(train) == (balanced["split"] == "train").sum()
    before = whole.frame[whole.frame["split"] == "train"]
    for column in ("a_race", "a_sex"):
        share = before[column].value_counts(normalize=True)
        found = train[column].value_counts(normalize=True)
        assert (found - share).abs().max() < 0.03
    rest = selection.frame["split"] != "train"
    assert selection.frame[rest].equals(whole.frame[whole.frame["split"] != "train"])
    assert selection.details["balance"]["kind"] == "same_size"


@pytest.mark.parametrize(
    ("others", "women", "expected"),
    [("male", 30, 20), ("male", 4, 4), ("female", 30, 0), ("female", 95, 15)],
)
def test_the_largest_race_evens_the_sexes_as_far_as_it_can(others, women, expected):
    """40 of the 60 drawn are of one sex; the 20 white ones bring as many of the other as exist."""
    races = ["asian"] * 25 + ["black"] * 20 + ["white"] * 100
    sexes = [others] * 45 + ["female"] * women + ["male"] * (100 - women)
    frame = pd.DataFrame({"split": "train", "a_race": races, "a_sex": sexes})
    selection = Selection(frame)
    balance_race_sex(selection, np.random.default_rng(0))
    white = selection.frame[selection.frame["a_race"] == "white"]
    assert len(white) == 20
    assert (white["a_sex"] == "female").sum() == expected


def test_one_race_cannot_be_balanced():
    with pytest.raises(MedauditError, match="at least two races"):
        make(tiny().assign(a_race="white"), balance="race_sex")
    with pytest.raises(MedauditError, match="balance is 'race'"):
        make(tiny(), balance="race")


def test_parts_of_whole_numbers():
    assert apportion(10, [60, 10, 30]).tolist() == [6, 1, 3]
    assert apportion(7, [1, 1, 1]).sum() == 7
    assert divide_evenly(10, [1, 9, 9]) == [1, 4, 5]
    assert divide_evenly(6, [2, 2, 2]) == [2, 2, 2]
    for n in (1, 7, 10, 999):
        split = split_patients(np.zeros(n), SETTINGS["split"], np.random.default_rng(n))
        counts = [(split == name).sum() for name in SETTINGS["split"]]
        assert np.abs(np.array(counts) - n * np.array([0.6, 0.1, 0.3])).max() <= 1
    with pytest.raises(MedauditError, match=r"sum to 1\.1"):
        split_patients(np.zeros(9), {"train": 0.8, "test": 0.3}, np.random.default_rng(0))


def test_small_cells_are_drawn_whole():
    cells = np.array([0] * 3 + [1] * 50 + [2] * 50 + [-1] * 5)
    drawn = draw_patients(np.full(108, "test"), cells, 43, np.random.default_rng(0))
    assert [(drawn & (cells == c)).sum() for c in (-1, 0, 1, 2)] == [0, 3, 20, 20]
