"""The training loop: resumable after any step; any number of processes gives the same loss."""

import math
from dataclasses import dataclass, field

import torch
from timm.optim import Lars

from medaudit.core.errors import MedauditError
from medaudit.core.seeds import derive_seed
from medaudit.models.pretrain.algorithm import Algorithm
from medaudit.models.pretrain.gradient_accumulation import GradientAccumulation
from medaudit.models.pretrain.settings import Settings
from medaudit.models.pretrain.view_loader import ViewLoader
from medaudit.training.checkpoints import Checkpoints
from medaudit.training.distributed import Processes, average, exit_all_processes
from medaudit.training.interruption import Interruption
from medaudit.training.precision import gradient_scaler, precision
from medaudit.training.preemption import PreemptionSignal
from medaudit.training.progress import Progress
from medaudit.training.schedule import learning_rate, parameter_groups, set_learning_rate

LARS_MOMENTUM = 0.9
FINAL_SHARE = 0.05  # of the epochs: the weights with the lowest loss among these are kept


@dataclass
class Trace:
    """State of a run that is not in the model or the optimizer; a checkpoint contains it.

    Parameters
    ----------
    step : int
        Completed optimizer steps.
    loss_sum : float
        Sum of the losses in the current epoch, mean over processes; up to date in a checkpoint.
    curve : list of dict
        Per completed epoch ``epoch``, ``loss`` (mean over its steps) and ``learning_rate`` (at its
        end).
    kept : dict of str to dict
        By requested epoch count (as text): ``epoch``, ``loss`` and ``weights`` of the epoch with
        the lowest loss among the last 5 % before that count.
    """

    step: int = 0
    loss_sum: float = 0.0
    curve: list[dict] = field(default_factory=list)
    kept: dict[str, dict] = field(default_factory=dict)


class Training:
    """A pretraining run: model, loss, data, optimizer, and the loop over steps.

    Parameters
    ----------
    settings : Settings
        Checked settings.
    algorithm : Algorithm
        Model and loss, on the device.
    loader : ViewLoader
        Batches of augmented images.
    processes : Processes
        The rank of this process, and the number of processes.
    """

    def __init__(
        self, settings: Settings, algorithm: Algorithm, loader: ViewLoader, processes: Processes
    ) -> None:
        self.settings, self.algorithm = settings, algorithm
        self.loader, self.processes = loader, processes
        self.optimizer = _optimizer(settings, algorithm)
        self.precision, autocast = precision(processes.device)
        self.scaler = gradient_scaler(processes.device)
        self.gradients = GradientAccumulation(
            algorithm, loader.augment, autocast, self.scaler.scale
        )
        self.trace = Trace()
        # The sum stays on the GPU: reading the loss of a step would make the processor wait for it.
        self.loss_sum = torch.zeros((), dtype=torch.float64, device=processes.device)

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole run."""
        return self.settings.epochs * self.loader.steps_per_epoch

    def run(self, checkpoints: Checkpoints, stop: PreemptionSignal) -> None:
        """Train until the last epoch, starting from the newest checkpoint if there is one.

        Raises
        ------
        SystemExit
            SIGTERM was received: a checkpoint is written, and the exit code is
            `medaudit.training.preemption.EXIT_PREEMPTED`.
        MedauditError
            The loss is not finite.
        """
        self._resume(checkpoints)
        shown = self.processes.rank == 0
        size, done = self.settings.batch_size, self.trace.step
        progress = Progress(self.settings.name, self.steps, done, size, shown)
        interruption = Interruption(self.processes, stop, checkpoints)
        for parts in self.loader.steps(done, self.steps):
            loss = self.step(parts)
            progress.update(self.trace.step / self.loader.steps_per_epoch, loss)
            stopping, due = interruption.decide()
            if due and self.trace.step < self.steps:
                self._read_losses()
                if shown:
                    checkpoints.save(self.trace.step, self.state())
                if stopping:
                    saved = f"checkpoint of step {self.trace.step} written"
                    exit_all_processes(saved, self.processes)
        progress.close()

    def state(self) -> dict:
        """Return everything that the remaining steps depend on, for a checkpoint."""
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
        self.loss_sum.fill_(self.trace.loss_sum)

    def step(self, parts: list) -> torch.Tensor:
        """Make one optimizer step from this process's micro-batches; return their mean loss.

        Random numbers inside the model (dropout, stochastic depth) are seeded by the step, so that
        a resumed run draws the same ones.
        """
        settings, trace = self.settings, self.trace
        done = trace.step / self.loader.steps_per_epoch
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
        loss = self.gradients.add(parts)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        self.algorithm.end_step()
        trace.step += 1
        self.loss_sum += loss
        if trace.step % self.loader.steps_per_epoch == 0:
            self._read_losses()
            self._end_epoch(rate)
        return loss

    def _read_losses(self) -> None:
        """Average the sum of losses over processes; raise if it is not finite."""
        self.trace.loss_sum = average(self.loss_sum.item(), self.processes.device)
        if not math.isfinite(self.trace.loss_sum):
            raise MedauditError(
                f"pretraining {self.settings.name}: the loss became {self.trace.loss_sum} by step "
                f"{self.trace.step} of {self.steps}; lower base_lr ({self.settings.base_lr}) or "
                f"raise warmup_epochs ({self.settings.warmup_epochs})"
            )

    def _end_epoch(self, rate: float) -> None:
        trace = self.trace
        epoch = trace.step // self.loader.steps_per_epoch
        loss = trace.loss_sum / self.loader.steps_per_epoch
        trace.curve.append({"epoch": epoch, "loss": loss, "learning_rate": rate})
        trace.loss_sum = 0.0
        self.loss_sum.zero_()
        for count in (self.settings.epochs, *self.settings.snapshots):
            best = trace.kept.get(str(count), {"loss": math.inf})
            if is_final(epoch, count) and loss < best["loss"]:
                weights = {k: v.detach().clone() for k, v in self.algorithm.weights().items()}
                trace.kept[str(count)] = {"epoch": epoch, "loss": loss, "weights": weights}


def is_final(epoch: int, count: int) -> bool:
    """Return whether `epoch` (from 1) is one of the last 5 % of `count` epochs, or the last."""
    return count - max(1, round(FINAL_SHARE * count)) < epoch <= count


def _optimizer(settings: Settings, algorithm: Algorithm) -> torch.optim.Optimizer:
    if algorithm.decay_all():
        groups = [p for p in algorithm.parameters() if p.requires_grad]
    else:
        groups = parameter_groups(algorithm, settings.weight_decay)
    if settings.optimizer == "lars":
        # Groups without weight decay (biases and norms) have no trust ratio either, as in MoCo v3.
        return Lars(
            groups,
            lr=settings.peak_lr,
            momentum=LARS_MOMENTUM,
            weight_decay=settings.weight_decay,
        )
    return torch.optim.AdamW(
        groups,
        lr=settings.peak_lr,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
        fused=True,
    )
