"""Inputs and result of one training run (trial): one learning rate of a fine-tuning or search."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

import numpy as np

from medaudit.adapt.finetune.inputs import Split
from medaudit.adapt.finetune.loader import Loader


class TrialKey(NamedTuple):
    """Learning rate and random seed of a trial.

    Parameters
    ----------
    learning_rate : float
        Before the linear scaling rule, see `medaudit.adapt.finetune.trainer.peak_rate`.
    seed : int
        Determines the order of images, random views, dropout and drop path.
    """

    learning_rate: float
    seed: int


@dataclass(frozen=True)
class TrialData:
    """Data that a trial is trained and selected on.

    Parameters
    ----------
    loader : Loader
        Batches of the images.
    splits : dict of str to Split
        ``train`` and ``val``.
    criterion : callable
        Maps validation logits [n_val, tasks] to the value to minimise; the epoch with the lowest
        value is kept.
    group_aucs : callable or None
        Computes per-group AUCs to record after each epoch (`medaudit.adapt.finetune.group_curves`);
        they do not affect the selection.
    """

    loader: Loader
    splits: dict[str, Split]
    criterion: Callable[[np.ndarray], float]
    group_aucs: Callable[[Any, np.ndarray], dict] | None = None


@dataclass
class Trial:
    """Result of training at one learning rate: its curve and its best epoch.

    Parameters
    ----------
    learning_rate : float
    criterion : float
        Lowest value of the criterion on validation; infinite if it was never finite.
    epoch : int
        Epoch of this value, counted from 1.
    curve : list of float
        Validation loss after each epoch.
    state : dict
        Tuned parameters at that epoch.
    groups : list of dict
        AUC of each group after each epoch (`medaudit.adapt.finetune.group_curves`); empty if not
        recorded.
    facts : dict
        Further facts that the trainer reports on that epoch.
    """

    learning_rate: float
    criterion: float = math.inf
    epoch: int = 0
    curve: list[float] = field(default_factory=list)
    state: dict = field(default_factory=dict)
    groups: list[dict] = field(default_factory=list)
    facts: dict = field(default_factory=dict)

    def to_state(self) -> dict:
        """Return the trial as a checkpoint stores it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_state(cls, state: dict) -> "Trial":
        """Return the trial of a checkpoint."""
        return cls(**state)

    def summary(self) -> dict:
        """Return the trial as JSON, without parameters; values that are not finite are null."""
        values = asdict(Trial(self.learning_rate, self.criterion, self.epoch, self.curve))
        del values["state"], values["facts"], values["groups"]
        values["curve"] = [_plain(value) for value in self.curve]
        recorded = {"groups": [_rounded(epoch) for epoch in self.groups]} if self.groups else {}
        return {**values, "criterion": _plain(self.criterion), **recorded, **self.facts}


def _rounded(epoch: dict) -> dict:
    return {
        split: {name: None if value is None else _plain(value) for name, value in groups.items()}
        for split, groups in epoch.items()
    }


def _plain(value: float) -> float | None:
    """Return a number as JSON: 6 significant digits, null if it is not finite."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
