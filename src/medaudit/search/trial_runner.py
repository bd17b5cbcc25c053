"""One trial of a search: train a point of the space, with all of validation after each epoch.

A trial is a fine-tuning (`medaudit.adapt.finetune`) that ends when its driver says so: the same loop,
loss, class weights, augmentation, seed and stored outputs of frozen blocks, so that the refit of a
point with the search's seed has the trial's validation logits. Only the images may be fewer.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from medaudit.adapt.finetune.frozen_blocks_cache import PrefixCache
from medaudit.adapt.finetune.inputs import Split, read_splits
from medaudit.adapt.finetune.loader import ImageFeed
from medaudit.adapt.finetune.masks import Layout, find_layout
from medaudit.adapt.finetune.network import Network, build_network
from medaudit.adapt.finetune.refit_point import entry_at
from medaudit.adapt.finetune.trainer import Trainer
from medaudit.adapt.finetune.trainers import find_trainer
from medaudit.adapt.finetune.training_loop import train_steps
from medaudit.adapt.finetune.trial import Data
from medaudit.core.seeds import derive_seed
from medaudit.data.image_store import open_store, usable_images
from medaudit.search.subset import balanced_subset
from medaudit.training.distributed import Processes

Report = Callable[[int, np.ndarray], bool]


class TrialRunner:
    """Data, network and stored outputs of frozen blocks, kept between the trials of a search.

    Parameters
    ----------
    settings : dict
        As of `medaudit.adapt.finetune.finetune`, with a method of kind search. ``seed`` is 0 if it is
        not given: the same initial head and order of images in all trials.
    cohort, images : Path
        The cohort's table and its image store.
    threads : int
        Processor threads.
    scratch : Path or None
        Folder of the stored outputs of frozen blocks, which all workers share. None, or a method
        whose ``cache`` is null: every block is run in each step.
    """

    def __init__(
        self,
        settings: dict,
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
        self.splits = {"train": train, "val": splits["val"]}
        names = (settings["cohort"], settings["model"], settings["method"])
        self.seed = derive_seed("finetune", *names, settings.get("seed", 0))
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.processes = Processes(0, 1, device)
        self.network = self._build()
        self.images = ImageFeed(store.images, self.network.encoder, self.entry)
        self.cache = self._open_cache(scratch)

    @property
    def layout(self) -> Layout:
        """What the bits of a mask stand for."""
        return find_layout(self.network.tower)

    def run(self, point: dict, report: Report) -> None:
        """Train one point from the pretrained weights.

        Parameters
        ----------
        point : dict
            ``mask`` (bits or a name) and ``learning_rate``.
        report : callable
            Called after each epoch with its number (from 1) and the logits of the validation
            split, float32 [n, tasks]; True ends the trial.

        Raises
        ------
        MedauditError
            The mask does not fit the model.
        """
        trainer = self.begin(point)
        feed = self.cache.feed() if self.cache else self.images
        data = Data(feed, self.splits, lambda logits: 0.0)
        count = len(self.splits["train"].rows)
        for step, _, logits in train_steps(trainer, data, 0, self.processes):
            if logits is not None and report(step // trainer.per_epoch(count), logits):
                return

    def begin(self, point: dict) -> Trainer:
        """Put the pretrained weights back and free what the point tunes."""
        entry = entry_at(self.entry, point)
        self.network.retune(entry)
        multiclass = self.settings["task_type"] == "multiclass"
        key = (point["learning_rate"], self.seed)
        trainer = find_trainer(entry)(self.network, entry, multiclass, key)
        trainer.start()
        return trainer

    def _build(self) -> Network:
        """Build the network once; `initial` holds all of its weights, for masks of any kind."""
        entry = {**self.entry, "tune": "linear"}
        network = build_network({**self.settings, "entry": entry}, self.seed, self.processes.device)
        network.initial = {k: v.detach().clone() for k, v in network.state_dict().items()}
        return network

    def _open_cache(self, scratch: Path | None) -> PrefixCache | None:
        wanted = self.entry.get("cache")
        if scratch is None or wanted is None:
            return None
        rows = {name: split.rows for name, split in self.splits.items()}
        return PrefixCache(scratch, self.network, self.images, rows, wanted)


def choose_train(train: Split, frame: pd.DataFrame, settings: dict) -> Split:
    """Return the training images of a search: all, or the method's ``subset`` of them."""
    share = settings["entry"].get("subset")
    if share is None:
        return train
    attribute = settings["entry"]["objective"]["attribute"]
    chosen = balanced_subset(frame.iloc[train.positions], attribute, share, settings["cohort"])
    return train.take(chosen)
