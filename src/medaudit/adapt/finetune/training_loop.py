"""The training loop of a trial, step by step; fine-tuning and search share it."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch

from medaudit.adapt.finetune.trainer import Trainer
from medaudit.adapt.finetune.trial import TrialData
from medaudit.training.batches import read_ahead
from medaudit.training.distributed import Processes


class Step(NamedTuple):
    """One step of training.

    Parameters
    ----------
    number : int
        Steps done, this one included.
    loss : torch.Tensor
        Scalar, the loss of this process's part of the batch. Reading it waits for the GPU.
    logits : numpy.ndarray or None
        After the last step of an epoch, the logits [n_val, tasks] of the validation split.
    """

    number: int
    loss: torch.Tensor
    logits: np.ndarray | None


def train_steps(
    trainer: Trainer, data: TrialData, first: int, processes: Processes, together: int = 1
) -> Iterator[Step]:
    """Take the remaining steps of a trial one by one, after `first` steps.

    Fine-tuning and search share this loop, so that a refit repeats its trial exactly. The threads
    that prepare batches are divided among the `together` trials that advance in turn. A trainer
    that has `stopped` takes no further step.
    """
    train, number = data.splits["train"], first
    if trainer.stopped:
        return
    batches = trainer.batches(data.loader, train, first, trainer.steps(len(train.rows)), processes)
    threads = max(2, torch.get_num_threads() // together)
    for batch in read_ahead(batches, threads, processes.device):
        loss = trainer.update(batch, number, len(train.rows), data.loader.level)
        number += 1
        ended = trainer.epoch_ended(number, len(train.rows))
        yield Step(number, loss, trainer.validate(data) if ended else None)
        if trainer.stopped:
            return
