"""Train one learning rate, step by step, so that a kill loses at most the last few minutes."""

import math
import sys
from dataclasses import asdict, dataclass, field

import numpy as np
import torch

from medaudit.errors import MedauditError
from medaudit.finetune.data import training_batch
from medaudit.finetune.network import Network, predict_logits
from medaudit.probe.losses import loss as whole_loss
from medaudit.probe.losses import mean_auc
from medaudit.training.checkpoints import STOPPED, Checkpoints
from medaudit.training.data import epoch_order, read_ahead
from medaudit.training.distributed import Processes, anywhere, average_gradients
from medaudit.training.progress import Progress
from medaudit.training.schedule import learning_rate, parameter_groups, set_learning_rate


@dataclass
class Trial:
    """One learning rate and the best epoch of it.

    Parameters
    ----------
    learning_rate : float
    criterion : float
        What was minimised on validation: the loss, or minus the AUC; infinite if never finite.
    epoch : int
        Epoch of the best value, counted from 1.
    curve : list of float
        Validation loss after each epoch.
    state : dict
        The tuned parameters of that epoch.
    """

    learning_rate: float
    criterion: float = math.inf
    epoch: int = 0
    curve: list[float] = field(default_factory=list)
    state: dict = field(default_factory=dict)

    def to_state(self) -> dict:
        """Return it as a checkpoint keeps it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_state(cls, state: dict) -> "Trial":
        """Restore it from a checkpoint."""
        return cls(**state)

    def summary(self) -> dict:
        """Return it as JSON, without parameters; what is not finite is null."""
        values = asdict(Trial(self.learning_rate, self.criterion, self.epoch, self.curve))
        del values["state"]
        values["curve"] = [_plain(value) for value in self.curve]
        return {**values, "criterion": _plain(self.criterion)}


def train_trial(network, settings, data, key, running, context, processes, stop) -> Trial:
    """Train one learning rate from the network's initial weights.

    Parameters
    ----------
    network : Network
        Its weights are replaced.
    settings : dict
        See `medaudit.finetune.finetune`.
    data : tuple
        The image store and the splits.
    key : tuple
        Learning rate and seed.
    running : dict or None
        State of this trial in a checkpoint, to go on from.
    context : tuple
        The checkpoints and the finished trials that belong into each of them.
    processes : Processes
        This process among all.
    stop : Stop
        Set by SIGTERM: a checkpoint is written and the process ends with `STOPPED`.
    """
    pixels, splits = data
    trainer = Trainer(network, settings["entry"], settings["task_type"] == "multiclass", key)
    step = trainer.restore(running) if running else trainer.start()
    steps = trainer.steps(len(splits["train"].rows))
    images = settings["entry"]["batch_size"]
    name = f"{settings['model']} {settings['method']} lr {key[0]:g}"
    progress = Progress(name, steps, step, images, processes.rank == 0)
    batches = trainer.batches(pixels, splits["train"], step, steps, processes)
    for batch in read_ahead(batches):
        value = trainer.update(batch, step, len(splits["train"].rows))
        step += 1
        if trainer.epoch_ended(step, len(splits["train"].rows)):
            trainer.validate(pixels, splits["val"])
        progress.update(trainer.epoch_of(step, len(splits["train"].rows)), value)
        stopping = anywhere(stop.asked, processes.device)
        if (stopping or context[0].due()) and processes.rank == 0:
            trainer.save(step, *context)
        if stopping:
            sys.exit(STOPPED)
    progress.close()
    return trainer.trial


class Trainer:
    """State of one trial: network, optimizer, best epoch.

    Parameters
    ----------
    network : Network
    entry : dict
        The method's entry: ``epochs``, ``batch_size``, ``weight_decay``, ``betas``,
        ``warmup_epochs``, ``schedule``, ``layer_decay``, ``augmentation``, ``select``.
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
        self.optimizer = None

    def start(self) -> int:
        """Begin from the initial weights; return step 0."""
        self.network.load_tuned(self.initial)
        self.optimizer = make_optimizer(self.network, self.entry)
        torch.manual_seed(self.seed)
        return 0

    def restore(self, state: dict) -> int:
        """Go on from a checkpoint; return its step."""
        self.network.load_tuned(state["network"])
        self.optimizer = make_optimizer(self.network, self.entry)
        self.optimizer.load_state_dict(state["optimizer"])
        self.trial = Trial.from_state(state["trial"])
        torch.set_rng_state(state["rng"].cpu())
        return state["step"]

    def save(self, step: int, checkpoints: Checkpoints, finished: list[dict]) -> None:
        """Write a checkpoint after `step` steps."""
        running = {
            "network": self.network.tuned(),
            "optimizer": self.optimizer.state_dict(),
            "trial": self.trial.to_state(),
            "rng": torch.get_rng_state(),
            "step": step,
        }
        checkpoints.save(10**9 * len(finished) + step, {"finished": finished, "running": running})

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

    def batches(self, pixels, train, first: int, last: int, processes: Processes):
        """Yield functions that make this process's part of each batch."""
        for step in range(first, last):
            yield lambda step=step: self._batch(pixels, train, step, processes)

    def _batch(self, pixels, train, step: int, processes: Processes) -> tuple:
        count, size = len(train.rows), self.entry["batch_size"]
        epoch, within = divmod(step, self.per_epoch(count))
        chosen = epoch_order(count, self.seed, epoch)[within * size : (within + 1) * size]
        part = np.array_split(chosen, processes.world)[processes.rank]
        key = (self.seed, step, processes.rank)
        x = training_batch(pixels, train.rows[part], self.network.encoder, self.entry, key)
        return x, torch.from_numpy(train.y[part])

    def update(self, batch: tuple, step: int, images: int) -> float:
        """Take one step; return the batch's loss."""
        x, y = (part.to(self.network.device) for part in batch)
        self.network.train()
        rate = learning_rate(
            self.epoch_of(step, images),
            peak=self.rate,
            epochs=self.entry["epochs"],
            warmup=self.entry.get("warmup_epochs", 0),
            schedule=self.entry.get("schedule", "cosine"),
        )
        set_learning_rate(self.optimizer, rate)
        with torch.autocast(x.device.type, torch.bfloat16, x.device.type == "cuda"):
            logits = self.network(x)
        value = batch_loss(logits.float(), y, self.multiclass)
        self.optimizer.zero_grad(set_to_none=True)
        value.backward()
        average_gradients([p for p in self.network.parameters() if p.requires_grad])
        self.optimizer.step()
        return value.item()

    def validate(self, pixels: np.ndarray, split) -> None:
        """Note the validation loss of this epoch, and keep the weights if they are the best."""
        logits = predict_logits(self.network, pixels, split.rows)
        loss = float(whole_loss(logits, split.y, self.multiclass))
        self.trial.curve.append(loss)
        criterion = loss
        if self.entry["select"] == "val_auc":
            criterion = -float(mean_auc(np.nan_to_num(logits), split.y, self.multiclass))
        if math.isfinite(loss) and criterion < self.trial.criterion:
            self.trial.criterion = criterion
            self.trial.epoch = len(self.trial.curve)
            self.trial.state = self.network.tuned()


def batch_loss(logits: torch.Tensor, y: torch.Tensor, multiclass: bool) -> torch.Tensor:
    """Return cross-entropy of one-hot rows, or binary cross-entropy over the known targets."""
    if multiclass:
        return torch.nn.functional.cross_entropy(logits, y)
    known = y.isfinite()
    terms = torch.nn.functional.binary_cross_entropy_with_logits(
        logits, y.nan_to_num(), reduction="none"
    )
    return (terms * known).sum() / known.sum().clamp(min=1)


def make_optimizer(network: Network, entry: dict) -> torch.optim.Optimizer:
    """Return AdamW over the tuned parameters; biases and norms are not decayed.

    Raises
    ------
    MedauditError
        ``layer_decay`` is set for a tower whose layers timm does not know.
    """
    decay, layers = entry["weight_decay"], entry.get("layer_decay")
    trunk = getattr(network.tower, "trunk", network.tower)
    if layers is not None and not hasattr(trunk, "group_matcher"):
        raise MedauditError(
            f"layer_decay {layers} needs a timm model, not {type(trunk).__name__}: set it to null"
        )
    groups = parameter_groups(trunk, decay, layers) + parameter_groups(network.head, decay)
    if trunk is not network.tower:
        inside = {id(parameter) for parameter in trunk.parameters()}
        above = [p for p in network.tower.parameters() if p.requires_grad and id(p) not in inside]
        groups.append({"params": above, "weight_decay": decay})
    groups = [group for group in groups if group["params"]]
    betas = tuple(entry.get("betas", (0.9, 0.999)))
    return torch.optim.AdamW(groups, lr=0.0, betas=betas)


def _plain(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
