"""The network as a module that also returns its features, for losses on both."""

import torch
from torch import nn

from medaudit.adapt.finetune.network import Network


class WithFeatures(nn.Module):
    """A network, perhaps with further modules that the loss applies to its features.

    Distributed training averages the gradients of everything in this module.

    Parameters
    ----------
    network : Network
        Its head maps features to logits.
    **parts : torch.nn.Module
        Applied to the features, by name.
    """

    def __init__(self, network: Network, **parts: nn.Module) -> None:
        super().__init__()
        self.network, self.parts = network, nn.ModuleDict(parts)

    def forward(self, x: torch.Tensor, level: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return features [n, d] and logits [n, tasks]; see `Network.forward`."""
        features = self.network.features(x, level)
        return features, self.network.head(features)
