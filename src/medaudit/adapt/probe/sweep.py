"""Train every learning rate of every seed together and keep the best on validation."""

from dataclasses import dataclass
from types import ModuleType

import numpy as np
from tqdm import tqdm

from medaudit.adapt.logits import loss, loss_gradient, mean_auc
from medaudit.adapt.probe.adamw import AdamW, cosine
from medaudit.core.errors import MedauditError

CHUNK = 1024


@dataclass(frozen=True)
class Sweep:
    """What training returns; the runs chosen are one learning rate and epoch for each seed.

    Parameters
    ----------
    parameters : list of numpy.ndarray
        ``[S, 1, ...]``, the chosen ones.
    rate, epoch : numpy.ndarray
        ``[S]``: index of the learning rate; epoch, counted from 1.
    losses : numpy.ndarray
        ``[epochs, S, L]``, the loss on validation after each epoch; not finite where training
        diverged.
    criterion : numpy.ndarray
        The same shape: what was minimised, the loss or minus the AUC.
    """

    parameters: list[np.ndarray]
    rate: np.ndarray
    epoch: np.ndarray
    losses: np.ndarray
    criterion: np.ndarray


def train_sweep(
    head: ModuleType,
    settings: dict,
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    rngs: list[np.random.Generator],
    multiclass: bool,
) -> Sweep:
    """Train all runs with AdamW and a cosine schedule.

    A seed's runs share initial weights, the order of the batches and dropout masks, so they
    differ in their learning rate alone. Equal criteria go to the earlier epoch and the smaller
    learning rate.

    Parameters
    ----------
    head : module
        See `medaudit.adapt.probe.heads`.
    settings : dict
        ``epochs``, ``batch_size``, ``learning_rates``, ``weight_decay``, ``select`` (``val_loss``
        or ``val_auc``) and the head's own.
    train, validation : tuple of numpy.ndarray
        Standardised embeddings ``[n, d]`` float32 and targets ``[n, k]`` float32 (1, 0, NaN).
    rngs : list of numpy.random.Generator
        One a seed.
    multiclass : bool
        Softmax over the tasks, else a sigmoid each.

    Raises
    ------
    MedauditError
        Every learning rate of a seed diverged, or no criterion is defined on validation.
    """
    rates = np.sort(np.asarray(settings["learning_rates"], dtype=np.float64))
    x, y = train
    parameters = _initial(head, settings, (x.shape[1], y.shape[1]), rngs, len(rates))
    optimiser = AdamW(parameters, rates, settings["weight_decay"])
    best = [parameter.copy() for parameter in parameters]
    lowest = np.full((len(rngs), len(rates)), np.inf)
    losses, criteria = [], []
    for epoch in tqdm(range(settings["epochs"]), desc="epochs", disable=None):
        with np.errstate(over="ignore", invalid="ignore"):
            _train_epoch(head, settings, optimiser, train, (epoch, rngs), multiclass)
            logits = predict(head, settings, parameters, validation[0])
            losses.append(loss(logits, validation[1], multiclass))
        criteria.append(_criterion(settings["select"], logits, losses[-1], validation, multiclass))
        better = criteria[-1] < lowest
        lowest[better] = criteria[-1][better]
        for kept, parameter in zip(best, parameters, strict=True):
            kept[better] = parameter[better]
    return _choose(best, lowest, np.stack(losses), np.stack(criteria), settings)


def predict(head: ModuleType, settings: dict, parameters: list, x: np.ndarray) -> np.ndarray:
    """Return logits ``[S, L, n, k]`` without dropout, in chunks that bound the memory."""
    starts = range(0, len(x), CHUNK)
    parts = [
        head.forward(settings, parameters, x[None, start : start + CHUNK])[0] for start in starts
    ]
    return np.concatenate(parts, axis=2)


def _initial(head, settings: dict, shape: tuple, rngs: list, rates: int) -> list[np.ndarray]:
    seeds = [head.initial(settings, *shape, rng) for rng in rngs]
    return [np.repeat(np.stack(same)[:, None], rates, axis=1) for same in zip(*seeds, strict=True)]


def _train_epoch(head, settings, optimiser, train, clock, multiclass) -> None:
    (x, y), (epoch, rngs) = train, clock
    order = np.stack([rng.permutation(len(x)) for rng in rngs])
    starts = range(0, len(x), settings["batch_size"])
    for step, start in enumerate(starts, start=epoch * len(starts)):
        batch = order[:, start : start + settings["batch_size"]]
        logits, cache = head.forward(settings, optimiser.parameters, x[batch], rngs)
        gradient = loss_gradient(logits, y[batch][:, None], multiclass)
        gradients = head.backward(optimiser.parameters, cache, gradient)
        optimiser.step(gradients, cosine(step, settings["epochs"] * len(starts)))


def _criterion(select: str, logits, losses, validation, multiclass: bool) -> np.ndarray:
    """Return what is to be minimised ``[S, L]``; infinite for a run that has diverged."""
    if select == "val_auc":
        value = -mean_auc(np.nan_to_num(logits), validation[1], multiclass)
    else:
        value = losses
    return np.where(np.isfinite(losses) & np.isfinite(value), value, np.inf)


def _choose(best, lowest, losses, criteria, settings: dict) -> Sweep:
    rate = lowest.argmin(axis=1)
    seeds = np.arange(len(rate))
    if not np.isfinite(lowest[seeds, rate]).all():
        raise MedauditError(
            f"probe: {settings['select']} was never finite on validation for seeds "
            f"{seeds[~np.isfinite(lowest[seeds, rate])].tolist()} with learning rates "
            f"{settings['learning_rates']}: lower the learning rates, or check that the "
            "validation split has labels (both classes of a task for val_auc)"
        )
    parameters = [kept[seeds, rate][:, None] for kept in best]
    epoch = criteria[:, seeds, rate].argmin(axis=0) + 1
    return Sweep(parameters, rate, epoch, losses, criteria)
