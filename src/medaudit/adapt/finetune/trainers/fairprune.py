"""Training `fairprune`: prune weights that help only the privileged group, after fine-tuning.

Wu, Zeng, Xu, Shi, Hu 2022, "FairPrune: Achieving Fairness Through Pruning for Dermatological
Disease Diagnosis", MICCAI (arXiv 2203.02110), method section. To the second order, with gradients
that have vanished and a diagonal Hessian (LeCun, Denker, Solla 1989, "Optimal Brain Damage"),
setting weight i to 0 raises the loss of group g by s_i^g = 1/2 h_ii^g theta_i^2. A weight that
matters little to the unprivileged group (0) and much to the privileged one (1) has a small

    s_i = 1/2 theta_i^2 (h_ii^0 - beta h_ii^1).

The given fraction of weights with the smallest s_i is set to 0, in several passes; each pass
computes the saliencies of the network that the pass before has pruned. Nothing is trained after
pruning.

Choices where the paper leaves one open, or where a search needs one:

- h_ii is the mean, over a group's images, of the squared derivative of each image's loss (the
  empirical Fisher information). It uses training images, the same ones in each epoch.
- The unprivileged group is the one with the lowest validation AUC of the unpruned network; all
  other groups together are the privileged one. They are determined after each epoch.
- Weights are matrices and filters, including the head's; biases, norms and embeddings are kept.
- After each epoch the network is pruned, measured and restored, so that each value of a trial is a
  value of FairPrune. The fraction of pruned weights and beta are searched.
"""

from collections.abc import Iterable, Iterator

import numpy as np
import torch

from medaudit.adapt.finetune.inputs import Split
from medaudit.adapt.finetune.loader import Loader
from medaudit.adapt.finetune.losses import batch_loss, target_weights
from medaudit.adapt.finetune.network import Network
from medaudit.adapt.finetune.trainer import Batch
from medaudit.adapt.finetune.trainer import Trainer as BaseTrainer
from medaudit.adapt.finetune.trial import TrialData, TrialKey
from medaudit.adapt.finetune_settings import TrainingEntry
from medaudit.adapt.logits import mean_auc
from medaudit.core.entry_types.methods import MethodEntryObjectiveMinimum
from medaudit.core.errors import MedauditError
from medaudit.core.seeds import generator


class Trainer(BaseTrainer):
    """Fine-tuning with the network pruned before each validation.

    Parameters
    ----------
    network, entry, multiclass, key, train
        See `medaudit.adapt.finetune.trainer.Trainer`; `entry` also has ``pruning_ratio`` and
        ``beta`` (of the search point), ``fairprune`` (``passes``; ``images`` of each of the two
        groups), and ``objective.minimum``.
    """

    def __init__(
        self,
        network: Network,
        entry: TrainingEntry,
        multiclass: bool,
        key: TrialKey,
        train: Split,
    ) -> None:
        super().__init__(network, entry, multiclass, key, train)
        self.unpruned: dict | None = None
        self.facts: dict = {}

    def state(self) -> dict:
        """Return the state of a checkpoint, with the unpruned weights."""
        self._restore_unpruned()
        return super().state()

    def update(self, batch: Batch, step: int, images: int, level: int = 0) -> torch.Tensor:
        """Take one step from the unpruned weights."""
        self._restore_unpruned()
        return super().update(batch, step, images, level)

    def validate(self, data: TrialData) -> np.ndarray:
        """Prune the network, and return its logits of the validation split."""
        logits = super().validate(data)
        if not np.isfinite(logits).all():
            return logits
        self.unpruned = self.network.tuned()
        self._prune(data, logits)
        return super().validate(data)

    def record_epoch(self, logits: np.ndarray, data: TrialData) -> None:
        """Record the epoch; for the best one also which groups decided what was pruned."""
        super().record_epoch(logits, data)
        if self.trial.epoch == len(self.trial.curve):
            self.trial.facts = self.facts

    def _restore_unpruned(self) -> None:
        if self.unpruned is not None:
            self.network.load_tuned(self.unpruned)
            self.unpruned = None

    def _prune(self, data: TrialData, logits: np.ndarray) -> None:
        """Prune the network in several passes; `logits` are the unpruned network's."""
        val, train = data.splits["val"], data.splits["train"]
        groups = check_groups(train.groups)
        assert val.groups is not None  # both splits have groups, or neither
        minimum = self.entry["objective"]["minimum"]
        aucs = group_aucs(logits, val.y, val.groups, minimum, self.multiclass)
        worst, others = split_groups(aucs)
        weights = prunable(self.network)
        chosen = [self._draw(groups, names) for names in ([worst], others)]
        passes, total = self.entry["fairprune"]["passes"], sum(w.numel() for w in weights)
        pruned = torch.zeros(total, dtype=torch.bool, device=self.network.device)
        for done in range(1, passes + 1):
            unprivileged, privileged = (
                saliency(weights, squared_derivatives(self._losses(data.loader, train, c), weights))
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
        """Return the positions of random training images of some groups."""
        of_these = np.flatnonzero(np.isin(groups, names))
        if not len(of_these):
            raise MedauditError(
                f"fairprune: no training image is in the groups {names}, so their loss cannot be "
                "computed: choose another objective.attribute, a larger `subset`, or another split"
            )
        count = min(self.entry["fairprune"]["images"], len(of_these))
        rng = generator("fairprune", self.seed, *names)
        return np.sort(rng.choice(of_these, count, replace=False))

    def _losses(self, loader: Loader, train: Split, chosen: np.ndarray) -> Iterator[torch.Tensor]:
        """Yield the loss of each of the chosen training images."""
        self.network.eval()
        weights = self._class_weights(train.y)
        for number in chosen:
            one = train.take(np.array([number]))
            key = ("fairprune", self.seed, number)
            x = loader.training_batch(one.rows, np.arange(1), key, 0)
            counts = torch.from_numpy(target_weights(one.y, weights, self.multiclass))
            y, counts = (t.to(self.network.device) for t in (torch.from_numpy(one.y), counts))
            logits = self.network(x.to(self.network.device), loader.level)
            yield batch_loss(logits.float(), y, counts, self.multiclass)


def check_groups(groups: np.ndarray | None) -> np.ndarray:
    """Return the groups of images, or raise a `MedauditError` if no image has one."""
    if groups is None or not (groups != "").any():
        raise MedauditError(
            "fairprune needs the group of each training image, and no image has one: set "
            "objective.attribute to an attribute that the training images have"
        )
    return groups


def group_aucs(
    logits: np.ndarray,
    y: np.ndarray,
    groups: np.ndarray,
    minimum: MethodEntryObjectiveMinimum,
    multiclass: bool,
) -> dict[str, float]:
    """Return each group's mean AUC over tasks; groups without an AUC are left out.

    Parameters
    ----------
    logits, y : numpy.ndarray
        [n, tasks]; `y` is 1, 0 or NaN.
    groups : numpy.ndarray
        Text [n]; images with an empty group are left out.
    minimum : dict
        ``n``, ``n_pos``, ``n_neg``: groups with fewer images are left out, and so are tasks with
        fewer positives or negatives in the group.
    multiclass : bool
        Rank softmax probabilities instead of logits.
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
    """Return the unprivileged group (lowest AUC; first by name if equal) and all others.

    Raises
    ------
    MedauditError
        There are fewer than two groups.
    """
    if len(aucs) < 2:
        raise MedauditError(
            f"fairprune needs at least two groups with an AUC on validation; there are "
            f"{sorted(aucs)}: choose another objective.attribute, lower objective.minimum, or "
            "enlarge the validation split"
        )
    worst = min(sorted(aucs), key=lambda name: aucs[name])
    return worst, [name for name in sorted(aucs) if name != worst]


def prunable(network: Network) -> list[torch.nn.Parameter]:
    """Return the tuned weight matrices and filters of a network, the candidates for pruning."""
    return [
        parameter
        for name, parameter in network.named_parameters()
        if parameter.requires_grad and parameter.ndim > 1 and name.endswith("weight")
    ]


def squared_derivatives(
    losses: Iterable[torch.Tensor], weights: list[torch.Tensor]
) -> list[torch.Tensor]:
    """Return the squared derivatives of each image's loss, averaged over images.

    Parameters
    ----------
    losses : iterable of torch.Tensor
        The loss of each image, with its graph.
    weights : list of torch.Tensor
        Tensors to differentiate by; the derivative is 0 where a loss does not depend on them.

    Returns
    -------
    list of torch.Tensor
        One tensor for each of `weights`, of its shape.
    """
    # One image at a time: squaring the gradient of a batch would give the square of the mean, not
    # the mean of the squares.
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
    """Return 1/2 h theta^2 of all weights in one flat tensor: the saliency of LeCun et al. 1989."""
    pairs = zip(weights, curvature, strict=True)
    return torch.cat([(0.5 * h * weight.square()).reshape(-1) for weight, h in pairs])


@torch.no_grad()
def prune(
    weights: list[torch.Tensor], scores: torch.Tensor, pruned: torch.Tensor, count: int
) -> None:
    """Set the weights with the smallest scores to 0 until `count` weights are pruned in all.

    Parameters
    ----------
    weights : list of torch.Tensor
        Changed in place.
    scores : torch.Tensor
        Flat [all weights]; between equal scores, the first weight is pruned.
    pruned : torch.Tensor
        Flat bool [all weights]: weights that are pruned already and stay so. Changed in place.
    count : int
        From the number of weights pruned already to the number of all weights.
    """
    missing = count - int(pruned.sum())
    if missing > 0:
        scores = scores.masked_fill(pruned, torch.inf)
        # Exactly `missing` weights: all below the limit, then as many of the equal ones as needed.
        limit = torch.kthvalue(scores, missing).values
        below = scores < limit
        equal = torch.nonzero(scores == limit)[: missing - int(below.sum())]
        pruned |= below
        pruned[equal.squeeze(1)] = True
    for weight, part in zip(
        weights, pruned.split([weight.numel() for weight in weights]), strict=True
    ):
        weight.masked_fill_(part.view_as(weight), 0)
