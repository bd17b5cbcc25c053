"""The training loop of a trial: step by step, with checkpoints, and resumable after a kill."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from medaudit.adapt.finetune.network import Network
from medaudit.adapt.finetune.trainer import Trainer
from medaudit.adapt.finetune.trainers import find_trainer
from medaudit.adapt.finetune.trial import Trial, TrialData, TrialKey
from medaudit.adapt.finetune_settings import FinetuneSettings
from medaudit.training.batches import read_ahead
from medaudit.training.checkpoints import Checkpoints
from medaudit.training.distributed import Processes, any_process, exit_all_processes
from medaudit.training.preemption import PreemptionSignal
from medaudit.training.progress import Progress


@dataclass(frozen=True)
class GridState:
    """State of a run over a grid of learning rates, as its checkpoints store it.

    Parameters
    ----------
    checkpoints : Checkpoints
        Where to write the state.
    finished : list of dict
        States of the trials that have finished; each checkpoint contains them.
    running : dict or None
        State of the trial to train next, if a checkpoint has it: the trial resumes from there.
    """

    checkpoints: Checkpoints
    finished: list[dict]
    running: dict | None = None


class Step(NamedTuple):
    """One step of training.

    Parameters
    ----------
    number : int
        Steps done, this one included.
    loss : float
        Loss of the batch.
    logits : numpy.ndarray or None
        After the last step of an epoch, the logits [n_val, tasks] of the validation split.
    """

    number: int
    loss: float
    logits: np.ndarray | None


def train_trial(
    network: Network,
    settings: FinetuneSettings,
    data: TrialData,
    key: TrialKey,
    grid: GridState,
    processes: Processes,
    preemption: PreemptionSignal,
) -> Trial:
    """Train one learning rate from the network's initial weights; return its best epoch.

    Parameters
    ----------
    network : Network
        Its weights are replaced.
    settings : dict
        Settings of the stage.
    data : TrialData
        Images, splits and the criterion on validation.
    key : TrialKey
        Learning rate and seed.
    grid : GridState
        Checkpoints, and the trials that have finished.
    processes : Processes
        This process among all.
    preemption : PreemptionSignal
        After SIGTERM, a checkpoint is written and the process exits
        (`medaudit.training.preemption`).
    """
    entry, multiclass = settings["entry"], settings["task_type"] == "multiclass"
    trainer = find_trainer(entry)(network, entry, multiclass, key)
    first = trainer.restore(grid.running) if grid.running else trainer.start()
    count = len(data.splits["train"].rows)
    name = f"{settings['model']} {settings['method']} lr {key.learning_rate:g}"
    shown = processes.rank == 0
    progress = Progress(name, trainer.steps(count), first, entry["batch_size"], shown)
    for step in train_steps(trainer, data, first, processes):
        if step.logits is not None:
            trainer.record_epoch(step.logits, data)
            if data.group_aucs is not None:
                trainer.trial.groups.append(data.group_aucs(network, step.logits))
        progress.update(trainer.epoch_of(step.number, count), step.loss)
        # All processes must leave after the same step: one that went on alone would wait forever
        # for the others' gradients.
        stopping = any_process(preemption.received, processes.device)
        if (stopping or grid.checkpoints.due()) and processes.rank == 0:
            trainer.save(step.number, grid.checkpoints, grid.finished)
        if stopping:
            exit_all_processes(f"checkpoint of step {step.number} of {name} written", processes)
    progress.close()
    return trainer.trial


def train_steps(
    trainer: Trainer, data: TrialData, first: int, processes: Processes
) -> Iterator[Step]:
    """Take the remaining steps of a trial one by one, after `first` steps.

    Fine-tuning and search share this loop, so that a refit repeats its trial exactly.
    """
    train, number = data.splits["train"], first
    batches = trainer.batches(data.loader, train, first, trainer.steps(len(train.rows)), processes)
    for batch in read_ahead(batches, workers=max(2, torch.get_num_threads())):
        loss = trainer.update(batch, number, len(train.rows), data.loader.level)
        number += 1
        ended = trainer.epoch_ended(number, len(train.rows))
        yield Step(number, loss, trainer.validate(data) if ended else None)
