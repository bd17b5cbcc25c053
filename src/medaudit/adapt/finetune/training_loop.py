"""Train one learning rate, step by step, so that a kill loses at most the last few minutes."""

from collections.abc import Iterator

import numpy as np
import torch

from medaudit.adapt.finetune.trainer import Trainer
from medaudit.adapt.finetune.trial import Data, Trial
from medaudit.training.batches import read_ahead
from medaudit.training.distributed import (
    Processes,
    anywhere,
    leave_together,
)
from medaudit.training.progress import Progress


def train_trial(network, settings, data, key, running, context, processes, stop) -> Trial:
    """Train one learning rate from the network's initial weights.

    Parameters
    ----------
    network : Network
        Its weights are replaced.
    settings : dict
        See `medaudit.adapt.finetune.finetune`.
    data : Data
        Images, splits and what is minimised on validation.
    key : tuple
        Learning rate and seed.
    running : dict or None
        State of this trial in a checkpoint, to go on from.
    context : tuple
        The checkpoints and the finished trials that belong into each of them.
    processes : Processes
        This process among all.
    stop : Stop
        Set by SIGTERM: a checkpoint is written and the process ends, see
        `medaudit.training.stop`.
    """
    from medaudit.adapt.finetune.trainers import find_trainer

    entry, multiclass = settings["entry"], settings["task_type"] == "multiclass"
    trainer = find_trainer(entry)(network, entry, multiclass, key)
    first = trainer.restore(running) if running else trainer.start()
    count = len(data.splits["train"].rows)
    name = f"{settings['model']} {settings['method']} lr {key[0]:g}"
    images = settings["entry"]["batch_size"]
    progress = Progress(name, trainer.steps(count), first, images, processes.rank == 0)
    for step, value, logits in train_steps(trainer, data, first, processes):
        if logits is not None:
            trainer.note(logits, data)
            if data.watch is not None:
                trainer.trial.groups.append(data.watch(network, logits))
        progress.update(trainer.epoch_of(step, count), value)
        stopping = anywhere(stop.asked, processes.device)
        if (stopping or context[0].due()) and processes.rank == 0:
            trainer.save(step, *context)
        if stopping:
            leave_together(f"checkpoint of step {step} of {name} written", processes)
    progress.close()
    return trainer.trial


def train_steps(
    trainer: "Trainer", data: Data, first: int, processes: Processes
) -> Iterator[tuple[int, float, np.ndarray | None]]:
    """Take the steps of a trial one by one; fine-tuning and search have this loop in common.

    Yields
    ------
    step : int
        Steps done.
    loss : float
        Of the batch.
    logits : numpy.ndarray or None
        After the last step of an epoch the logits [n_val, tasks] of the validation split.
    """
    train, step = data.splits["train"], first
    batches = trainer.batches(data.feed, train, first, trainer.steps(len(train.rows)), processes)
    for batch in read_ahead(batches, workers=max(2, torch.get_num_threads())):
        value = trainer.update(batch, step, len(train.rows), data.feed.level)
        step += 1
        ended = trainer.epoch_ended(step, len(train.rows))
        yield step, value, trainer.validate(data) if ended else None
