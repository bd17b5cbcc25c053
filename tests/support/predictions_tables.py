"""Predictions whose truth is known, and what an audit reads from them."""

from typing import Any

import numpy as np
import pandas as pd

from medaudit.score.assemble import Study, assemble

OPTIONS: dict[str, Any] = {
    "attributes": None,
    "control": [],
    "age_threshold": 60,
    "scores": "auto",
    "task_type": "auto",
    "positive": None,
    "yes": False,
}


def truth_and_probability(n: int = 160, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and probabilities of a model that is neither perfect nor useless."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.4).astype(int)
    p = 1 / (1 + np.exp(-(rng.normal(size=n) + 2.2 * y - 1.0)))
    return y, np.round(p, 5)


def base(n: int = 160, seed: int = 0) -> pd.DataFrame:
    """Return image ids and a group that has nothing to do with the model."""
    rng = np.random.default_rng(seed + 1)
    return pd.DataFrame(
        {"image_id": [f"img_{k:04d}.png" for k in range(n)], "sex": rng.choice(["F", "M"], n)}
    )


def read(table, groups=None, columns=None, labels=None, **options) -> Study:
    """Read predictions as `medaudit score` does, without computing metrics."""
    return assemble(table, groups, columns, {**OPTIONS, **options}, labels)


def labels_and_scores(study: Study, task: str | None = None, model: str | None = None):
    """Return labels and scores of one task in the order of the image ids."""
    runs = {name: rows for (name, _), rows in study.predictions.items()}
    rows = runs[model or next(iter(runs))]
    rows = rows[rows["task"] == (task or study.tasks[0])].sort_values("image_id")
    rows = rows[rows["y"].notna()]
    return rows["y"].to_numpy(int), rows["score"].to_numpy(float)
