"""FSCL: a fair supervised contrastive loss for the encoder, then a linear classifier on it.

Park, Lee, Lee, Hwang, Kim, Byun 2022, "Fair Contrastive Learning for Facial Attribute
Classification", CVPR (arXiv 2203.16209), method section: the fair supervised contrastive loss and
its group-wise normalisation (FSCL+). Each image is seen in two views, whose projections z have
length 1. An anchor i is drawn to the views p of its class, and pushed away from the views n of
other classes *in its own group*, so that what tells groups apart does not help:

    l_ip = -log( exp(z_i z_p / tau) / sum_n exp(z_i z_n / tau) ).

With group-wise normalisation all groups count alike, as positives and as anchors: l_ip is averaged
over the positives of each group, then over these groups; that over the anchors of each class and
group, then over these. (The authors' code also divides by 0.07 / tau, a constant, and counts an
anchor among the positives of other groups where it is not.)

Here, where the paper leaves a choice or a search needs one:

- After each epoch a logistic regression is fitted to the features of the training images, the
  encoder being frozen, and is the network's head; so each value of a trial is one of FSCL. The
  paper takes steps of gradient descent, on the same loss.
- An anchor without a negative in its batch is left out. So are images of no known group in the
  contrastive loss; they have a part in the classifier. The level "unknown" is a group as others.
- Several tasks: the mean over tasks of the loss with their classes, of the images whose label is
  known. Several processes: pairs are made within each one's part of a batch.
"""

import numpy as np
import torch
from torch import nn
from torch.nn.functional import normalize

from medaudit.adapt.finetune.loader import Feed
from medaudit.adapt.finetune.losses import batch_loss, target_weights
from medaudit.adapt.finetune.network import Network
from medaudit.adapt.finetune.trainer import Trainer as Finetuning
from medaudit.adapt.finetune.trial import Data
from medaudit.adapt.targets import CONSTANT
from medaudit.core.errors import MedauditError
from medaudit.core.seeds import derive_seed
from medaudit.training.distributed import Processes

BATCH = 128


class Trainer(Finetuning):
    """Contrastive training of what the mask frees, with a classifier fitted after each epoch.

    Parameters
    ----------
    network, entry, multiclass, key
        See `medaudit.adapt.finetune.trainer.Trainer`; `entry` also has ``fscl`` (``temperature``,
        ``projection``: length of z).

    Raises
    ------
    MedauditError
        There is no augmentation, so that both views of an image are the same.
    """

    def __init__(self, network: Network, entry: dict, multiclass: bool, key: tuple) -> None:
        if not entry.get("augmentation") or entry.get("views") == 1:
            raise MedauditError(
                "fscl compares two views of an image: set `augmentation`, and `views` to null or "
                f"at least 2; they are {entry.get('augmentation')} and {entry.get('views')}"
            )
        super().__init__(network, entry, multiclass, key)
        self.projection: nn.Module | None = None

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

    def state(self) -> dict:
        """Return what a checkpoint keeps, the projection too."""
        return {**super().state(), "projection": self.projection.state_dict()}

    def restore(self, state: dict) -> int:
        """Go on from a checkpoint; return its step."""
        step = super().restore(state)
        self.projection.load_state_dict(state["projection"])
        return step

    def _batch(self, feed: Feed, train, step: int, processes: Processes) -> tuple:
        """Return two views, targets and groups of this process's part of a step."""
        if train.groups is None or not (train.groups != "").any():
            raise MedauditError(
                "fscl needs each training image's group and there is none: set "
                "objective.attribute to an attribute that the training images have"
            )
        epoch, chosen, part = self.choose(len(train.rows), step, processes)
        rows, part = train.rows[chosen], part if len(part) else np.arange(1)
        views = [feed.training(rows, part, (self.seed, step, v), epoch + v) for v in range(2)]
        names = np.unique(train.groups[train.groups != ""])
        of = train.groups[chosen[part]]
        codes = np.where(of == "", -1, np.searchsorted(names, of))
        return (*views, torch.from_numpy(train.y[chosen[part]]), torch.from_numpy(codes))

    def loss(self, batch: tuple, level: int) -> torch.Tensor:
        """Return the contrastive loss of a batch, the mean over tasks."""
        first, second, y, groups = batch
        x = torch.cat([first, second])
        with torch.autocast(x.device.type, torch.bfloat16, x.device.type == "cuda"):
            z = self.projection(self.network.features(x, level))
        z = normalize(z.float(), dim=1)
        classes = y.argmax(dim=1)[:, None] if self.multiclass else y
        tau, groups = self.entry["fscl"]["temperature"], groups.repeat(2)
        found = [contrast(z, task.repeat(2), groups, tau) for task in classes.unbind(dim=1)]
        return torch.stack(found).mean()

    def validate(self, data: Data) -> np.ndarray:
        """Fit the classifier to the encoder as it is, and return the validation logits."""
        train = data.splits["train"]
        x = self._features(data.feed, train.rows)
        if np.isfinite(x).all():
            weights = target_weights(train.y, self._class_weights(train.y), self.multiclass)
            weight, bias = fit_classifier(x, train.y, weights, self.multiclass)
            with torch.no_grad():
                self.network.head.weight.copy_(torch.from_numpy(weight))
                self.network.head.bias.copy_(torch.from_numpy(bias))
        return super().validate(data)

    @torch.inference_mode()
    def _features(self, feed: Feed, rows: np.ndarray) -> np.ndarray:
        """Return float64 [n, d] of one fixed view of each training image."""
        self.network.eval()
        parts = []
        for start in range(0, len(rows), BATCH):
            chunk = rows[start : start + BATCH]
            x = feed.training(chunk, np.arange(len(chunk)), (self.seed, "classifier", start), 0)
            x = x.to(self.network.device)
            with torch.autocast(x.device.type, torch.bfloat16, x.device.type == "cuda"):
                parts.append(self.network.features(x, feed.level).double().cpu())
        return torch.cat(parts).numpy()


def contrast(
    z: torch.Tensor, labels: torch.Tensor, groups: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Return the fair supervised contrastive loss with group-wise normalisation (FSCL+).

    Parameters
    ----------
    z : torch.Tensor
        [n, d], rows of length 1.
    labels : torch.Tensor
        [n], any numbers; NaN takes no part.
    groups : torch.Tensor
        [n], whole numbers; -1 takes no part.
    temperature : float
        tau; above 0.

    Returns
    -------
    torch.Tensor
        A number, of either sign; 0 where no anchor has a positive and a negative.
    """
    known = torch.isfinite(labels) & (groups >= 0)
    z, labels, groups = z[known], labels[known], groups[known]
    similar = z @ z.T / temperature
    alike, together = labels[:, None] == labels, groups[:, None] == groups
    positive = alike & ~torch.eye(len(z), dtype=torch.bool, device=z.device)
    negative = ~alike & together
    usable = positive.any(dim=1) & negative.any(dim=1)
    if not usable.any():
        return z.sum() * 0.0
    pushed = similar[usable].masked_fill(~negative[usable], -torch.inf).logsumexp(dim=1)
    pulled = (similar[usable] * even_weights(positive[usable], groups)).sum(dim=1)
    cells = torch.stack([labels[usable].double(), groups[usable].double()], dim=1)
    cells = torch.unique(cells, dim=0, return_inverse=True)[1]
    everybody = torch.ones(1, len(cells), dtype=torch.bool, device=z.device)
    return ((pushed - pulled) * even_weights(everybody, cells)[0]).sum()


def even_weights(chosen: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    """Return weights that make a sum the mean over groups of the means within them.

    Parameters
    ----------
    chosen : torch.Tensor
        bool [n, m]: what of m things each of n means is over; at least one each.
    groups : torch.Tensor
        [m], whole numbers.

    Returns
    -------
    torch.Tensor
        float32 [n, m]; each row adds up to 1.
    """
    codes = torch.unique(groups, return_inverse=True)[1]
    members = torch.nn.functional.one_hot(codes).float()
    counts = chosen.float() @ members
    present = (counts > 0).sum(dim=1, keepdim=True)
    return chosen / (counts[:, codes].clamp(min=1) * present)


def fit_classifier(
    x: np.ndarray, y: np.ndarray, weights: np.ndarray, multiclass: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Fit logistic regression with the loss of a fine-tuning, to the end (L-BFGS).

    Parameters
    ----------
    x : numpy.ndarray
        float64 [n, d], standardised within.
    y, weights : numpy.ndarray
        [n, tasks], see `medaudit.adapt.finetune.losses.batch_loss`. Half the squared coefficients of
        the standardised features, divided by the number of rows (multi-class) or known targets,
        is added: scikit-learn's penalty with C = 1.
    multiclass : bool
        Softmax, else one sigmoid a task.

    Returns
    -------
    weight : numpy.ndarray
        float32 [tasks, d], for features as they are.
    bias : numpy.ndarray
        float32 [tasks].
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
