"""An invented cohort with predictions, and settings of an evaluation, for tests of the audit."""

import numpy as np
import pandas as pd

ALL_METRICS = [
    "auc", "average_precision", "accuracy", "f1", "tpr", "fpr", "ppv", "npv", "selection_rate",
    "brier", "ece", "ece_debiased", "calibration_slope", "calibration_intercept",
    "balanced_accuracy",
]  # fmt: skip


def make_case(n=600, tasks=("A", "B"), seeds=2, seed=0):
    rng = np.random.default_rng(seed)
    owner = rng.integers(0, n // 2, n)
    sex = rng.choice(["female", "male", "unknown"], n // 2, p=[0.45, 0.45, 0.1])
    age = rng.choice(["<60", ">=60", None], n // 2, p=[0.4, 0.5, 0.1])
    cohort = pd.DataFrame(
        {
            "image_id": [f"i{i:04d}" for i in range(n)],
            "patient_id": [f"p{p:04d}" for p in owner],
            "path": "x",
            "age": np.nan,
            "view": None,
            "split": np.where(owner % 3 == 0, "val", "test"),
            "a_sex": sex[owner],
            "a_age_group": age[owner],
        }
    )
    rows = []
    for task in tasks:
        y = (rng.random(n) < 0.3).astype(float)
        y[rng.random(n) < 0.05] = np.nan
        cohort[f"y_{task}"] = y
        for s in range(seeds):
            score = 1 / (1 + np.exp(-(rng.normal(size=n) + 1.5 * np.nan_to_num(y) - 1)))
            keys = {"image_id": cohort["image_id"], "split": cohort["split"], "task": task}
            rows.append(pd.DataFrame({**keys, "seed": s, "y": y, "score": score.round(2)}))
    return pd.concat(rows, ignore_index=True), cohort


def make_settings(**changes):
    evaluation = {
        "metrics": ALL_METRICS, "gaps": ["max_min"], "threshold": {"rule": "best_f1"},
        "bootstrap": {"draws": 60, "level": 0.95},
        "null": {"draws": 60}, "minimum": {"n": 10, "n_pos": 3, "n_neg": 3}, "ece_bins": 15,
    }  # fmt: skip
    top = {
        "cohort": "c", "model": "m", "method": "x", "task_type": "multilabel",
        "tasks": ["A", "B"], "attributes": ["sex", "age_group", ["sex", "age_group"]],
    }  # fmt: skip
    evaluation.update({k: v for k, v in changes.items() if k in evaluation})
    top.update({k: v for k, v in changes.items() if k not in evaluation})
    return {**top, "evaluation": evaluation}


def pick(frame, **wanted):
    for column, value in wanted.items():
        frame = frame[frame[column] == value]
    assert len(frame) == 1, frame
    return frame.iloc[0]


def joined(case, task, seed, split="test"):
    predictions, cohort = case
    rows = predictions[(predictions["task"] == task) & (predictions["seed"] == seed)]
    rows = rows[(rows["split"] == split) & rows["y"].notna()]
    return rows.merge(cohort.drop(columns="split"), on="image_id")
