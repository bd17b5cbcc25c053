"""Stochastic gradient training of many runs at once: every seed with every point of a search."""

from typing import NamedTuple, Protocol

import numpy as np

from medaudit.adapt.adamw import AdamW, cosine
from medaudit.adapt.affine_layer import Parameters
from medaudit.adapt.mitigate.problem import Part, Point, Training

CHUNK = 4096
"""Rows per forward pass when a split is scored."""


class Batch(NamedTuple):
    """A batch per seed.

    Parameters
    ----------
    x : numpy.ndarray
        ``[S, b, d]``.
    y, group, cell : numpy.ndarray
        ``[S, b]``; see `medaudit.adapt.mitigate.problem.Part`.
    weight : numpy.ndarray
        ``[S, b, C]`` or ``[S, b, 1]``, with mean 1 over the training examples.
    """

    x: np.ndarray
    y: np.ndarray
    group: np.ndarray
    cell: np.ndarray
    weight: np.ndarray


class Head(Protocol):
    """What `train` needs of a remedy."""

    def initial(self, inputs: int, rng: np.random.Generator) -> Parameters:
        """Return the initial parameters of one seed."""

    def gradients(self, parameters: Parameters, batch: Batch) -> Parameters:
        """Return the gradients ``[S, C, ...]`` of a batch."""

    def logits(self, parameters: Parameters, x: np.ndarray) -> np.ndarray:
        """Return logits ``[S, C, n]``."""


def train(
    head: Head,
    part: Part,
    points: list[Point],
    training: Training,
    rngs: list[np.random.Generator],
    weight: np.ndarray | None = None,
    chance: np.ndarray | None = None,
    epochs: int | None = None,
) -> Parameters:
    """Train all seeds and points with AdamW and a cosine schedule.

    Parameters
    ----------
    head : Head
        The remedy.
    part : Part
        The training rows.
    points : list of Point
        Each has its learning rate.
    training : Training
        ``epochs``, ``batch_size``, ``weight_decay``.
    rngs : list of numpy.random.Generator
        One per seed: initial parameters and order of the rows. The points of a seed share both.
    weight : numpy.ndarray, optional
        ``[n]`` or ``[S, C, n]``, weights of the examples with mean 1; default: 1.
    chance : numpy.ndarray, optional
        ``[n]``: each epoch draws n rows with these probabilities, with replacement; default: every
        row once.
    epochs : int, optional
        Default: those of `training`.

    Returns
    -------
    list of numpy.ndarray
        Parameters ``[S, C, ...]`` after the last epoch.
    """
    epochs = epochs or training["epochs"]
    weight = _weights(weight, part)
    initial = [head.initial(part.x.shape[1], rng) for rng in rngs]
    parameters = [
        np.repeat(np.stack(same)[:, None], len(points), axis=1)
        for same in zip(*initial, strict=True)
    ]
    rates = np.array([point.learning_rate for point in points])
    optimizer = AdamW(parameters, rates, training["weight_decay"])
    size, n = training["batch_size"], len(part.y)
    steps = epochs * -(-n // size)
    for step in range(steps):
        start = step % -(-n // size) * size
        if start == 0:
            order = np.stack([_order(n, chance, rng) for rng in rngs])
        batch = _batch(part, weight, order[:, start : start + size])
        optimizer.step(head.gradients(optimizer.parameters, batch), cosine(step, steps))
    return optimizer.parameters


def score(head: Head, parameters: Parameters, x: np.ndarray) -> np.ndarray:
    """Return logits ``[S, C, n]``, computed in chunks to bound the memory."""
    starts = range(0, max(len(x), 1), CHUNK)
    parts = [head.logits(parameters, x[i : i + CHUNK]).astype(float) for i in starts]
    return np.concatenate(parts, axis=2)


def _weights(weight: np.ndarray | None, part: Part) -> np.ndarray:
    """Return weights as ``[S or 1, C or 1, n]``, of the type of the embeddings."""
    found = np.ones(len(part.y)) if weight is None else weight
    return np.broadcast_to(found, (1, 1, *found.shape) if found.ndim == 1 else found.shape).astype(
        part.x.dtype
    )


def _order(n: int, chance: np.ndarray | None, rng: np.random.Generator) -> np.ndarray:
    return rng.permutation(n) if chance is None else rng.choice(n, n, p=chance)


def _batch(part: Part, weight: np.ndarray, rows: np.ndarray) -> Batch:
    seeds = np.arange(len(rows))[:, None] if weight.shape[0] > 1 else np.zeros((len(rows), 1), int)
    return Batch(
        part.x[rows],
        part.y[rows].astype(part.x.dtype),
        part.group[rows],
        part.cell[rows],
        weight[seeds, :, rows],  # the separated indices come first: [S, b, C]
    )
