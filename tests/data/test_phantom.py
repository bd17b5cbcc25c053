"""Phantom pictures: reproducible, anatomical, and with exactly the visibility that was planted."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from medaudit.core.errors import MedauditError
from medaudit.data.phantoms import chest
from medaudit.data.phantoms.chest import render
from medaudit.data.phantoms.chest.findings import FINDINGS
from medaudit.data.phantoms.chest.planted import canonical_name, read_visibility

SIX = ["Cardiomegaly", "Effusion", "Atelectasis", "Pneumothorax", "Edema", "Consolidation"]
NIH = [
    *SIX,
    *("Emphysema", "Fibrosis", "Hernia", "Infiltration", "Mass", "Nodule", "Pneumonia"),
    "Pleural_Thickening",
]
CHEXPERT = [
    *("No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion"),
    *("Edema", "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion"),
    *("Pleural Other", "Fracture", "Support Devices"),
]
# Where a finding must show: x and y ranges (x: 0 middle, 1 edge of the picture, both sides).
REGIONS = {
    "Cardiomegaly": (0.0, 0.6, -0.2, 0.7),
    "Enlarged Cardiomediastinum": (0.0, 0.6, -1.0, 0.7),
    "Effusion": (0.15, 0.9, 0.0, 0.9),
    "Pneumothorax": (0.15, 0.95, -1.0, 0.8),
    "Edema": (0.0, 0.9, -0.6, 0.75),
    "Hernia": (0.0, 0.4, 0.1, 0.7),
    "Fracture": (0.35, 0.95, -0.6, 0.4),
    "Atelectasis": (0.1, 0.9, 0.0, 0.8),
    "Fibrosis": (0.0, 0.9, -0.95, 0.9),
}


def make_rows(n: int = 1, **columns) -> pd.DataFrame:
    base = {
        "image_id": [f"image{i}" for i in range(n)],
        "patient_id": [f"patient{i}" for i in range(n)],
        "age": [50.0] * n,
        "view": ["PA"] * n,
        "a_sex": ["male"] * n,
    }
    return pd.DataFrame({**base, **columns})


def difference(finding: str, n: int = 12, **columns) -> np.ndarray:
    settings = columns.pop("settings", {})
    size = columns.pop("size", 64)
    without = render(make_rows(n, **columns, **{f"y_{finding}": 0.0}), settings, size)
    with_it = render(make_rows(n, **columns, **{f"y_{finding}": 1.0}), settings, size)
    return with_it.astype(int) - without


def plant(visibility: float, **where) -> dict:
    rule = {"where": where, "findings": "all", "visibility": visibility}
    return {"phantom": {"planted": [rule]}}


@pytest.fixture
def upright(monkeypatch):
    """Take every image in the same pose, so that places can be compared."""
    for name in ("ROTATION", "ZOOM", "SHIFT"):
        monkeypatch.setattr(chest, name, 0.0)


def test_a_picture_depends_on_its_row_alone():
    rng = np.random.default_rng(0)
    findings = {f"y_{name}": rng.integers(0, 2, 70).astype(float) for name in NIH}
    views = rng.choice(["AP", "PA", "lateral"], 70)
    rows = make_rows(70, view=views, age=rng.uniform(1, 90, 70), **findings)
    pictures = render(rows, {}, 48)
    shuffled = rng.permutation(70)
    assert np.array_equal(render(rows.iloc[shuffled], {}, 48, threads=2), pictures[shuffled])
    for i in (0, 33, 69):
        assert np.array_equal(render(rows.iloc[[i]], {}, 48)[0], pictures[i])


def test_seed_changes_every_picture():
    rows = make_rows(3)
    one, other = (render(rows, {"phantom": {"seed": seed}}, 32) for seed in (0, 1))
    assert (one != other).any(axis=(1, 2)).all()


@pytest.mark.parametrize("size", [32, 45, 128, 224])
def test_sizes_show_the_same_patient(size):
    rows = make_rows(2, y_Cardiomegaly=[1.0, 0.0])
    small = render(rows, {}, size)
    assert small.shape == (2, size, size)
    assert small.dtype == np.uint8
    big = render(rows, {}, 2 * size).reshape(2, size, 2, size, 2).mean(axis=(2, 4))
    for a, b in zip(small, big, strict=True):
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.9


def test_anatomy_is_stable_within_a_patient(upright):
    patients = np.repeat([f"p{i}" for i in range(12)], 2)
    rows = make_rows(24, patient_id=patients)
    flat = render(rows, {}, 64).reshape(24, -1).astype(float)
    flat -= flat.mean(axis=0)  # what all chests share
    together = np.corrcoef(flat)
    same = patients[:, None] == patients
    within = together[same & ~np.eye(24, dtype=bool)].mean()
    assert within > together[~same].mean() + 0.2


def test_chest_has_dark_lungs_around_a_bright_middle():
    picture = render(make_rows(20), {}, 64).mean(axis=0)
    lungs = picture[20:36, [14, 15, 16, 47, 48, 49]].mean()
    middle = picture[38:44, 30:36].mean()
    assert middle > lungs + 50
    assert picture[55:, 10:54].mean() > lungs + 50


def test_sex_age_and_view_show():
    def mean(**columns):
        return render(make_rows(40, **columns), {}, 64).mean(axis=0)

    base = mean()
    assert np.abs(mean(a_sex="female") - base).max() > 8
    assert np.abs(mean(age=85.0) - base).max() > 8
    assert np.abs(mean(view="AP") - base).max() > 8
    assert np.abs(mean(view="lateral") - base).max() > 60


def test_race_changes_nothing_unless_planted():
    black, white = (make_rows(4, a_race=race, y_Mass=1.0) for race in ("black", "white"))
    assert np.array_equal(render(black, {}, 32), render(white, {}, 32))
    settings = plant(0.0, race="black")
    assert not np.array_equal(render(black, settings, 32), render(white, settings, 32))


@pytest.mark.parametrize("finding", sorted({*NIH, *CHEXPERT} - {"No Finding"}))
@pytest.mark.parametrize("view", ["PA", "lateral"])
def test_every_finding_shows(finding, view):
    change = np.abs(difference(finding, view=[view] * 12))
    assert (change.max(axis=(1, 2)) >= 8).mean() > 0.9
    assert change.mean() < 20  # and leaves most of the picture alone


@pytest.mark.parametrize("finding", REGIONS)
def test_findings_show_where_they_belong(upright, finding):
    change = np.abs(difference(finding, n=40)).mean(axis=0)
    near, far, top, bottom = REGIONS[finding]
    centre = (np.arange(64) + 0.5) / 32 - 1
    inside = (centre[:, None] >= top) & (centre[:, None] <= bottom)
    inside = inside & (np.abs(centre) >= near) & (np.abs(centre) <= far)
    assert change[inside].sum() > 0.9 * change.sum()


def test_cardiomegaly_widens_the_heart_and_pneumothorax_darkens_the_lung():
    assert difference("Cardiomegaly").sum() > 0
    assert difference("Pneumothorax").sum() < 0
    assert difference("Emphysema").sum() < 0
    assert difference("Effusion").sum() > 0


def test_no_finding_zero_and_missing_draw_nothing():
    plain = render(make_rows(3), {}, 32)
    rows = make_rows(3, **{"y_No Finding": 1.0, "y_Mass": [0.0, np.nan, 0.0]})
    assert np.array_equal(render(rows, {}, 32), plain)


@pytest.mark.parametrize("finding", ["Effusion", "Cardiomegaly", "Nodule", "Support Devices"])
@pytest.mark.parametrize("visibility", [0.0, 0.25, 0.5])
def test_visibility_scales_the_change_in_proportion(finding, visibility):
    rows = make_rows(10, **{f"y_{finding}": 1.0})
    without = render(rows.assign(**{f"y_{finding}": 0.0}), {}, 64).astype(int)
    full = render(rows, {}, 64).astype(int)
    faint = render(rows, plant(visibility, sex="male"), 64).astype(int)
    shown = (full > 0) & (full < 255) & (without > 0) & (without < 255)
    error = (faint - without) - visibility * (full - without)
    assert np.abs(error[shown]).max() <= 1.5  # three roundings to whole grey levels
    assert np.abs(full - without).max() > 10


def test_only_the_planted_patients_change():
    rows = make_rows(
        6,
        age=[30.0, 60.0, 70.0, 90.0, np.nan, 70.0],
        a_sex=["female"] * 5 + ["male"],
        y_Mass=1.0,
        y_Edema=[0.0, 0.0, 1.0, 0.0, 0.0, 0.0],
    )
    settings = plant(0.0, sex="female", age_min=60, age_max=70)
    changed = (render(rows, settings, 32) != render(rows, {}, 32)).any(axis=(1, 2))
    assert changed.tolist() == [False, True, True, False, False, False]


def test_planted_findings_by_name_and_rules_multiply():
    rows = make_rows(2, a_sex=["male", "female"])
    rules = [
        {"where": {}, "findings": ["Effusion"], "visibility": 0.5},
        {"where": {"sex": ["female", "unknown"]}, "findings": "all", "visibility": 0.4},
    ]
    found = read_visibility(rows, {"planted": rules}, ["pleural_effusion", "mass"])
    assert found["pleural_effusion"] == pytest.approx([0.5, 0.2])
    assert found["mass"] == pytest.approx([1.0, 0.4])


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"where": {"sex": "male"}, "visibility": 1.5}, "visibility"),
        ({"where": {"sex": "male"}, "visibility": 0.5, "size": 3}, "size"),
        ({"where": {"insurance": "none"}, "visibility": 0.5}, "insurance"),
        ({"where": {}, "findings": ["Gout"], "visibility": 0.5}, "Gout"),
    ],
)
def test_wrong_rules_are_refused(rule, words):
    with pytest.raises(MedauditError, match=words):
        render(make_rows(y_Mass=1.0), {"phantom": {"planted": [rule]}}, 32)


def test_a_finding_that_cannot_be_drawn_is_refused():
    with pytest.raises(MedauditError, match="melanoma"):
        render(make_rows(y_melanoma=1.0), {}, 32)


def test_every_finding_of_both_tables_has_its_drawing_and_no_other_is_left():
    assert {canonical_name(name) for name in [*NIH, *CHEXPERT]} == {*FINDINGS, "no_finding"}


def six_diseases(n: int) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Return rows of six diseases in four groups of sex and age, the disease and the group."""
    disease, group = np.arange(n) % 6, np.arange(n) // 6 % 4
    rows = make_rows(
        n,
        age=np.where(group < 2, 40.0, 70.0),
        a_sex=np.where(group % 2, "female", "male"),
        **{f"y_{name}": (disease == k).astype(float) for k, name in enumerate(SIX)},
    )
    return rows, disease, group


def hits_of_linear_pixels(pixels: np.ndarray, disease: np.ndarray) -> np.ndarray:
    """Return which of the last images a linear model of 16 x 16 pixels gets right."""
    features = pixels.reshape(-1, 16, 2, 16, 2).mean(axis=(2, 4)).reshape(len(pixels), -1)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.003, max_iter=300))
    return model.fit(features[:840], disease[:840]).predict(features[840:]) == disease[840:]


def test_lower_visibility_costs_accuracy(upright):
    rows, disease, group = six_diseases(1080)
    pixels = render(rows, plant(0.3, sex="female", age_min=60), 32, threads=2)
    right, planted = hits_of_linear_pixels(pixels, disease), group[840:] == 3
    assert right[~planted].mean() > 0.6
    assert right[planted].mean() < right[~planted].mean() - 0.15


def test_pose_leaves_little_for_a_linear_model(monkeypatch):
    rows, disease, _ = six_diseases(1080)
    posed = hits_of_linear_pixels(render(rows, {}, 32, threads=2), disease)
    for name in ("ROTATION", "ZOOM", "SHIFT"):
        monkeypatch.setattr(chest, name, 0.0)
    still = hits_of_linear_pixels(render(rows, {}, 32, threads=2), disease)
    assert posed.mean() < still.mean() - 0.2
