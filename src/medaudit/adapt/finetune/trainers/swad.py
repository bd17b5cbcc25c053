"""Training `swad`: weights averaged over every step of a window that validation losses choose.

Cha, Chun, Lee, Cho, Park, Lee, Park 2021, "SWAD: Domain Generalization by Seeking Flat Minima",
NeurIPS (arXiv 2102.08604), algorithm 1. With validation losses E_1, E_2, ..., optimum patience N_s,
overfit patience N_e and tolerance r, the window begins at the first t_s whose loss is not undercut
by the next N_s - 1 losses; it ends at t_e = i - N_e for the first i with

    min(E_{i-N_e+1}, ..., E_i) > r / N_s (E_{t_s} + ... + E_{t_s+N_s-1}),

or with the last loss. The result is the mean of the weights after *every* step of the window, not of
one model per epoch (SWA). The groups of images are not used: a flat minimum may serve small groups
better.

Choices where the paper leaves one open:

- Losses are measured after each epoch, and the window consists of whole epochs t_s to t_e, as in the
  authors' code, where a segment is the steps between two validations.
- Without a beginning (the loss still falls at the end), the result is the mean of the last epoch, as
  in the authors' code. The algorithm as printed would average everything, initial weights included.
- Training ends when the window does. ``select`` chooses between learning rates only: the epoch is
  the window's.
- Batch-norm statistics are those of one pass over the training images with the mean weights.
"""

import math

import numpy as np
import torch
from torch import nn

from medaudit.adapt.finetune.inputs import Split
from medaudit.adapt.finetune.loader import Loader
from medaudit.adapt.finetune.network import Network
from medaudit.adapt.finetune.trainer import Batch, predict_on_all_processes
from medaudit.adapt.finetune.trainer import Trainer as BaseTrainer
from medaudit.adapt.finetune.trial import TrialData
from medaudit.adapt.logits import loss as whole_loss
from medaudit.core.seeds import derive_seed
from medaudit.training.distributed import average_buffers, process_rank, world_size
from medaudit.training.precision import precision

BATCH = 128
"""Images per forward pass when batch-norm statistics are computed."""

State = dict[str, torch.Tensor]


class Trainer(BaseTrainer):
    """Mean loss; the result is the mean of the weights over a window of epochs.

    Parameters
    ----------
    network, entry, multiclass, key, train
        See `medaudit.adapt.finetune.trainer.Trainer`; `entry` also has ``swad``
        (``optimum_patience``: N_s, ``overfit_patience``: N_e, ``tolerance``: r).
    """

    def _prepare(self) -> None:
        super()._prepare()
        self.mean, self.steps_in_mean = self._weights_now(), 0
        self.waiting: list[State] = []
        self.sum: State = {}
        self.epochs_in_sum = 0

    def state(self) -> dict:
        """Return the state of a checkpoint, with all means of weights."""
        kept = {name: getattr(self, name) for name in _KEPT}
        return {**super().state(), "swad": kept}

    def restore(self, state: dict) -> int:
        """Resume from the state of a checkpoint; return the number of steps done."""
        step = super().restore(state)
        for name in _KEPT:
            setattr(self, name, state["swad"][name])
        return step

    def update(self, batch: Batch, step: int, images: int, level: int = 0) -> torch.Tensor:
        """Take one step, and add the weights to the mean of this epoch."""
        value = super().update(batch, step, images, level)
        self.steps_in_mean += 1
        now = [p.detach() for p in self._tuned().values()]
        torch._foreach_lerp_(list(self.mean.values()), now, 1 / self.steps_in_mean)
        return value

    def record_epoch(self, logits: np.ndarray, data: TrialData) -> None:
        """Record the loss of the current weights; after the window's last epoch, average."""
        val = float(whole_loss(logits, data.splits["val"].y, self.multiclass))
        self.trial.curve.append(val)
        self.waiting.append(self.mean)
        self.mean, self.steps_in_mean = self._weights_now(), 0
        start, end = find_window(self.trial.curve, **self.entry["swad"])
        epoch = len(self.trial.curve)
        self.stopped = end is not None or epoch == self.entry["epochs"]
        if start is None:
            kept = 1 if self.stopped else self.entry["swad"]["optimum_patience"]
            del self.waiting[: max(0, len(self.waiting) - kept)]
        last = end or epoch
        # Later ends are later than this one, so the epochs up to it are surely in the window.
        self._sum_up(
            start, last if self.stopped else epoch + 1 - self.entry["swad"]["overfit_patience"]
        )
        if self.stopped:
            self._finish(start, last, data)

    def _sum_up(self, start: int | None, last: int) -> None:
        """Move the means of epochs from `start` to `last` from those that wait to the sum."""
        while self.waiting and start is not None:
            oldest = len(self.trial.curve) - len(self.waiting) + 1
            if oldest > last:
                break
            mean = self.waiting.pop(0)
            if oldest >= start:
                self.epochs_in_sum += 1
                total = self.sum or {name: torch.zeros_like(value) for name, value in mean.items()}
                torch._foreach_add_(list(total.values()), list(mean.values()))
                self.sum = total

    def _finish(self, start: int | None, last: int, data: TrialData) -> None:
        """Load the mean weights of the window, and keep them as the trial's result."""
        total, count = (self.sum, self.epochs_in_sum) if self.sum else (self.waiting[-1], 1)
        mean = {name: value / count for name, value in total.items()}
        self.network.load_tuned(mean)
        recompute_statistics(self.network, data.loader, self.train, self.seed)
        logits = predict_on_all_processes(self.network, data.loader, data.splits["val"].rows)
        loss = float(whole_loss(logits, data.splits["val"].y, self.multiclass))
        self.trial.criterion = data.criterion(logits) if math.isfinite(loss) else math.inf
        self.trial.epoch, self.trial.state = last, self.network.tuned()
        averaged = [start or last, last]
        self.trial.facts = {"averaged_epochs": averaged, "window_found": start is not None}

    def _tuned(self) -> State:
        return {n: p for n, p in self.network.named_parameters() if p.requires_grad}

    def _weights_now(self) -> State:
        return {name: p.detach().clone() for name, p in self._tuned().items()}


def find_window(
    losses: list[float], optimum_patience: int, overfit_patience: int, tolerance: float
) -> tuple[int | None, int | None]:
    """Return the first and last epoch to average, counted from 1: t_s and t_e of algorithm 1.

    Parameters
    ----------
    losses : list of float
        Validation loss after each epoch so far; one that is not finite counts as infinite.
    optimum_patience, overfit_patience : int
        N_s and N_e, at least 1.
    tolerance : float
        r, at least 1.

    Returns
    -------
    start, end : int or None
        None if not found yet.

    Examples
    --------
    >>> find_window([3, 2, 1, 2, 3, 4, 4], optimum_patience=3, overfit_patience=2, tolerance=1.3)
    (3, 4)
    """
    values = [value if math.isfinite(value) else math.inf for value in losses]
    start, limit = None, math.inf
    for i in range(1, len(values) + 1):
        if start is None:
            window = values[i - optimum_patience : i] if i >= optimum_patience else []
            if window and window[0] == min(window) < math.inf:
                start = i - optimum_patience + 1
                limit = tolerance * sum(window) / optimum_patience
        elif i >= overfit_patience and limit < min(values[i - overfit_patience : i]):
            return start, i - overfit_patience
    return start, None


@torch.no_grad()
def recompute_statistics(network: Network, loader: Loader, train: Split, seed: int) -> None:
    """Set running statistics of batch norms that are trained to those of the training images.

    Parameters
    ----------
    network : Network
        Changed in place; frozen batch norms keep theirs. Without others, nothing is done.
    loader : Loader
        Loads augmented images, as in training.
    train : Split
        The training images, divided among the processes.
    seed : int
        Of the trial.
    """
    network.train()
    norms = [
        module
        for module in network.modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm)
        and module.training
        and module.track_running_stats
    ]
    if not norms:
        return
    momenta = [module.momentum for module in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
    rows = np.array_split(train.rows, world_size())[process_rank()]
    for start in range(0, len(rows), BATCH):
        chunk = rows[start : start + BATCH]
        torch.manual_seed(derive_seed("swad", seed, start, process_rank()))
        key = (seed, "statistics", start, process_rank())
        x = loader.training_batch(chunk, np.arange(len(chunk)), key, 0).to(network.device)
        with precision(x.device)[1]():
            network(x, loader.level)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    average_buffers(network)


_KEPT = ("mean", "steps_in_mean", "waiting", "sum", "epochs_in_sum", "stopped")
"""What a checkpoint holds of the averages."""
