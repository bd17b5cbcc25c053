"""Stage `probe`: a small head on frozen embeddings, every learning rate and seed in one job.

All in NumPy: a head's training costs less than importing torch. Results are a function of the
settings alone; the number of threads of the linear algebra library (OpenBLAS) does not change
them on one kind of processor, another processor may differ in the last digits.
"""

import logging
from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.artefacts import COHORT, PREDICTIONS, read_metadata, read_table, write_table
from medaudit.embed import read_embeddings
from medaudit.errors import MedauditError
from medaudit.methods import find_head
from medaudit.probe.losses import probabilities
from medaudit.probe.sweep import Sweep, predict, train_sweep
from medaudit.seeds import generator

CONSTANT = 1e-6

log = logging.getLogger(__name__)


def probe(
    settings: dict, *, cohort: Path, embeddings: Path, output: Path, threads: int = 1
) -> None:
    """Train a probe on a cohort's embeddings and predict validation and test.

    The labels of the test split are copied to the output and used for nothing else.

    Parameters
    ----------
    settings : dict
        ``cohort``, ``model``, ``method`` (names); ``entry``, the method's catalogue entry (see
        `medaudit.probe.sweep.train_sweep`); ``tasks``; ``task_type`` (``multiclass``: softmax,
        else a sigmoid for each task).
    cohort : Path
        The cohort's table.
    embeddings : Path
        Its embeddings. Rows without one are left out and counted.
    output : Path
        Table of `medaudit.artefacts.PREDICTIONS`. Its footer holds ``runs`` (chosen learning rate
        and epoch of each seed, validation curves), ``spec`` of the embeddings, ``phantom``,
        ``rows`` of each split and ``notes``.
    threads : int
        Processor threads.

    Raises
    ------
    MedauditError
        Tables do not belong together, a split is empty, classes are not exclusive, or training
        diverged for every learning rate.
    """
    from threadpoolctl import threadpool_limits

    frame, x, notes = join_embeddings(cohort, embeddings)
    y = targets(frame, settings["tasks"], settings["task_type"] == "multiclass")
    splits = {name: (frame["split"] == name).to_numpy() for name in ("train", "val", "test")}
    notes += check_splits(splits, y, settings["tasks"])
    with threadpool_limits(threads):
        runs, scores = fit(settings, standardise(x, splits["train"]), y, splits)
    write_table(
        predictions(frame[~splits["train"]], scores, settings["tasks"]),
        output,
        PREDICTIONS,
        **{name: settings[name] for name in ("cohort", "model", "method")},
        **{key: read_metadata(embeddings).get(key) for key in ("spec", "phantom")},
        runs=runs,
        rows={name: int(mask.sum()) for name, mask in splits.items()},
        notes=notes,
    )


def fit(settings: dict, x: np.ndarray, y: np.ndarray, splits: dict) -> tuple[dict, np.ndarray]:
    """Train on ``train``, choose on ``val``, and score all rows outside ``train``.

    Returns
    -------
    runs : dict
        See `summary`.
    scores : numpy.ndarray
        float64 probabilities ``[S, rows, tasks]``.
    """
    entry, multiclass = settings["entry"], settings["task_type"] == "multiclass"
    head = find_head(entry["head"])
    train, val = ((x[splits[name]], y[splits[name]]) for name in ("train", "val"))
    sweep = train_sweep(head, entry, train, val, run_generators(settings), multiclass)
    logits = predict(head, entry, sweep.parameters, x[~splits["train"]])[:, 0]
    runs = summary(sweep, entry)
    for run in runs["chosen"]:
        log.info(
            "seed %(seed)d: learning rate %(learning_rate)g, epoch %(epoch)d, loss %(val_loss)s",
            run,
        )
    return runs, probabilities(logits.astype(np.float64), multiclass)


def join_embeddings(cohort: Path, embeddings: Path) -> tuple[pd.DataFrame, np.ndarray, list[str]]:
    """Return the cohort's rows that have an embedding, their vectors, and notes."""
    frame = read_table(cohort, COHORT)
    ids, vectors = read_embeddings(embeddings)
    position = pd.Index(ids).get_indexer(frame["image_id"])
    found = position >= 0
    if found.sum() != len(ids):
        raise MedauditError(
            f"{embeddings} has {len(ids) - found.sum()} images that are not in {cohort}: it was "
            "made from another cohort; make it again"
        )
    notes = []
    if not found.all():
        notes.append(f"{(~found).sum()} of {len(frame)} images have no embedding and are left out")
        log.warning("%s", notes[0])
    return frame[found], vectors[position[found]], notes


def targets(frame: pd.DataFrame, tasks: list[str], multiclass: bool) -> np.ndarray:
    """Return float32 ``[n, k]`` of 1, 0 and NaN (missing).

    Raises
    ------
    MedauditError
        A column is lacking, a value is neither, or a row of exclusive classes has not exactly
        one 1.
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
    """Return a note for each task that cannot be learnt; an empty split is an error."""
    empty = [name for name, mask in splits.items() if not mask.any()]
    if empty:
        raise MedauditError(f"probe: the splits {empty} have no image with an embedding")
    train = y[splits["train"]]
    counts = zip(tasks, (train == 1).sum(axis=0), (train == 0).sum(axis=0), strict=True)
    return [
        f"{task} has {positive} positive and {negative} negative training images"
        for task, positive, negative in counts
        if min(positive, negative) == 0
    ]


def standardise(x: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Return `x` with mean 0 and variance 1 on the training rows; constant columns become 0."""
    mean = x[train].mean(axis=0, dtype=np.float64)
    scale = x[train].std(axis=0, dtype=np.float64)
    scale[scale <= CONSTANT * np.abs(mean)] = np.inf
    x = x - mean.astype(np.float32)
    x /= scale.astype(np.float32)
    return x


def run_generators(settings: dict) -> list[np.random.Generator]:
    """Return one generator a seed, from the names of cohort, model and method."""
    names = [settings[name] for name in ("cohort", "model", "method")]
    return [generator("probe", *names, seed) for seed in range(settings["entry"]["seeds"])]


def predictions(frame: pd.DataFrame, scores: np.ndarray, tasks: list[str]) -> pd.DataFrame:
    """Return the long table from scores ``[S, n, k]``, sorted by seed, task and cohort row."""
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


def summary(sweep: Sweep, entry: dict) -> dict:
    """Return how each seed's run was chosen, as JSON; what is not finite is null."""
    rates = sorted(entry["learning_rates"])
    seeds = range(len(sweep.rate))
    chosen = [
        {
            "seed": seed,
            "learning_rate": rates[sweep.rate[seed]],
            "epoch": int(sweep.epoch[seed]),
            "val_loss": _plain(sweep.losses[sweep.epoch[seed] - 1, seed, sweep.rate[seed]]),
            "val_loss_by_epoch": _plain(sweep.losses[:, seed, sweep.rate[seed]]),
            "best_by_learning_rate": _plain(sweep.criterion[:, seed].min(axis=0)),
        }
        for seed in seeds
    ]
    return {"select": entry["select"], "learning_rates": rates, "chosen": chosen}


def _plain(values: np.ndarray):
    rounded = [float(f"{value:.6g}") if np.isfinite(value) else None for value in np.ravel(values)]
    return rounded if np.ndim(values) else rounded[0]
