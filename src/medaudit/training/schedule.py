"""Learning-rate schedules over time, and layer-wise learning-rate decay."""

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
    """Return the learning rate after `epoch` epochs.

    It rises linearly from 0 to `peak` during warm-up, then falls as half a cosine to `minimum` at
    the last epoch, or stays constant; as in MAE's ``util/lr_sched.py`` and MoCo v3's
    ``main_moco.py``.

    Parameters
    ----------
    epoch : float
        Epochs done, a fraction within an epoch: both papers set the rate at every step.
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
    """Set the rate of every parameter group to `rate` times its ``lr_scale`` (default 1)."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_scale", 1.0)


def parameter_groups(
    model: torch.nn.Module, weight_decay: float, layer_decay: float | None = None
) -> list[dict]:
    """Return the trainable parameters as parameter groups for an optimizer.

    Biases and one-dimensional parameters get no weight decay. With `layer_decay`, each group has an
    ``lr_scale`` of ``layer_decay ** k`` for k layers above it (the head: 1). timm defines the
    layers of ViTs and ResNets. It counts a ViT's last ``norm`` with its last block, where MAE's
    ``lr_decay.py`` counts it with the head; both count ``fc_norm`` (mean pooling) with the head.
    """
    if layer_decay is None:
        return param_groups_weight_decay(model, weight_decay)
    return param_groups_layer_decay(model, weight_decay, layer_decay=layer_decay)
