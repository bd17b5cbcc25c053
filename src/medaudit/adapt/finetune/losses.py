"""Loss of a fine-tuning batch, with a weight for each target."""

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy


def class_weights(y: np.ndarray, multiclass: bool, kind: str | None) -> np.ndarray:
    """Return the weights of the targets 0 and 1 of each task: float32 [2, tasks].

    Parameters
    ----------
    y : numpy.ndarray
        [n, tasks] training targets: 1, 0 or NaN; one-hot if `multiclass`.
    multiclass : bool
        The weight of a class depends on its number of rows; the weights of 0 are not used.
    kind : str or None
        ``balanced``: known targets / (classes * targets of the class), as in scikit-learn's
        ``compute_class_weight``; a class that does not occur has weight 1. None: all weights are 1.
    """
    if kind is None:
        return np.ones((2, y.shape[1]), np.float32)
    counts = np.stack([(y == 0).sum(axis=0), (y == 1).sum(axis=0)]).astype(np.float64)
    known, classes = (len(y), y.shape[1]) if multiclass else (counts.sum(axis=0), 2)
    weights = known / (classes * np.maximum(counts, 1))
    return np.where(counts > 0, weights, 1).astype(np.float32)


def target_weights(y: np.ndarray, weights: np.ndarray, multiclass: bool) -> np.ndarray:
    """Return the weight of each target in the loss of a batch: float32 [n, tasks].

    The weights of `class_weights`, divided by the number of rows (multi-class) or of known targets
    in the whole batch; 0 for missing targets.
    """
    # Divide here, by the count of the whole batch. A mean within each process would weight targets
    # unequally, because processes may get different numbers of images and of known targets. With
    # these weights the losses of the processes' parts add up to the loss of the batch.
    known = np.isfinite(y)
    count = len(y) if multiclass else max(int(known.sum()), 1)
    return np.where(known, np.where(y == 1, weights[1], weights[0]) / np.float32(count), 0)


def batch_loss(
    logits: torch.Tensor, y: torch.Tensor, weights: torch.Tensor, multiclass: bool
) -> torch.Tensor:
    """Return the weighted sum of cross-entropies (one-hot rows) or binary cross-entropies.

    Parameters
    ----------
    logits, y : torch.Tensor
        [n, tasks]; `y` is 1, 0 or NaN.
    weights : torch.Tensor
        [n, tasks] from `target_weights`, which make the sum a mean over the batch.
    multiclass : bool
        Softmax cross-entropy; a row has the weight of its class.
    """
    if multiclass:
        terms = cross_entropy(logits, y, reduction="none")
        return (terms * (weights * y).sum(dim=1)).sum()
    terms = binary_cross_entropy_with_logits(logits, y.nan_to_num(), reduction="none")
    return (terms * weights).sum()


def image_losses(
    logits: torch.Tensor, y: torch.Tensor, weights: torch.Tensor, multiclass: bool
) -> torch.Tensor:
    """Return each image's part of `batch_loss`: [n], with the same arguments."""
    if multiclass:
        return cross_entropy(logits, y, reduction="none") * (weights * y).sum(dim=1)
    terms = binary_cross_entropy_with_logits(logits, y.nan_to_num(), reduction="none")
    return (terms * weights).sum(dim=1)
