"""Training `domain_independent`: one head per group on shared features; their logits are summed.

Wang, Qinami, Karakozis, Genova, Nair, Hata, Russakovsky 2020, "Towards Fairness in Visual
Recognition: Effective Strategies for Bias Mitigation", CVPR (arXiv 1911.11834), domain-independent
training. In training, an image has the loss of its own group's head. At inference the group is not
used: with logits s_d of the head of group d,

    decision = argmax over y of sum_d s_d(y, x)    (classes);    score = sigmoid(sum_d s_d(x))    (a task).

The sum of linear heads is the linear head with summed weights and biases, so the network that
predicts is an ordinary one and needs no group. Summed logits are about as many times larger as there
are groups: their order, AUC and any threshold chosen on validation are not affected, probabilities
are overconfident. ``combine: mean`` divides by the number of groups, which changes no order.

The heads start like a new head, each with draws of its own.
"""

import numpy as np
import torch
from torch import nn

from medaudit.adapt.finetune.groups import GroupTrainer
from medaudit.adapt.finetune.losses import batch_loss
from medaudit.adapt.finetune.network import HEAD_STD, Network
from medaudit.adapt.finetune.trainer import Batch
from medaudit.adapt.finetune.trial import TrialData
from medaudit.core.seeds import derive_seed
from medaudit.training.distributed import world_size
from medaudit.training.precision import precision


class Trainer(GroupTrainer):
    """Mean loss, each image by the head of its group.

    Parameters
    ----------
    network, entry, multiclass, key, train
        See `medaudit.adapt.finetune.trainer.Trainer`; `entry` also has ``domain_independent``
        (``combine``: ``sum`` or ``mean``).
    """

    heads: nn.Linear
    """All heads as one layer with outputs [groups x tasks]; made together with the optimizer."""

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Return an optimizer over the tuned parameters and new heads."""
        self.optimizer = super().make_optimizer()
        torch.manual_seed(derive_seed("domain_independent", self.seed))
        head = self.network.head
        heads = nn.Linear(head.in_features, len(self.groups.names) * head.out_features)
        nn.init.trunc_normal_(heads.weight, std=self.entry.get("head_std", HEAD_STD))
        nn.init.zeros_(heads.bias)
        self.heads = self.add_trained(heads)
        return self.optimizer

    def trained_module(self) -> nn.Module:
        """Return encoder and heads; the network's own head takes no part in the loss."""
        return HeadOfGroup(self.network, self.heads)

    def state(self) -> dict:
        """Return the state of a checkpoint, with the heads."""
        return {**super().state(), "heads": self.heads.state_dict()}

    def restore(self, state: dict) -> int:
        """Resume from the state of a checkpoint; return the number of steps done."""
        step = super().restore(state)
        self.heads.load_state_dict(state["heads"])
        return step

    def loss(self, batch: Batch, level: int) -> torch.Tensor:
        """Return this process's part of the loss, times the number of processes."""
        x, y, weights, codes, _ = batch
        with precision(x.device)[1]():
            logits = self.parallel(x, level, codes)
        return batch_loss(logits.float(), y, weights, self.multiclass) * world_size()

    def validate(self, data: TrialData) -> np.ndarray:
        """Make the network's head the sum (mean) of all heads; return its validation logits."""
        weight, bias = combine(
            self.heads, len(self.groups.names), self.entry["domain_independent"]["combine"]
        )
        with torch.no_grad():
            self.network.head.weight.copy_(weight)
            self.network.head.bias.copy_(bias)
        return super().validate(data)


class HeadOfGroup(nn.Module):
    """The encoder with the heads of all groups, as one module."""

    def __init__(self, network: Network, heads: nn.Linear) -> None:
        super().__init__()
        self.tower, self.heads = network.tower, heads
        self.features, self.tasks = network.features, network.head.out_features

    def forward(self, x: torch.Tensor, level: int, codes: torch.Tensor) -> torch.Tensor:
        """Return the logits [n, tasks] of each image's own head."""
        features = self.features(x, level)
        return own_logits(self.heads(features), codes, self.tasks)


def own_logits(logits: torch.Tensor, codes: torch.Tensor, tasks: int) -> torch.Tensor:
    """Return the logits of each image's own head: [n, tasks].

    Parameters
    ----------
    logits : torch.Tensor
        [n, groups x tasks], head by head.
    codes : torch.Tensor
        int64 [n], each image's group; a negative one (no image) means the first.
    tasks : int
        Outputs of a head.
    """
    by_group = logits.view(len(logits), -1, tasks)
    return by_group[torch.arange(len(logits), device=logits.device), codes.clamp(min=0)]


@torch.no_grad()
def combine(heads: nn.Linear, groups: int, how: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weight [tasks, d] and bias [tasks] of the head with summed (or mean) logits."""
    weight = heads.weight.view(groups, -1, heads.in_features).sum(dim=0)
    bias = heads.bias.view(groups, -1).sum(dim=0)
    return (weight, bias) if how == "sum" else (weight / groups, bias / groups)
