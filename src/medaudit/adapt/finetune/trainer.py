"""State of one fine-tuning run: network, optimizer, best epoch."""

import math
from collections.abc import Callable

import numpy as np
import torch

from medaudit.adapt.finetune.loader import Feed
from medaudit.adapt.finetune.losses import batch_loss, class_weights, target_weights
from medaudit.adapt.finetune.network import Network, predict_logits
from medaudit.adapt.finetune.optimizer import make_optimizer
from medaudit.adapt.finetune.trial import Data, Trial
from medaudit.adapt.logits import loss as whole_loss
from medaudit.adapt.logits import mean_auc
from medaudit.core.seeds import derive_seed
from medaudit.training.batches import epoch_order
from medaudit.training.checkpoints import Checkpoints
from medaudit.training.distributed import (
    Processes,
    average_buffers,
    average_gradients,
    gather_arrays,
    process_rank,
    world_size,
)
from medaudit.training.schedule import learning_rate, set_learning_rate


class Trainer:
    """State of one trial: network, optimizer, best epoch.

    Parameters
    ----------
    network : Network
    entry : dict
        The method's entry: ``epochs``, ``batch_size``, ``weight_decay``, ``betas``,
        ``warmup_epochs``, ``schedule``, ``layer_decay``, ``augmentation``, ``class_weights``,
        ``learning_rate_per`` (the learning rate is for so many images a step), ``select``.
    multiclass : bool
        Softmax cross-entropy, else binary cross-entropy over the known targets.
    key : tuple
        Learning rate and seed.
    """

    def __init__(self, network: Network, entry: dict, multiclass: bool, key: tuple) -> None:
        self.network, self.entry, self.multiclass = network, entry, multiclass
        self.rate, self.seed = key
        self.trial = Trial(self.rate)
        self.initial = getattr(network, "initial", None) or network.tuned()
        network.initial = self.initial
        self.optimizer = self.weights = None

    def start(self) -> int:
        """Begin from the initial weights; return step 0."""
        self.network.load_tuned(self.initial)
        self.optimizer = self.make_optimizer()
        return 0

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Return an optimizer over all that is trained."""
        return make_optimizer(self.network, self.entry)

    def restore(self, state: dict) -> int:
        """Go on from a checkpoint; return its step."""
        self.network.load_tuned(state["network"])
        self.optimizer = self.make_optimizer()
        self.optimizer.load_state_dict(state["optimizer"])
        self.trial = Trial.from_state(state["trial"])
        return state["step"]

    def save(self, step: int, checkpoints: Checkpoints, finished: list[dict]) -> None:
        """Write a checkpoint after `step` steps."""
        running = {**self.state(), "step": step}
        checkpoints.save(10**9 * len(finished) + step, {"finished": finished, "running": running})

    def state(self) -> dict:
        """Return what a checkpoint keeps for `restore`."""
        return {
            "network": self.network.tuned(),
            "optimizer": self.optimizer.state_dict(),
            "trial": self.trial.to_state(),
        }

    def per_epoch(self, images: int) -> int:
        """Return the steps of an epoch; the last batch may be smaller."""
        return math.ceil(images / self.entry["batch_size"])

    def steps(self, images: int) -> int:
        """Return all steps of the trial."""
        return self.entry["epochs"] * self.per_epoch(images)

    def epoch_of(self, step: int, images: int) -> float:
        """Return the epochs done after `step` steps."""
        return step / self.per_epoch(images)

    def epoch_ended(self, step: int, images: int) -> bool:
        """Return whether `step` steps are whole epochs."""
        return step % self.per_epoch(images) == 0

    def batches(self, feed: Feed, train, first: int, last: int, processes: Processes):
        """Yield functions that make this process's part of each batch."""
        for step in range(first, last):
            yield lambda step=step: self._batch(feed, train, step, processes)

    def _batch(self, feed: Feed, train, step: int, processes: Processes) -> tuple:
        """Return images, targets and their weights of this process's part of a step.

        A process that gets no image of a small last batch takes one that counts nothing.
        """
        epoch, chosen, part = self.choose(len(train.rows), step, processes)
        y = train.y[chosen]
        weights = target_weights(y, self._class_weights(train.y), self.multiclass)
        if not len(part):
            part, weights = np.arange(1), np.zeros_like(weights)
        x = feed.training(train.rows[chosen], part, (self.seed, step), epoch)
        return x, torch.from_numpy(y[part]), torch.from_numpy(weights[part])

    def choose(self, count: int, step: int, processes: Processes) -> tuple:
        """Return a step's epoch, its images of `count`, and this process's part of them."""
        size = self.entry["batch_size"]
        epoch, within = divmod(step, self.per_epoch(count))
        chosen = epoch_order(count, self.seed, epoch)[within * size : (within + 1) * size]
        part = np.array_split(np.arange(len(chosen)), processes.world)[processes.rank]
        return epoch, chosen, part

    def _class_weights(self, y: np.ndarray) -> np.ndarray:
        if self.weights is None:
            self.weights = class_weights(y, self.multiclass, self.entry.get("class_weights"))
        return self.weights

    def update(self, batch: tuple, step: int, images: int, level: int = 0) -> float:
        """Take one step; return the batch's loss (of several processes: this one's share)."""
        batch = tuple(part.to(self.network.device) for part in batch)
        if not self.network.training:
            self.network.train()
        rate = learning_rate(
            self.epoch_of(step, images),
            peak=peak_rate(self.rate, self.entry),
            epochs=self.entry["epochs"],
            warmup=self.entry.get("warmup_epochs", 0),
            schedule=self.entry.get("schedule", "cosine"),
        )
        set_learning_rate(self.optimizer, rate)
        torch.manual_seed(derive_seed("step", self.seed, step, process_rank()))
        value = self.loss(batch, level)
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()
        average_gradients([p for group in self.optimizer.param_groups for p in group["params"]])
        self.optimizer.step()
        return value.item()

    def loss(self, batch: tuple, level: int) -> torch.Tensor:
        """Return the loss of a batch of `batches`, so that the processes' mean is the whole's."""
        x, y, weights = batch
        with torch.autocast(x.device.type, torch.bfloat16, x.device.type == "cuda"):
            logits = self.network(x, level)
        return batch_loss(logits.float(), y, weights, self.multiclass) * world_size()

    def validate(self, data: Data) -> np.ndarray:
        """Return the logits of the validation split."""
        average_buffers(self.network)
        return predict_together(self.network, data.feed, data.splits["val"].rows)

    def note(self, logits: np.ndarray, data: Data) -> None:
        """Note the validation loss of this epoch, and keep the weights if they are the best."""
        loss = float(whole_loss(logits, data.splits["val"].y, self.multiclass))
        self.trial.curve.append(loss)
        criterion = data.criterion(logits) if math.isfinite(loss) else math.inf
        if criterion < self.trial.criterion:
            self.trial.criterion = criterion
            self.trial.epoch = len(self.trial.curve)
            self.trial.state = self.network.tuned()


def find_criterion(select: str, y: np.ndarray, multiclass: bool) -> Callable[[np.ndarray], float]:
    """Return what is minimised on validation targets `y`: the loss, or minus the mean AUC."""
    if select == "val_auc":
        return lambda logits: -float(mean_auc(np.nan_to_num(logits), y, multiclass))
    return lambda logits: float(whole_loss(logits, y, multiclass))


def peak_rate(rate: float, entry: dict) -> float:
    """Return the learning rate after the warm-up; with ``learning_rate_per`` it grows with the
    batch (Goyal et al. 2017, arXiv 1706.02677, linear scaling rule)."""
    per = entry.get("learning_rate_per")
    return rate * entry["batch_size"] / per if per else rate


def predict_together(network: Network, feed: Feed, rows: np.ndarray) -> np.ndarray:
    """Return float32 logits [len(rows), outputs], each process having made a part of them."""
    part = np.array_split(rows, world_size())[process_rank()]
    outputs = network.head.out_features
    logits = predict_logits(network, feed, part) if len(part) else np.empty((0, outputs))
    return gather_arrays(logits.astype(np.float32))
