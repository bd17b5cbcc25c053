"""Stage `ensemble`: average the stored predictions of several models; no model runs again."""

from collections.abc import Callable
from pathlib import Path
from typing import TypedDict, cast

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from medaudit.core.documents import PredictionsFooter
from medaudit.core.entry_types import ModelEntry
from medaudit.core.errors import MedauditError
from medaudit.core.stage import run
from medaudit.core.table_io import PREDICTIONS, read_metadata, read_table, write_table

KEY = ["seed", "task", "image_id"]
"""Columns that identify a prediction in all members."""

SMALLEST = 1e-15
"""Smallest distance of a probability to 0 and 1 before its logit is taken."""


class EnsembleSettings(TypedDict):
    """Settings of the stage `ensemble`."""

    cohort: str
    model: str
    method: str
    entry: ModelEntry
    task_type: str


def ensemble(settings: EnsembleSettings, *, predictions: list[Path], output: Path) -> None:
    """Average the predictions of several models, seed by seed.

    Parameters
    ----------
    settings : dict
        ``cohort``, ``model`` (name of the ensemble), ``method``; ``entry``, the ensemble's entry in
        the catalogue of models (``members``, ``mean``: one of `MEANS`); ``task_type``.
    predictions : list of Path
        Tables of `medaudit.core.table_io.PREDICTIONS`, one per member and in the order of
        ``members``, all made by the same method.
    output : Path
        Table of the same rows, in the first member's order. Its footer contains ``spec`` (members,
        mean), ``phantom``, the number of ``rows`` per split if the members have it, and ``notes``.

    Raises
    ------
    MedauditError
        A member lacks images, tasks or seeds that another has, or has other labels or splits.
    """
    entry, multiclass = settings["entry"], settings["task_type"] == "multiclass"
    tables = [read_table(path, PREDICTIONS) for path in predictions]
    footers = [cast(PredictionsFooter, read_metadata(path)) for path in predictions]
    first = tables[0]
    scores = [first["score"].to_numpy()]
    for name, table in zip(entry["members"][1:], tables[1:], strict=True):
        scores.append(align_scores(table, first, (name, entry["members"][0]), settings))
    mean = MEANS[entry["mean"]](np.stack(scores), first, multiclass)
    write_table(
        first.assign(score=mean),
        output,
        PREDICTIONS,
        cohort=settings["cohort"],
        model=settings["model"],
        method=settings["method"],
        **{key: footers[0].get(key) for key in ("phantom", "rows")},
        spec={"kind": "ensemble", "members": entry["members"], "mean": entry["mean"]},
        notes=_notes(entry, footers, multiclass),
    )


def align_scores(
    table: pd.DataFrame, first: pd.DataFrame, names: tuple[str, str], settings: EnsembleSettings
) -> np.ndarray:
    """Return a member's scores in the order of the first member's rows.

    Parameters
    ----------
    table, first : pandas.DataFrame
        Predictions of a member and of the first member.
    names : tuple of str
        Names of these two members.
    settings : dict
        Settings of the stage, for error messages.

    Raises
    ------
    MedauditError
        The two members have different rows, splits or labels.
    """
    where = f"ensemble {settings['model']} on {settings['cohort']} with {settings['method']}"
    rows, expected = (pd.MultiIndex.from_frame(part[KEY]) for part in (table, first))
    for one, other, (has, lacks) in ((expected, rows, names[::-1]), (rows, expected, names)):
        missing = one.difference(other)
        if len(missing):
            example = ", ".join(f"{k} {v}" for k, v in zip(KEY, missing[0], strict=True))
            raise MedauditError(
                f"{where}: {lacks} lacks {len(missing)} of the {len(one)} predictions that {has} "
                f"has, e.g. {example}: all members need the same images, tasks and seeds"
            )
    table = table.iloc[rows.get_indexer(expected)].reset_index(drop=True)
    for column in ("split", "y"):
        if not table[column].equals(first[column].reset_index(drop=True)):
            raise MedauditError(
                f"{where}: column {column} differs between {names[0]} and {names[1]}: one of them "
                "is older than the cohort; delete the predictions of both and run again"
            )
    return table["score"].to_numpy()


def mean_probability(scores: np.ndarray, rows: pd.DataFrame, multiclass: bool) -> np.ndarray:
    """Return the mean of ``[members, n]`` over members; exclusive classes still sum to 1."""
    return scores.mean(axis=0)


def mean_logit(scores: np.ndarray, rows: pd.DataFrame, multiclass: bool) -> np.ndarray:
    """Return the probability of the mean logit; for classes, the softmax of the mean log scores.

    Scores are clipped to [`SMALLEST`, 1 - `SMALLEST`]: at 0 and 1 the logit is infinite, and one
    certain member would decide alone.
    """
    if multiclass:
        logs = np.log(np.clip(scores, SMALLEST, None)).mean(axis=0)
        return _sum_to_one(np.exp(logs), rows)
    logits = logit(np.clip(scores, SMALLEST, 1 - SMALLEST)).mean(axis=0)
    return expit(logits)


def mean_rank(scores: np.ndarray, rows: pd.DataFrame, multiclass: bool) -> np.ndarray:
    """Return the mean of (rank - 1/2) / n over members, ranked within split, seed and task.

    Equal scores share their average rank. For exclusive classes, the mean ranks of an image are
    divided by their sum.
    """
    groups = [rows[name] for name in ("seed", "task", "split")]
    ranks = [pd.Series(part, index=rows.index).groupby(groups).rank() for part in scores]
    sizes = rows.groupby(["seed", "task", "split"])["image_id"].transform("size")
    mean = ((np.mean(ranks, axis=0) - 0.5) / sizes).to_numpy()
    return _sum_to_one(mean, rows) if multiclass else mean


def _sum_to_one(values: np.ndarray, rows: pd.DataFrame) -> np.ndarray:
    images = [rows[name] for name in ("seed", "image_id")]
    return values / pd.Series(values, index=rows.index).groupby(images).transform("sum").to_numpy()


MEANS: dict[str, Callable[[np.ndarray, pd.DataFrame, bool], np.ndarray]] = {
    "probabilities": mean_probability,
    "logits": mean_logit,
    "ranks": mean_rank,
}
"""How scores are averaged, by the name in the catalogue."""

NOTES = {
    "ranks": "scores are mean ranks within a split and depend on its other images; they are no "
    "probabilities, so calibration does not apply to them",
}
CLASS_NOTES = {
    "logits": "scores are the geometric means over members, divided by their sum over classes",
    "ranks": "the mean ranks of an image were divided by their sum over classes",
}
"""Notes for the reader on each kind of mean; `CLASS_NOTES` for exclusive classes."""


def _notes(entry: ModelEntry, footers: list[PredictionsFooter], multiclass: bool) -> list[str]:
    members = zip(entry["members"], footers, strict=True)
    notes = [f"{name}: {note}" for name, footer in members for note in footer.get("notes", [])]
    kinds = (NOTES, CLASS_NOTES) if multiclass else (NOTES,)
    return notes + [kind[entry["mean"]] for kind in kinds if entry["mean"] in kind]


if __name__ == "__main__":
    run(ensemble)
