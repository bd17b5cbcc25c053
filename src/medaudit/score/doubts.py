"""Questions about labels and scores that look wrong once they are read."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from medaudit.adapt.predictions.detection.choices import Columns
from medaudit.core.errors import MedauditError
from medaudit.metrics.rank_auc import rank_auc

ENOUGH = 5
"""Rows of each label below which a perfect AUC is no surprise."""
CLEARLY_BELOW = 0.35
"""AUC below which a score is taken to be of the other class."""


@dataclass
class Doubt:
    """What looks wrong, and in which task."""

    message: str
    task: str
    count: int
    is_polarity: bool = False


def find_doubts(frame: pd.DataFrame, task_type: str) -> list[Doubt]:
    """Return what looks wrong with labels and scores.

    Parameters
    ----------
    frame : pandas.DataFrame
        Tidy predictions: ``model``, ``task``, ``y`` and ``score`` in [0, 1].
    task_type : str
        ``binary``, ``multilabel`` or ``multiclass``.
    """
    found: list[Doubt] = []
    inverted: list[Doubt] = []
    runs = list(frame.groupby(["model", "task"], sort=False))
    for (model, task), rows in runs:
        rows = rows[rows["y"].notna()]
        y, score = rows["y"].to_numpy(float) == 1, rows["score"].to_numpy(float)
        name = f"{task}" if frame["model"].nunique() == 1 else f"{task} ({model})"
        n = int(min(y.sum(), (~y).sum()))
        # one of many findings with few positives may well be told apart without an error
        if n < (ENOUGH if len(runs) == 1 else 2 * ENOUGH):
            continue
        auc = float(rank_auc(score, y))
        if auc == 1:
            found.append(_perfect(name, score, y))
        elif auc < CLEARLY_BELOW and n >= 2 * ENOUGH:
            text = f"the AUC of {name} is {auc:.3f}: a high score means the label 0. Is it the score of the other class?"  # fmt: skip
            inverted.append(Doubt(text, str(task), len(rows), is_polarity=True))
        if task_type == "binary" and score.min() >= 0.5 and len(np.unique(score)) > 2 * ENOUGH:
            text = f"no score of {name} is below 0.5: is it the confidence in the predicted class, not the probability of the label 1?"  # fmt: skip
            found.append(Doubt(text, str(task), len(rows)))
    # one of many tasks may really be worse than chance
    return found + (inverted if len(inverted) == len(runs) else [])


def _perfect(name: str, score: np.ndarray, y: np.ndarray) -> Doubt:
    least = score[y].min()
    if len(np.unique(score)) == 2:
        text = f"the label of {name} equals the score in every row"
    else:
        text = f"the label of {name} is (score >= {least:.3g}) in every row: AUC 1"
    return Doubt(f"{text}. Is the label the model's own decision?", name, len(y))


def ask(doubts: list[Doubt], found: Columns, positive: str | None, where: str) -> None:
    """Raise an error with the questions, unless the user named the columns or the positive label."""
    doubts = [d for d in doubts if not (d.is_polarity and positive)]
    if not doubts or found.is_named:
        return
    named = found.as_settings()
    label, score = (_shown(named.get(role)) for role in ("label", "score"))
    raise MedauditError(
        f"{where}: {' '.join(doubt.message for doubt in doubts)} If the columns are right: --yes; "
        f"else name others than --label {label} --score {score}"
    )


def _shown(columns: object) -> str:
    names = [columns] if isinstance(columns, str) else columns or []
    return " ".join(map(repr, names)) if isinstance(names, list) else ""
