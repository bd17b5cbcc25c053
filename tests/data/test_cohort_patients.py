import numpy as np
import pandas as pd
import pytest

from medaudit.core.errors import MedauditError
from medaudit.data.cohort.patients import build

SETTINGS = {
    "name": "drawn",
    "tasks": ["A", "B"],
    "views": ["PA"],
    "images_per_task": 40,
    "split": {"train": 0.6, "val": 0.2, "test": 0.2},
    "seed": 3,
}


@pytest.fixture
def manifest() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"image_id": [f"i{n}" for n in range(600)]})
    frame["patient_id"] = [f"p{n}" for n in rng.integers(0, 200, 600)]
    frame["view"] = rng.choice(["PA", "AP"], 600, p=[0.8, 0.2])
    frame["y_A"] = (rng.random(600) < 0.3).astype(float)
    frame["y_B"] = np.where(rng.random(600) < 0.1, np.nan, rng.random(600) < 0.3)
    return frame


def test_each_task_gets_its_images_and_patients_stay_together(manifest):
    selection = build(manifest, SETTINGS)
    frame = selection.frame
    assert len(frame) == 80
    assert set(frame["view"]) == {"PA"}
    assert ((frame["y_A"] == 1) | (frame["y_B"] == 1)).all()
    assert min((frame["y_A"] == 1).sum(), (frame["y_B"] == 1).sum()) >= 40
    assert frame.groupby("patient_id")["split"].nunique().max() == 1
    people = frame.drop_duplicates("patient_id")["split"].value_counts(normalize=True)
    assert people["train"] == pytest.approx(0.6, abs=0.02)
    assert sum(step["count"] for step in selection.exclusions) + 80 == 600


def test_the_seed_decides(manifest):
    first, again = (build(manifest, SETTINGS).frame for _ in range(2))
    other = build(manifest, {**SETTINGS, "seed": 4}).frame
    assert first.equals(again)
    assert set(first["image_id"]) != set(other["image_id"])


def test_without_a_number_all_images_stay(manifest):
    settings = {**SETTINGS, "views": None, "images_per_task": None}
    assert len(build(manifest, settings).frame) == 600


def test_every_short_task_is_named(manifest):
    with pytest.raises(MedauditError, match=r"A: \d+ of 500; B: \d+ of 500"):
        build(manifest, {**SETTINGS, "images_per_task": 500})
