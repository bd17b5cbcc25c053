"""An image tower cut into its stem, its blocks (or stages) and what follows them.

So that blocks that nothing is tuned in need to be run once only, see `medaudit.adapt.finetune.frozen_blocks_cache`.
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
"""Children of a tower that come after its blocks; other children outside them come before."""


@dataclass(frozen=True)
class Stages:
    """A tower as a chain of steps.

    Parameters
    ----------
    stem : callable
        Pixels to the input of the first unit.
    units : tuple of torch.nn.Module
        Blocks of a ViT, stages of a ResNet.
    finish : callable
        Output of the last unit to features [b, d].
    tower : torch.nn.Module
        What it was cut from.
    """

    stem: Callable[[torch.Tensor], torch.Tensor]
    units: tuple[nn.Module, ...]
    finish: Callable[[torch.Tensor], torch.Tensor]
    tower: nn.Module

    @property
    def end(self) -> int:
        """The level of the features: all units and what follows them are done."""
        return len(self.units) + 1

    def run(self, x: torch.Tensor, start: int = 0, stop: int | None = None) -> torch.Tensor:
        """Go from one level to another.

        Level 0 is the pixels, level k the output of the first k units, level `end` the features.
        """
        stop = self.end if stop is None else stop
        if start == 0 and stop > 0:
            x = self.stem(x)
        for unit in self.units[start : min(stop, len(self.units))]:
            x = unit(x)
        return self.finish(x) if start < self.end <= stop else x

    def frozen(self) -> int:
        """Return the highest level below which nothing is tuned."""
        tuned = {id(p) for p in self.tower.parameters() if p.requires_grad}
        inside = {id(p): k for k, unit in enumerate(self.units) for p in unit.parameters()}
        after = {id(p) for p in _after(self.tower)}
        levels = [
            inside[i] if i in inside else (len(self.units) if i in after else 0) for i in tuned
        ]
        return min(levels, default=self.end)


def cut_stages(tower: nn.Module) -> Stages | None:
    """Cut a tower; None for an architecture whose forward pass is not known to be such a chain."""
    if isinstance(tower, ImageTower) and type(tower).forward is ImageTower.forward:
        inner = cut_stages(tower.trunk)
        return inner and Stages(
            inner.stem, inner.units, lambda x: tower.projection(inner.finish(x)), tower
        )
    if type(tower) is VisionTransformer:
        return Stages(
            lambda x: _embed(tower, x), tuple(tower.blocks), lambda x: _pool(tower, x), tower
        )
    if type(tower) is ResNet:
        units = (tower.layer1, tower.layer2, tower.layer3, tower.layer4)
        return Stages(lambda x: _resnet_stem(tower, x), units, tower.forward_head, tower)
    if type(tower) is ResNetV2:
        return Stages(tower.stem, tuple(tower.stages), lambda x: _pool(tower, x), tower)
    return None


def _embed(tower: VisionTransformer, x: torch.Tensor) -> torch.Tensor:
    return tower.norm_pre(tower.patch_drop(tower._pos_embed(tower.patch_embed(x))))


def _pool(tower: nn.Module, x: torch.Tensor) -> torch.Tensor:
    return tower.forward_head(tower.norm(x))


def _resnet_stem(tower: ResNet, x: torch.Tensor) -> torch.Tensor:
    return tower.maxpool(tower.act1(tower.bn1(tower.conv1(x))))


def _after(tower: nn.Module) -> list[nn.Parameter]:
    trunk = getattr(tower, "trunk", tower)
    parts = {**dict(tower.named_children()), **dict(trunk.named_children())}
    return [p for name in AFTER & parts.keys() for p in parts[name].parameters()]
