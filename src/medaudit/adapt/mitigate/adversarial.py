"""Heads that hide the group from an adversary: LAFTR and CFair on stored embeddings.

An encoder (one layer with ReLU) feeds a classifier and an adversary that guesses the group from the
encoded embedding and the class. The adversary minimises its loss; encoder and classifier minimise
the classifier's loss minus ``strength`` times the adversary's. The papers train convolutional or
deep encoders; here the encoder is on top of frozen embeddings.
"""

import numpy as np
from scipy.special import expit, softmax

from medaudit.adapt.affine_layer import Parameters, affine, affine_gradients, layer
from medaudit.adapt.mitigate.training import Batch


class Adversarial:
    """LAFTR with the group-normalised l1 loss, for equalised odds.

    Madras, Creager, Pitassi and Zemel 2018, "Learning adversarially fair and transferable
    representations" (arXiv 1802.06309). The adversary's loss is the mean over pairs of group and
    class of the mean of 1 - P(own group); with two groups this is the paper's l1 loss.

    Parameters
    ----------
    strength : numpy.ndarray
        ``[C]``, weight of the adversary's loss (gamma).
    cells : numpy.ndarray
        ``[n]``, group and class of the training rows (`Part.cell`).
    groups, hidden : int
        Number of groups, and width of the encoder.
    """

    def __init__(self, strength: np.ndarray, cells: np.ndarray, groups: int, hidden: int) -> None:
        self.strength, self.groups, self.hidden = strength, groups, hidden
        self.share = np.bincount(cells, minlength=2 * groups).reshape(groups, 2) / len(cells)

    def initial(self, inputs: int, rng: np.random.Generator) -> Parameters:
        """Return encoder, classifier and adversary of one seed; the adversary has a head per class."""
        return [
            *layer(inputs, self.hidden, rng),
            *layer(self.hidden, 1, rng),
            *layer(self.hidden, 2 * self.groups, rng),
        ]

    def gradients(self, parameters: Parameters, batch: Batch) -> Parameters:
        """Return the gradients: those of the adversary reach the encoder reversed."""
        encoder, classifier, adversary = parameters[:2], parameters[2:4], parameters[4:]
        hidden = affine(batch.x, *encoder)
        active = hidden > 0
        hidden = hidden * active
        z = _apply(hidden, *classifier)[..., 0]
        error = (self.class_weights(batch) * (expit(z) - batch.y[..., None]))[..., None]
        guess = _apply(hidden, *adversary)
        blame = self.adversary_gradient(guess, batch)
        inner = _back(error, classifier[0]) - self.strength[:, None] * _back(blame, adversary[0])
        inner = (inner * active).astype(hidden.dtype)
        return [
            *affine_gradients(batch.x, inner, encoder[0].shape),
            *_own_gradients(hidden, error.astype(hidden.dtype)),
            *_own_gradients(hidden, blame.astype(hidden.dtype)),
        ]

    def class_weights(self, batch: Batch) -> np.ndarray:
        """Return the weights of the examples in the classifier's loss ``[S, b, 1]``."""
        return np.full((*batch.y.shape, 1), 1 / batch.y.shape[1])

    def adversary_gradient(self, guess: np.ndarray, batch: Batch) -> np.ndarray:
        """Return the gradient of the adversary's loss by its logits ``[S, b, C, 2 * groups]``."""
        own = (batch.group[..., None] == np.arange(self.groups))[:, :, None, :]
        heads = guess.reshape(*guess.shape[:3], 2, self.groups)
        chosen = np.where(batch.y[..., None, None] == 1, heads[..., 1, :], heads[..., 0, :])
        slope = self.slope(softmax(chosen, axis=-1), own)
        slope = slope * self.cell_weights(batch)[:, :, None, None]
        of_class = batch.y[..., None, None, None] == np.arange(2)[:, None]
        return (slope[..., None, :] * of_class).reshape(guess.shape)

    def slope(self, share: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Return the derivative of 1 - P(own group) by the logits."""
        return (share * own).sum(axis=-1, keepdims=True) * (share - own)

    def cell_weights(self, batch: Batch) -> np.ndarray:
        """Return the adversary's weights of the examples ``[S, b]``: each pair counts alike."""
        present = (self.share > 0).sum()
        return 1 / (present * self.share[batch.group, batch.y.astype(int)] * batch.y.shape[1])

    def logits(self, parameters: Parameters, x: np.ndarray) -> np.ndarray:
        """Return logits ``[S, C, n]`` of the classifier."""
        hidden = np.maximum(affine(x[None], *parameters[:2]), 0)
        return _apply(hidden, *parameters[2:4])[..., 0].swapaxes(1, 2)


class Conditional(Adversarial):
    """CFair: classes and, within each class, groups have equal weight, with cross-entropies.

    Zhao, Coston, Adel and Gordon 2020, "Conditional learning of fair representations"
    (arXiv 1910.07162): balanced error rates of classifier and adversaries, one adversary per class.
    """

    def class_weights(self, batch: Batch) -> np.ndarray:
        """Return 1 / (2 P(y)) per example of the batch."""
        of_class = self.share.sum(axis=0)[batch.y.astype(int)]
        return (1 / (2 * of_class * batch.y.shape[1]))[..., None]

    def slope(self, share: np.ndarray, own: np.ndarray) -> np.ndarray:
        """Return the derivative of the cross-entropy by the logits."""
        return share - own


def _apply(hidden: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Return a layer of each run's own input: ``[S, b, C, inputs]`` to ``[S, b, C, outputs]``."""
    return (hidden.swapaxes(1, 2) @ weight.swapaxes(2, 3)).swapaxes(1, 2) + bias[:, None]


def _back(gradient: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return (gradient.swapaxes(1, 2) @ weight).swapaxes(1, 2)


def _own_gradients(hidden: np.ndarray, gradient: np.ndarray) -> Parameters:
    """Return the gradients of a layer's weight ``[S, C, outputs, inputs]`` and bias."""
    moved = gradient.swapaxes(1, 2)
    return [moved.swapaxes(2, 3) @ hidden.swapaxes(1, 2), moved.sum(axis=2)]
