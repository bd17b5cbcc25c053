"""Targets and embeddings of a cohort's rows, and the table of predictions made from scores."""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.core.embeddings import read_embeddings
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import COHORT, read_table

CONSTANT = 1e-6
"""A feature counts as constant if its standard deviation is at most this fraction of its mean."""

log = logging.getLogger(__name__)


def targets(frame: pd.DataFrame, tasks: list[str], multiclass: bool) -> np.ndarray:
    """Return the labels of a cohort's rows: float32 ``[n, k]`` of 1, 0 and NaN (missing).

    Raises
    ------
    MedauditError
        A task has no column, a label is neither 1, 0 nor missing, or a row of exclusive classes
        does not have exactly one 1.
    """
    columns = [f"y_{task}" for task in tasks]
    lacking = [column for column in columns if column not in frame]
    if lacking:
        raise MedauditError(f"the cohort lacks the tasks {lacking}; it has {list(frame.columns)}")
    y = frame[columns].to_numpy(dtype=np.float32, na_value=np.nan)
    odd = ~(np.isnan(y) | np.isin(y, (0, 1))).all(axis=1)
    if multiclass:
        odd |= (np.isnan(y).any(axis=1)) | (y.sum(axis=1) != 1)
    if odd.any():
        rule = "exactly one 1 in each row" if multiclass else "1, 0 or missing"
        first = frame["image_id"].to_numpy()[odd][0]
        raise MedauditError(
            f"the cohort's labels {columns} must be {rule}; {odd.sum()} rows are not, "
            f"e.g. {first!r}: {y[odd][0].tolist()}"
        )
    return y


def check_splits(splits: dict[str, np.ndarray], y: np.ndarray, tasks: list[str]) -> list[str]:
    """Return a note for each task that cannot be learnt; raise if a split is empty.

    Parameters
    ----------
    splits : dict of str to numpy.ndarray
        Boolean masks of the rows of each split.
    y : numpy.ndarray
        ``[n, k]`` of `targets`.
    tasks : list of str
        Names of the k tasks.
    """
    empty = [name for name, mask in splits.items() if not mask.any()]
    if empty:
        raise MedauditError(
            f"the splits {empty} have no image that can be used: check the cohort's `split` and the "
            "images that could not be read"
        )
    train = y[splits["train"]]
    counts = zip(tasks, (train == 1).sum(axis=0), (train == 0).sum(axis=0), strict=True)
    return [
        f"{task} has {positive} positive and {negative} negative training images"
        for task, positive, negative in counts
        if min(positive, negative) == 0
    ]


def scaling(x: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of each column on the training rows, float32.

    The deviation of a constant column is infinite, so that `rescale` makes it 0.
    """
    mean = x[train].mean(axis=0, dtype=np.float64)
    scale = x[train].std(axis=0, dtype=np.float64)
    # Rounding leaves a constant column a tiny deviation; dividing by it would amplify noise.
    scale[scale <= CONSTANT * np.abs(mean)] = np.inf
    return mean.astype(np.float32), scale.astype(np.float32)


def rescale(x: np.ndarray, mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """Return embeddings minus `mean`, divided by `deviation`: float32 ``[n, d]``."""
    x = x - mean
    x /= deviation
    return x


def standardise(x: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Return `x` with mean 0 and variance 1 on the training rows; constant columns become 0."""
    return rescale(x, *scaling(x, train))


def predictions(frame: pd.DataFrame, scores: np.ndarray, tasks: list[str]) -> pd.DataFrame:
    """Return scores ``[seeds, n, tasks]`` as a long table: by seed, then task, then cohort row."""
    seeds, rows, _ = scores.shape
    blocks = seeds * len(tasks)
    labels = frame[[f"y_{task}" for task in tasks]].to_numpy(dtype=np.float64, na_value=np.nan)
    return pd.DataFrame(
        {
            "image_id": np.tile(frame["image_id"].to_numpy(), blocks),
            "split": np.tile(frame["split"].to_numpy(), blocks),
            "task": np.tile(np.repeat(np.array(tasks, dtype=object), rows), seeds),
            "seed": np.repeat(np.arange(seeds), rows * len(tasks)),
            "y": np.tile(labels.T.reshape(-1), seeds),
            "score": scores.swapaxes(1, 2).reshape(-1),
        }
    )


def join_embeddings(cohort: Path, embeddings: Path) -> tuple[pd.DataFrame, np.ndarray, list[str]]:
    """Return the cohort's rows that have an embedding, their embeddings, and notes for the reader.

    Raises
    ------
    MedauditError
        There are embeddings of images that are not in the cohort.
    """
    frame = read_table(cohort, COHORT)
    ids, vectors = read_embeddings(embeddings)
    position = pd.Index(ids).get_indexer(frame["image_id"])
    found = position >= 0
    if found.sum() != len(ids):
        raise MedauditError(
            f"{embeddings} has {len(ids) - found.sum()} images that are not in {cohort}: it was "
            "made from another cohort; delete it and run again"
        )
    notes = []
    if not found.all():
        notes.append(f"{(~found).sum()} of {len(frame)} images have no embedding and are left out")
        log.warning("%s", notes[0])
    return frame[found], vectors[position[found]], notes
