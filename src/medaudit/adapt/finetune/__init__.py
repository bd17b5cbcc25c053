"""Stage `finetune`: adapt a model's own weights end to end, one seed a job, every learning rate.

The learning rates of the grid are trained one after the other; which one, and which epoch of it,
is chosen on validation. A killed job goes on where it was and ends with the same bytes.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.adapt.finetune.frozen_blocks_cache import stored_feed
from medaudit.adapt.finetune.group_curves import watch_groups
from medaudit.adapt.finetune.inputs import Split, read_splits
from medaudit.adapt.finetune.loader import ImageFeed
from medaudit.adapt.finetune.network import Network, build_network
from medaudit.adapt.finetune.refit_point import objective_criterion, read_point
from medaudit.adapt.finetune.trainer import find_criterion, predict_together
from medaudit.adapt.finetune.training_loop import train_trial
from medaudit.adapt.finetune.trial import Data, Trial
from medaudit.adapt.logits import probabilities
from medaudit.adapt.targets import predictions
from medaudit.core.code_version import code_version
from medaudit.core.errors import MedauditError
from medaudit.core.seeds import derive_seed
from medaudit.core.table_io import PREDICTIONS, write_table
from medaudit.data.image_store import Store, open_store, usable_images
from medaudit.training.checkpoints import Checkpoints
from medaudit.training.distributed import join_processes
from medaudit.training.stop import catch_sigterm


def finetune(
    settings: dict,
    *,
    cohort: Path,
    images: Path,
    output: Path,
    point: Path | None = None,
    threads: int = 1,
) -> None:
    """Fine-tune one model with one method and one seed, and predict validation and test.

    Parameters
    ----------
    settings : dict
        ``cohort``, ``model``, ``method`` (names), ``seed`` (index), ``model_entry`` and ``entry``
        (catalogue entries of model and method), ``tasks``, ``task_type``.
    cohort, images : Path
        The cohort's table and its image store.
    output : Path
        Table of `medaudit.core.table_io.PREDICTIONS` of this seed; its footer holds the chosen
        learning rate and epoch and the validation curves. Checkpoints lie in
        ``<output>.partial``, stored outputs of frozen blocks in ``<output>.prefix`` until the job
        has ended.
    point : Path or None
        For a method of kind search the file that holds what was found: ``{"point": {"mask": ...,
        "learning_rate": ...}}``. It is trained as in the search, and its best epoch by the
        search's objective is kept.
    threads : int
        Processor threads.

    Raises
    ------
    MedauditError
        Training diverged for every learning rate, a split is empty, or the model cannot be built.
    """
    import torch

    torch.set_num_threads(threads)
    settings = read_point(settings, point)
    store = open_store(images)
    ids = usable_images(cohort, store)
    splits, frame = read_splits(cohort, ids, store.rows(ids), settings)
    seed = derive_seed("finetune", *(settings[k] for k in ("cohort", "model", "method", "seed")))
    with join_processes() as processes, catch_sigterm() as stop:
        network = build_network(settings, seed, processes.device)
        checkpoints = Checkpoints(
            output.with_name(f"{output.name}.partial"), fingerprint(settings, ids)
        )
        prefix = output.with_name(f"{output.name}.prefix")
        plain = ImageFeed(store.images, network.encoder, settings["entry"])
        feed = stored_feed(prefix, network, plain, splits)
        watch = watch_groups(settings, splits, frame, plain)
        data = Data(feed, splits, criterion_of(settings, splits["val"], frame), watch)
        trials = train_grid(network, settings, data, seed, checkpoints, processes, stop)
        best = choose(trials, settings)
        network.load_tuned(trials[best].state)
        kept = splits["val"] | splits["test"]
        logits = predict_together(network, plain, kept.rows)
        if processes.rank == 0:
            scores = probabilities(logits.astype(np.float64), settings["task_type"] == "multiclass")
            table = predictions(frame.iloc[kept.positions], scores[None], settings["tasks"])
            write_table(
                table.assign(seed=int(settings["seed"])),
                output,
                PREDICTIONS,
                **footer(settings, trials, best, network, store),
            )
            checkpoints.discard()
            shutil.rmtree(prefix, ignore_errors=True)


def criterion_of(settings: dict, val: Split, frame: pd.DataFrame) -> Callable[[np.ndarray], float]:
    """Return what is minimised on validation: by ``select``, or a search's objective."""
    if settings["entry"]["select"] == "objective":
        return objective_criterion(settings, frame.iloc[val.positions].reset_index(drop=True))
    multiclass = settings["task_type"] == "multiclass"
    return find_criterion(settings["entry"]["select"], val.y, multiclass)


def train_grid(network, settings, data, seed, checkpoints, processes, stop) -> list[Trial]:
    """Train every learning rate from the same start; finished ones come from the checkpoint."""
    state = checkpoints.load(network.device) or {"finished": [], "running": None}
    trials = [Trial.from_state(part) for part in state["finished"]]
    running = state["running"]
    for rate in sorted(settings["entry"]["learning_rates"])[len(trials) :]:
        context = (checkpoints, [trial.to_state() for trial in trials])
        trial = train_trial(
            network, settings, data, (rate, seed), running, context, processes, stop
        )
        trials.append(trial)
        running = None
        if processes.rank == 0:
            done = [trial.to_state() for trial in trials]
            checkpoints.save(10**9 * len(trials), {"finished": done, "running": None})
    return trials


def choose(trials: list[Trial], settings: dict) -> int:
    """Return the trial with the lowest criterion; equal ones go to the smaller learning rate."""
    values = [trial.criterion for trial in trials]
    if not np.isfinite(values).any():
        raise MedauditError(
            f"finetune {settings['model']} {settings['method']}: {settings['entry']['select']} was "
            f"never finite for the learning rates {settings['entry']['learning_rates']}: lower "
            "them, or check that the validation split has labels of both classes"
        )
    return int(np.nanargmin(values))


def fingerprint(settings: dict, ids: np.ndarray) -> str:
    """Return what a checkpoint must agree with: settings, images and code."""
    return (
        f"{derive_seed(json.dumps(settings, sort_keys=True), code_version('adapt.finetune'), *ids)}"
    )


def footer(settings: dict, trials: list[Trial], best: int, network: Network, store: Store) -> dict:
    """Return what the predictions say of how they came about."""
    return {
        **{name: settings[name] for name in ("cohort", "model", "method")},
        "spec": network.spec(),
        "phantom": store.card["phantom"],
        "runs": {
            "select": settings["entry"]["select"],
            "point": settings.get("point"),
            "chosen": [{"seed": settings["seed"], **trials[best].summary()}],
            "trials": [trial.summary() for trial in trials],
        },
        "notes": [],
    }
