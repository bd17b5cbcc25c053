"""Loss of a fine-tuning batch: weights say how much each target counts."""

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy


def class_weights(y: np.ndarray, multiclass: bool, kind: str | None) -> np.ndarray:
    """Return what a 0 and a 1 of each task count: float32 [2, tasks].

    Parameters
    ----------
    y : numpy.ndarray
        [n, tasks] training targets: 1, 0 or NaN; one-hot if `multiclass`.
    multiclass : bool
        A class weighs by its rows; a 0 says nothing then and its weight is not used.
    kind : str or None
        ``balanced``: known targets / (classes * those of the class), as scikit-learn's
        ``compute_class_weight``; a class that does not occur weighs 1. None: all weigh 1.
    """
    if kind is None:
        return np.ones((2, y.shape[1]), np.float32)
    counts = np.stack([(y == 0).sum(axis=0), (y == 1).sum(axis=0)]).astype(np.float64)
    known, classes = (len(y), y.shape[1]) if multiclass else (counts.sum(axis=0), 2)
    weights = known / (classes * np.maximum(counts, 1))
    return np.where(counts > 0, weights, 1).astype(np.float32)


def target_weights(y: np.ndarray, weights: np.ndarray, multiclass: bool) -> np.ndarray:
    """Return what each target of a batch adds to its loss: float32 [n, tasks].

    The weights of `class_weights` over the number of rows (multi-class) or known targets; missing
    targets add nothing. So `batch_loss` of any part of a batch is a summand of the whole.
    """
    known = np.isfinite(y)
    count = len(y) if multiclass else max(int(known.sum()), 1)
    return np.where(known, np.where(y == 1, weights[1], weights[0]) / np.float32(count), 0)


def batch_loss(
    logits: torch.Tensor, y: torch.Tensor, weights: torch.Tensor, multiclass: bool
) -> torch.Tensor:
    """Return weighted cross-entropy of one-hot rows, or binary cross-entropy of known targets.

    Parameters
    ----------
    logits, y : torch.Tensor
        [n, tasks]; `y` is 1, 0 or NaN.
    weights : torch.Tensor
        [n, tasks] of `target_weights`. Terms are summed, so they make it a mean.
    multiclass : bool
        Softmax cross-entropy; the weight of a row is that of its class.
    """
    if multiclass:
        terms = cross_entropy(logits, y, reduction="none")
        return (terms * (weights * y).sum(dim=1)).sum()
    terms = binary_cross_entropy_with_logits(logits, y.nan_to_num(), reduction="none")
    return (terms * weights).sum()
