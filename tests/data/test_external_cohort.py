"""The cohort of a pair: whose rows it has, under which names, and what it says is lost."""

import numpy as np
import pandas as pd
import pytest

from medaudit.core.errors import MedauditError
from medaudit.core.table_io import (
    COHORT,
    MANIFEST,
    read_json,
    read_table,
    write_json,
    write_table,
)
from medaudit.data.cohort import cohort

SETTINGS = {
    "name": "a_to_b",
    "builder": "external",
    "home": "a",
    "away": "b",
    "same_dataset": False,
    "task_type": "multilabel",
    "tasks": ["Pleural Effusion"],
    "task_names": {"Pleural Effusion": "Effusion"},
    "attribute_names": {"sex": "sex", "race": "ethnicity", "age_group": "age_group"},
    "levels": {"race": {"black": ["african american"]}},
    "unmatched_tasks": ["Edema"],
    "unmatched_attributes": ["insurance"],
    "age_threshold": 60,
    "age_rule": "gt",
    "seed": 1,
}


def cohort_of(start: int, **columns) -> pd.DataFrame:
    ids = [f"{k}" for k in range(start, start + 12)]
    frame = pd.DataFrame({"image_id": ids, "patient_id": ids, "path": ids, "view": "PA"})
    frame["age"] = 60.0
    frame["split"] = ["train", "val", "test", "test"] * 3
    return frame.assign(a_sex=["female", "male"] * 6, **columns)


@pytest.fixture
def tables(tmp_path):
    """Both cohorts have images 0 to 11, of different patients."""
    home = cohort_of(0, y_Edema=1.0, a_race=["black", "white"] * 6, a_age_group="<=60")
    home["y_Pleural Effusion"] = 0.0
    away = cohort_of(0, y_Effusion=[1.0, 0.0] * 6, a_age_group=">=60")
    away["a_ethnicity"] = ["african american", "white", "hawaiian"] * 4
    return {"a": home, "b": away}


def build(folder, tables, **changes):
    for name, frame in tables.items():
        write_table(frame, folder / f"{name}.parquet", COHORT)
    write_table(tables["b"].drop(columns="split"), folder / "manifest.parquet", MANIFEST)
    card = {"dataset": "b", "tables": {}, "exclusions": [], "notes": [], "phantom": True}
    write_json(card, folder / "manifest.json")
    cohort(
        {**SETTINGS, **changes},
        manifest=folder / "manifest.parquet",
        manifest_card=folder / "manifest.json",
        output=folder / "pair.parquet",
        card=folder / "pair.json",
        parents=[folder / "a.parquet", folder / "b.parquet"],
    )
    return read_table(folder / "pair.parquet", COHORT), read_json(folder / "pair.json")


def test_validation_is_home_and_all_else_is_elsewhere_under_the_names_of_home(tmp_path, tables):
    frame, card = build(tmp_path, tables)
    by_split = dict(list(frame.groupby("split")))
    assert {name: len(part) for name, part in by_split.items()} == {"val": 3, "local": 6, "test": 6}
    assert list(by_split["val"]["image_id"]) == ["home/1", "home/5", "home/9"]
    assert set(by_split["val"]["y_Pleural Effusion"]) == {0.0}
    away = tables["b"].set_index("image_id")
    test = by_split["test"].set_index("image_id")
    assert (test["y_Pleural Effusion"] == away["y_Effusion"].loc[test.index]).all()
    assert set(test["a_age_group"]) == {"<=60"}, "ages are cut as at home"
    expected = {"african american": "black", "white": "white", "hawaiian": np.nan}
    wanted = away["a_ethnicity"].loc[test.index].map(expected)
    pd.testing.assert_series_equal(test["a_race"], wanted, check_names=False, check_dtype=False)
    assert card["external"]["home"] == "a"


def test_what_has_no_counterpart_is_said(tmp_path, tables):
    tables["b"]["a_sex"] = "female"
    notes = " ".join(build(tmp_path, tables)[1]["notes"])
    assert "b does not have the findings Edema of a: they are not compared" in notes
    assert "b does not have the attributes insurance of a" in notes
    assert "4 images of b have the race 'hawaiian', which a lacks: they are in no group" in notes
    assert "b has nobody of sex male" in notes


def test_patients_that_the_models_learnt_from_are_left_out(tmp_path, tables):
    frame, card = build(tmp_path, tables, same_dataset=True)
    learnt = set(tables["a"].loc[tables["a"]["split"] != "test", "patient_id"])
    assert not learnt & set(frame.loc[frame["split"] != "val", "patient_id"])
    assert card["exclusions"][0]["count"] == len(learnt) == card["external"]["n_shared_patients"]


def test_no_test_patient_left_is_an_error(tmp_path, tables):
    tables["a"]["split"] = ["train", "val"] * 6
    with pytest.raises(MedauditError, match="no test image of b is left"):
        build(tmp_path, tables, same_dataset=True)


def test_a_site_and_all_others_share_no_image(tmp_path):
    rows = 240
    ids = [f"i{k:03d}" for k in range(rows)]
    frame = pd.DataFrame(
        {"image_id": ids, "patient_id": ids, "path": ids, "age": 50.0, "view": "PA"}
    )
    frame = frame.assign(y_Edema=[0.0, 1.0] * (rows // 2), a_sex="female")
    frame["a_site"] = (["north", "south", "east", None] * rows)[:rows]
    write_table(frame, tmp_path / "manifest.parquet", MANIFEST)
    card = {"dataset": "d", "tables": {}, "exclusions": [], "notes": [], "phantom": True}
    write_json(card, tmp_path / "manifest.json")
    settings = {"name": "c", "builder": "patients", "task_type": "binary", "tasks": ["Edema"]}
    settings |= {"split": {"train": 0.5, "val": 0.25, "test": 0.25}, "seed": 1}
    found = {}
    for keep, level in ((True, "north"), (False, "north"), (True, "west")):
        given = {**settings, "rows": {"attribute": "site", "level": level, "keep": keep}}
        paths = {"output": tmp_path / "c.parquet", "card": tmp_path / "c.json"}
        manifest = {
            "manifest": tmp_path / "manifest.parquet",
            "manifest_card": tmp_path / "manifest.json",
        }
        if level == "west":
            with pytest.raises(MedauditError, match="nobody has the site 'west'; known are"):
                cohort(given, **manifest, **paths)
            continue
        cohort(given, **manifest, **paths)
        found[keep] = read_table(paths["output"], COHORT)
    assert set(found[True]["a_site"]) == {"north"}
    assert set(found[False]["a_site"]) == {"south", "east"}
