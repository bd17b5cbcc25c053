"""Runs the trials of a search: trains a point, and reports validation logits after each epoch.

A trial is a fine-tuning (`medaudit.adapt.finetune`) that ends when the search stops it: the same loop,
loss, class weights, augmentation, seed and stored outputs of frozen blocks. The refit of a point with
the search's seed therefore has the validation logits of its trial. Only the training images may be
fewer (`subset`).
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from medaudit.adapt.finetune.frozen_blocks_cache import FrozenBlocksCache, open_cache
from medaudit.adapt.finetune.groups import check_groups
from medaudit.adapt.finetune.inputs import Split, read_splits
from medaudit.adapt.finetune.loader import ImageLoader
from medaudit.adapt.finetune.masks import Layout, find_layout
from medaudit.adapt.finetune.network import Network, build_network
from medaudit.adapt.finetune.refit_point import entry_at_point
from medaudit.adapt.finetune.trainer import Trainer
from medaudit.adapt.finetune.trainers import find_trainer
from medaudit.adapt.finetune.training_loop import train_steps
from medaudit.adapt.finetune.trial import TrialData, TrialKey
from medaudit.adapt.finetune_settings import (
    FinetuneSettings,
    SearchPoint,
    TrainingEntry,
)
from medaudit.core.seeds import derive_seed
from medaudit.data.image_store import open_store, usable_images
from medaudit.search.subset import balanced_subset
from medaudit.training.distributed import Processes

Report = Callable[[int, np.ndarray], bool]


class TrialRunner:
    """Data, network and stored outputs of frozen blocks, shared by all trials of a worker.

    Parameters
    ----------
    settings : dict
        Settings of `medaudit.adapt.finetune.finetune` with a method of kind search. ``seed``
        defaults to 0: all trials have the same initial head and order of images.
    cohort, images : Path
        The cohort's table and its image store.
    threads : int
        Processor threads.
    scratch : Path or None
        Folder for outputs of frozen blocks, shared by all workers. Without it, or if the method's
        ``cache`` is null, every block runs in each step.
    """

    def __init__(
        self,
        settings: FinetuneSettings,
        *,
        cohort: Path,
        images: Path,
        threads: int = 1,
        scratch: Path | None = None,
    ) -> None:
        torch.set_num_threads(threads)
        self.settings, self.entry = settings, settings["entry"]
        store = open_store(images)
        ids = usable_images(cohort, store)
        splits, frame = read_splits(cohort, ids, store.rows(ids), settings)
        self.validation = frame.iloc[splits["val"].positions].reset_index(drop=True)
        train = choose_train(splits["train"], frame, settings)
        check_groups(settings, frame, train)
        self.splits = {"train": train, "val": splits["val"]}
        names = (settings["cohort"], settings["model"], settings["method"])
        self.seed = derive_seed("finetune", *names, settings.get("seed", 0))
        gpu = torch.cuda.is_available()
        device = torch.device("cuda", torch.cuda.current_device()) if gpu else torch.device("cpu")
        self.processes = Processes(0, 1, device)
        self.network = self._build()
        self.images = ImageLoader(store.images, self.network.encoder, self.entry)
        self.cache = self._open_cache(scratch)

    @property
    def layout(self) -> Layout:
        """Meaning of the bits of a mask."""
        return find_layout(self.network.tower)

    def run(self, point: SearchPoint, report: Report) -> None:
        """Train one point from the pretrained weights.

        Parameters
        ----------
        point : dict
            ``mask`` (bits or a name), ``learning_rate``, and the coordinates of its training.
        report : callable
            Called after each epoch with its number (from 1) and the logits of the validation
            split, float32 [n, tasks]; True stops the trial.

        Raises
        ------
        MedauditError
            The mask does not fit the model.
        """
        trainer = self.begin(point)
        loader = self.cache.loader() if self.cache else self.images
        data = TrialData(loader, self.splits, lambda logits: 0.0)
        steps_per_epoch = trainer.per_epoch(len(self.splits["train"].rows))
        for step in train_steps(trainer, data, 0, self.processes):
            if step.logits is not None and report(step.number // steps_per_epoch, step.logits):
                return

    def begin(self, point: SearchPoint) -> Trainer:
        """Return a trainer of the point, which has loaded the pretrained weights."""
        entry = entry_at_point(self.entry, point)
        self.network.retune(entry)
        multiclass = self.settings["task_type"] == "multiclass"
        key = TrialKey(point["learning_rate"], self.seed)
        trainer = find_trainer(entry)(self.network, entry, multiclass, key, self.splits["train"])
        trainer.start()
        return trainer

    def _build(self) -> Network:
        """Return the network, built once; it keeps all weights, because masks tune any of them."""
        entry: TrainingEntry = {**self.entry, "tune": "linear"}
        settings: FinetuneSettings = {**self.settings, "entry": entry}
        network = build_network(settings, self.seed, self.processes.device)
        network.keep_initial(everything=True)
        return network

    def _open_cache(self, scratch: Path | None) -> FrozenBlocksCache | None:
        if scratch is None:
            return None
        cache = self.entry.get("cache")
        return open_cache(scratch, self.network, self.images, self.splits, cache)


def choose_train(train: Split, frame: pd.DataFrame, settings: FinetuneSettings) -> Split:
    """Return the training images of a search: all, or the method's ``subset`` of them."""
    share = settings["entry"].get("subset")
    if share is None:
        return train
    attribute = settings["entry"]["objective"]["attribute"]
    assert attribute is not None  # the job's settings name the cohort's first attribute
    chosen = balanced_subset(frame.iloc[train.positions], attribute, share, settings["cohort"])
    return train.take(chosen)
