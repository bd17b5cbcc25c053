"""Linear heads on embeddings that differ in how the examples of a batch count."""

import numpy as np
from scipy.special import expit

from medaudit.adapt.affine_layer import Parameters, affine, affine_gradients, layer
from medaudit.adapt.mitigate.example_weights import tail_weights, worst_group_weights
from medaudit.adapt.mitigate.training import Batch


class LinearHead:
    """Logistic regression by gradient descent, S seeds times C points at once.

    Parameters
    ----------
    strength : numpy.ndarray
        ``[C]``, the remedy's own setting; NaN where it has none.
    """

    outputs = 1

    def __init__(self, strength: np.ndarray) -> None:
        self.strength = strength

    def initial(self, inputs: int, rng: np.random.Generator) -> Parameters:
        """Return the initial parameters of one seed."""
        return layer(inputs, self.outputs, rng)

    def gradients(self, parameters: Parameters, batch: Batch) -> Parameters:
        """Return the gradients of the weighted cross-entropy of a batch."""
        residual = self.residual(affine(batch.x, *parameters), batch)
        return affine_gradients(batch.x, residual, parameters[0].shape)

    def residual(self, logits: np.ndarray, batch: Batch) -> np.ndarray:
        """Return the gradient with respect to the logits ``[S, b, C, outputs]``."""
        z, y = logits[..., 0], batch.y[..., None]
        return (self.weights(cross_entropy(z, y), batch) * (expit(z) - y))[..., None]

    def weights(self, losses: np.ndarray, batch: Batch) -> np.ndarray:
        """Return the weights of the examples of a batch, from their losses ``[S, b, C]``."""
        return batch.weight / losses.dtype.type(losses.shape[1])

    def logits(self, parameters: Parameters, x: np.ndarray) -> np.ndarray:
        """Return logits ``[S, C, n]``."""
        return affine(x[None], *parameters).mean(axis=-1).swapaxes(1, 2)


class GroupDRO(LinearHead):
    """The worst group and class counts most (`worst_group_weights`); strength: the step size."""

    def __init__(self, strength: np.ndarray, seeds: int, cells: np.ndarray) -> None:
        super().__init__(strength)
        present = np.bincount(cells) > 0
        share = present / present.sum()
        self.shares = np.tile(share, (seeds, len(strength), 1))

    def weights(self, losses: np.ndarray, batch: Batch) -> np.ndarray:
        """Return q_g / n_g for each example, after the step of q."""
        found, self.shares = worst_group_weights(losses, batch.cell, self.shares, self.strength)
        return found.astype(losses.dtype)


class TailRisk(LinearHead):
    """Only the largest losses of a batch count (`tail_weights`); strength: their share."""

    def weights(self, losses: np.ndarray, batch: Batch) -> np.ndarray:
        """Return the weights of the worst examples."""
        return tail_weights(losses, self.strength).astype(losses.dtype)


class DomainHeads(LinearHead):
    """One logistic regression per group; at test time the mean of their logits, without the group.

    Wang et al. 2020, "Towards fairness in visual recognition: effective strategies for bias
    mitigation" (arXiv 1911.11834), domain-independent training. The paper adds the scores of the
    domains; their mean has the same order.

    Parameters
    ----------
    strength : numpy.ndarray
        ``[C]``, not used.
    groups : int
        Number of groups, one head each.
    """

    def __init__(self, strength: np.ndarray, groups: int) -> None:
        super().__init__(strength)
        self.outputs = groups

    def residual(self, logits: np.ndarray, batch: Batch) -> np.ndarray:
        """Return the gradient: an example counts for the head of its own group only."""
        own = (batch.group[..., None] == np.arange(self.outputs))[:, :, None, :]
        error = expit(logits) - batch.y[..., None, None]
        weight = self.weights(logits[..., 0], batch)
        return (weight[..., None] * error * own).astype(logits.dtype)


def cross_entropy(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return log(1 + e^z) - z y, the cross-entropy of a logit for y in {0, 1}."""
    return np.logaddexp(0, z) - z * y
