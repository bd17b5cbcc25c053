"""An image tower as a chain: stem, blocks (of a ViT) or stages (of a ResNet), and what follows.

The chain lets the outputs of frozen blocks be computed once and stored, see
`medaudit.adapt.finetune.frozen_blocks_cache`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from timm.models.resnet import ResNet
from timm.models.resnetv2 import ResNetV2
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from medaudit.models.vision_language import ImageTower

AFTER = {"norm", "fc_norm", "attn_pool", "global_pool", "head_drop", "head", "fc", "projection"}
"""Children of a tower that run after its blocks; all other children run before them."""


@dataclass(frozen=True)
class BlockChain:
    """An image tower as a chain of steps with a numbered level between any two of them.

    Level 0 is the pixels, level k the output of the first k units, and level `end` the features.

    Parameters
    ----------
    stem : callable
        Maps pixels to the input of the first unit.
    units : tuple of torch.nn.Module
        Blocks of a ViT, or stages of a ResNet.
    finish : callable
        Maps the output of the last unit to features [b, d].
    tower : torch.nn.Module
        The whole tower.
    """

    stem: Callable[[torch.Tensor], torch.Tensor]
    units: tuple[nn.Module, ...]
    finish: Callable[[torch.Tensor], torch.Tensor]
    tower: nn.Module

    @property
    def end(self) -> int:
        """Level of the features, after all units and what follows them."""
        return len(self.units) + 1

    def run(self, x: torch.Tensor, start: int = 0, stop: int | None = None) -> torch.Tensor:
        """Return the values of level `stop` (default: the features) from those of level `start`."""
        stop = self.end if stop is None else stop
        if start == 0 and stop > 0:
            x = self.stem(x)
        for unit in self.units[start : min(stop, len(self.units))]:
            x = unit(x)
        return self.finish(x) if start < self.end <= stop else x

    def frozen_level(self) -> int:
        """Return the highest level below which no parameter is tuned."""
        tuned = {id(p) for p in self.tower.parameters() if p.requires_grad}
        inside = {id(p): k for k, unit in enumerate(self.units) for p in unit.parameters()}
        after = {id(p) for p in _parameters_after_blocks(self.tower)}
        # A parameter outside the units that is not known to come after them (a patch or position
        # embedding) counts as the stem's: level 0 is always safe.
        levels = [
            inside[i] if i in inside else (len(self.units) if i in after else 0) for i in tuned
        ]
        return min(levels, default=self.end)


def cut_into_blocks(tower: nn.Module) -> BlockChain | None:
    """Return a tower as a chain; None if its forward pass is not known to be one.

    The types are compared exactly: a subclass (a timm model with distillation, say) may have another
    forward pass, and then the chain would silently compute something else.
    """
    if isinstance(tower, ImageTower) and type(tower).forward is ImageTower.forward:
        inner = cut_into_blocks(tower.trunk)
        return inner and BlockChain(
            inner.stem, inner.units, lambda x: tower.projection(inner.finish(x)), tower
        )
    if type(tower) is VisionTransformer:
        return BlockChain(
            lambda x: _embed(tower, x), tuple(tower.blocks), lambda x: _pool(tower, x), tower
        )
    if type(tower) is ResNet:
        units = (tower.layer1, tower.layer2, tower.layer3, tower.layer4)
        return BlockChain(lambda x: _resnet_stem(tower, x), units, tower.forward_head, tower)
    if type(tower) is ResNetV2:
        return BlockChain(tower.stem, tuple(tower.stages), lambda x: _pool(tower, x), tower)
    return None


def _embed(tower: VisionTransformer, x: torch.Tensor) -> torch.Tensor:
    return tower.norm_pre(tower.patch_drop(tower._pos_embed(tower.patch_embed(x))))


def _pool(tower: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return tower.forward_head(tower.norm(x))


def _resnet_stem(tower: ResNet, x: torch.Tensor) -> torch.Tensor:
    return tower.maxpool(tower.act1(tower.bn1(tower.conv1(x))))


def _parameters_after_blocks(tower: nn.Module) -> list[nn.Parameter]:
    trunk = getattr(tower, "trunk", tower)
    parts = {**dict(tower.named_children()), **dict(trunk.named_children())}
    return [p for name in AFTER & parts.keys() for p in parts[name].parameters()]
