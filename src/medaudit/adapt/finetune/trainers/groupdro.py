"""Training `groupdro`: minimise the loss of the worst group (distributionally robust optimisation).

Sagawa, Koh, Hashimoto, Liang 2020, "Distributionally Robust Neural Networks for Group Shifts",
ICLR (arXiv 1911.08731), algorithm 1 and section 3.3. Weights q of the m groups start at 1/m. In each
step, for the groups in the batch,

    q_g <- q_g exp(eta (l_g + C / sqrt(n_g))),    then q <- q / sum q,

and the step descends along the gradient of sum_g q_g l_g; l_g is the mean loss of the group's
images in the batch, n_g its training images, eta ``step_size``, C ``adjustment``: small groups
generalise worse, so that their loss counts for more.

Choices where the paper leaves one open:

- Batches are drawn so that groups are equally frequent, as algorithm 1 draws g uniformly.
- A group without an image in a batch keeps its q before the division by the sum: the algorithm
  updates the weights of drawn groups only. (The authors' code multiplies it by exp(eta C / sqrt n).)
- With several tasks, l_g is the mean over the group's known labels. Class weights apply inside it.
- Over several processes, l_g is that of the whole batch, so all processes have the same q.
"""

import numpy as np
import torch

from medaudit.adapt.finetune.losses import image_losses, target_weights
from medaudit.adapt.finetune.trainer import Batch
from medaudit.adapt.finetune.trainers import resampling
from medaudit.adapt.finetune.trial import TrialData
from medaudit.training.distributed import sum_over_processes, world_size
from medaudit.training.precision import precision


class Trainer(resampling.Trainer):
    """Weighted sum of the groups' losses; the weights follow the losses.

    Parameters
    ----------
    network, entry, multiclass, key, train
        See `medaudit.adapt.finetune.trainer.Trainer`; `entry` also has ``groupdro``
        (``step_size``: eta; ``adjustment``: C).
    """

    group_weights: torch.Tensor
    """q, float32 [groups], sum 1."""

    def _prepare(self) -> None:
        super()._prepare()
        count = len(self.groups.names)
        self.group_weights = torch.full((count,), 1 / count, device=self.network.device)
        adjustment = self.entry["groupdro"]["adjustment"] / np.sqrt(self.groups.counts)
        self.adjustment = torch.tensor(adjustment, dtype=torch.float32).to(self.network.device)

    def state(self) -> dict:
        """Return the state of a checkpoint, with the weights of the groups."""
        return {**super().state(), "group_weights": self.group_weights}

    def restore(self, state: dict) -> int:
        """Resume from the state of a checkpoint; return the number of steps done."""
        step = super().restore(state)
        self.group_weights = state["group_weights"]
        return step

    def chances(self) -> np.ndarray:
        """Return the probability of each training image: groups are equally frequent."""
        return resampling.draw_chances(self.groups, self.train, "group", self.multiclass)

    def weigh(self, chosen: np.ndarray) -> np.ndarray:
        """Return weights with which each group's losses sum to its mean loss: float32 [n, tasks]."""
        y, codes = self.train.y[chosen], self.groups.codes[chosen]
        classes = self._class_weights(self.train.y)
        weights = np.zeros(y.shape, np.float32)
        for code in np.unique(codes):
            weights[codes == code] = target_weights(y[codes == code], classes, self.multiclass)
        return weights

    def extras(self, chosen: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the group codes of this process's part, and for each image all groups drawn."""
        codes, _ = super().extras(chosen, part)
        drawn = np.isin(np.arange(len(self.groups.names)), self.groups.codes[chosen])
        return codes, np.broadcast_to(drawn, (len(codes), len(drawn))).copy()

    def loss(self, batch: Batch, level: int) -> torch.Tensor:
        """Return this process's part of the weighted loss; the weights are updated first."""
        x, y, weights, codes, drawn = batch
        with precision(x.device)[1]():
            logits = self.parallel(x, level)
        losses = image_losses(logits.float(), y, weights, self.multiclass)
        members = codes[:, None] == torch.arange(len(self.groups.names), device=codes.device)
        group_losses = (losses[:, None] * members).sum(dim=0)
        whole = sum_over_processes(group_losses.detach())
        step_size = self.entry["groupdro"]["step_size"]
        self.group_weights = update_weights(
            self.group_weights, whole + self.adjustment, drawn[0], step_size
        )
        return (self.group_weights * group_losses).sum() * world_size()

    def record_epoch(self, logits: np.ndarray, data: TrialData) -> None:
        """Record the epoch; for the best one also the weights of the groups."""
        super().record_epoch(logits, data)
        if self.trial.epoch == len(self.trial.curve):
            weights = zip(self.groups.names, self.group_weights.tolist(), strict=True)
            self.trial.facts = {"group_weights": {name: round(q, 6) for name, q in weights}}


def update_weights(
    weights: torch.Tensor, losses: torch.Tensor, drawn: torch.Tensor, step_size: float
) -> torch.Tensor:
    """Return the weights of the groups after a step of algorithm 1: [groups], sum 1.

    Parameters
    ----------
    weights : torch.Tensor
        q, [groups], sum 1.
    losses : torch.Tensor
        [groups], adjusted losses.
    drawn : torch.Tensor
        bool [groups], whether a group has an image in the batch.
    step_size : float
        eta.
    """
    # A softmax of log q + eta l: exp of a large loss alone would overflow.
    moved = weights.log() + step_size * torch.where(drawn, losses, 0)
    return moved.softmax(dim=0)
