"""The encoder to pretrain: a timm ViT with the papers' initial weights, or a ResNet.

ResNets can only be pretrained by MoCo v3.
"""

import math

import numpy as np
import torch
from timm.models.resnet import ResNet
from timm.models.resnetv2 import ResNetV2
from timm.models.vision_transformer import VisionTransformer

from medaudit.core.errors import MedauditError
from medaudit.models.architectures import create_architecture
from medaudit.models.pretrain.settings import Settings

TEMPERATURE = 10_000.0


def build_encoder(settings: Settings) -> torch.nn.Module:
    """Return timm's model without its classifier, with timm's initial weights.

    Raises
    ------
    MedauditError
        The architecture is not a plain ViT with a class token (nor a ResNet, for ``moco_v3``).
    """
    arguments = {**settings.arguments, "in_chans": settings.input.channels}
    encoder = create_architecture(settings.architecture, **arguments)
    if settings.algorithm == "moco_v3" and is_resnet(encoder):
        return encoder
    if settings.optimizer == "lars":
        raise MedauditError(
            f"pretraining {settings.name}: optimizer lars is for ResNets; {settings.architecture} is "
            "trained with adamw"
        )
    plain = isinstance(encoder, VisionTransformer) and isinstance(encoder.norm, torch.nn.LayerNorm)
    if not plain or encoder.num_prefix_tokens != 1 or encoder.no_embed_class:
        raise MedauditError(
            f"pretraining {settings.name}: {settings.algorithm} needs a plain timm ViT with one "
            f"class token and token pooling; {settings.architecture} with {settings.arguments} is "
            "not one (only moco_v3 can pretrain a ResNet)"
        )
    side = encoder.patch_embed.img_size[0]
    if encoder.patch_embed.img_size != (settings.input.size,) * 2:
        raise MedauditError(
            f"pretraining {settings.name}: input.size {settings.input.size} differs from the "
            f"architecture's image size {side}; set img_size in its arguments"
        )
    return encoder


def is_resnet(encoder: torch.nn.Module) -> bool:
    """Return whether `encoder` is a ResNet of timm, version 1 or 2 (BiT's are version 2)."""
    return isinstance(encoder, ResNet | ResNetV2)


def has_batch_norm(encoder: torch.nn.Module) -> bool:
    """Return whether, in training, an image's features depend on the other images of its batch."""
    return any(isinstance(part, torch.nn.BatchNorm2d) for part in encoder.modules())


def fix_positions(encoder: VisionTransformer, rows_first: bool) -> None:
    """Set the position embedding to `position_table` and freeze it."""
    table = position_table(encoder.embed_dim, encoder.patch_embed.grid_size[0], rows_first)
    encoder.pos_embed = torch.nn.Parameter(table, requires_grad=False)


def position_table(width: int, grid: int, rows_first: bool) -> torch.Tensor:
    """Return the fixed 2-d sine-cosine embedding: float32 [1, 1 + grid**2, width].

    The class token's row is 0. One half of the features are sines and cosines of the patch's row,
    the other half those of its column; with `rows_first` the row comes first.

    Raises
    ------
    MedauditError
        `width` is not divisible by 4.
    """
    if width % 4:
        raise MedauditError(
            "a sine-cosine position embedding needs an embedding width divisible by 4; it is "
            f"{width}: change embed_dim (or decoder_width)"
        )
    # omega_i = 10000^(-i / (width / 4)) as in Vaswani et al. 2017, for each axis separately. The
    # official codes differ in the order of the axes: MAE has columns first, MoCo v3 rows. Weights
    # are only exchangeable with theirs if the order is theirs.
    row, column = np.divmod(np.arange(grid**2), grid)
    omega = TEMPERATURE ** -(np.arange(width // 4) / (width // 4))
    first, second = (row, column) if rows_first else (column, row)
    angles = [np.outer(position, omega) for position in (first, second)]
    table = np.concatenate([part for a in angles for part in (np.sin(a), np.cos(a))], axis=1)
    return torch.from_numpy(np.pad(table, ((1, 0), (0, 0)))[None].astype(np.float32))


def initialise(module: torch.nn.Module, split_qkv: bool) -> None:
    """Set Xavier-uniform weights in all linear layers and the patch embedding, and biases to 0.

    Parameters
    ----------
    module : torch.nn.Module
        Its layer norms are set to scale 1 and shift 0.
    split_qkv : bool
        True: query, key and value count as three layers, as in MoCo v3's code; False: as one, as
        in MAE's. It changes the bound of the uniform distribution.
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
    # Not torch's xavier_uniform_: the fan-out is that of one of query, key, value, and the patch
    # embedding counts as a linear layer on flattened patches.
    bound = math.sqrt(6 / (outputs + weight[0].numel()))
    torch.nn.init.uniform_(weight, -bound, bound)
