"""Cards of cohorts: the flow adds up; pictures are of drawn pixels alone."""

import base64
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medaudit.core.table_io import COHORT, IMAGES, write_array, write_json, write_table
from medaudit.data.cohort_hash import hash_ids
from medaudit.report.page.contact_sheets import SHOWN, SIDE, contact_sheets
from medaudit.report.page.content import read_cohorts


def make(folder, cohort_drawn=True, store_drawn=True):
    """A cohort whose women's pictures are black and whose men's are white."""
    n = 10
    frame = pd.DataFrame({"image_id": [f"i{k}" for k in range(n)], "patient_id": "p", "path": "x"})
    frame = frame.assign(split="test", age=50.0, view="AP", y_a=1.0)
    frame["a_sex"] = ["female"] * 8 + ["male"] * 2
    write_table(frame, folder / "c.parquet", COHORT)
    pixels = np.full((n, 32, 32), 255, dtype=np.uint8)
    pixels[:8] = 0
    index = pd.DataFrame({"image_id": frame["image_id"], "row": range(n), "status": "ok"})
    write_table(index.assign(error=None), folder / "store" / "index.parquet", IMAGES)
    write_array(pixels, folder / "store" / "images.npy")
    write_json({"cohort": "c", "phantom": store_drawn}, folder / "store" / "card.json")
    card = {"name": "c", "builder": "b", "phantom": cohort_drawn, "ids_sha256": hash_ids(frame)}
    card |= {"attributes": ["sex", ["sex", "age_group"]]}
    return [card], [folder / "c.parquet"], [folder / "store"]


def test_each_group_shows_its_own_drawn_pictures(tmp_path):
    arguments = make(tmp_path)
    sheet = contact_sheets(*arguments)["c"]
    assert [(s["attribute"], s["group"], s["count"]) for s in sheet] == [
        ("sex", "female", SHOWN),
        ("sex", "male", 2),
    ]
    for strip, tone in zip(sheet, (0, 255), strict=True):
        raw = base64.b64decode(strip["source"].removeprefix("data:image/jpeg;base64,"))
        picture = Image.open(io.BytesIO(raw))
        assert picture.size == (SIDE * strip["count"], SIDE)
        assert np.abs(np.asarray(picture, int) - tone).max() <= 2
    assert contact_sheets(*arguments) == contact_sheets(*make(tmp_path / "again"))


@pytest.mark.parametrize(("cohort", "store"), [(False, True), (True, False), (None, True)])
def test_pictures_of_patients_are_never_shown(tmp_path, cohort, store):
    assert contact_sheets(*make(tmp_path, cohort, store)) == {}


def test_the_pictures_of_another_cohort_are_not_taken(tmp_path):
    cards, tables, stores = make(tmp_path)
    assert contact_sheets([cards[0] | {"ids_sha256": "0" * 64}], tables, stores) == {}
    assert contact_sheets(cards, tables, []) == {}


def test_the_flow_runs_from_the_table_to_the_splits():
    steps = [{"reason": "a", "count": 3, "left": 97}, {"reason": "b", "count": 7, "left": 90}]
    counts = [
        {"split": split, "attribute": "all", "group": "all", "n_images": n, "n_patients": n // 2}
        for split, n in (("test", 30), ("train", 60))
    ]
    card = {"name": "c", "builder": "b", "dataset": "d", "phantom": False, "exclusions": steps}
    [found] = read_cohorts([{**card, "counts": counts, "notes": []}], [], [], {})
    assert found["flow"]["start"] == 100
    assert found["flow"]["splits"] == [("train", 60, 30), ("test", 30, 15)]
    assert found["flow"]["start"] - sum(step["count"] for step in steps) == 60 + 30
    [bare] = read_cohorts([{**card, "exclusions": [], "counts": [], "notes": []}], [], [], {})
    assert bare["flow"] == {"start": None, "steps": [], "splits": []}
