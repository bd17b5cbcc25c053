"""Training `reweighting`: the loss of an image is weighted by the inverse size of its group.

    L = 1/B sum_i w_i l_i,    w_i = n / (G n_g(i)),

with B the images of a batch, n training images in G groups, n_g of them in a group. All groups have
equal total weight over an epoch, and the mean weight is 1. With ``balance: group_and_class`` the
same holds for the cells of group and class, for each task over its known labels. These are the
importance weights with which Sagawa, Koh, Hashimoto, Liang 2020 (ICLR, arXiv 1911.08731) compare
Group DRO.

Images are shuffled as in plain training; their weights differ, which makes gradients noisier than
resampling, but every image is seen once in an epoch.
"""

import numpy as np

from medaudit.adapt.finetune.groups import Groups, GroupTrainer
from medaudit.adapt.finetune.inputs import Split
from medaudit.adapt.finetune.network import Network
from medaudit.adapt.finetune.trainers.resampling import inverse_frequencies
from medaudit.adapt.finetune.trial import TrialKey
from medaudit.adapt.finetune_settings import TrainingEntry


class Trainer(GroupTrainer):
    """Weighted loss; the weights are fixed before training.

    Parameters
    ----------
    network, entry, multiclass, key, train
        See `medaudit.adapt.finetune.trainer.Trainer`; `entry` also has ``reweighting``
        (``balance``: ``group`` or ``group_and_class``).
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
        balance = entry["reweighting"]["balance"]
        self.balance = balancing_weights(self.groups, train.y, balance, multiclass)

    def weigh(self, chosen: np.ndarray) -> np.ndarray:
        """Return the weight of each target of a batch: class weight times group weight."""
        return super().weigh(chosen) * self.balance[chosen]


def balancing_weights(groups: Groups, y: np.ndarray, balance: str, multiclass: bool) -> np.ndarray:
    """Return the weight of each training target: float32 [n, tasks].

    Parameters
    ----------
    groups : Groups
        Of the training images.
    y : numpy.ndarray
        [n, tasks]: 1, 0 or NaN; one-hot if `multiclass`.
    balance : str
        ``group`` or ``group_and_class``; then a missing label has weight 0.
    multiclass : bool
        All columns of an image have the weight of its class.
    """
    if balance == "group":
        columns = [groups.codes] * y.shape[1]
    elif multiclass:
        columns = [groups.codes * y.shape[1] + y.argmax(axis=1)] * y.shape[1]
    else:
        labels = [np.where(np.isfinite(task), task, 0).astype(int) for task in y.T]
        cells = [groups.codes * 2 + label for label in labels]
        columns = [
            np.where(np.isfinite(task), cell, -1) for task, cell in zip(y.T, cells, strict=True)
        ]
    weights = [inverse_frequencies(cells) for cells in columns]
    return np.stack(weights, axis=1).astype(np.float32)
