"""FairPrune: after fine-tuning, weights that serve the privileged group alone are set to 0.

Wu, Zeng, Xu, Shi, Hu 2022, "FairPrune: Achieving Fairness Through Pruning for Dermatological
Disease Diagnosis", MICCAI (arXiv 2203.02110), method section. To the second order, with gradients
that have vanished and a diagonal Hessian (LeCun, Denker, Solla 1989, "Optimal Brain Damage"),
setting weight i to 0 raises the loss of group g by s_i^g = 1/2 h_ii^g theta_i^2. What costs the
unprivileged group (0) little and the privileged one (1) much has a small

    s_i = 1/2 theta_i^2 (h_ii^0 - beta h_ii^1),

and the given share of weights with the smallest s_i is set to 0, in several passes, each with
saliencies of the network as it then is. Nothing is trained after that.

Here, where the paper leaves a choice or a search needs one:

- h_ii is the mean over a group's images of the squared derivative of each image's loss (the
  empirical Fisher information), on training images, the same in each epoch.
- The unprivileged group has the lowest AUC of the unpruned network on validation; the privileged
  one is all other groups together (of two groups: the other). It is decided once an epoch.
- Weights are matrices and filters, the head's too; biases, norms and embeddings stay.
- After each epoch the network is pruned, measured and put back. So each value of a trial is one of
  FairPrune. The share of pruned weights and beta are searched.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from medaudit.adapt.finetune.loader import Feed
from medaudit.adapt.finetune.losses import batch_loss, target_weights
from medaudit.adapt.finetune.network import Network
from medaudit.adapt.finetune.trainer import Trainer as Finetuning
from medaudit.adapt.finetune.trial import Data
from medaudit.adapt.logits import mean_auc
from medaudit.core.errors import MedauditError
from medaudit.core.seeds import generator


class Trainer(Finetuning):
    """Fine-tuning whose network is pruned before it is measured.

    Parameters
    ----------
    network, entry, multiclass, key
        See `medaudit.adapt.finetune.trainer.Trainer`; `entry` also has ``pruning_ratio`` and ``beta`` (of
        the point), ``fairprune`` (``passes``, ``images`` of each of the two groups), and
        ``objective.minimum``.
    """

    def __init__(self, network: Network, entry: dict, multiclass: bool, key: tuple) -> None:
        super().__init__(network, entry, multiclass, key)
        self.unpruned: dict | None = None
        self.facts: dict = {}

    def state(self) -> dict:
        """Return what a checkpoint keeps: the unpruned weights."""
        self._put_back()
        return super().state()

    def update(self, batch: tuple, step: int, images: int, level: int = 0) -> float:
        """Take one step from the unpruned weights."""
        self._put_back()
        return super().update(batch, step, images, level)

    def validate(self, data: Data) -> np.ndarray:
        """Prune, and return the logits of the validation split."""
        logits = super().validate(data)
        if not np.isfinite(logits).all():
            return logits
        self.unpruned = self.network.tuned()
        self._prune(data, logits)
        return super().validate(data)

    def note(self, logits: np.ndarray, data: Data) -> None:
        """Note the epoch; of the best one also what was pruned."""
        super().note(logits, data)
        if self.trial.epoch == len(self.trial.curve):
            self.trial.facts = self.facts

    def _put_back(self) -> None:
        if self.unpruned is not None:
            self.network.load_tuned(self.unpruned)
            self.unpruned = None

    def _prune(self, data: Data, logits: np.ndarray) -> None:
        val, train = data.splits["val"], data.splits["train"]
        check_groups(train.groups)
        minimum = self.entry["objective"]["minimum"]
        aucs = group_aucs(logits, val.y, val.groups, minimum, self.multiclass)
        worst, others = split_groups(aucs)
        weights = prunable(self.network)
        chosen = [self._draw(train.groups, names) for names in ([worst], others)]
        passes, total = self.entry["fairprune"]["passes"], sum(w.numel() for w in weights)
        pruned = torch.zeros(total, dtype=torch.bool, device=self.network.device)
        for done in range(1, passes + 1):
            unprivileged, privileged = (
                saliency(weights, squared_derivatives(self._losses(data.feed, train, c), weights))
                for c in chosen
            )
            count = round(self.entry["pruning_ratio"] * total * done / passes)
            prune(weights, unprivileged - self.entry["beta"] * privileged, pruned, count)
        self.facts = {
            "unprivileged": worst,
            "privileged": others,
            "pruned": int(pruned.sum()),
            "prunable": total,
        }

    def _draw(self, groups: np.ndarray, names: list[str]) -> np.ndarray:
        """Return numbers of training images of some groups."""
        of_these = np.flatnonzero(np.isin(groups, names))
        if not len(of_these):
            raise MedauditError(
                f"fairprune: no training image is of {names}, whose loss is to be weighed: take "
                "another objective.attribute, a larger subset, or another split"
            )
        count = min(self.entry["fairprune"]["images"], len(of_these))
        rng = generator("fairprune", self.seed, *names)
        return np.sort(rng.choice(of_these, count, replace=False))

    def _losses(self, feed: Feed, train, chosen: np.ndarray) -> Iterator[torch.Tensor]:
        """Yield the loss of each of the chosen training images."""
        self.network.eval()
        weights = self._class_weights(train.y)
        for number in chosen:
            one = train.take(np.array([number]))
            x = feed.training(one.rows, np.arange(1), ("fairprune", self.seed, number), 0)
            counts = torch.from_numpy(target_weights(one.y, weights, self.multiclass))
            y, counts = (t.to(self.network.device) for t in (torch.from_numpy(one.y), counts))
            logits = self.network(x.to(self.network.device), feed.level)
            yield batch_loss(logits.float(), y, counts, self.multiclass)


def check_groups(groups: np.ndarray | None) -> None:
    """Raise a `MedauditError` where images have no groups to be fair to."""
    if groups is None or not (groups != "").any():
        raise MedauditError(
            "the training needs each image's group and there is none: set objective.attribute to "
            "an attribute that the training images have"
        )


def group_aucs(
    logits: np.ndarray, y: np.ndarray, groups: np.ndarray, minimum: dict, multiclass: bool
) -> dict[str, float]:
    """Return the mean AUC over tasks of each group that has one.

    Parameters
    ----------
    logits, y : numpy.ndarray
        [n, tasks]; `y` is 1, 0 or NaN.
    groups : numpy.ndarray
        Text [n]; images of the empty group take no part.
    minimum : dict
        ``n``, ``n_pos``, ``n_neg``: a group with fewer images takes no part, and neither does a
        task with fewer positives or negatives in it.
    multiclass : bool
        Rank softmax probabilities.
    """
    found = {}
    for name in np.unique(groups[groups != ""]):
        inside = groups == name
        truth, limits = y[inside], ((1, minimum["n_pos"]), (0, minimum["n_neg"]))
        enough = np.all([(truth == c).sum(axis=0) >= least for c, least in limits], axis=0)
        if inside.sum() >= minimum["n"] and enough.any():
            truth = np.where(enough, truth, np.nan)
            found[str(name)] = float(mean_auc(logits[inside], truth, multiclass))
    return found


def split_groups(aucs: dict[str, float]) -> tuple[str, list[str]]:
    """Return the unprivileged group (lowest AUC, the first of equal ones) and the others.

    Raises
    ------
    MedauditError
        There are fewer than two groups.
    """
    if len(aucs) < 2:
        raise MedauditError(
            f"fairprune needs two groups with an AUC on validation; there are {sorted(aucs)}: "
            "take another objective.attribute, lower objective.minimum, or a larger split"
        )
    worst = min(sorted(aucs), key=aucs.get)
    return worst, [name for name in sorted(aucs) if name != worst]


def prunable(network: Network) -> list[torch.nn.Parameter]:
    """Return the tuned weight matrices and filters of a network."""
    return [
        parameter
        for name, parameter in network.named_parameters()
        if parameter.requires_grad and parameter.ndim > 1 and name.endswith("weight")
    ]


def squared_derivatives(
    losses: Iterable[torch.Tensor], weights: list[torch.Tensor]
) -> list[torch.Tensor]:
    """Return the mean over images of each image's squared derivatives, by weight tensor.

    Parameters
    ----------
    losses : iterable of torch.Tensor
        The loss of one image each, with its graph.
    weights : list of torch.Tensor
        What is derived by; a weight that a loss does not depend on has derivative 0.
    """
    sums, count = [torch.zeros_like(weight) for weight in weights], 0
    for loss in losses:
        gradients = torch.autograd.grad(loss, weights, allow_unused=True)
        for total, gradient in zip(sums, gradients, strict=True):
            if gradient is not None:
                total.addcmul_(gradient, gradient)
        count += 1
    return [total / count for total in sums]


@torch.no_grad()
def saliency(weights: list[torch.Tensor], curvature: list[torch.Tensor]) -> torch.Tensor:
    """Return 1/2 h theta^2 of all weights, flat: the saliency of LeCun et al. 1989."""
    pairs = zip(weights, curvature, strict=True)
    return torch.cat([(0.5 * h * weight.square()).reshape(-1) for weight, h in pairs])


@torch.no_grad()
def prune(
    weights: list[torch.Tensor], scores: torch.Tensor, pruned: torch.Tensor, count: int
) -> None:
    """Set weights with the smallest scores to 0, so that `count` of them are pruned in all.

    Parameters
    ----------
    weights : list of torch.Tensor
        Changed in place.
    scores : torch.Tensor
        Flat; of equal scores the first goes first.
    pruned : torch.Tensor
        Flat, bool: which are already 0, and stay so. Changed in place.
    count : int
        0 to the number of weights; at least as many as are pruned.
    """
    missing = count - int(pruned.sum())
    if missing > 0:
        scores = scores.masked_fill(pruned, torch.inf)
        limit = torch.kthvalue(scores, missing).values
        below = scores < limit
        equal = torch.nonzero(scores == limit)[: missing - int(below.sum())]
        pruned |= below
        pruned[equal.squeeze(1)] = True
    for weight, part in zip(
        weights, pruned.split([weight.numel() for weight in weights]), strict=True
    ):
        weight.masked_fill_(part.view_as(weight), 0)
