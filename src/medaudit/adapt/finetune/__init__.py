"""Stage `finetune`: adapt a model's own weights; one job per seed trains all learning rates.

The trainings of a job run one after the other; with ``together``, several seeds and learning rates
advance in turn (`medaudit.adapt.finetune.grid`). Learning rate and epoch are selected on the
validation split. A job that is killed resumes from its last checkpoint and ends with the same bytes.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from medaudit.adapt.carried.tuned import write_tuned
from medaudit.adapt.finetune.frozen_blocks_cache import open_cache
from medaudit.adapt.finetune.grid import Grid
from medaudit.adapt.finetune.group_curves import group_auc_measure
from medaudit.adapt.finetune.groups import check_groups
from medaudit.adapt.finetune.inputs import Split, read_splits
from medaudit.adapt.finetune.loader import ImageLoader
from medaudit.adapt.finetune.network import Network, build_network
from medaudit.adapt.finetune.refit_point import objective_criterion, settings_at_point
from medaudit.adapt.finetune.trainer import find_criterion, predict_on_all_processes
from medaudit.adapt.finetune.trial import Trial, TrialData
from medaudit.adapt.finetune_settings import FinetuneSettings
from medaudit.adapt.logits import ranked_probabilities
from medaudit.adapt.targets import predictions
from medaudit.core.code_version import code_version
from medaudit.core.errors import MedauditError
from medaudit.core.seeds import derive_seed, seeds_of
from medaudit.core.table_io import PREDICTIONS, write_table
from medaudit.data.image_store import Store, open_store, usable_images
from medaudit.training.checkpoints import Checkpoints
from medaudit.training.distributed import join_processes
from medaudit.training.preemption import catch_sigterm


def finetune(
    settings: FinetuneSettings,
    *,
    cohort: Path,
    images: Path,
    output: Path,
    point: Path | None = None,
    weights: Path | None = None,
    threads: int = 1,
) -> None:
    """Fine-tune one model with one method; predict the validation and test splits.

    Parameters
    ----------
    settings : dict
        ``cohort``, ``model``, ``method`` (names), ``seed`` (index, or a range such as ``0-2``),
        ``model_entry`` and ``entry`` (entries of model and method in the catalogue), ``tasks``,
        ``task_type``.
    cohort, images : Path
        The cohort's table and its image store.
    output : Path
        Table of `medaudit.core.table_io.PREDICTIONS` for these seeds; its footer contains the
        selected learning rate and epoch of each, and the validation curves. Until the job has ended,
        checkpoints are in ``<output>.partial`` and outputs of frozen blocks in ``<output>.prefix``.
    point : Path or None
        For a method of kind search, the result of `best_trial`: ``{"point": {"mask": ...,
        "learning_rate": ...}}``. The point is trained as in the search, and the epoch with the best
        value of the search's objective is kept.
    weights : Path, optional
        Where to write what training changed (`medaudit.adapt.carried.tuned`), with which `transfer`
        predicts other cohorts.
    threads : int
        Processor threads.

    Raises
    ------
    MedauditError
        Training diverged at every learning rate, a split is empty, or the model cannot be built.
    """
    torch.set_num_threads(threads)
    settings = settings_at_point(settings, point)
    store = open_store(images)
    ids = usable_images(cohort, store)
    splits, frame = read_splits(cohort, ids, store.rows(ids), settings)
    check_groups(settings, frame, splits["train"])
    names = (settings["cohort"], settings["model"], settings["method"])
    seeds = {index: derive_seed("finetune", *names, index) for index in seeds_of(settings["seed"])}
    partial, prefix = (output.with_name(f"{output.name}.{end}") for end in ("partial", "prefix"))
    checkpoints = Checkpoints(partial, fingerprint(settings, ids))
    with join_processes() as processes, catch_sigterm() as preemption:
        networks = {
            seed: build_network(settings, seed, processes.device) for seed in seeds.values()
        }
        network = networks[next(iter(networks))]
        loader = ImageLoader(store.images, network.encoder, settings["entry"])
        data = gather_data(settings, network, loader, splits, frame, prefix)
        grid = Grid(networks, settings, data, checkpoints, processes, preemption)
        trials = grid.train()
        best = {seed: choose(trials[seed], settings) for seed in networks}
        kept = splits["val"] | splits["test"]
        logits = []
        for seed, tuned in networks.items():
            tuned.load_tuned(trials[seed][best[seed]].state)
            # From pixels through the whole network: the cache lacks the test images.
            logits.append(predict_on_all_processes(tuned, loader, kept.rows))
        if processes.rank == 0:
            multiclass = settings["task_type"] == "multiclass"
            scores = np.stack([ranked_probabilities(x, multiclass) for x in logits])
            table = predictions(frame.iloc[kept.positions], scores, settings["tasks"])
            found = [(str(index), trials[seed], best[seed]) for index, seed in seeds.items()]
            if weights is not None:
                states = {index: trials[seed][best[seed]].state for index, seed in seeds.items()}
                write_tuned(weights, states)
            write_table(
                table.assign(seed=np.array(list(seeds))[table["seed"]]),
                output,
                PREDICTIONS,
                **footer(settings, found, network, store),
            )
            checkpoints.discard()
            shutil.rmtree(prefix, ignore_errors=True)


def gather_data(
    settings: FinetuneSettings,
    network: Network,
    images: ImageLoader,
    splits: dict[str, Split],
    frame: pd.DataFrame,
    scratch: Path,
) -> TrialData:
    """Return the data of all trials; outputs of frozen blocks are stored in `scratch`."""
    cache = open_cache(scratch, network, images, splits, settings["entry"].get("cache"))
    return TrialData(
        cache.loader() if cache else images,
        splits,
        criterion_of(settings, splits["val"], frame),
        group_auc_measure(settings, splits, frame, images),
    )


def criterion_of(
    settings: FinetuneSettings, val: Split, frame: pd.DataFrame
) -> Callable[[np.ndarray], float]:
    """Return the criterion to minimise on validation: that of ``select``, or an objective's."""
    if settings["entry"]["select"] == "objective":
        return objective_criterion(settings, frame.iloc[val.positions].reset_index(drop=True))
    multiclass = settings["task_type"] == "multiclass"
    return find_criterion(settings["entry"]["select"], val.y, multiclass)


def choose(trials: list[Trial], settings: FinetuneSettings) -> int:
    """Return the position of the trial with the lowest criterion; the smaller rate if equal."""
    values = [trial.criterion for trial in trials]
    entry = settings["entry"]
    if not np.isfinite(values).any():
        raise MedauditError(
            f"finetune {settings['model']} {settings['method']}: {entry['select']} was not finite in "
            f"any epoch at learning rates {entry['learning_rates']}. Lower `learning_rates` "
            "(training diverged), or check that the validation split has labels of both classes"
        )
    return int(np.nanargmin(values))


def fingerprint(settings: FinetuneSettings, ids: np.ndarray) -> str:
    """Return a hash of what a checkpoint depends on: settings, images and code."""
    trainer = f"adapt.finetune.trainers.{settings['entry'].get('training', 'erm')}"
    code = code_version("adapt.finetune", trainer)  # a trainer is imported by its name
    return f"{derive_seed(json.dumps(settings, sort_keys=True), code, *ids)}"


def footer(
    settings: FinetuneSettings,
    found: list[tuple[str, list[Trial], int]],
    network: Network,
    store: Store,
) -> dict[str, Any]:
    """Return the footer of the predictions: model, phantom, selected trials and all curves.

    Parameters
    ----------
    settings : dict
        Settings of the stage.
    found : list of tuple
        For each seed its index, its trials by learning rate, and which of them was selected.
    network : Network
        Describes the model.
    store : Store
        Its card says whether the images are phantoms.
    """
    return {
        "cohort": settings["cohort"],
        "model": settings["model"],
        "method": settings["method"],
        "spec": network.spec(),
        "phantom": store.card["phantom"],
        "runs": {
            "select": settings["entry"]["select"],
            "point": settings.get("point"),
            "chosen": [{"seed": seed, **trials[best].summary()} for seed, trials, best in found],
            "trials": [
                {**trial.summary(), "seed": seed} for seed, trials, _ in found for trial in trials
            ],
        },
        "notes": [],
    }
