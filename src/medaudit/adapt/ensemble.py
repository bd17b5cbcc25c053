"""Stage `ensemble`: several models' stored predictions as those of one; no model runs again."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.special import expit, logit

from medaudit.core.errors import MedauditError
from medaudit.core.stage import run
from medaudit.core.table_io import PREDICTIONS, read_metadata, read_table, write_table

KEY = ["seed", "task", "image_id"]
SMALLEST = 1e-15


def ensemble(settings: dict, *, predictions: list[Path], output: Path) -> None:
    """Average the predictions of several models, seed by seed.

    Parameters
    ----------
    settings : dict
        ``cohort``, ``model`` (the ensemble's name), ``method``; ``entry``, the ensemble's
        catalogue entry (``members``, ``mean``: one of `MEANS`); ``task_type``.
    predictions : list of Path
        Tables of `medaudit.core.table_io.PREDICTIONS`, one a member in their order, all by one method.
    output : Path
        A table of the same rows, in the first member's order. Its footer holds ``spec`` (members,
        mean), ``phantom``, ``rows`` of each split where the members tell, and ``notes``.

    Raises
    ------
    MedauditError
        A member lacks images, tasks or seeds that another has, or has other labels or splits.
    """
    entry, multiclass = settings["entry"], settings["task_type"] == "multiclass"
    tables = [read_table(path, PREDICTIONS) for path in predictions]
    footers = [read_metadata(path) for path in predictions]
    first = tables[0]
    scores = [first["score"].to_numpy()]
    for name, table in zip(entry["members"][1:], tables[1:], strict=True):
        scores.append(aligned(table, first, (name, entry["members"][0]), settings))
    mean = MEANS[entry["mean"]](np.stack(scores), first, multiclass)
    write_table(
        first.assign(score=mean),
        output,
        PREDICTIONS,
        **{name: settings[name] for name in ("cohort", "model", "method")},
        **{key: footers[0].get(key) for key in ("phantom", "rows")},
        spec={"kind": "ensemble", **{key: entry[key] for key in ("members", "mean")}},
        notes=_notes(entry, footers, multiclass),
    )


def aligned(
    table: pd.DataFrame, first: pd.DataFrame, names: tuple[str, str], settings: dict
) -> np.ndarray:
    """Return a member's scores in the order of the first member's rows.

    Raises
    ------
    MedauditError
        Its rows, splits or labels are not those of the first.
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
                f"{where}: {column} differs between {names[0]} and {names[1]}: one of the two is "
                "older than the cohort; delete both and run again"
            )
    return table["score"].to_numpy()


def mean_probability(scores: np.ndarray, rows: pd.DataFrame, multiclass: bool) -> np.ndarray:
    """Return the mean over members of ``[members, n]``; classes go on summing to 1."""
    return scores.mean(axis=0)


def mean_logit(scores: np.ndarray, rows: pd.DataFrame, multiclass: bool) -> np.ndarray:
    """Return the probability of the mean logit; of classes, the softmax of the mean log scores.

    Scores are kept `SMALLEST` away from 0 and 1, where logits are infinite.
    """
    if multiclass:
        logs = np.log(np.clip(scores, SMALLEST, None)).mean(axis=0)
        return _sum_to_one(np.exp(logs), rows)
    logits = logit(np.clip(scores, SMALLEST, 1 - SMALLEST)).mean(axis=0)
    return expit(logits)


def mean_rank(scores: np.ndarray, rows: pd.DataFrame, multiclass: bool) -> np.ndarray:
    """Return the mean of (rank - 1/2) / n among a split's images, by member, seed and task.

    Equal scores share their middle rank. Of classes, the ranks of an image are divided by their
    sum.
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
"""What is averaged, by the name in the catalogue."""

NOTES = {
    "ranks": "scores are mean ranks within a split, which depend on its other images; they are no "
    "probabilities, so calibration says nothing of them",
}
CLASS_NOTES = {
    "logits": "scores are the classes' geometric means, divided by their sum",
    "ranks": "the mean ranks of an image's classes were divided by their sum",
}
"""What a reader must know of a mean; `CLASS_NOTES` where classes exclude each other."""


def _notes(entry: dict, footers: list[dict], multiclass: bool) -> list[str]:
    members = zip(entry["members"], footers, strict=True)
    notes = [f"{name}: {note}" for name, footer in members for note in footer.get("notes", [])]
    kinds = (NOTES, CLASS_NOTES) if multiclass else (NOTES,)
    return notes + [kind[entry["mean"]] for kind in kinds if entry["mean"] in kind]


if __name__ == "__main__":
    run(ensemble)
