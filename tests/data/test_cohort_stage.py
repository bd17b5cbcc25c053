"""The stage `cohort`: from manifest to table and card, and what it refuses."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from medaudit.core.errors import MedauditError
from medaudit.core.table_io import (
    COHORT,
    GROUPS,
    MANIFEST,
    join_groups,
    read_audited,
    read_json,
    read_table,
    write_json,
    write_table,
)
from medaudit.data.cohort import check, cohort
from medaudit.data.cohort_hash import hash_test
from medaudit.data.group_levels import age_group
from medaudit.data.groups import groups
from medaudit.data.manifest import manifest

TASKS = ["Mass", "Edema"]
CELLS = {
    "name": "small",
    "builder": "balanced_cells",
    "task_type": "multiclass",
    "tasks": TASKS,
    "exclusivity": "six",
    "views": ["AP", "PA"],
    "age_threshold": 60,
    "age_rule": "ge",
    "cell_size": 4,
    "images_per_patient": 1,
    "split": {"train": 2, "val": 1, "test": 1},
    "attributes": ["sex", "age_group", ["sex", "age_group"]],
    "seed": 7,
}
SIX = ["Cardiomegaly", "Effusion", "Atelectasis", "Pneumothorax", "Edema", "Consolidation"]
SHARES = {"train": 0.6, "val": 0.1, "test": 0.3}


def make_manifest(n=400, seed=0):
    rng = np.random.default_rng(seed)
    mass = rng.random(n) < 0.5
    return pd.DataFrame(
        {
            "image_id": [f"train/patient{i}/a.jpg" for i in range(n)],
            "patient_id": [f"patient{i}" for i in range(n)],
            "path": [f"{i}.jpg" for i in range(n)],
            "age": rng.integers(20, 91, n).astype(float),
            "view": "PA",
            "y_Mass": mass.astype(float),
            "y_Edema": (~mass).astype(float),
            "y_Hernia": (rng.random(n) < 0.2).astype(float),
            "a_sex": rng.choice(["female", "male"], n),
            "a_race": rng.choice(["white", "asian", "black"], n),
        }
    )


@pytest.fixture
def build(tmp_path):
    """Run the stages `cohort` and `groups` on a manifest; return what they say together."""
    card = {"dataset": "d", "tables": {"labels": {"file": "t.csv", "sha256": "0"}},
            "exclusions": [{"reason": "age", "count": 1}], "notes": ["A note."],
            "phantom": True}  # fmt: skip

    def run(settings, frame=None):
        write_table(make_manifest() if frame is None else frame, tmp_path / "m.parquet", MANIFEST)
        write_json(card, tmp_path / "m.json")
        cohort(
            settings,
            manifest=tmp_path / "m.parquet",
            manifest_card=tmp_path / "m.json",
            output=tmp_path / "c.parquet",
            card=tmp_path / "c.json",
        )
        groups(
            settings,
            cohort=tmp_path / "c.parquet",
            cohort_card=tmp_path / "c.json",
            output=tmp_path / "g.parquet",
            card=tmp_path / "g.json",
        )
        joined = read_audited(tmp_path / "c.parquet", tmp_path / "g.parquet")
        return joined, read_json(tmp_path / "g.json")

    return run


@pytest.fixture(scope="module")
def nih(tmp_path_factory):
    """Make nih_6x200 from the real table by the command line."""
    place = tmp_path_factory.mktemp("nih")
    manifest({"name": "nih", "loader": "nih", "folder": None}, output=place / "m.parquet", card=place / "m.json")  # fmt: skip
    settings = {
        **CELLS, "name": "nih_6x200", "tasks": SIX, "cell_size": 50, "seed": 77,
        "split": {"train": 35, "val": 5, "test": 10},
    }  # fmt: skip
    paths = {"--manifest": "m.parquet", "--manifest-card": "m.json", "--output": "c.parquet", "--card": "c.json"}  # fmt: skip
    command = [sys.executable, "-m", "medaudit.data.cohort", "--settings", json.dumps(settings)]
    for option, name in paths.items():
        command += [option, str(place / name)]
    subprocess.run(command, check=True, capture_output=True)
    return place, settings


def test_nih_6x200_from_the_real_table(nih):
    place, _ = nih
    frame, card = read_table(place / "c.parquet", COHORT), read_json(place / "c.json")
    assert len(frame) == frame["patient_id"].nunique() == card["n_images"] == 1200
    task = frame[[f"y_{task}" for task in SIX]].idxmax(axis=1)
    assert (frame.groupby([task, "a_sex", "a_age_group"]).size() == 50).all()
    assert frame["split"].value_counts().to_dict() == {"train": 840, "val": 120, "test": 240}
    assert [e["left"] for e in card["exclusions"]][-1] == 1200
    assert sum(e["count"] for e in card["exclusions"]) == 112_120 - 1200
    assert card["phantom"] is True
    assert frame["image_id"].is_monotonic_increasing


def test_the_same_settings_give_the_same_bytes(nih, tmp_path):
    place, settings = nih
    cohort(
        settings,
        manifest=place / "m.parquet",
        manifest_card=place / "m.json",
        output=tmp_path / "c.parquet",
        card=tmp_path / "c.json",
    )
    for name in ("c.parquet", "c.json"):
        assert (tmp_path / name).read_bytes() == (place / name).read_bytes()


def test_the_card_counts_every_split_group_and_label(build):
    frame, card = build(CELLS)
    assert len(card["counts"]) == 3 * (1 + 2 + 2 + 4)
    for record in card["counts"]:
        rows = frame[frame["split"] == record["split"]]
        names = record["attribute"].split(" & ") if record["attribute"] != "all" else []
        for name, level in zip(names, record["group"].split(" & "), strict=False):
            rows = rows[rows[f"a_{name}"] == level]
        assert record["n_images"] == len(rows)
        assert record["n_patients"] == len(set(rows["patient_id"]))
        for task in TASKS:
            assert record["positive"][task] == sum(value == 1 for value in rows[f"y_{task}"])
            assert record["known"][task] == sum(value == value for value in rows[f"y_{task}"])
    lines = "".join(f"{i}\t{s}\n" for i, s in zip(frame["image_id"], frame["split"], strict=True))
    assert card["ids_sha256"] == hashlib.sha256(lines.encode()).hexdigest()
    test = frame[frame["split"] == "test"]
    same, other = frame.copy(), frame.copy()
    same.loc[same["split"] == "train", "a_sex"] = "x"
    other.loc[test.index[0], "a_sex"] = "x"
    assert card["test_sha256"] == hash_test(same.iloc[::-1]) == hash_test(test)
    assert card["test_sha256"] != hash_test(other)
    assert card["exclusions"][0] == {"reason": "age", "count": 1}
    assert (card["notes"], card["name"], card["dataset"]) == (["A note."], "small", "d")
    assert card["tables"]["labels"]["sha256"] == "0"
    assert (card["tasks"], card["task_type"], card["seed"]) == (TASKS, "multiclass", 7)


def test_no_finding_is_said_to_be_no_disease(build):
    frame = make_manifest().assign(**{"y_No Finding": lambda f: 1 - f["y_Mass"]})
    settings = {**CELLS, "tasks": ["Mass", "No Finding"]}
    card = build(settings, frame)[1]
    assert len(card["notes"]) == 2
    assert "No Finding is the absence of disease" in card["notes"][1]


def test_all_findings_stay_in_the_table(build):
    frame, _ = build(CELLS)
    assert [c for c in frame if c.startswith("y_")] == ["y_Mass", "y_Edema", "y_Hernia"]
    assert frame["y_Hernia"].sum() > 0


def test_the_glocker_cohort_has_weights_and_a_card(build):
    settings = {
        **CELLS, "builder": "glocker", "task_type": "multilabel", "split": SHARES,
        "attributes": ["sex", "race", ["sex", "race"]], "test_weights": "equal_prevalence",
        "balance": "race_sex",
    }  # fmt: skip
    frame, card = build(settings)
    assert "w_sex & race_Mass" in frame
    assert card["weights"]["kind"] == "equal_prevalence"
    assert card["balance"]["kind"] == "race_sex"
    groups = {r["group"] for r in card["counts"] if r["attribute"] == "sex & race"}
    assert len(groups) == 6
    test = frame[frame["split"] == "test"]
    mass = test.groupby("a_race")["w_race_Edema"].sum()
    np.testing.assert_allclose(mass, len(test) / 3)


def test_missing_attributes_are_in_no_group_and_counted(build):
    frame = make_manifest()
    frame.loc[:9, "a_sex"] = pd.NA
    frame.loc[10:19, "age"] = np.nan
    settings = {
        **CELLS, "builder": "glocker", "task_type": "multilabel", "split": SHARES,
    }  # fmt: skip
    _, card = build(settings, frame)
    assert card["missing"] == {"sex": 10, "age_group": 10, "sex & age_group": 20}
    sexes = [r for r in card["counts"] if r["attribute"] == "sex"]
    assert {r["group"] for r in sexes} == {"female", "male"}
    assert sum(r["n_images"] for r in sexes) == 390


@pytest.mark.parametrize(
    ("rule", "expected"),
    [("ge", ["<60", ">=60", ">=60", None]), ("gt", ["<=60", "<=60", ">60", None])],
)
def test_age_groups_by_rule(rule, expected):
    age = pd.Series([59.9, 60, 61, np.nan])
    found = age_group(age, {"age_threshold": 60, "age_rule": rule})
    assert [x if isinstance(x, str) else None for x in found] == expected


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"builder": "nobody"}, "unknown builder 'nobody'"),
        ({"tasks": ["Mass", "Cough"]}, r"unknown tasks \['Cough'\]; known are .*'Hernia'"),
        ({"attributes": ["sex", ["sex", "skin"]]}, r"lacks the attributes \['skin'\].*it has"),
        ({"age_threshold": None}, "balanced_cells needs `age_threshold`"),
        ({"age_rule": "over"}, "age_rule is 'over'"),
        ({"cell_size": 400, "split": {"train": 200, "val": 100, "test": 100}}, "8 of 8 cells"),
    ],
)
def test_wrong_settings_are_refused(build, change, said):
    with pytest.raises(MedauditError, match=said):
        build({**CELLS, **change})


def test_another_attribute_changes_no_byte_of_the_cohort(build, tmp_path):
    build(CELLS)
    before = [(tmp_path / name).read_bytes() for name in ("c.parquet", "c.json")]
    frame, card = build({**CELLS, "attributes": ["race"], "test_weights": "equal_prevalence"})
    assert [(tmp_path / name).read_bytes() for name in ("c.parquet", "c.json")] == before
    assert card["attributes"] == ["race"]
    assert read_table(tmp_path / "g.parquet", GROUPS)["a_race"].tolist() == frame["a_race"].tolist()
    assert {"w_race_Mass", "w_race_Edema"} <= set(frame)
    own = read_json(tmp_path / "c.json")
    assert own["attributes"] == ["sex", "race", "age_group"]
    sexes = [record["n_images"] for record in own["counts"] if record["attribute"] == "sex"]
    assert sum(sexes) == len(frame)


def test_groups_of_other_images_are_refused(build, tmp_path):
    frame, _ = build(CELLS)
    with pytest.raises(MedauditError, match="run the stage `groups` again"):
        join_groups(frame.iloc[1:], read_table(tmp_path / "g.parquet", GROUPS))


def test_an_attribute_without_any_value_is_lacking(build):
    empty = make_manifest().assign(a_skin=pd.Series([None] * 400, dtype="str"))
    with pytest.raises(MedauditError, match=r"lacks the attributes \['skin'\]"):
        build({**CELLS, "attributes": ["skin"]}, empty)


def test_the_lint_finds_leaks_and_duplicates(build):
    frame, _ = build(CELLS)
    check(frame, CELLS)
    leak = frame.copy()
    train, test = (leak.index[leak["split"] == s][0] for s in ("train", "test"))
    leak.loc[test, "patient_id"] = leak.loc[train, "patient_id"]
    with pytest.raises(MedauditError, match="1 patients are in more than one split, e.g. patient"):
        check(leak, CELLS)
    for column in ("image_id", "path"):
        twice = frame.copy()
        twice.loc[twice.index[1], column] = twice.loc[twice.index[0], column]
        with pytest.raises(MedauditError, match=f"{column} .* more than once"):
            check(twice, CELLS)
    with pytest.raises(MedauditError, match=r"splits \['train', 'val'\]"):
        check(frame[frame["split"] != "test"], CELLS)
    with pytest.raises(MedauditError, match="does not have exactly one"):
        check(frame.assign(y_Mass=1.0), CELLS)


def test_a_leaking_split_file_fails_the_stage_and_leaves_no_table(build, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDAUDIT_DATA", str(tmp_path))
    frame = make_manifest()
    frame.loc[1, "patient_id"] = frame.loc[0, "patient_id"]
    rows = [f"{i},{'train' if i < 1 else 'test' if i < 300 else 'validate'}" for i in range(400)]
    (tmp_path / "split.csv").write_text("index,split\n" + "\n".join(rows))
    settings = {
        **CELLS, "builder": "glocker", "task_type": "multilabel", "split_file": "split.csv",
    }  # fmt: skip
    with pytest.raises(MedauditError, match="more than one split"):
        build(settings, frame)
    assert not (tmp_path / "c.parquet").exists()
