"""Drawn CT slices, brain slices and nerve maps: what decides a picture, and the owner's layout."""

import importlib

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from medaudit.core.errors import MedauditError
from medaudit.core.table_io import COHORT, write_table
from medaudit.data.datasets import load, phantom_module
from medaudit.data.images import images, open_store
from medaudit.data.phantoms.export import write_phantom

OASIS = {"label": "cdr_gt_0", "slices": {"negative": 0.25, "positive": 0.25}}
DATASETS = {
    "ol3i": ("Ischemic heart disease", [-160, 240]),
    "oasis": ("Dementia", [0, 1]),
    "harvard_gf3300": ("Glaucoma", [-2, 350]),
}


def entry(loader: str, planted=(), **phantom) -> dict:
    window = DATASETS[loader][1]
    drawn = {"planted": list(planted), **phantom}
    return {"loader": loader, "folder": None, "window": window, "phantom": drawn, **OASIS}


def people(loader: str, n: int = 40, finding=None) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    label = rng.integers(0, 2, n) if finding is None else np.full(n, finding)
    return pd.DataFrame(
        {
            "image_id": [f"i{k}" for k in range(n)],
            "patient_id": [f"p{k}" for k in range(n)],
            "path": [f"v.hdr#coronal={7 + k % 5}" for k in range(n)],
            "age": rng.uniform(30, 90, n),
            "view": "x",
            "a_sex": rng.choice(["male", "female"], n),
            f"y_{DATASETS[loader][0]}": label.astype(float),
        }
    )


def render(loader: str, rows: pd.DataFrame, *planted, size: int = 48, **options) -> np.ndarray:
    module = importlib.import_module(f"medaudit.data.phantoms.{phantom_module({'loader': loader})}")
    return module.render(rows, entry(loader, planted), size, **options)


each = pytest.mark.parametrize("loader", DATASETS)


@each
def test_a_picture_depends_on_its_own_row_alone(loader):
    rows = people(loader)
    whole = render(loader, rows)
    assert whole.dtype == np.uint8
    assert whole.shape == (40, 48, 48)
    order = np.random.default_rng(0).permutation(40)[:15]
    np.testing.assert_array_equal(render(loader, rows.iloc[order], threads=2), whole[order])
    assert len(np.unique(whole.reshape(40, -1), axis=0)) == 40


@each
def test_missing_age_sex_and_label_are_drawn_without_the_finding(loader):
    rows = people(loader, finding=0)
    blank = rows.assign(**{f"y_{DATASETS[loader][0]}": np.nan})
    np.testing.assert_array_equal(render(loader, blank), render(loader, rows))
    unknown = rows.assign(age=np.nan, a_sex=pd.Series(pd.NA, rows.index, dtype="str"))
    assert render(loader, unknown).std() > 10


@each
def test_the_planted_visibility_scales_the_finding(loader):
    rows = people(loader, 60, finding=1)
    without = render(loader, people(loader, 60, finding=0)).astype(float)
    changes = []
    for visibility in (1.0, 0.5, 0.0):
        rule = {"where": {"sex": "female"}, "findings": "all", "visibility": visibility}
        changes.append(np.abs(render(loader, rows, rule) - without).mean(axis=(1, 2)))
    full, half, none = changes
    women = (rows["a_sex"] == "female").to_numpy()
    assert (full > 0).all()
    assert (none[women] == 0).all()
    np.testing.assert_array_equal(none[~women], full[~women])
    assert 0.3 < (half[women] / full[women]).mean() < 0.75


@each
def test_an_audit_can_find_what_is_planted(loader):
    """A linear model on the pixels sees the finding, and less of it in the planted group."""
    rows = people(loader, 700)
    rule = {"where": {"sex": "female"}, "findings": "all", "visibility": 0.15}
    pixels = render(loader, rows, rule, size=24).reshape(700, -1) / 255
    label = rows[f"y_{DATASETS[loader][0]}"].to_numpy()
    women = (rows["a_sex"] == "female").to_numpy()
    model = LogisticRegression(C=0.03, max_iter=300).fit(pixels[:450], label[:450])
    score = model.decision_function(pixels)
    auc = [
        roc_auc_score(label[450:][part[450:]], score[450:][part[450:]]) for part in (women, ~women)
    ]
    assert auc[1] > 0.75
    assert auc[0] < auc[1] - 0.1


@each
def test_only_its_own_finding_can_be_drawn(loader):
    rows = people(loader).rename(columns={f"y_{DATASETS[loader][0]}": "y_Edema"})
    with pytest.raises(MedauditError, match=r"Edema|draws"):
        importlib.import_module("medaudit.data.phantoms.scan").draw_rows(
            rows, entry(loader), DATASETS[loader][0], 16, None
        )
    rule = {"where": {"sex": "female"}, "findings": ["Edema"], "visibility": 0.5}
    with pytest.raises(MedauditError, match="names 'Edema'"):
        render(loader, people(loader), rule)


def store_of(folder, dataset, frame, size):
    cohort = folder / "cohort.parquet"
    attributes = [column for column in frame if column[:2] in ("y_", "a_")]
    kept = ["image_id", "patient_id", "path", "age", "view", *attributes]
    write_table(frame[kept].assign(split="train"), cohort, COHORT)
    settings = {"cohort": "c", "dataset": dataset, "image_size": size}
    images(settings, cohort=cohort, output=folder / "store")
    return open_store(folder / "store")


@each
def test_the_owners_layout_holds_the_same_table_and_pictures(loader, tmp_path):
    size = 44
    drawn = entry(loader, rows=40)
    write_phantom(drawn, tmp_path / "tree", size)
    files = {**drawn, "folder": str(tmp_path / "tree")}
    source, direct = load({**files, "table": None}), load(drawn)
    pd.testing.assert_frame_equal(source.frame, direct.frame)
    assert len(source.tables) == 1
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    read = store_of(tmp_path / "a", files, source.frame, size)
    made = store_of(tmp_path / "b", drawn, direct.frame, size)
    assert (read.card["phantom"], made.card["phantom"]) == (True, True)  # the folder says so
    assert read.ids.tolist() == made.ids.tolist()
    if loader == "oasis":  # the reader finds a volume's brightest tissue for itself
        pairs = zip(read.images, made.images, strict=True)
        assert min(np.corrcoef(one.ravel(), two.ravel())[0, 1] for one, two in pairs) > 0.995
    else:
        assert np.abs(read.images.astype(int) - made.images).max() <= 1
