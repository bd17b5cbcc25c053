"""Splits in which each label is as frequent in each group as in the whole dataset."""

import json
from itertools import product

import numpy as np
import pandas as pd
import pytest

from medaudit.config import jobs
from medaudit.config.validation import check
from medaudit.core.errors import MedauditError
from medaudit.data.cohort import patients, subjects
from medaudit.data.cohort.stratified_split import draw_by_labels, split_by_labels
from medaudit.data.group_counts import count_groups, note_one_class
from shipped_config import SCHEMAS, shipped

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}


def draw_people(n: int, seed: int, images: int = 1) -> pd.DataFrame:
    """Draw patients with a label, sex, age and race; the small race is ill as rarely as the others."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame({"patient_id": [f"p{k:05d}" for k in range(n)]})
    frame["a_sex"] = rng.choice(["female", "male"], n)
    frame["a_age_group"] = rng.choice(["<=75", ">75"], n, p=[0.6, 0.4])
    frame["a_race"] = rng.choice(["white", "black"], n, p=[0.85, 0.15])
    frame["y_ill"] = (rng.random(n) < np.where(frame["a_age_group"] == ">75", 0.5, 0.3)) * 1.0
    frame["y_rare"] = (rng.random(n) < 0.08) * 1.0
    frame = frame.loc[np.repeat(np.arange(n), images)].reset_index(drop=True)
    return frame.assign(image_id=[f"i{k:05d}" for k in range(len(frame))], view="PA", age=50.0)


@pytest.mark.parametrize("n", [60, 235, 2000])
@pytest.mark.parametrize("seed", range(5))
def test_every_label_of_every_group_has_its_share_in_every_split(n, seed):
    frame = draw_people(n, seed)
    attributes = ["sex", "age_group", "race"]
    split = split_by_labels(frame, ["ill", "rare"], attributes, SHARES, np.random.default_rng(seed))
    assert [(split == name).sum() for name in SHARES] == pytest.approx(
        [n * share for share in SHARES.values()], abs=1
    )
    for task, name, value in product(("ill", "rare"), attributes, (0, 1)):
        for _, members in frame[frame[f"y_{task}"] == value].groupby(f"a_{name}"):
            for place, share in SHARES.items():
                count = (split[members.index] == place).sum()
                assert count == pytest.approx(share * len(members), abs=3)


def test_a_random_split_would_often_leave_a_group_without_a_class():
    """The fault that stratifying prevents: with 235 subjects, 24 of them tested, chance decides."""
    empty = {"random": 0, "stratified": 0}
    for seed in range(60):
        frame = draw_people(235, seed)
        rng = np.random.default_rng(seed)
        drawn = {
            "random": pd.Series(rng.permutation(np.repeat(list(SHARES), [188, 23, 24]))),
            "stratified": split_by_labels(frame, ["ill"], ["sex", "race"], SHARES, rng),
        }
        for kind, split in drawn.items():
            cells = frame[split == "test"].groupby(["a_race", "y_ill"]).size()
            empty[kind] += len(cells) < 4
    assert empty["random"] >= 5
    assert empty["stratified"] == 0


def test_the_split_is_by_patient_random_and_independent_of_the_order_of_rows():
    frame = draw_people(300, 0, images=3)
    shuffled = frame.sample(frac=1, random_state=1)

    def made(rows, seed):
        split = split_by_labels(rows, ["ill"], ["sex"], SHARES, np.random.default_rng(seed))
        return split.sort_index()

    first = made(frame, 4)
    pd.testing.assert_series_equal(first, made(shuffled, 4))
    assert (first != made(frame, 5)).any()
    assert first.groupby(frame["patient_id"]).nunique().max() == 1


def test_everybody_is_equally_likely_to_be_tested():
    frame = draw_people(60, 3)
    shares = {"train": 0.5, "val": 0.2, "test": 0.3}
    tested = np.zeros(60)
    for seed in range(600):
        split = split_by_labels(frame, ["ill"], ["sex"], shares, np.random.default_rng(seed))
        tested += (split == "test").to_numpy()
    # 600 draws: the standard error of a share of 0.3 is 0.019; rounding in small cells adds to it.
    assert (tested / 600).mean() == pytest.approx(0.3)
    assert np.abs(tested / 600 - 0.3).max() < 0.1


def test_a_subset_keeps_labels_in_groups_and_splits():
    frame = draw_people(2000, 0)
    rng = np.random.default_rng(0)
    frame["split"] = split_by_labels(frame, ["ill"], ["sex", "race"], SHARES, rng)
    drawn = draw_by_labels(frame, ["ill"], ["sex", "race"], 200, rng)
    kept = frame[drawn]
    assert len(kept) == 200
    cells = ["split", "a_race", "y_ill"]
    whole, part = frame.groupby(cells).size(), kept.groupby(cells).size()
    assert part.reindex(whole.index).to_numpy() == pytest.approx(whole.to_numpy() / 10, abs=3)
    with pytest.raises(MedauditError, match="is more than the 2000 there are"):
        draw_by_labels(frame, ["ill"], [], 2001, rng)


@pytest.mark.parametrize("builder", [subjects, patients])
def test_builders_that_draw_a_split_stratify_it(builder):
    settings = {
        **{"name": "c", "tasks": ["rare"], "seed": 1, "stratify": ["race"]},
        "split": {"kind": "shares", **SHARES} if builder is subjects else SHARES,
    }
    frame = builder.build(draw_people(1000, 0), settings).frame
    counts = frame[frame["y_rare"] == 1].groupby(["a_race", "split"]).size().unstack(fill_value=0)
    for _, row in counts.iterrows():
        assert row["test"] == pytest.approx(row.sum() / 10, abs=1)


def test_a_test_group_without_both_classes_is_named():
    frame = draw_people(40, 0).assign(split=["train", "test"] * 20)
    test = frame["split"] == "test"
    frame.loc[test & (frame["a_race"] == "black"), "y_ill"] = 0
    frame.loc[test & (frame["a_sex"] == "male"), "y_ill"] = 1
    women = frame.index[test & (frame["a_sex"] == "female")]
    frame.loc[women, "y_ill"] = np.arange(len(women)) % 2
    (note,) = note_one_class(count_groups(frame, [("sex",)], ["ill"]))
    assert "sex male (no negative of ill)" in note


def cohort_settings(name: str, **changed) -> dict:
    config = shipped()
    config["cohorts"][name] = {**config["cohorts"][name], **changed}
    return json.loads(jobs.settings(check(config, SCHEMAS), "cohort", cohort=name))


def test_a_split_follows_the_attributes_of_the_dataset_not_those_that_are_audited():
    plain = cohort_settings("oasis_age")
    assert plain["stratify"] == ["sex", "age_group"]
    assert cohort_settings("oasis_age", attributes=["sex", "age_group"]) == plain
    assert cohort_settings("oasis_age", stratify=["sex"])["stratify"] == ["sex"]
    with pytest.raises(MedauditError, match="stratify: 'race'"):
        cohort_settings("oasis_age", stratify=["race"])
