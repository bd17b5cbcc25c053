"""Groups of the training images, for trainers that balance, weigh or penalise by group.

Images whose group is not known form a group of their own, `UNKNOWN`, together with those for which
the owner recorded this word. Only training images count: weights and samplers never see the groups
of other splits.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import nn

from medaudit.adapt.finetune.inputs import Split, attribute_of
from medaudit.adapt.finetune.network import Network
from medaudit.adapt.finetune.trainer import Trainer
from medaudit.adapt.finetune.trainers import find_trainer
from medaudit.adapt.finetune.trial import TrialKey
from medaudit.adapt.finetune_settings import FinetuneSettings, TrainingEntry
from medaudit.core.errors import MedauditError
from medaudit.core.intersections import join_names
from medaudit.metrics.attributes import read_attributes

UNKNOWN = "unknown"
"""Group of images whose attribute is missing."""

NO_IMAGE = -1
"""Code of the image of weight 0 that a process without images gets."""


@dataclass(frozen=True)
class Groups:
    """Groups of the training images.

    Parameters
    ----------
    names : tuple of str
        In alphabetical order; each has at least one training image.
    codes : numpy.ndarray
        int64 [n], position in `names` of each training image's group.
    """

    names: tuple[str, ...]
    codes: np.ndarray

    @property
    def counts(self) -> np.ndarray:
        """Number of training images of each group: int64 [groups]."""
        return np.bincount(self.codes, minlength=len(self.names))


class GroupTrainer(Trainer):
    """Base of the trainers that use the groups of the training images.

    A batch also holds the code of each image's group (`NO_IMAGE` for an image that only fills up),
    and its share: 1 / number of images of the whole batch, so that sums over the shares of all
    processes are means over the batch.

    Parameters
    ----------
    network, entry, multiclass, key, train
        See `medaudit.adapt.finetune.trainer.Trainer`.

    Raises
    ------
    MedauditError
        The training images are not of two groups or more.
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
        self.groups = find_groups(train, entry["training"])

    def extras(self, chosen: np.ndarray, part: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the group codes and shares of this process's part."""
        if not len(part):
            return np.array([NO_IMAGE]), np.zeros(1, np.float32)
        share = np.full(len(part), 1 / len(chosen), np.float32)
        return self.groups.codes[chosen[part]], share

    def add_trained(self, module: nn.Module) -> nn.Module:
        """Return a module on the network's device, whose parameters the optimizer trains too."""
        module = module.to(self.network.device)
        for decayed in (True, False):
            chosen = [p for p in module.parameters() if (p.ndim > 1) == decayed]
            decay = self.entry["weight_decay"] if decayed else 0.0
            self.optimizer.add_param_group({"params": chosen, "weight_decay": decay})
        return module


def find_groups(train: Split, training: str) -> Groups:
    """Return the groups of training images.

    Raises
    ------
    MedauditError
        The method names no attribute, or the images are all of one group.
    """
    if train.groups is None:
        raise MedauditError(
            f"training {training} needs the group of each training image: set `attribute` of the "
            "method (kind search: objective.attribute) to an attribute of the cohort"
        )
    named = np.where(train.groups == "", UNKNOWN, train.groups)
    found, codes = np.unique(named, return_inverse=True)
    names = tuple(str(name) for name in found)
    if len(names) < 2:
        raise MedauditError(
            f"training {training} compares groups, but all {len(named)} training images are of the "
            f"group {names[0]!r}: set `attribute` to one with at least two groups"
        )
    return Groups(names, codes)


def check_groups(settings: FinetuneSettings, frame: pd.DataFrame, train: Split) -> None:
    """Check that every group of the cohort has training images, if the training is by group.

    Parameters
    ----------
    settings : dict
        Settings of the stage.
    frame : pandas.DataFrame
        The cohort's rows of all splits. Of the test split, only the names of groups are used.
    train : Split
        The training images.

    Raises
    ------
    MedauditError
        A group has none, so the method could do nothing for it.
    """
    entry = settings["entry"]
    if not issubclass(find_trainer(entry), GroupTrainer):
        return
    names = find_groups(train, entry["training"]).names
    attribute = attribute_of(entry)
    assert attribute is not None  # otherwise the split has no groups
    levels = read_attributes(frame, np.ones(len(frame), bool), [attribute])[1].levels
    lacking = [level for level in levels if level not in names]
    if lacking:
        raise MedauditError(
            f"finetune {settings['model']} {settings['method']}: training {entry['training']} "
            f"cannot help groups without training images, and {join_names(attribute)} has "
            f"{', '.join(map(repr, lacking))} only in other splits, or outside a search's `subset`. Set `attribute` to a coarser "
            "attribute, merge the group in the dataset's `groups`, or change the cohort's split"
        )
