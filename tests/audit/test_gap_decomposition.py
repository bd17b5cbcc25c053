"""The stage splits planted gaps of a cohort, and says why where it cannot."""

import numpy as np
import pandas as pd
import pytest

from medaudit.audit.gap_decomposition import decompose, gap_decomposition
from medaudit.core.audit_tables import PARTS
from medaudit.core.table_io import COHORT, PREDICTIONS, read_table, write_table

SETTINGS = {
    "cohort": "c",
    "model": "m",
    "method": "linear",
    "task_type": "binary",
    "attributes": ["sex"],
    "evaluation": {
        "threshold": {"rule": "fixed", "value": 0.5},
        "bootstrap": {"draws": 60, "level": 0.95},
        "minimum": {"n": 10, "n_pos": 3, "n_neg": 3},
    },
}


def planted(n: int = 8000, female_shift: float = -1.0) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(21)
    female, y = rng.random(n) < 0.4, rng.random(n) < 0.5
    margin = 1.5 * rng.normal(size=n) + 1.125 * np.where(y, 1, -1) + female_shift * female
    ids = [f"i{k}" for k in range(n)]
    cohort = pd.DataFrame(
        {
            "image_id": ids,
            "patient_id": [f"p{k // 2}" for k in range(n)],
            "path": ids,
            "age": np.nan,
            "view": None,
            "split": np.where(np.arange(n) < n // 2, "val", "test"),
            "y_Edema": y.astype(float),
            "a_sex": np.where(female, "female", "male"),
        }
    )
    predictions = pd.DataFrame(
        {
            "image_id": ids,
            "split": cohort["split"],
            "task": "Edema",
            "seed": 0,
            "y": y.astype(float),
            "score": 1 / (1 + np.exp(-margin)),
        }
    )
    return cohort, predictions


def by_part(found: pd.DataFrame, seed: str = "mean") -> pd.DataFrame:
    return found[found["seed"] == seed].set_index(["metric", "part"])


def test_a_planted_calibration_gap_is_named_and_its_value_is_the_plain_one(tmp_path):
    cohort, predictions = planted()
    write_table(cohort, tmp_path / "c.parquet", COHORT)
    write_table(predictions, tmp_path / "p.parquet", PREDICTIONS)
    paths = {"cohort": tmp_path / "c.parquet", "predictions": tmp_path / "p.parquet"}
    gap_decomposition(SETTINGS, **paths, output=tmp_path / "parts.csv")
    found = by_part(read_table(tmp_path / "parts.csv", PARTS))
    test = predictions[(predictions["split"] == "test") & (predictions["y"] == 1)]
    female = (cohort["a_sex"] == "female").loc[test.index]
    rates = [(test["score"] >= 0.5)[rows].mean() for rows in (female, ~female)]
    gap = found.loc["tpr", "gap"]
    assert gap["value"] == pytest.approx(rates[0] - rates[1], abs=1e-5)
    assert gap["low"] < gap["value"] < gap["high"] < 0
    assert found.loc["tpr", "calibration"]["value"] == pytest.approx(gap["value"], abs=0.05)
    for part in ("ranking", "threshold"):
        assert found.loc["tpr", part]["low"] < 0 < found.loc["tpr", part]["high"]
    assert gap["n"] + gap["n_rest"] == 4000


def test_seeds_are_averaged_and_parts_add_up():
    cohort, predictions = planted(800)
    second = predictions.assign(seed=1, score=predictions["score"] ** 2)
    found = decompose(pd.concat([predictions, second]), cohort, SETTINGS)
    one, two, mean = (by_part(found, seed)["value"] for seed in ("0", "1", "mean"))
    np.testing.assert_allclose(mean, (one + two) / 2, atol=1e-12)
    for metric in ("tpr", "fpr"):
        parts = mean[metric][["ranking", "calibration", "threshold"]].sum()
        assert parts == pytest.approx(mean[metric, "gap"], abs=1e-12)


def test_small_groups_and_missing_validation_have_a_status():
    cohort, predictions = planted(400)
    few = cohort.copy()
    few["a_sex"] = np.where(few.index == 399, "female", "male")
    found = decompose(predictions, few, SETTINGS)
    assert set(found["status"]) == {"too_few"} and found["value"].isna().all()
    test = predictions["split"] == "test"
    found = decompose(predictions[test], cohort[test], SETTINGS)
    assert set(found["status"]) == {"undefined:no_decision"} and found["value"].isna().all()


def test_multiclass_gap_is_that_of_the_argmax():
    rng = np.random.default_rng(3)
    n, classes = 900, ["a", "b", "c"]
    truth, female = rng.integers(0, 3, n), rng.random(n) < 0.5
    logits = rng.normal(size=(n, 3)) + 1.2 * np.eye(3)[truth] * np.where(female, 0.5, 1)[:, None]
    share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    ids = np.array([f"i{k}" for k in range(n)])
    split = np.where(np.arange(n) < 300, "val", "test")
    cohort = pd.DataFrame(
        {"image_id": ids, "patient_id": ids, "split": split, "a_sex": np.where(female, "f", "m")}
        | {f"y_{c}": (truth == k).astype(float) for k, c in enumerate(classes)}
    )
    predictions = pd.concat(
        pd.DataFrame(
            {"image_id": ids, "split": split, "task": c, "seed": 0}
            | {"y": (truth == k).astype(float), "score": share[:, k]}
        )
        for k, c in enumerate(classes)
    )
    found = decompose(predictions, cohort, {**SETTINGS, "task_type": "multiclass"})
    chosen, test = share.argmax(axis=1), split == "test"
    for k, task in enumerate(classes):
        rates = [(chosen == k)[test & (truth == k) & rows].mean() for rows in (female, ~female)]
        row = by_part(found[found["task"] == task]).loc["tpr", "gap"]
        assert row["value"] == pytest.approx(rates[0] - rates[1], abs=1e-12)
