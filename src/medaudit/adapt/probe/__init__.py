"""Stage `probe`: a small head on frozen embeddings, all learning rates and seeds in one job.

Everything is NumPy: training a head takes less time than importing torch. Results are a function
of the settings. The number of threads of the linear algebra library (OpenBLAS) does not change
them; another kind of processor may change the last digits.
"""

import logging
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from medaudit.adapt.carried.heads import write_heads
from medaudit.adapt.logits import ranked_probabilities
from medaudit.adapt.probe.heads import find_head
from medaudit.adapt.probe.sweep import Examples, Sweep, predict, train_sweep
from medaudit.adapt.targets import (
    check_splits,
    join_embeddings,
    predictions,
    rescale,
    scaling,
    targets,
)
from medaudit.core.entry_types import MethodEntry
from medaudit.core.seeds import generator
from medaudit.core.table_io import PREDICTIONS, read_metadata, write_table

log = logging.getLogger(__name__)


class ProbeSettings(TypedDict):
    """Settings of the stage `probe`."""

    cohort: str
    model: str
    method: str
    entry: MethodEntry
    tasks: list[str]
    task_type: str


def probe(
    settings: ProbeSettings,
    *,
    cohort: Path,
    embeddings: Path,
    output: Path,
    weights: Path | None = None,
    threads: int = 1,
) -> None:
    """Train a probe on a cohort's embeddings and predict the validation and test splits.

    The labels of the test split are copied to the output and used for nothing else.

    Parameters
    ----------
    settings : dict
        ``cohort``, ``model``, ``method`` (names); ``entry``, the method's entry in the catalogue
        (see `medaudit.adapt.probe.sweep.train_sweep`); ``tasks``; ``task_type`` (``multiclass``:
        softmax, else one sigmoid per task).
    cohort : Path
        The cohort's table.
    embeddings : Path
        Embeddings of its images. Rows without an embedding are left out and counted in a note.
    output : Path
        Table of `medaudit.core.table_io.PREDICTIONS`. Its footer contains ``runs`` (see `summary`),
        ``spec`` of the embeddings, ``phantom``, the number of ``rows`` per split, and ``notes``.
    weights : Path, optional
        Where to write the chosen heads and the scaling of the embeddings
        (`medaudit.adapt.carried.heads`), with which `transfer` predicts other cohorts.
    threads : int
        Processor threads.

    Raises
    ------
    MedauditError
        The tables do not belong together, a split is empty, classes are not exclusive, or training
        diverged at every learning rate.
    """
    from threadpoolctl import threadpool_limits

    frame, x, notes = join_embeddings(cohort, embeddings)
    y = targets(frame, settings["tasks"], settings["task_type"] == "multiclass")
    splits = {name: (frame["split"] == name).to_numpy() for name in ("train", "val", "test")}
    notes += check_splits(splits, y, settings["tasks"])
    scale = scaling(x, splits["train"])
    with threadpool_limits(threads):
        runs, scores, parameters = fit(settings, rescale(x, *scale), y, splits)
    if weights is not None:
        write_heads(weights, scale, parameters)
    write_table(
        predictions(frame[~splits["train"]], scores, settings["tasks"]),
        output,
        PREDICTIONS,
        cohort=settings["cohort"],
        model=settings["model"],
        method=settings["method"],
        **{key: read_metadata(embeddings).get(key) for key in ("spec", "phantom")},
        runs=runs,
        rows={name: int(mask.sum()) for name, mask in splits.items()},
        notes=notes,
    )


def fit(
    settings: ProbeSettings, x: np.ndarray, y: np.ndarray, splits: dict[str, np.ndarray]
) -> tuple[dict, np.ndarray, list[np.ndarray]]:
    """Train on ``train``, choose on ``val``, and score all rows outside ``train``.

    Parameters
    ----------
    settings : dict
        Settings of the stage.
    x, y : numpy.ndarray
        Standardised embeddings ``[n, d]`` and targets ``[n, k]``.
    splits : dict of str to numpy.ndarray
        Boolean masks of the rows of each split.

    Returns
    -------
    runs : dict
        See `summary`.
    scores : numpy.ndarray
        Probabilities, float64 ``[seeds, rows, k]``.
    parameters : list of numpy.ndarray
        Of the chosen heads, ``[seeds, 1, ...]`` each.
    """
    entry, multiclass = settings["entry"], settings["task_type"] == "multiclass"
    head = find_head(entry["head"])
    train, val = (Examples(x[splits[name]], y[splits[name]]) for name in ("train", "val"))
    sweep = train_sweep(head, entry, train, val, run_generators(settings), multiclass)
    logits = predict(head, entry, sweep.parameters, x[~splits["train"]])[:, 0]
    runs = summary(sweep, entry)
    for run in runs["chosen"]:
        log.info(
            "seed %(seed)d: learning rate %(learning_rate)g, epoch %(epoch)d, loss %(val_loss)s",
            run,
        )
    return runs, ranked_probabilities(logits, multiclass), sweep.parameters


def run_generators(settings: ProbeSettings) -> list[np.random.Generator]:
    """Return one random generator per seed, from the names of cohort, model and method."""
    names = (settings["cohort"], settings["model"], settings["method"])
    return [generator("probe", *names, seed) for seed in range(settings["entry"]["seeds"])]


def summary(sweep: Sweep, entry: MethodEntry) -> dict[str, Any]:
    """Return how each seed's learning rate and epoch were chosen, as JSON.

    Returns
    -------
    dict
        ``select``, ``learning_rates``, and ``chosen``: for each seed its ``learning_rate``,
        ``epoch`` (from 1), ``val_loss``, ``val_loss_by_epoch`` and the criterion's
        ``best_by_learning_rate``. Values that are not finite are null.
    """
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
    """Return a number or array as JSON: 6 significant digits, null where it is not finite."""
    rounded = [float(f"{value:.6g}") if np.isfinite(value) else None for value in np.ravel(values)]
    return rounded if np.ndim(values) else rounded[0]
