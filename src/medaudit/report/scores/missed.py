"""Findings that a model misses, by group: ids in a local file, pictures of phantoms in the page."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from medaudit.core.table_io import FLOAT_FORMAT, atomic
from medaudit.report.scores.runs import ScoredRun
from medaudit.report.wording.number_format import neutralise


def missed_findings(run: ScoredRun) -> pd.DataFrame:
    """Return the test images with a finding that most seeds of a run call negative.

    Returns
    -------
    pandas.DataFrame
        ``image_id``, ``patient_id``, ``task``, ``score`` and ``threshold`` (means over seeds),
        ``seeds_missing`` (share of the seeds) and the groups, one row per image and task, the
        lowest score relative to its threshold first.
    """
    sample = run.sample
    parts = []
    for t, task in enumerate(sample.tasks):
        decided = ~np.isnan(sample.decision[:, :, t]).any(axis=0)
        share = np.mean(sample.decision[:, :, t] == 0, axis=0)
        kept = decided & (sample.y[:, t] == 1) & (share > 0.5)
        limit = np.nan if sample.threshold is None else sample.threshold[:, t].mean()
        frame = run.rows.loc[kept, ["image_id", "patient_id"]].assign(
            task=task,
            score=sample.score[:, kept, t].mean(axis=0),
            threshold=limit,
            seeds_missing=share[kept],
        )
        for attribute in sample.attributes[1:]:
            levels = np.array([*attribute.levels, ""], dtype=object)
            frame[attribute.name] = levels[attribute.codes[kept]]
        parts.append(frame.sort_values("score", kind="stable"))
    return pd.concat(parts, ignore_index=True)


def write_missed(run: ScoredRun, folder: Path) -> Path:
    """Write a run's missed findings as CSV below `folder`; it holds ids, so it stays local."""
    path = folder / run.cohort / run.model / f"{run.method}.csv"
    with atomic(path) as temporary:
        neutralise(missed_findings(run)).to_csv(
            temporary, index=False, float_format=FLOAT_FORMAT, lineterminator="\n"
        )
    return path


def count_missed(run: ScoredRun, attribute: str) -> list[dict[str, Any]]:
    """Return how many findings each group has, and how many are missed, over all tasks."""
    sample = run.sample
    own = next(a for a in sample.attributes if a.name == attribute)
    missed = (sample.decision == 0).mean(axis=0) > 0.5
    return [
        {
            "group": group,
            "missed": int((missed & (sample.y == 1))[own.codes == code].sum()),
            "findings": int((sample.y == 1)[own.codes == code].sum()),
        }
        for code, group in enumerate(own.levels)
    ]
