"""Learning-rate schedules over time, and layer-wise learning-rate decay."""

import math
import re

import torch
from timm.models._manipulate import MATCH_PREV_GROUP, group_with_matcher


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

    Parameters
    ----------
    model : torch.nn.Module
        A tower without classifier, or any other module if there is no `layer_decay`.
    weight_decay : float
        Of everything but biases, one-dimensional parameters and those that the model's
        ``no_weight_decay`` lists: class token and position embedding of a ViT, relative position
        biases of a Swin.
    layer_decay : float, optional
        Gives each group an ``lr_scale``, see `layer_scales`.

    Returns
    -------
    list of dict
        ``params``, ``weight_decay`` and, with `layer_decay`, ``lr_scale``.
    """
    scales = {} if layer_decay is None else layer_scales(model, layer_decay)
    exempt: set[str] = getattr(model, "no_weight_decay", set)()
    groups: dict[tuple, dict] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        plain = parameter.ndim <= 1 or name.endswith(".bias") or name in exempt
        kind: dict = {"weight_decay": 0.0 if plain else weight_decay}
        kind |= {"lr_scale": scales[name]} if scales else {}
        groups.setdefault(tuple(kind.values()), {"params": [], **kind})["params"].append(parameter)
    return list(groups.values())


def layer_scales(tower: torch.nn.Module, decay: float) -> dict[str, float]:
    """Return the factor of the learning rate of each parameter of a timm tower.

    The factor is ``decay ** k`` for k layers above, as in MAE's ``util/lr_decay.py`` (after BEiT,
    Bao et al. 2022). The top layer is the classifier, which is not in the tower, together with
    everything after the last block: norms, attention pooling. So the last block has `decay` in
    every architecture and with every pooling. timm's ``group_matcher`` names the blocks; it would
    count a final norm with the last block, and without a classifier start at the last block.

    Parameters
    ----------
    tower : torch.nn.Module
        A timm model with a ``group_matcher``.
    decay : float
        In (0, 1].

    Returns
    -------
    dict of str to float
        By parameter name.
    """
    matcher = tower.group_matcher(coarse=False)
    if isinstance(matcher, dict):
        matcher = {part: _without_final_norms(rules) for part, rules in matcher.items()}
    # The classifier that the tower lacks: timm gives what matches nothing the highest number.
    named = [*tower.named_parameters(), ("<classifier>", None)]
    layers = group_with_matcher(named, matcher, reverse=True)
    top = layers.pop("<classifier>")
    return {name: decay ** (top - layer) for name, layer in layers.items()}


def _without_final_norms(rules: str | list[tuple]) -> str | list[tuple]:
    """Return a ``group_matcher``'s rules without those for what comes after all numbered blocks.

    What they match then belongs to no block, and so to the top layer.
    """
    if not isinstance(rules, list):
        return rules
    return [
        (pattern, place)
        for pattern, place in rules
        if place != MATCH_PREV_GROUP or re.compile(pattern).groups
    ]
