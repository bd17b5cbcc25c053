"""FSCL's head on stored embeddings: a fair supervised contrastive loss, then a linear classifier.

Park, Lee, Lee, Hwang, Kim and Byun 2022, "Fair contrastive learning for facial attribute
classification" (arXiv 2203.16209), with group-wise normalisation (FSCL+). The same loss trains whole
networks in fine-tuning (docs/baselines.md). Stored embeddings have one view per image, so the
positives of an anchor are the other images of its class.
"""

import numpy as np
from scipy.special import logsumexp

from medaudit.adapt.affine_layer import Parameters, affine, affine_gradients, layer
from medaudit.adapt.mitigate.training import Batch

SHORTEST = 1e-12
"""Least length of a vector before it is normalised."""


class Contrastive:
    """An encoder (one layer with ReLU) with a projection, trained by `contrast`.

    Parameters
    ----------
    strength : numpy.ndarray
        ``[C]``, the temperature.
    hidden : int
        Width of the encoder and of the projection.
    """

    def __init__(self, strength: np.ndarray, hidden: int) -> None:
        self.strength, self.hidden = strength, hidden

    def initial(self, inputs: int, rng: np.random.Generator) -> Parameters:
        """Return encoder and projection of one seed."""
        return [*layer(inputs, self.hidden, rng), *layer(self.hidden, self.hidden, rng)]

    def gradients(self, parameters: Parameters, batch: Batch) -> Parameters:
        """Return the gradients of the contrastive loss of a batch."""
        weight, bias = parameters[2:]
        hidden = affine(batch.x, *parameters[:2])
        active = hidden > 0
        hidden = np.moveaxis(hidden * active, 2, 1)  # [S, C, b, hidden]
        raw = hidden @ weight.swapaxes(2, 3) + bias[:, :, None]
        length = np.maximum(np.linalg.norm(raw, axis=-1, keepdims=True), SHORTEST)
        z = raw / length
        moved = _contrast_slopes(z, batch, self.strength)
        moved = (moved - z * (moved * z).sum(axis=-1, keepdims=True)) / length
        moved = moved.astype(raw.dtype)
        inner = np.moveaxis(moved @ weight, 1, 2) * active
        return [
            *affine_gradients(batch.x, inner, parameters[0].shape),
            moved.swapaxes(2, 3) @ hidden,
            moved.sum(axis=2),
        ]

    def logits(self, parameters: Parameters, x: np.ndarray) -> np.ndarray:
        """Raise: the classifier is fitted on `features` afterwards."""
        raise NotImplementedError("the contrastive head has features, and no logits")

    def features(self, parameters: Parameters, x: np.ndarray) -> np.ndarray:
        """Return the encoded embeddings ``[S, C, n, hidden]``."""
        return np.moveaxis(np.maximum(affine(x[None], *parameters[:2]), 0), 2, 1)


def contrast(z: np.ndarray, y: np.ndarray, group: np.ndarray, temperature: float) -> float:
    """Return the fair supervised contrastive loss with group-wise normalisation.

    Parameters
    ----------
    z : numpy.ndarray
        ``[b, d]``, rows of length 1.
    y, group : numpy.ndarray
        ``[b]``, class and group as numbers.
    temperature : float
        Above 0.

    Returns
    -------
    float
        0 if no anchor has a positive and a negative.
    """
    pull, push, anchor = _masks(y, group)
    similar = z @ z.T / temperature
    logs = _log_sums(similar, push)
    return float((anchor * (logs - (pull * similar).sum(axis=1))).sum())


def _contrast_slopes(z: np.ndarray, batch: Batch, temperature: np.ndarray) -> np.ndarray:
    """Return the gradient of `contrast` by z ``[S, C, b, d]``."""
    masks = [_masks(y, group) for y, group in zip(batch.y, batch.group, strict=True)]
    pull, push, anchor = (np.stack(part)[:, None] for part in zip(*masks, strict=True))
    tau = temperature[:, None, None]
    similar = z @ z.swapaxes(2, 3) / tau
    share = np.exp(np.where(push, similar - _log_sums(similar, push)[..., None], -np.inf))
    slope = anchor[..., None] * (share - pull)
    return (slope + slope.swapaxes(2, 3)) @ z / tau


def _log_sums(similar: np.ndarray, push: np.ndarray) -> np.ndarray:
    """Return the log of the sum over negatives of exp; 0 for an anchor without negatives."""
    with np.errstate(divide="ignore"):
        found = logsumexp(np.where(push, similar, -np.inf), axis=-1)
    return np.where(push.any(axis=-1), found, 0)


def _masks(y: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return weights of positives ``[b, b]``, the negatives ``[b, b]``, and anchors' weights ``[b]``.

    Positives: mean over the groups of the means within a group. Negatives: other classes of the
    anchor's group. Anchors: mean over pairs of class and group of the means within a pair.
    """
    alike, together = y[:, None] == y, group[:, None] == group
    positive = alike & ~np.eye(len(y), dtype=bool)
    push = ~alike & together
    usable = positive.any(axis=1) & push.any(axis=1)
    pull = _even(positive, together)
    return pull, push & usable[:, None], _even(usable[None], alike & together)[0]


def _even(chosen: np.ndarray, together: np.ndarray) -> np.ndarray:
    """Return weights that turn a sum into the mean over groups of the means within groups."""
    counts = np.maximum(chosen.astype(float) @ together, 1)
    groups = np.maximum((chosen / counts).sum(axis=1, keepdims=True).round(), 1)
    return chosen / (counts * groups)
