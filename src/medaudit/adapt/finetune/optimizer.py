"""AdamW over what is tuned, with one learning rate a layer where the method says so."""

import torch

from medaudit.adapt.finetune.network import Network
from medaudit.core.errors import MedauditError
from medaudit.training.schedule import parameter_groups


def make_optimizer(network: Network, entry: dict) -> torch.optim.Optimizer:
    """Return AdamW over the tuned parameters; biases and norms are not decayed.

    Raises
    ------
    MedauditError
        ``layer_decay`` is set for a tower whose layers timm does not know.
    """
    decay, layers = entry["weight_decay"], entry.get("layer_decay")
    trunk = getattr(network.tower, "trunk", network.tower)
    if layers is not None and not hasattr(trunk, "group_matcher"):
        raise MedauditError(
            f"layer_decay {layers} needs a timm model, not {type(trunk).__name__}: set it to null"
        )
    groups = parameter_groups(trunk, decay, layers) + parameter_groups(network.head, decay)
    if trunk is not network.tower:
        inside = {id(parameter) for parameter in trunk.parameters()}
        above = [p for p in network.tower.parameters() if p.requires_grad and id(p) not in inside]
        groups.append({"params": above, "weight_decay": decay})
    groups = [group for group in groups if group["params"]]
    betas = tuple(entry.get("betas", (0.9, 0.999)))
    return torch.optim.AdamW(groups, lr=0.0, betas=betas)
