"""Training `resampling`: every group is drawn equally often, with replacement.

An epoch has as many images as there are training images. Each is drawn with probability

    p_i = 1 / (G n_g(i)),

where G is the number of groups and n_g the number of training images of a group: minority groups
are upsampled. With ``balance: group_and_class``, G and n_g are those of the cells of group and
class. The loss stays the mean over the batch. Idrissi, Arjovsky, Pezeshki, Lopez-Paz 2022, "Simple
data balancing achieves competitive worst-group-accuracy", CLeaR (arXiv 2110.14503), method RWG;
``resampling`` in MEDFAIR (Zong, Yang, Hospedales 2023, ICLR, arXiv 2210.01725).
"""

import numpy as np

from medaudit.adapt.finetune.groups import Groups, GroupTrainer
from medaudit.adapt.finetune.inputs import Split
from medaudit.core.errors import MedauditError
from medaudit.core.seeds import generator


class Trainer(GroupTrainer):
    """Mean loss over images that are drawn so that groups are balanced.

    Parameters
    ----------
    network, entry, multiclass, key, train
        See `medaudit.adapt.finetune.trainer.Trainer`; `entry` also has ``resampling``
        (``balance``: ``group`` or ``group_and_class``).
    """

    def order(self, count: int, epoch: int) -> np.ndarray:
        """Return the positions of an epoch's images, drawn with replacement: int64 [count]."""
        chances = self.chances()
        rng = generator("resampling", self.seed, epoch)
        return rng.choice(count, count, p=chances / chances.sum())

    def chances(self) -> np.ndarray:
        """Return the probability of each training image, up to rounding: float64 [n]."""
        balance = self.entry["resampling"]["balance"]
        return draw_chances(self.groups, self.train, balance, self.multiclass)


def draw_chances(groups: Groups, train: Split, balance: str, multiclass: bool) -> np.ndarray:
    """Return the probability with which each training image is drawn: float64 [n], sum 1.

    Parameters
    ----------
    groups : Groups
        Of the training images.
    train : Split
        The training images.
    balance : str
        ``group``, or ``group_and_class``; then an image without a label is not drawn.
    multiclass : bool
        The columns of the targets are exclusive classes.

    Raises
    ------
    MedauditError
        ``group_and_class`` with several tasks: an image is then in several cells.
    """
    cells = groups.codes
    if balance == "group_and_class":
        if train.y.shape[1] > 1 and not multiclass:
            raise MedauditError(
                f"balance group_and_class needs one task or exclusive classes, and the cohort has "
                f"{train.y.shape[1]} tasks: set `balance: group`, or training reweighting, which "
                "balances each task"
            )
        label = train.y.argmax(axis=1) if multiclass else train.y[:, 0]
        classes = train.y.shape[1] if multiclass else 2
        cells = np.where(np.isfinite(label), cells * classes + np.nan_to_num(label), -1).astype(int)
    return inverse_frequencies(cells) / max((cells >= 0).sum(), 1)


def inverse_frequencies(cells: np.ndarray) -> np.ndarray:
    """Return n / (C n_c) for each item: float64 [n]; 0 for items of no cell.

    Parameters
    ----------
    cells : numpy.ndarray
        int [n], the cell of each item; -1 for none. n counts the items of a cell, C the cells that
        have an item, n_c the items of an item's cell.
    """
    known = cells >= 0
    counts = np.bincount(cells[known]) if known.any() else np.ones(1, int)
    weights = known.sum() / ((counts > 0).sum() * np.maximum(counts, 1))
    return np.where(known, weights[np.where(known, cells, 0)], 0.0)
