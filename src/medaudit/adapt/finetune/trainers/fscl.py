"""Training `fscl`: a fair supervised contrastive loss for the encoder, then a linear classifier.

Park, Lee, Lee, Hwang, Kim, Byun 2022, "Fair Contrastive Learning for Facial Attribute
Classification", CVPR (arXiv 2203.16209), method section: the fair supervised contrastive loss and
its group-wise normalisation (FSCL+). Each image is seen in two views, whose projections z have
length 1. The loss pulls an anchor i to the views p of its class, and pushes it away from the views
n of other classes *in its own group*, so that features that tell groups apart do not help:

    l_ip = -log( exp(z_i z_p / tau) / sum_n exp(z_i z_n / tau) ).

Group-wise normalisation gives all groups equal weight, as positives and as anchors: l_ip is averaged
over the positives of each group, then over these groups; the result is averaged over the anchors of
each class and group, then over these cells. (The authors' code also divides by 0.07 / tau, a
constant, and counts an anchor among the positives of groups it is not in.)

Choices where the paper leaves one open, or where a search needs one:

- After each epoch, logistic regression is fitted to the frozen encoder's features of the training
  images and becomes the network's head, so that each value of a trial is a value of FSCL. The paper
  minimises the same loss by gradient descent.
- An anchor without a negative in its batch is left out. Images without a group are left out of the
  contrastive loss and used for the classifier. The level "unknown" is a group like any other.
- With several tasks, the loss is averaged over tasks, each for the images whose label is known.
  With several processes, pairs are formed within each process's part of a batch.
"""

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize

from medaudit.adapt.finetune.inputs import Split
from medaudit.adapt.finetune.loader import Loader
from medaudit.adapt.finetune.losses import batch_loss, target_weights
from medaudit.adapt.finetune.network import Network
from medaudit.adapt.finetune.trainer import Batch
from medaudit.adapt.finetune.trainer import Trainer as BaseTrainer
from medaudit.adapt.finetune.trial import TrialData, TrialKey
from medaudit.adapt.finetune_settings import TrainingEntry
from medaudit.adapt.targets import CONSTANT
from medaudit.core.errors import MedauditError
from medaudit.core.seeds import derive_seed
from medaudit.training.distributed import Processes
from medaudit.training.precision import precision

BATCH = 128
"""Images per forward pass when features for the classifier are computed."""


class Trainer(BaseTrainer):
    """Contrastive training of the tuned parameters, with a classifier fitted after each epoch.

    Parameters
    ----------
    network, entry, multiclass, key, train
        See `medaudit.adapt.finetune.trainer.Trainer`; `entry` also has ``fscl`` (``temperature``,
        ``projection``: length of z).

    Raises
    ------
    MedauditError
        Images have no augmentation or a single fixed view, so both views would be the same.
    """

    projection: nn.Module
    """Maps features to z; made together with the optimizer."""

    def __init__(
        self,
        network: Network,
        entry: TrainingEntry,
        multiclass: bool,
        key: TrialKey,
        train: Split,
    ) -> None:
        if not entry.get("augmentation") or entry.get("views") == 1:
            raise MedauditError(
                f"fscl compares two views of each image, but augmentation is "
                f"{entry.get('augmentation')} and views is {entry.get('views')}: set `augmentation`, "
                "and `views` to null or at least 2"
            )
        super().__init__(network, entry, multiclass, key, train)

    def make_optimizer(self) -> torch.optim.Optimizer:
        """Return an optimizer over the tuned parameters and a new projection."""
        optimizer = super().make_optimizer()
        torch.manual_seed(derive_seed("fscl", self.seed))
        width, length = self.network.head.in_features, self.entry["fscl"]["projection"]
        layers = (nn.Linear(width, width), nn.ReLU(), nn.Linear(width, length))
        self.projection = nn.Sequential(*layers).to(self.network.device)
        decay = self.entry["weight_decay"]
        for decayed, part in ((decay, "weight"), (0.0, "bias")):
            chosen = [p for name, p in self.projection.named_parameters() if name.endswith(part)]
            optimizer.add_param_group({"params": chosen, "weight_decay": decayed})
        return optimizer

    def trained_module(self) -> nn.Module:
        """Return encoder and projection; the head takes no part in the loss."""
        return Projected(self.network, self.projection)

    def state(self) -> dict:
        """Return the state of a checkpoint, with the projection."""
        return {**super().state(), "projection": self.projection.state_dict()}

    def restore(self, state: dict) -> int:
        """Resume from the state of a checkpoint; return the number of steps done."""
        step = super().restore(state)
        self.projection.load_state_dict(state["projection"])
        return step

    def _batch(self, loader: Loader, train: Split, step: int, processes: Processes) -> Batch:
        """Return two views, targets and group codes of this process's part of a step."""
        if train.groups is None or not (train.groups != "").any():
            raise MedauditError(
                "fscl needs the group of each training image, and no image has one: set "
                "objective.attribute to an attribute that the training images have"
            )
        epoch, chosen, part = self.choose(len(train.rows), step, processes)
        rows, part = train.rows[chosen], part if len(part) else np.arange(1)
        # Epoch and epoch + 1 show different fixed views; new views differ by their key.
        views = [
            loader.training_batch(rows, part, (self.seed, step, v), epoch + v) for v in range(2)
        ]
        names = np.unique(train.groups[train.groups != ""])
        group = train.groups[chosen[part]]
        codes = np.where(group == "", -1, np.searchsorted(names, group))
        return self.on_device(*views, train.y[chosen[part]], codes)

    def loss(self, batch: Batch, level: int) -> torch.Tensor:
        """Return the contrastive loss of a batch, averaged over tasks."""
        first, second, y, groups = batch
        x = torch.cat([first, second])
        with precision(x.device)[1]():
            z = self.parallel(x, level)
        z = normalize(z.float(), dim=1)
        classes = y.argmax(dim=1)[:, None] if self.multiclass else y
        tau, groups = self.entry["fscl"]["temperature"], groups.repeat(2)
        found = [contrast(z, task.repeat(2), groups, tau) for task in classes.unbind(dim=1)]
        return torch.stack(found).mean()

    def validate(self, data: TrialData) -> np.ndarray:
        """Fit the classifier to the current encoder, and return the validation logits."""
        train = data.splits["train"]
        x = self._features(data.loader, train.rows)
        if np.isfinite(x).all():
            weights = target_weights(train.y, self._class_weights(train.y), self.multiclass)
            weight, bias = fit_classifier(x, train.y, weights, self.multiclass)
            with torch.no_grad():
                self.network.head.weight.copy_(torch.from_numpy(weight))
                self.network.head.bias.copy_(torch.from_numpy(bias))
        return super().validate(data)

    @torch.inference_mode()
    def _features(self, loader: Loader, rows: np.ndarray) -> np.ndarray:
        """Return the features of one view of each training image: float64 [n, d]."""
        self.network.eval()
        parts = []
        for start in range(0, len(rows), BATCH):
            chunk = rows[start : start + BATCH]
            key = (self.seed, "classifier", start)
            x = loader.training_batch(chunk, np.arange(len(chunk)), key, 0)
            x = x.to(self.network.device)
            with precision(x.device)[1]():
                parts.append(self.network.features(x, loader.level).double().cpu())
        return torch.cat(parts).numpy()


class Projected(nn.Module):
    """The encoder with the projection above it, as one module."""

    def __init__(self, network: Network, projection: nn.Module) -> None:
        super().__init__()
        self.tower, self.projection = network.tower, projection
        self.features = network.features

    def forward(self, x: torch.Tensor, level: int) -> torch.Tensor:
        """Return z [n, length], not normalised."""
        return self.projection(self.features(x, level))


def contrast(
    z: torch.Tensor, labels: torch.Tensor, groups: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Return the fair supervised contrastive loss with group-wise normalisation (FSCL+).

    Parameters
    ----------
    z : torch.Tensor
        [n, d], rows of length 1.
    labels : torch.Tensor
        [n], classes as numbers; NaN (unknown) is left out.
    groups : torch.Tensor
        [n], groups as whole numbers; -1 (unknown) is left out.
    temperature : float
        tau, greater than 0.

    Returns
    -------
    torch.Tensor
        Scalar of either sign; 0 if no anchor has both a positive and a negative.
    """
    # Masks instead of selections: the number of selected rows would have to come from the GPU, and
    # the processor would wait for it in every step.
    known = torch.isfinite(labels) & (groups >= 0)
    both = known[:, None] & known
    similar = z @ z.T / temperature
    alike, together = labels[:, None] == labels, groups[:, None] == groups
    positive = both & alike & ~torch.eye(len(z), dtype=torch.bool, device=z.device)
    negative = both & ~alike & together
    usable = positive.any(dim=1) & negative.any(dim=1)
    # A row without negatives would be minus infinity, with a gradient of NaN even at weight 0.
    pushed = similar.masked_fill(~negative & usable[:, None], -torch.inf).logsumexp(dim=1)
    pulled = (similar * even_weights(positive, together)).sum(dim=1)
    return ((pushed - pulled) * even_weights(usable[None], alike & together)[0]).sum()


def even_weights(chosen: torch.Tensor, together: torch.Tensor) -> torch.Tensor:
    """Return weights that turn a sum into the mean over groups of the means within groups.

    Parameters
    ----------
    chosen : torch.Tensor
        bool [n, m]: which of m items each of n means is over.
    together : torch.Tensor
        bool [m, m]: which items are in the same group.

    Returns
    -------
    torch.Tensor
        float32 [n, m]; each row sums to 1, or to 0 if nothing is chosen, and is 0 where not `chosen`.
    """
    chosen = chosen.float()
    # Entry i, k: how many items that mean i is over are in the group of item k.
    counts = (chosen @ together.float()).clamp(min=1)
    # Each of the c chosen items of a group adds 1 / c: the sum is the number of groups.
    groups = (chosen / counts).sum(dim=1, keepdim=True).round().clamp(min=1)
    return chosen / (counts * groups)


def fit_classifier(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray, multiclass: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Fit logistic regression to convergence (L-BFGS), with the loss of a fine-tuning.

    Parameters
    ----------
    x : numpy.ndarray
        float64 [n, d]; standardised inside.
    y, weights : numpy.ndarray
        [n, tasks], see `medaudit.adapt.finetune.losses.batch_loss`.
    multiclass : bool
        Softmax, else one sigmoid per task.

    Returns
    -------
    weight : numpy.ndarray
        float32 [tasks, d], for features that are not standardised.
    bias : numpy.ndarray
        float32 [tasks].

    Notes
    -----
    The penalty is scikit-learn's with C = 1: half the squared coefficients of the standardised
    features, divided by the number of rows (multi-class) or of known targets.
    """
    mean, scale = x.mean(axis=0), x.std(axis=0)
    scale[scale <= CONSTANT * np.abs(mean)] = np.inf
    features = torch.from_numpy((x - mean) / scale)
    y, weights = torch.from_numpy(y).double(), torch.from_numpy(weights).double()
    count = len(x) if multiclass else int(torch.isfinite(y).sum())
    weight = torch.zeros(y.shape[1], x.shape[1], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(y.shape[1], dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS(
        [weight, bias], max_iter=200, tolerance_grad=1e-6, line_search_fn="strong_wolfe"
    )

    def measure() -> torch.Tensor:
        solver.zero_grad()
        value = batch_loss(features @ weight.T + bias, y, weights, multiclass)
        value = value + weight.square().sum() / (2 * count)
        value.backward()
        return value

    solver.step(measure)
    found = weight.detach().numpy() / scale
    return found.astype(np.float32), (bias.detach().numpy() - found @ mean).astype(np.float32)
