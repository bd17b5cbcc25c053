"""Training `end`: features of a group are made orthogonal, those of a class parallel across groups.

Tartaglione, Barbano, Grangetto 2021, "EnD: Entangling and Disentangling deep representations for
bias correction", CVPR (arXiv 2103.02023): a regulariser of the features before the head, scaled to
length 1. With g_ij = f_i f_j for the pairs i < j of a batch, and groups as bias classes,

    loss + alpha R_o + beta R_p,
    R_o = sum_b | sum of g_ij over pairs within group b | / number of such pairs of all groups,
    R_p = 1 - mean of (1 + g_ij) / 2 over pairs of the same class and different groups.

R_o disentangles (a group shares no direction), R_p entangles (a class looks alike in all groups).
Both are 0 if there is no such pair. These are the formulas of the authors' code (``EnD.py``).

Choices where paper and code leave one open:

- All pairs count. The code keeps pairs across groups only if the image of the later group comes
  first in the batch, so a random half of them.
- The features are those of the model's own embedding; the paper adds the term where its networks
  have their last hidden layer.
- With several tasks, R_p is the mean over tasks, each over the images whose label is known.
- With several processes, pairs are formed within each process's part of a batch.
"""

import torch
from torch import nn
from torch.nn.functional import normalize

from medaudit.adapt.finetune.features import WithFeatures
from medaudit.adapt.finetune.groups import GroupTrainer
from medaudit.adapt.finetune.losses import batch_loss
from medaudit.adapt.finetune.trainer import Batch
from medaudit.training.distributed import world_size
from medaudit.training.precision import precision


class Trainer(GroupTrainer):
    """Mean loss with the regulariser EnD.

    Parameters
    ----------
    network, entry, multiclass, key, train
        See `medaudit.adapt.finetune.trainer.Trainer`; `entry` also has ``end`` (``alpha``,
        ``beta``).
    """

    def trained_module(self) -> nn.Module:
        """Return the network, with its features."""
        return WithFeatures(self.network)

    def loss(self, batch: Batch, level: int) -> torch.Tensor:
        """Return this process's part of the loss, times the number of processes."""
        x, y, weights, codes, _ = batch
        with precision(x.device)[1]():
            features, logits = self.parallel(x, level)
        value = batch_loss(logits.float(), y, weights, self.multiclass) * world_size()
        unit = normalize(features.float(), dim=1)
        classes = y.argmax(dim=1)[:, None] if self.multiclass else y
        settings = self.entry["end"]
        entangle = torch.stack([entangling(unit, task, codes) for task in classes.unbind(dim=1)])
        penalty = (
            settings["alpha"] * disentangling(unit, codes) + settings["beta"] * entangle.mean()
        )
        return value + penalty


def disentangling(features: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    """Return R_o, a scalar in [0, 1]; 0 if no two images are of one group.

    Parameters
    ----------
    features : torch.Tensor
        [n, d], rows of length 1.
    groups : torch.Tensor
        [n], whole numbers; a negative one is no group.
    """
    together = (groups[:, None] == groups) & (groups >= 0)
    pairs = _first(together)
    gram = features @ features.T
    # The sum over the pairs of a group, at each of its images; each group is counted by its first.
    of_pairs = (gram * pairs).sum(dim=1)
    sums = together.to(gram.dtype) @ of_pairs
    first = together & (torch.cumsum(together, dim=1) == 1)
    leads = first.diagonal()
    return (sums.abs() * leads).sum() / pairs.sum().clamp(min=1)


def entangling(features: torch.Tensor, labels: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    """Return R_p, a scalar in [0, 1]; 0 if no class has images of two groups.

    Parameters
    ----------
    features : torch.Tensor
        [n, d], rows of length 1.
    labels : torch.Tensor
        [n], classes as numbers; NaN (unknown) is left out.
    groups : torch.Tensor
        [n], whole numbers; a negative one is no group.
    """
    known = torch.isfinite(labels) & (groups >= 0)
    alike = (labels[:, None] == labels) & (groups[:, None] != groups) & known[:, None] & known
    pairs = _first(alike)
    count = pairs.sum()
    mean = (pairs * (1 + features @ features.T) / 2).sum() / count.clamp(min=1)
    return torch.where(count > 0, 1 - mean, 0.0)


def _first(pairs: torch.Tensor) -> torch.Tensor:
    """Return each unordered pair once, as 0 and 1: float32 [n, n]."""
    return torch.triu(pairs.float(), diagonal=1)
