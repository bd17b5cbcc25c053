"""Columns that are no groups of patients: they follow from label and score, or are dates."""

import numpy as np
import pandas as pd

from medaudit.adapt.predictions.detection.content import Content

SAMPLE = 4000
"""Images on which a column is tried first."""
FEWEST = 3
"""Images that the second largest level must have: fewer follow from anything by chance."""
DISTINCT = 10
"""Distinct scores that a label's rows must have for the same reason."""


def post_outcome(candidates: pd.DataFrame, frame: pd.DataFrame, levels: int) -> dict[str, str]:
    """Return the columns that follow from label and score, with the reason.

    A group that the model's answer defines (``correct``, ``risk_level``, TP and FP) has its gap by
    construction. A column follows if, among images of one label, its levels hold separate ranges
    of the score.

    Parameters
    ----------
    candidates : pandas.DataFrame
        One row per image.
    frame : pandas.DataFrame
        Tidy predictions of the same images: ``image_id``, ``model``, ``task``, ``seed``, ``y``,
        ``score``; the images of each run in the order of `candidates`.
    levels : int
        Columns with more levels are no groups anyway.
    """
    found: dict[str, str] = {}
    usable = [c for c in candidates if 2 <= candidates[c].nunique() <= levels]
    codes = {c: pd.factorize(candidates[c])[0] for c in usable}
    for (_, task, _), rows in frame.groupby(["model", "task", "seed"], sort=False):
        if len(rows) != len(candidates):
            continue
        y, score = rows["y"].to_numpy(float), rows["score"].to_numpy(float)
        several = f" of {task}" if frame["task"].nunique() > 1 else ""
        for column in usable:
            if column not in found and follows(codes[column], y, score):
                found[column] = f"follows from the label and the score{several}"
    return found


def follows(codes: np.ndarray, y: np.ndarray, score: np.ndarray) -> bool:
    """Return whether levels hold separate ranges of the score among the rows of each label.

    Examples
    --------
    >>> score = np.arange(40) / 40
    >>> follows((score > 0.5).astype(int), np.tile([0, 1], 20), score)
    True
    >>> follows(np.tile([0, 0, 1, 1], 10), np.tile([0, 1], 20), score)
    False
    """
    if len(codes) > SAMPLE and not _separate(codes[:SAMPLE], y[:SAMPLE], score[:SAMPLE]):
        return False
    counts = np.sort(np.bincount(codes[codes >= 0]))
    return len(counts) > 1 and counts[-2] >= FEWEST and _separate(codes, y, score)


def _separate(codes: np.ndarray, y: np.ndarray, score: np.ndarray) -> bool:
    for label in (0, 1):
        own = (y == label) & (codes >= 0)
        level, value = codes[own], score[own]
        if len(np.unique(level)) < 2:
            continue
        if len(np.unique(value)) < DISTINCT:
            return False
        order = np.argsort(value, kind="stable")
        runs = 1 + int((np.diff(level[order]) != 0).sum())
        if runs != len(np.unique(level)):
            return False
    return True


def is_date(name: str, column: pd.Series) -> bool:
    """Return whether a column holds dates."""
    return Content(column).is_date
