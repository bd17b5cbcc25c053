"""AdamW over the tuned parameters, with layer-wise learning-rate decay if the method sets it."""

import torch

from medaudit.adapt.finetune.network import Network
from medaudit.adapt.finetune_settings import TrainingEntry
from medaudit.core.errors import MedauditError
from medaudit.training.schedule import parameter_groups


def make_optimizer(network: Network, entry: TrainingEntry) -> torch.optim.Optimizer:
    """Return AdamW over the tuned parameters; biases, norms and embeddings get no weight decay.

    With ``layer_decay`` d, the learning rate of a layer is d times that of the layer above it, and
    the head has the full rate (Clark et al. 2020, ELECTRA; Bao et al. 2022, BEiT): early layers
    carry general features and should change less.

    Raises
    ------
    MedauditError
        ``layer_decay`` is set and timm does not know the layers of the tower.
    """
    decay, layer_decay = entry["weight_decay"], entry.get("layer_decay")
    trunk = getattr(network.tower, "trunk", network.tower)
    if layer_decay is not None and not hasattr(trunk, "group_matcher"):
        raise MedauditError(
            f"layer_decay {layer_decay} needs a timm model, but this model is a "
            f"{type(trunk).__name__}: set `layer_decay: null`, for this model in `by_model`"
        )
    groups = parameter_groups(trunk, decay, layer_decay) + parameter_groups(network.head, decay)
    if trunk is not network.tower:
        # A projection above the trunk is a layer next to the head: the full rate.
        for part in network.tower.children():
            groups += parameter_groups(part, decay) if part is not trunk else []
    betas = tuple(entry.get("betas", (0.9, 0.999)))
    # fused: one pass over each parameter instead of about ten.
    return torch.optim.AdamW(groups, lr=0.0, betas=betas, fused=True)
