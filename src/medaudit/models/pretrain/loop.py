"""The training loop: resumable at every step, the same on any number of processes."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch

from medaudit.core.errors import MedauditError
from medaudit.core.seeds import derive_seed
from medaudit.models.pretrain.algorithm import Algorithm
from medaudit.models.pretrain.settings import Settings
from medaudit.models.pretrain.step import accumulate
from medaudit.models.pretrain.view_loader import Feeder
from medaudit.training.checkpoints import Checkpoints
from medaudit.training.distributed import (
    Processes,
    anywhere,
    average,
    average_gradients,
    leave_together,
)
from medaudit.training.progress import Progress
from medaudit.training.schedule import learning_rate, parameter_groups, set_learning_rate
from medaudit.training.stop import Stop

FINAL_SHARE = 0.05  # the epochs among which the weights with the lowest loss are kept


@dataclass
class Trace:
    """What is remembered of a run beside weights.

    Parameters
    ----------
    step : int
        Optimizer steps done.
    loss_sum : float
        Sum of the losses of the current epoch's steps.
    curve : list of dict
        ``epoch``, ``loss`` (mean over its steps) and ``learning_rate`` (at its end).
    kept : dict of str to dict
        For each epoch count asked for (as text) ``epoch``, ``loss`` and ``weights`` of the epoch
        with the lowest loss among its last 5 %.
    """

    step: int = 0
    loss_sum: float = 0.0
    curve: list[dict] = field(default_factory=list)
    kept: dict[str, dict] = field(default_factory=dict)


class Training:
    """One pretraining under way.

    Parameters
    ----------
    settings : Settings
        What to do.
    algorithm : Algorithm
        The model and its loss, on the device.
    feeder : Feeder
        The data.
    processes : Processes
        This process among all.
    """

    def __init__(
        self, settings: Settings, algorithm: Algorithm, feeder: Feeder, processes: Processes
    ) -> None:
        self.settings, self.algorithm = settings, algorithm
        self.feeder, self.processes = feeder, processes
        self.parameters = [p for p in algorithm.parameters() if p.requires_grad]
        self.optimizer = _optimizer(settings, algorithm)
        self.precision, self.autocast = precision(processes.device)
        self.scaler = torch.amp.GradScaler(
            processes.device.type, enabled=self.precision == "float16"
        )
        self.trace = Trace()

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.settings.epochs * self.feeder.steps_per_epoch

    def run(self, checkpoints: Checkpoints, stop: Stop) -> None:
        """Train to the end, from the newest checkpoint if there is one.

        Raises
        ------
        SystemExit
            SIGTERM came; a checkpoint is written and the exit code is
            `medaudit.training.stop.STOPPED`.
        MedauditError
            The loss is not finite.
        """
        self._resume(checkpoints)
        shown = self.processes.rank == 0
        size, done = self.settings.batch_size, self.trace.step
        progress = Progress(self.settings.name, self.steps, done, size, shown)
        for parts in self.feeder.steps(done, self.steps):
            loss = self.step(parts)
            progress.update(self.trace.step / self.feeder.steps_per_epoch, loss)
            asked = anywhere(stop.asked, self.processes.device)
            if shown and self.trace.step < self.steps and (asked or checkpoints.due()):
                checkpoints.save(self.trace.step, self.state())
            if asked and self.trace.step < self.steps:
                leave_together(f"checkpoint of step {self.trace.step} written", self.processes)
        progress.close()

    def state(self) -> dict:
        """Return everything that the rest of the run depends on."""
        return {
            "algorithm": self.algorithm.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "trace": vars(self.trace),
        }

    def _resume(self, checkpoints: Checkpoints) -> None:
        state = checkpoints.load(self.processes.device)
        if state is None:
            return
        self.algorithm.load_state_dict(state["algorithm"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.trace = Trace(**state["trace"])

    def step(self, parts: list) -> float:
        """Make one optimizer step from this process's micro-batches; return the mean loss."""
        settings, trace = self.settings, self.trace
        done = trace.step / self.feeder.steps_per_epoch
        rate = learning_rate(
            done,
            peak=settings.peak_lr,
            epochs=settings.epochs,
            warmup=settings.warmup_epochs,
            minimum=settings.min_lr,
            schedule=settings.schedule,
        )
        set_learning_rate(self.optimizer, rate)
        torch.manual_seed(derive_seed("step", settings.seed, trace.step, self.processes.rank))
        self.algorithm.begin_step(done / settings.epochs)
        loss = accumulate(
            self.algorithm, parts, self.feeder.augment, self.autocast, self.scaler.scale
        )
        loss = self._check(average(loss, self.processes.device))
        average_gradients(self.parameters)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.algorithm.end_step()
        trace.step += 1
        trace.loss_sum += loss
        if trace.step % self.feeder.steps_per_epoch == 0:
            self._end_epoch(rate)
        return loss

    def _check(self, loss: float) -> float:
        if math.isfinite(loss):
            return loss
        raise MedauditError(
            f"pretraining {self.settings.name}: the loss is {loss} at step {self.trace.step} of "
            f"{self.steps}; lower base_lr ({self.settings.base_lr}) or lengthen the warm-up"
        )

    def _end_epoch(self, rate: float) -> None:
        trace = self.trace
        epoch = trace.step // self.feeder.steps_per_epoch
        loss = trace.loss_sum / self.feeder.steps_per_epoch
        trace.curve.append({"epoch": epoch, "loss": loss, "learning_rate": rate})
        trace.loss_sum = 0.0
        for count in (self.settings.epochs, *self.settings.snapshots):
            best = trace.kept.get(str(count), {"loss": math.inf})
            if is_final(epoch, count) and loss < best["loss"]:
                weights = {k: v.detach().clone() for k, v in self.algorithm.weights().items()}
                trace.kept[str(count)] = {"epoch": epoch, "loss": loss, "weights": weights}


def is_final(epoch: int, count: int) -> bool:
    """Return whether `epoch` (from 1) is among the last 5 % of `count`, at least the last."""
    return count - max(1, round(FINAL_SHARE * count)) < epoch <= count


def precision(device: torch.device) -> tuple[str, Callable]:
    """Return the type of the forward pass and its context: mixed on a GPU, float32 elsewhere."""
    if device.type != "cuda":
        return "float32", partial(torch.autocast, device.type, enabled=False)
    kind = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return str(kind).removeprefix("torch."), partial(torch.autocast, device.type, dtype=kind)


def _optimizer(settings: Settings, algorithm: Algorithm) -> torch.optim.AdamW:
    if algorithm.decay_all():
        groups = [p for p in algorithm.parameters() if p.requires_grad]
    else:
        groups = parameter_groups(algorithm, settings.weight_decay)
    return torch.optim.AdamW(
        groups,
        lr=settings.peak_lr,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        fused=True,
    )
