"""The audit finds a difference that was planted in the pixels, and none where there is none.

Phantom patients are made up here, so that there are enough of them to know the true gap of each
trained model: its gap on 6,000 patients that it never saw.
"""

import numpy as np
import pandas as pd
import pytest

from medaudit.adapt.logits import probabilities
from medaudit.adapt.probe.heads import linear
from medaudit.adapt.probe.sweep import Examples, predict, train_sweep
from medaudit.adapt.targets import standardise
from medaudit.audit.disparity import find_gaps
from medaudit.data.phantoms.chest import render
from medaudit.metrics.group_audit import audit
from medaudit.models.kinds.pixels import Pixels

TASKS = ["Cardiomegaly", "Effusion", "Pneumothorax", "Edema"]
SEEDS = 20
TRAIN, VAL, TEST = 320, 80, 400
LARGE = 6000
WEAK = "female & >=60"
PLANTED = [{"where": {"sex": "female", "age_min": 60}, "findings": "all", "visibility": 0.35}]
HEAD = {"epochs": 12, "batch_size": 64, "learning_rates": [0.003], "weight_decay": 1e-4}
EVALUATION = {
    "metrics": ["auc"],
    "gaps": ["max_min"],
    "threshold": {"rule": "best_f1"},
    "bootstrap": {"draws": 400, "level": 0.95},
    "null": {"draws": 200},
    "minimum": {"n": 10, "n_pos": 3, "n_neg": 3},
}
SETTINGS = {
    **{"model": "pixels", "method": "linear", "task_type": "multiclass", "tasks": TASKS},
    "attributes": [["sex", "age_group"]],
    "evaluation": EVALUATION,
}


def patients(count: int, name: str) -> pd.DataFrame:
    """Make up patients with exactly one of the findings, two images of every fourth one."""
    rng = np.random.default_rng(5)
    number = np.arange(count)
    person = number - (number % 4 == 3)
    sex, age = rng.random(count)[person], rng.integers(20, 90, count)[person]
    frame = pd.DataFrame(
        {
            "image_id": [f"{name}{i}" for i in number],
            "patient_id": [f"{name}{i}" for i in person],
            "path": "",
            "age": age.astype(float),
            "view": "PA",
            "a_sex": np.where(sex < 0.5, "female", "male"),
            "a_age_group": np.where(age >= 60, ">=60", "<60"),
        }
    )
    truth = rng.integers(0, len(TASKS), count)
    for index, task in enumerate(TASKS):
        frame[f"y_{task}"] = (truth == index).astype(float)
    return frame


@pytest.fixture(scope="module")
def drawn():
    """Patients of all seeds and of the large set, and their pixels' projections if planted or not."""
    rows = {"small": patients(SEEDS * (TRAIN + VAL + TEST), "s"), "large": patients(LARGE, "l")}

    def features(part: str, planted: list) -> np.ndarray:
        settings = {"loader": "nih", "folder": None, "phantom": {"planted": planted}}
        images = render(rows[part], settings, 32)
        return Pixels(128).encode_images(images)

    return rows, features


def trained(rows: pd.DataFrame, x: np.ndarray, seed: int):
    """Train a probe on one seed's patients; return its cohort, predictions and scoring function."""
    size = TRAIN + VAL + TEST
    here = slice(seed * size, (seed + 1) * size)
    cohort = rows.iloc[here].reset_index(drop=True)
    cohort["split"] = np.repeat(["train", "val", "test"], [TRAIN, VAL, TEST])
    y = cohort[[f"y_{task}" for task in TASKS]].to_numpy(np.float32)
    train = (cohort["split"] == "train").to_numpy()
    val = (cohort["split"] == "val").to_numpy()

    def score(others: np.ndarray) -> np.ndarray:
        both = standardise(
            np.concatenate([x[here], others]), np.r_[train, np.zeros(len(others), bool)]
        )
        logits = predict(linear, HEAD, sweep.parameters, both[len(train) :])[0, 0]
        return probabilities(logits.astype(float), True)

    own = standardise(x[here], train)
    sweep = train_sweep(
        linear,
        {**HEAD, "select": "val_loss"},
        Examples(own[train], y[train]),
        Examples(own[val], y[val]),
        [np.random.default_rng(seed)],
        True,
    )
    return cohort, score(x[here]), score


def long(cohort: pd.DataFrame, scores: np.ndarray) -> pd.DataFrame:
    """Return predictions as the engine takes them, without the training rows."""
    parts = [
        pd.DataFrame(
            {
                "image_id": cohort["image_id"],
                "split": cohort["split"],
                "task": task,
                "seed": 0,
                "y": cohort[f"y_{task}"],
                "score": scores[:, index],
            }
        )
        for index, task in enumerate(TASKS)
    ]
    table = pd.concat(parts, ignore_index=True)
    return table[table["split"] != "train"]


def audited(cohort: pd.DataFrame, scores: np.ndarray, name: str) -> pd.Series:
    """Return the gap of the mean AUC."""
    settings = {**SETTINGS, "cohort": name}
    predictions = long(cohort, scores)
    metrics, replicates = audit(predictions, cohort, settings)
    gaps, _ = find_gaps(predictions, cohort, settings, metrics, replicates)
    (index,) = gaps.index[(gaps["task"] == "mean") & (gaps["seed"] == "mean")]
    return gaps.loc[index]


def true_gap(rows: pd.DataFrame, scores: np.ndarray) -> float:
    """Return the largest difference of the mean AUC between the four groups, by scikit-learn."""
    from sklearn.metrics import roc_auc_score

    groups = rows["a_sex"] + " & " + rows["a_age_group"]
    means = [
        np.mean([roc_auc_score(part[f"y_{t}"], scores[part.index, i]) for i, t in enumerate(TASKS)])
        for _, part in rows.groupby(groups)
    ]
    return max(means) - min(means)


def test_a_planted_gap_is_found_and_its_interval_covers_the_truth(drawn):
    rows, features = drawn
    small, large = features("small", PLANTED), features("large", PLANTED)
    worst, covered, gaps = [], [], []
    for seed in range(SEEDS):
        cohort, scores, score = trained(rows["small"], small, seed)
        gap = audited(cohort, scores, f"planted {seed}")
        truth = true_gap(rows["large"], score(large))
        worst.append(gap["worst"])
        covered.append(gap["low"] <= truth <= gap["high"])
        gaps.append((gap["value"], truth))
    print(f"worst {worst.count(WEAK)}/{SEEDS}, covered {sum(covered)}/{SEEDS}, gaps {gaps}")
    assert min(truth for _, truth in gaps) > 0.05
    assert worst.count(WEAK) >= 0.9 * SEEDS
    assert sum(covered) >= 0.9 * SEEDS


def test_without_a_planted_gap_the_null_is_rarely_rejected(drawn):
    rows, features = drawn
    small = features("small", [])
    p_values = []
    for seed in range(SEEDS):
        cohort, scores, _ = trained(rows["small"], small, seed)
        p_values.append(audited(cohort, scores, f"fair {seed}")["p_value"])
    print(f"p values {sorted(p_values)}")
    assert np.mean(np.array(p_values) < 0.05) <= 0.1
