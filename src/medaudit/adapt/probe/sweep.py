"""Train all learning rates of all seeds together and keep the best run of each seed."""

from dataclasses import dataclass
from types import ModuleType
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from medaudit.adapt.adamw import AdamW, cosine
from medaudit.adapt.logits import loss, loss_gradient, mean_auc
from medaudit.core.entry_types import MethodEntry
from medaudit.core.errors import MedauditError

CHUNK = 1024
"""Rows per forward pass of `predict`."""


class Examples(NamedTuple):
    """Standardised embeddings and their targets.

    Parameters
    ----------
    x : numpy.ndarray
        float32 ``[n, d]``.
    y : numpy.ndarray
        float32 ``[n, k]``: 1, 0 or NaN (missing).
    """

    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Sweep:
    """Result of a sweep: the chosen learning rate and epoch of each seed, and all curves.

    Parameters
    ----------
    parameters : list of numpy.ndarray
        ``[S, 1, ...]``, parameters of each seed at its chosen learning rate and epoch.
    rate, epoch : numpy.ndarray
        ``[S]``: index of the chosen learning rate; chosen epoch, counted from 1.
    losses : numpy.ndarray
        ``[epochs, S, L]``, validation loss after each epoch; not finite where training diverged.
    criterion : numpy.ndarray
        ``[epochs, S, L]``, what is minimised: the validation loss, or minus the validation AUC.
    """

    parameters: list[np.ndarray]
    rate: np.ndarray
    epoch: np.ndarray
    losses: np.ndarray
    criterion: np.ndarray


def train_sweep(
    head: ModuleType,
    settings: MethodEntry,
    train: Examples,
    validation: Examples,
    rngs: list[np.random.Generator],
    multiclass: bool,
) -> Sweep:
    """Train all runs with AdamW and a cosine schedule.

    The runs of a seed share initial weights, order of the batches and dropout masks, so they
    differ only in their learning rate. Between equal criteria, the earlier epoch and the smaller
    learning rate are chosen.

    Parameters
    ----------
    head : module
        A head, see `medaudit.adapt.probe.heads`.
    settings : dict
        The method's entry: ``epochs``, ``batch_size``, ``learning_rates``, ``weight_decay``, ``select`` (``val_loss``
        or ``val_auc``) and the settings of the head.
    train, validation : Examples
        Embeddings and targets.
    rngs : list of numpy.random.Generator
        One per seed.
    multiclass : bool
        Softmax over the tasks, else one sigmoid per task.

    Raises
    ------
    MedauditError
        Every learning rate of a seed diverged, or the criterion is undefined on validation.
    """
    rates = np.sort(np.asarray(settings["learning_rates"], dtype=np.float64))
    shape = (train.x.shape[1], train.y.shape[1])
    parameters = _initial(head, settings, shape, rngs, len(rates))
    optimizer = AdamW(parameters, rates, settings["weight_decay"])
    best = [parameter.copy() for parameter in parameters]
    lowest = np.full((len(rngs), len(rates)), np.inf)
    losses, criteria = [], []
    for epoch in tqdm(range(settings["epochs"]), desc="epochs", disable=None):
        with np.errstate(over="ignore", invalid="ignore"):
            _train_epoch(head, settings, optimizer, train, epoch, rngs, multiclass)
            logits = predict(head, settings, parameters, validation.x)
            losses.append(loss(logits, validation.y, multiclass))
        criteria.append(
            _criterion(settings["select"], logits, losses[-1], validation.y, multiclass)
        )
        better = criteria[-1] < lowest
        lowest[better] = criteria[-1][better]
        for kept, parameter in zip(best, parameters, strict=True):
            kept[better] = parameter[better]
    return _choose(best, lowest, np.stack(losses), np.stack(criteria), settings)


def predict(
    head: ModuleType, settings: MethodEntry, parameters: list[np.ndarray], x: np.ndarray
) -> np.ndarray:
    """Return logits ``[S, L, n, k]`` without dropout, computed in chunks to bound the memory."""
    starts = range(0, len(x), CHUNK)
    parts = [
        head.forward(settings, parameters, x[None, start : start + CHUNK])[0] for start in starts
    ]
    return np.concatenate(parts, axis=2)


def _initial(
    head: ModuleType, settings: MethodEntry, shape: tuple[int, int], rngs: list, rates: int
) -> list[np.ndarray]:
    """Return initial parameters ``[S, L, ...]``; the learning rates of a seed start equal."""
    seeds = [head.initial(settings, *shape, rng) for rng in rngs]
    return [np.repeat(np.stack(same)[:, None], rates, axis=1) for same in zip(*seeds, strict=True)]


def _train_epoch(
    head: ModuleType,
    settings: MethodEntry,
    optimizer: AdamW,
    train: Examples,
    epoch: int,
    rngs: list[np.random.Generator],
    multiclass: bool,
) -> None:
    """Train all runs for one epoch; `epoch` counts from 0."""
    order = np.stack([rng.permutation(len(train.x)) for rng in rngs])
    starts = range(0, len(train.x), settings["batch_size"])
    for step, start in enumerate(starts, start=epoch * len(starts)):
        batch = order[:, start : start + settings["batch_size"]]
        logits, cache = head.forward(settings, optimizer.parameters, train.x[batch], rngs)
        gradient = loss_gradient(logits, train.y[batch][:, None], multiclass)
        gradients = head.backward(optimizer.parameters, cache, gradient)
        optimizer.step(gradients, cosine(step, settings["epochs"] * len(starts)))


def _criterion(
    select: str, logits: np.ndarray, losses: np.ndarray, y: np.ndarray, multiclass: bool
) -> np.ndarray:
    """Return the value to minimise ``[S, L]``; infinite for a run that has diverged."""
    auc = select == "val_auc"
    value = -mean_auc(np.nan_to_num(logits), y, multiclass) if auc else losses
    return np.where(np.isfinite(losses) & np.isfinite(value), value, np.inf)


def _choose(
    best: list[np.ndarray],
    lowest: np.ndarray,
    losses: np.ndarray,
    criteria: np.ndarray,
    settings: MethodEntry,
) -> Sweep:
    """Return the sweep with the learning rate of the lowest criterion of each seed."""
    rate = lowest.argmin(axis=1)
    seeds = np.arange(len(rate))
    if not np.isfinite(lowest[seeds, rate]).all():
        raise MedauditError(
            f"probe: {settings['select']} was not finite in any epoch for seeds "
            f"{seeds[~np.isfinite(lowest[seeds, rate])].tolist()}, at learning rates "
            f"{settings['learning_rates']}. Lower `learning_rates` (training diverged), or check "
            "that the validation split has labels (val_auc needs both classes of a task)"
        )
    parameters = [kept[seeds, rate][:, None] for kept in best]
    epoch = criteria[:, seeds, rate].argmin(axis=0) + 1
    return Sweep(parameters, rate, epoch, losses, criteria)
