"""Training `lnl` (learning not to learn): features from which an adversary cannot tell the group.

Kim, Kim, Kim, Kim, Kim 2019, "Learning Not to Learn: Training Deep Neural Networks With Biased
Data", CVPR (arXiv 1812.10352), section 3: with encoder f, classifier g and a bias predictor h that
returns the probabilities Q of the groups,

    min over f, g  max over h   L_c(f, g) + lambda E[ sum_b Q_b log Q_b ] - mu L_B(f, h).

L_c is the loss of the tasks, L_B the cross-entropy of h. h learns to tell the group; a gradient
reversal of strength mu makes f unlearn it; the negative entropy, whose gradient goes to f alone,
asks for uniform answers. lambda is ``lnl.entropy_weight`` and mu ``lnl.reversal``.

Choices where paper and code leave one open:

- Both parts are descended in one step of the method's optimizer, at the simultaneous gradient. The
  authors' code alternates two steps, one for L_c and the entropy and one for L_B.
- h has one hidden layer on the model's embedding (``lnl.hidden`` units). The authors' h is a small
  convolutional network on an early layer, which only their architectures have.
- L_B and the entropy are means over the images of the whole batch, also over several processes.
"""

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from medaudit.adapt.finetune.features import WithFeatures
from medaudit.adapt.finetune.groups import GroupTrainer
from medaudit.adapt.finetune.losses import batch_loss
from medaudit.adapt.finetune.network import Network
from medaudit.adapt.finetune.trainer import Batch
from medaudit.core.seeds import derive_seed
from medaudit.training.distributed import world_size
from medaudit.training.precision import precision


class Trainer(GroupTrainer):
    """Mean loss against an adversary on the features.

    Parameters
    ----------
    network, entry, multiclass, key, train
        See `medaudit.adapt.finetune.trainer.Trainer`; `entry` also has ``lnl``
        (``entropy_weight``, ``reversal``, ``hidden``).
    """

    adversary: nn.Module
    """h, maps features to logits of the groups; made together with the optimizer."""

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Return an optimizer over the tuned parameters and a new adversary."""
        self.optimizer = super().make_optimizer()
        torch.manual_seed(derive_seed("lnl", self.seed))
        width, hidden = self.network.head.in_features, self.entry["lnl"]["hidden"]
        layers = (nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, len(self.groups.names)))
        self.adversary = self.add_trained(nn.Sequential(*layers))
        return self.optimizer

    def trained_module(self) -> nn.Module:
        """Return the network and the adversary."""
        return Opposed(self.network, self.adversary, self.entry["lnl"]["reversal"])

    def state(self) -> dict:
        """Return the state of a checkpoint, with the adversary; the optimizer holds its state too."""
        return {**super().state(), "adversary": self.adversary.state_dict()}

    def restore(self, state: dict) -> int:
        """Resume from the state of a checkpoint; return the number of steps done."""
        step = super().restore(state)
        self.adversary.load_state_dict(state["adversary"])
        return step

    def loss(self, batch: Batch, level: int) -> torch.Tensor:
        """Return this process's part of the loss, times the number of processes."""
        x, y, weights, codes, share = batch
        with precision(x.device)[1]():
            logits, frozen, reversed_ = self.parallel(x, level)
        value = batch_loss(logits.float(), y, weights, self.multiclass)
        terms = self.entry["lnl"]["entropy_weight"] * negative_entropy(frozen.float())
        terms = terms + cross_entropy(reversed_.float(), codes.clamp(min=0), reduction="none")
        return (value + (terms * share).sum()) * world_size()


class Opposed(WithFeatures):
    """The network with its adversary.

    Parameters
    ----------
    network : Network
    adversary : torch.nn.Module
        Maps features to logits of the groups.
    reversal : float
        mu, the factor of the reversed gradient.
    """

    def __init__(self, network: Network, adversary: nn.Module, reversal: float) -> None:
        super().__init__(network, adversary=adversary)
        self.reversal = reversal

    def forward(self, x: torch.Tensor, level: int) -> tuple[torch.Tensor, ...]:
        """Return logits, and the adversary's: with gradients to features only, and reversed ones."""
        features, logits = super().forward(x, level)
        adversary = self.parts["adversary"]
        fixed = {name: value.detach() for name, value in adversary.named_parameters()}
        frozen = functional_call(adversary, fixed, (features,))
        return logits, frozen, adversary(reverse_gradient(features, self.reversal))


def reverse_gradient(features: torch.Tensor, strength: float) -> torch.Tensor:
    """Return the features; gradients flow back times ``-strength`` (Ganin & Lempitsky 2015)."""
    still = features.detach()
    return still + strength * (still - features)


def negative_entropy(logits: torch.Tensor) -> torch.Tensor:
    """Return sum_b Q_b log Q_b of the softmax Q of each row: [n], from -log groups to 0."""
    return (logits.softmax(dim=1) * logits.log_softmax(dim=1)).sum(dim=1)
