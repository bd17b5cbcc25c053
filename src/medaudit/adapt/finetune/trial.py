"""What a trial works on, and what it leaves: the best epoch of one learning rate."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

import numpy as np

from medaudit.adapt.finetune.inputs import Split
from medaudit.adapt.finetune.loader import Feed


@dataclass(frozen=True)
class Data:
    """What a trial is trained and chosen on.

    Parameters
    ----------
    feed : Feed
        Images.
    splits : dict of str to Split
        ``train`` and ``val``.
    criterion : callable
        Validation logits [n_val, tasks] to the number that the best epoch has least of.
    watch : callable or None
        What is noted of each epoch beside (`medaudit.adapt.finetune.group_curves`).
    """

    feed: Feed
    splits: dict[str, Split]
    criterion: Callable[[np.ndarray], float]
    watch: Callable[[object, np.ndarray], dict] | None = None


@dataclass
class Trial:
    """One learning rate and the best epoch of it.

    Parameters
    ----------
    learning_rate : float
    criterion : float
        What was minimised on validation: the loss, or minus the AUC; infinite if never finite.
    epoch : int
        Epoch of the best value, counted from 1.
    curve : list of float
        Validation loss after each epoch.
    groups : list of dict
        What was noted after each epoch of each group (`medaudit.adapt.finetune.group_curves`), or nothing.
    state : dict
        The tuned parameters of that epoch.
    facts : dict
        What else a training says of that epoch.
    """

    learning_rate: float
    criterion: float = math.inf
    epoch: int = 0
    curve: list[float] = field(default_factory=list)
    state: dict = field(default_factory=dict)
    groups: list[dict] = field(default_factory=list)
    facts: dict = field(default_factory=dict)

    def to_state(self) -> dict:
        """Return it as a checkpoint keeps it."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_state(cls, state: dict) -> "Trial":
        """Restore it from a checkpoint."""
        return cls(**state)

    def summary(self) -> dict:
        """Return it as JSON, without parameters; what is not finite is null."""
        values = asdict(Trial(self.learning_rate, self.criterion, self.epoch, self.curve))
        del values["state"], values["facts"], values["groups"]
        values["curve"] = [_plain(value) for value in self.curve]
        noted = {"groups": [_rounded(epoch) for epoch in self.groups]} if self.groups else {}
        return {**values, "criterion": _plain(self.criterion), **noted, **self.facts}


def _rounded(epoch: dict) -> dict:
    return {
        split: {name: None if value is None else _plain(value) for name, value in groups.items()}
        for split, groups in epoch.items()
    }


def _plain(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None
