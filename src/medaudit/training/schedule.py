"""Learning rates over training and over layers."""

import math

import torch
from timm.optim import param_groups_layer_decay, param_groups_weight_decay


def learning_rate(
    epoch: float,
    *,
    peak: float,
    epochs: float,
    warmup: float,
    minimum: float = 0.0,
    schedule: str = "cosine",
) -> float:
    """Return the learning rate at a point of training.

    Linear from 0 to `peak` over the warm-up, then half a cosine down to `minimum` at the last
    epoch, or constant. As MAE's ``util/lr_sched.py`` and MoCo v3's ``main_moco.py``.

    Parameters
    ----------
    epoch : float
        Epochs done, with fractions; both papers set the rate at every step.
    peak, minimum : float
        Highest and last rate.
    epochs, warmup : float
        Length of the run and of its warm-up.
    schedule : str
        ``cosine`` or ``constant``.
    """
    if epoch < warmup:
        return peak * epoch / warmup
    if schedule == "constant":
        return peak
    done = (epoch - warmup) / (epochs - warmup)
    return minimum + (peak - minimum) * 0.5 * (1 + math.cos(math.pi * done))


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every parameter group `rate`, times its ``lr_scale`` where it has one."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_scale", 1.0)


def parameter_groups(
    model: torch.nn.Module, weight_decay: float, layer_decay: float | None = None
) -> list[dict]:
    """Split the trainable parameters into groups for an optimizer.

    Biases and one-dimensional parameters get no weight decay. With `layer_decay` a group also
    has ``lr_scale`` = ``layer_decay`` to the number of layers above it (the head: 1), by timm's
    layers, for ViTs and ResNets. timm counts a ViT's last ``norm`` with its last block, where
    MAE's ``lr_decay.py`` counts it with the head; ``fc_norm`` (mean pooling) is with the head in
    both.
    """
    if layer_decay is None:
        return param_groups_weight_decay(model, weight_decay)
    return param_groups_layer_decay(model, weight_decay, layer_decay=layer_decay)
