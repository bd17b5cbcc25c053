"""What is pretrained: a ViT of timm's blocks with the papers' position embedding and initial weights,
or for contrastive learning a ResNet of timm."""

import math

import numpy as np
import timm
import torch
from timm.models.resnet import ResNet
from timm.models.resnetv2 import ResNetV2
from timm.models.vision_transformer import VisionTransformer

from medaudit.core.errors import MedauditError
from medaudit.models.pretrain.settings import Settings

TEMPERATURE = 10_000.0


def build_encoder(settings: Settings) -> torch.nn.Module:
    """Return timm's model without a classifier, with timm's initial weights.

    Raises
    ------
    MedauditError
        The architecture is neither a plain ViT with a class token nor, for ``moco_v3``, a ResNet.
    """
    arguments = {**settings.arguments, "in_chans": settings.input.channels, "num_classes": 0}
    encoder = timm.create_model(settings.architecture, pretrained=False, **arguments)
    if settings.algorithm == "moco_v3" and is_resnet(encoder):
        return encoder
    plain = isinstance(encoder, VisionTransformer) and isinstance(encoder.norm, torch.nn.LayerNorm)
    if not plain or encoder.num_prefix_tokens != 1 or encoder.no_embed_class:
        raise MedauditError(
            f"pretraining {settings.name}: {settings.algorithm} needs a plain timm ViT with one "
            f"class token and token pooling; {settings.architecture} with {settings.arguments} is "
            "none (a ResNet can be pretrained by moco_v3 alone)"
        )
    side = encoder.patch_embed.img_size[0]
    if encoder.patch_embed.img_size != (settings.input.size,) * 2:
        raise MedauditError(
            f"pretraining {settings.name}: input size {settings.input.size} is not the "
            f"architecture's {side}; set img_size in its arguments"
        )
    return encoder


def is_resnet(encoder: torch.nn.Module) -> bool:
    """Return whether it is a ResNet of timm, of either version (BiT's are of the second)."""
    return isinstance(encoder, ResNet | ResNetV2)


def has_batch_norm(encoder: torch.nn.Module) -> bool:
    """Return whether an image's features depend on the batch it is encoded in, in training."""
    return any(isinstance(part, torch.nn.BatchNorm2d) for part in encoder.modules())


def fix_positions(encoder: VisionTransformer, rows_first: bool) -> None:
    """Set the position embedding to `position_table` and freeze it."""
    table = position_table(encoder.embed_dim, encoder.patch_embed.grid_size[0], rows_first)
    encoder.pos_embed = torch.nn.Parameter(table, requires_grad=False)


def position_table(width: int, grid: int, rows_first: bool) -> torch.Tensor:
    """Return the fixed 2-d sine-cosine embedding: float32 [1, 1 + grid**2, width].

    The class token's row is 0. One half of the features holds sines and cosines of the patch's
    row, the other those of its column; MAE's code has the column first, MoCo v3's the row.
    """
    if width % 4:
        raise MedauditError(f"a sine-cosine position embedding needs a width / 4, got {width}")
    row, column = np.divmod(np.arange(grid**2), grid)
    omega = TEMPERATURE ** -(np.arange(width // 4) / (width // 4))
    first, second = (row, column) if rows_first else (column, row)
    angles = [np.outer(position, omega) for position in (first, second)]
    table = np.concatenate([part for a in angles for part in (np.sin(a), np.cos(a))], axis=1)
    return torch.from_numpy(np.pad(table, ((1, 0), (0, 0)))[None].astype(np.float32))


def initialise(module: torch.nn.Module, split_qkv: bool) -> None:
    """Give all linear layers and the patch embedding Xavier-uniform weights, biases 0.

    Parameters
    ----------
    module : torch.nn.Module
        Layer norms are set to scale 1 and shift 0.
    split_qkv : bool
        True: query, key and value count as three layers, as MoCo v3's code has it; False: as
        one, as MAE's.
    """
    for name, part in module.named_modules():
        if isinstance(part, torch.nn.Linear):
            thirds = 3 if split_qkv and name.endswith("qkv") else 1
            _xavier(part.weight, part.weight.shape[0] // thirds)
        elif isinstance(part, torch.nn.LayerNorm):
            torch.nn.init.ones_(part.weight)
        elif isinstance(part, torch.nn.Conv2d):
            _xavier(part.weight, part.weight.shape[0])
        else:
            continue
        if part.bias is not None:
            torch.nn.init.zeros_(part.bias)


def _xavier(weight: torch.Tensor, outputs: int) -> None:
    bound = math.sqrt(6 / (outputs + weight[0].numel()))
    torch.nn.init.uniform_(weight, -bound, bound)
