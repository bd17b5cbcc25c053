"""The trainer of one trial: its network, optimizer and best epoch."""

import math
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch

from medaudit.adapt.finetune.inputs import Split
from medaudit.adapt.finetune.loader import Loader
from medaudit.adapt.finetune.losses import batch_loss, class_weights, target_weights
from medaudit.adapt.finetune.network import Network, predict_logits
from medaudit.adapt.finetune.optimizer import make_optimizer
from medaudit.adapt.finetune.trial import Trial, TrialData, TrialKey
from medaudit.adapt.finetune_settings import TrainingEntry
from medaudit.adapt.logits import loss as whole_loss
from medaudit.adapt.logits import mean_auc
from medaudit.core.seeds import derive_seed
from medaudit.training.batches import epoch_order, to_device
from medaudit.training.distributed import (
    Processes,
    average_buffers,
    gather_arrays,
    in_parallel,
    process_rank,
    world_size,
)
from medaudit.training.precision import gradient_scaler, precision
from medaudit.training.schedule import learning_rate, set_learning_rate

Batch = tuple[torch.Tensor, ...]


class Trainer:
    """Trains a network at one learning rate by the mean loss over images, and keeps the best epoch.

    Subclasses change the loss, the batches or what happens after an epoch, see
    `medaudit.adapt.finetune.trainers`.

    Parameters
    ----------
    network : Network
        Its current weights are the initial ones, unless it keeps others.
    entry : dict
        The method's entry: ``epochs``, ``batch_size``, ``weight_decay``, ``betas``,
        ``warmup_epochs``, ``schedule``, ``layer_decay``, ``augmentation``, ``class_weights``,
        ``learning_rate_per`` (see `peak_rate`), ``select``.
    multiclass : bool
        Softmax cross-entropy, else binary cross-entropy over the known targets.
    key : TrialKey
        Learning rate and seed.
    train : Split
        The training images, with their groups if the method names an attribute.
    """

    optimizer: torch.optim.Optimizer
    parallel: torch.nn.Module
    """Both are made by `start` or `restore`, after the initial weights are loaded."""

    stopped = False
    """True after the last step that the training needs; no step follows."""

    def __init__(
        self,
        network: Network,
        entry: TrainingEntry,
        multiclass: bool,
        key: TrialKey,
        train: Split,
    ) -> None:
        self.network, self.entry, self.multiclass = network, entry, multiclass
        self.rate, self.seed = key
        self.train = train
        self.trial = Trial(self.rate)
        self.scaler = gradient_scaler(network.device)
        # Trainers share networks one after the other: only the first sees the initial weights.
        if network.initial is None:
            network.keep_initial()
        self._weights: np.ndarray | None = None

    def start(self) -> int:
        """Start from the initial weights; return 0, the number of steps done."""
        self.network.restore_initial()
        self._prepare()
        return 0

    def _prepare(self) -> None:
        self.optimizer = self.make_optimizer()
        self.parallel = in_parallel(self.trained_module(), unused=True)

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Return an optimizer over all parameters that are trained."""
        return make_optimizer(self.network, self.entry)

    def trained_module(self) -> torch.nn.Module:
        """Return the module whose forward pass `loss` calls; its gradients are averaged."""
        return self.network

    def restore(self, state: dict) -> int:
        """Resume from the state of a checkpoint; return the number of steps done."""
        self.network.load_tuned(state["network"])
        self._prepare()
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.trial = Trial.from_state(state["trial"])
        return state["step"]

    def state(self) -> dict:
        """Return the state that `restore` resumes from."""
        return {
            "network": self.network.tuned(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "trial": self.trial.to_state(),
        }

    def per_epoch(self, images: int) -> int:
        """Return the number of steps per epoch; the last batch may be smaller."""
        return math.ceil(images / self.entry["batch_size"])

    def steps(self, images: int) -> int:
        """Return the number of steps of the trial."""
        return self.entry["epochs"] * self.per_epoch(images)

    def epoch_of(self, step: int, images: int) -> float:
        """Return the number of epochs done after `step` steps, with fractions."""
        return step / self.per_epoch(images)

    def epoch_ended(self, step: int, images: int) -> bool:
        """Return whether `step` steps are a whole number of epochs."""
        return step % self.per_epoch(images) == 0

    def batches(
        self, loader: Loader, train: Split, first: int, last: int, processes: Processes
    ) -> Iterator[Callable[[], Batch]]:
        """Yield a function for each step that loads this process's part of the batch."""
        for step in range(first, last):
            yield partial(self._batch, loader, train, step, processes)

    def _batch(self, loader: Loader, train: Split, step: int, processes: Processes) -> Batch:
        """Return images, targets and target weights of this process's part of a step."""
        epoch, chosen, part = self.choose(len(train.rows), step, processes)
        y, weights = train.y[chosen], self.weigh(chosen)
        extras = self.extras(chosen, part)
        if not len(part):
            # The last batch may have fewer images than processes. One without an image still has
            # to take part in the averaging of gradients: it gets an image of weight 0.
            part, weights = np.arange(1), np.zeros_like(weights)
        x = loader.training_batch(train.rows[chosen], part, (self.seed, step), epoch)
        return self.on_device(x, y[part], weights[part], *extras)

    def weigh(self, chosen: np.ndarray) -> np.ndarray:
        """Return the weight of each target of a batch in its loss: float32 [n, tasks].

        Parameters
        ----------
        chosen : numpy.ndarray
            Positions of the whole batch's images among the training images.
        """
        return target_weights(
            self.train.y[chosen], self._class_weights(self.train.y), self.multiclass
        )

    def extras(self, chosen: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return what else a batch holds for each image of this process's part: nothing."""
        return ()

    def order(self, count: int, epoch: int) -> np.ndarray:
        """Return the positions of an epoch's training images in their order: int64 [count]."""
        return epoch_order(count, self.seed, epoch)

    def on_device(self, *parts: torch.Tensor | np.ndarray) -> Batch:
        """Return the parts of a batch as tensors on the network's device."""
        return tuple(to_device(torch.as_tensor(part), self.network.device) for part in parts)

    def choose(
        self, count: int, step: int, processes: Processes
    ) -> tuple[int, np.ndarray, np.ndarray]:
        """Return the images of a step.

        Parameters
        ----------
        count : int
            Number of training images.
        step : int
            Number of the step, from 0.
        processes : Processes
            This process among all.

        Returns
        -------
        epoch : int
            From 0.
        chosen : numpy.ndarray
            Positions of the batch's images among the training images.
        part : numpy.ndarray
            Positions in `chosen` that are this process's part.
        """
        size = self.entry["batch_size"]
        epoch, within = divmod(step, self.per_epoch(count))
        chosen = self.order(count, epoch)[within * size : (within + 1) * size]
        part = np.array_split(np.arange(len(chosen)), processes.world)[processes.rank]
        return epoch, chosen, part

    def _class_weights(self, y: np.ndarray) -> np.ndarray:
        """Return the class weights of all training targets, which every process knows."""
        if self._weights is None:
            self._weights = class_weights(y, self.multiclass, self.entry.get("class_weights"))
        return self._weights

    def update(self, batch: Batch, step: int, images: int, level: int = 0) -> torch.Tensor:
        """Take one step; return the loss of this process's part of the batch, detached.

        Parameters
        ----------
        batch : tuple of torch.Tensor
            A batch of `batches`, on the device.
        step : int
            Number of steps done before.
        images : int
            Number of training images.
        level : int
            Level at which the batch enters the network, see
            `medaudit.adapt.finetune.loader.Loader`.
        """
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
        value = self.compute_gradients(batch, step, level)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return value

    def compute_gradients(self, batch: Batch, step: int, level: int) -> torch.Tensor:
        """Set the gradients of a step, averaged over processes; return the loss, detached."""
        # Seed dropout and drop path by the step: a resumed run draws what the whole run would.
        torch.manual_seed(derive_seed("step", self.seed, step, process_rank()))
        value = self.loss(batch, level)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(value).backward()
        return value.detach()

    def loss(self, batch: Batch, level: int) -> torch.Tensor:
        """Return the loss of this process's part of a batch, times the number of processes."""
        x, y, weights = batch[:3]
        with precision(x.device)[1]():
            logits = self.parallel(x, level)
        # The parts' losses add up to that of the batch (`target_weights`), but gradients are
        # averaged over processes; the factor turns their mean into the sum.
        return batch_loss(logits.float(), y, weights, self.multiclass) * world_size()

    def validate(self, data: TrialData) -> np.ndarray:
        """Return the logits of the validation split."""
        average_buffers(self.network)
        return predict_on_all_processes(self.network, data.loader, data.splits["val"].rows)

    def record_epoch(self, logits: np.ndarray, data: TrialData) -> None:
        """Record this epoch's validation loss; keep the weights if the criterion is the lowest."""
        loss = float(whole_loss(logits, data.splits["val"].y, self.multiclass))
        self.trial.curve.append(loss)
        criterion = data.criterion(logits) if math.isfinite(loss) else math.inf
        if criterion < self.trial.criterion:
            self.trial.criterion = criterion
            self.trial.epoch = len(self.trial.curve)
            self.trial.state = self.network.tuned()


def find_criterion(select: str, y: np.ndarray, multiclass: bool) -> Callable[[np.ndarray], float]:
    """Return the criterion to minimise on validation targets `y`: the loss, or minus the AUC."""
    if select == "val_auc":
        return lambda logits: -float(mean_auc(np.nan_to_num(logits), y, multiclass))
    return lambda logits: float(whole_loss(logits, y, multiclass))


def peak_rate(rate: float, entry: TrainingEntry) -> float:
    """Return the learning rate after warm-up.

    With ``learning_rate_per: 256``, `rate` is the base rate for a batch of 256 images and grows in
    proportion to the batch size, as the linear scaling rule demands: k times more images per step
    mean k times fewer steps (Goyal et al. 2017, arXiv 1706.02677). MAE states its rates this way.
    """
    per = entry.get("learning_rate_per")
    return rate * entry["batch_size"] / per if per else rate


def predict_on_all_processes(network: Network, loader: Loader, rows: np.ndarray) -> np.ndarray:
    """Return float32 logits [len(rows), outputs]; each process predicts a part of the images."""
    part = np.array_split(rows, world_size())[process_rank()]
    outputs = network.head.out_features
    logits = predict_logits(network, loader, part) if len(part) else np.empty((0, outputs))
    return gather_arrays(logits.astype(np.float32))
