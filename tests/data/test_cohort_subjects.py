import math

import numpy as np
import pandas as pd
import pytest

from medaudit.core.errors import MedauditError
from medaudit.data.cohort.subjects import build

HELD_OUT = {"kind": "held_out", "share": 0.2, "test_share": 0.5, "seeds": [5, 6]}
SHARES = {"kind": "shares", "train": 0.6, "val": 0.2, "test": 0.2}


def settings(**changed) -> dict:
    entry = {"name": "drawn", "tasks": ["ill"], "split": SHARES, "seed": 3}
    return {**entry, **changed}


@pytest.fixture
def manifest() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    n = 900
    frame = pd.DataFrame({"image_id": [f"i{k}" for k in range(n)]})
    subject = rng.integers(0, 400, n)
    frame["patient_id"] = [f"p{k:04d}" for k in subject]
    sex = rng.choice(["male", "female", "unknown"], 400, p=[0.5, 0.4, 0.1]).astype(object)
    tone = rng.choice(["1", "2", "3", "4"], 400).astype(object)
    frame["a_sex"] = pd.Series(sex[subject], dtype="str")
    frame["a_tone"] = pd.Series(tone[subject], dtype="str")
    frame["age"] = np.where(rng.random(n) < 0.05, np.nan, rng.integers(0, 90, n))
    frame["y_ill"] = np.where(rng.random(n) < 0.04, np.nan, rng.random(n) < 0.2)
    frame["a_set"] = pd.Series(rng.choice(["Training", "validation", "test"], 400)[subject])
    return frame


def permuted_halves(ids: list[str], share: float, test_share: float, seeds) -> dict[str, str]:
    """The published recipe in plain words: shuffle, cut off the share rounded up, twice."""
    cut = []
    for seed, part in zip(seeds, (share, test_share), strict=True):
        order = np.random.RandomState(seed).permutation(len(ids))
        n = math.ceil(part * len(ids))
        cut.append([ids[k] for k in order])
        ids = cut[-1][:n] if not cut[1:] else ids
    held, n = cut[1], math.ceil(test_share * len(cut[1]))
    place = dict.fromkeys(cut[0], "train") | dict.fromkeys(held, "val")
    return place | dict.fromkeys(held[:n], "test")


@pytest.mark.parametrize(
    ("share", "test_share", "seeds"), [(0.2, 0.5, [5, 6]), (0.3, 0.66, [5, 15]), (0.2, 0.5, [0, 0])]
)
def test_held_out_is_the_published_recipe(manifest, share, test_share, seeds):
    split = {"kind": "held_out", "share": share, "test_share": test_share, "seeds": seeds}
    frame = build(manifest, settings(split=split, known=["age"])).frame
    left = manifest[manifest["age"].notna() & manifest["y_ill"].notna()]
    place = permuted_halves(sorted(set(left["patient_id"])), share, test_share, seeds)
    assert frame["image_id"].tolist() == left["image_id"].tolist()
    assert frame["split"].tolist() == [place[p] for p in left["patient_id"]]


def test_what_goes_before_the_split_changes_it_and_what_goes_after_does_not(manifest):
    whole = build(manifest, settings(split=HELD_OUT)).frame.set_index("image_id")["split"]
    after = build(manifest, settings(split=HELD_OUT, known_after_split=["sex"]))
    before = build(manifest, settings(split=HELD_OUT, known=["sex"]))
    kept = after.frame.set_index("image_id")
    assert (kept["split"] == whole[kept.index]).all()
    assert kept.index.tolist() == before.frame["image_id"].tolist()
    assert (before.frame["split"].to_numpy() != kept["split"].to_numpy()).any()
    unknown = (manifest.loc[manifest["y_ill"].notna(), "a_sex"] == "unknown").sum()
    assert {"reason": "sex is unknown", "count": unknown, "left": len(kept)} in after.exclusions


def test_levels_are_taken_together(manifest):
    levels = {"tone": {"1-2": ["1", "2"], "3-4": ["3", "4"]}}
    frame = build(manifest, settings(levels=levels)).frame
    old = manifest.set_index("image_id")["a_tone"][frame["image_id"]]
    assert (frame["a_tone"].to_numpy() == np.where(old.isin(["1", "2"]), "1-2", "3-4")).all()
    with pytest.raises(MedauditError, match=r"do not mention \['4'\]"):
        build(manifest, settings(levels={"tone": {"low": ["1", "2"], "high": ["3"]}}))


def test_the_official_split_is_taken_as_it_is(manifest):
    official = {"kind": "official", "attribute": "set"}
    frame = build(manifest, settings(split=official)).frame
    words = {"Training": "train", "validation": "val", "test": "test"}
    named = manifest.set_index("image_id")["a_set"][frame["image_id"]].map(words)
    assert (frame["split"].to_numpy() == named.to_numpy()).all()
    with pytest.raises(MedauditError, match="no official split 'use'"):
        build(manifest, settings(split={"kind": "official", "attribute": "use"}))
    manifest.loc[3, "a_set"] = "fold1"
    with pytest.raises(MedauditError, match="has the unknown values .'fold1'.; known"):
        build(manifest, settings(split=official))


def test_shares_are_of_subjects_and_the_seed_decides(manifest):
    first, again = (build(manifest, settings()).frame for _ in range(2))
    other = build(manifest, settings(seed=4)).frame
    assert first["split"].equals(again["split"])
    assert not first["split"].equals(other["split"])
    people = first.drop_duplicates("patient_id")["split"].value_counts(normalize=True)
    assert people["train"] == pytest.approx(0.6, abs=0.01)
    assert first.groupby("patient_id")["split"].nunique().max() == 1


def test_a_subset_fills_the_cells_evenly(manifest):
    chosen = settings(known=["sex"], patients=100, enrich=["sex", "ill"])
    selection = build(manifest, chosen)
    label = selection.frame.groupby("patient_id")["y_ill"].max()
    people = selection.frame.drop_duplicates("patient_id").set_index("patient_id")
    assert len(people) == 100
    cells = pd.crosstab(people["split"], [people["a_sex"], label])
    assert (cells.max(axis=1) - cells.min(axis=1)).loc[["val", "train"]].max() <= 1
    assert "not as frequent" in selection.notes[-1]


def test_a_group_can_be_left_few_training_subjects(manifest):
    plain = build(manifest, settings(known=["sex"])).frame
    selection = build(manifest, settings(known=["sex"], training_share={"sex": {"female": 0.25}}))
    count = plain.groupby(["split", "a_sex"])["patient_id"].nunique()
    thin = selection.frame.groupby(["split", "a_sex"])["patient_id"].nunique()
    assert thin["train", "female"] == round(0.25 * count["train", "female"])
    same = [key for key in count.index if key != ("train", "female")]
    assert thin[same].equals(count[same])
    assert any("on purpose" in note for note in selection.notes)
    with pytest.raises(MedauditError, match="unknown level 'women'"):
        build(manifest, settings(training_share={"sex": {"women": 0.5}}))
