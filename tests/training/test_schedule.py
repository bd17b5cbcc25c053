"""Layer-wise learning rates and weight decay: every tensor against the owners' formula."""

import re
from types import SimpleNamespace

import pytest
import timm
import torch
from torch import nn

from medaudit.adapt.finetune.optimizer import make_optimizer
from medaudit.models.vision_language import ImageTower
from medaudit.training.schedule import parameter_groups

DECAY, WEIGHT_DECAY = 0.55, 0.05
TOP = "head"


def mae_layer(name: str, blocks: int = 12) -> int:
    """MAE's ``util/lr_decay.py``: embeddings 0, block i has i + 1, everything else the top."""
    if name in ("cls_token", "pos_embed") or name.startswith("patch_embed"):
        return 0
    block = re.match(r"blocks\.(\d+)\.", name)
    return int(block[1]) + 1 if block else blocks + 1


def staged_layer(name: str, pattern: str, depths: tuple[int, ...], stem: str) -> int:
    """The same for an architecture of stages: blocks are counted from the stem through all stages."""
    if name.startswith(stem):
        return 0
    found = re.match(pattern, name)
    if not found:
        return sum(depths) + 1
    stage, block = (int(part or 0) for part in found.groups())
    return sum(depths[:stage]) + block + 1


def resnetv2_layer(name: str) -> int:
    return staged_layer(name, r"stages\.(\d+)\.blocks\.(\d+)\.", (3, 4, 6, 3), "stem")


def swin_layer(name: str) -> int:
    # A downsampling at the start of a stage has the rate of the stage's first block.
    pattern = r"layers\.(\d+)\.(?:blocks\.(\d+)|downsample)\."
    return staged_layer(name, pattern, (2, 2, 6, 2), "patch_embed")


def network_of(tower: nn.Module) -> SimpleNamespace:
    with torch.device("meta"):
        return SimpleNamespace(tower=tower, head=nn.Linear(8, 14))


def named_parameters(network) -> dict[str, nn.Parameter]:
    trunk = getattr(network.tower, "trunk", network.tower)
    above = {id(p) for p in network.tower.parameters()} - {id(p) for p in trunk.parameters()}
    named = dict(trunk.named_parameters())
    named |= {n: p for n, p in network.tower.named_parameters() if id(p) in above}
    return named | {f"{TOP}.{n}": p for n, p in network.head.named_parameters()}


def check(network, layer_of, count: int) -> None:
    entry = {"weight_decay": WEIGHT_DECAY, "layer_decay": DECAY, "betas": (0.9, 0.95)}
    groups = make_optimizer(network, entry).param_groups
    found = {
        id(p): (group.get("lr_scale", 1.0), group["weight_decay"])
        for group in groups
        for p in group["params"]
    }
    named = named_parameters(network)
    assert len(found) == len(named) == count == sum(len(group["params"]) for group in groups)
    top = layer_of(f"{TOP}.weight")
    exempt = ("cls_token", "pos_embed", "relative_position_bias_table")
    for name, parameter in named.items():
        scale, decay = found[id(parameter)]
        assert scale == pytest.approx(DECAY ** (top - layer_of(name)), rel=1e-12), name
        plain = parameter.ndim == 1 or name.endswith(exempt)
        assert decay == (0.0 if plain else WEIGHT_DECAY), name


@pytest.mark.parametrize("pooling", ["token", "avg"])
def test_every_tensor_of_a_vit_b_has_the_rate_and_decay_of_mae(pooling):
    with torch.device("meta"):
        tower = timm.create_model("vit_base_patch16_224", num_classes=0, global_pool=pooling)
    network = network_of(tower)
    check(network, mae_layer, 152)
    groups = parameter_groups(tower, WEIGHT_DECAY, DECAY)
    scale = {id(p): group["lr_scale"] for group in groups for p in group["params"]}
    assert scale[id(tower.blocks[11].mlp.fc2.weight)] == pytest.approx(0.55)
    assert scale[id(tower.patch_embed.proj.weight)] == pytest.approx(4.2142e-4, rel=1e-4)


@pytest.mark.parametrize(
    "architecture, layer_of, blocks",
    [("resnetv2_50x1_bit", resnetv2_layer, 16), ("swin_tiny_patch4_window7_224", swin_layer, 12)],
)
def test_every_tensor_of_other_towers_follows_the_same_formula(architecture, layer_of, blocks):
    with torch.device("meta"):
        tower = timm.create_model(architecture, num_classes=0)
    assert layer_of(f"{TOP}.weight") == blocks + 1
    check(network_of(tower), layer_of, len(list(tower.parameters())) + 2)


def test_a_projection_has_the_full_rate_and_its_bias_no_decay():
    with torch.device("meta"):
        trunk = timm.create_model("resnetv2_50x1_bit", num_classes=0)
        tower = ImageTower(trunk, nn.Linear(trunk.num_features, 8))
    check(network_of(tower), resnetv2_layer, len(list(trunk.parameters())) + 4)


def test_without_layer_decay_embeddings_are_not_decayed_either():
    with torch.device("meta"):
        tower = timm.create_model("vit_base_patch16_224", num_classes=0)
    tower.blocks[3].requires_grad_(False)
    groups = parameter_groups(tower, WEIGHT_DECAY)
    decay = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    assert not any("lr_scale" in group for group in groups)
    for name, parameter in tower.named_parameters():
        if name.startswith("blocks.3."):
            assert id(parameter) not in decay
        else:
            plain = parameter.ndim == 1 or name in ("cls_token", "pos_embed")
            assert decay[id(parameter)] == (0.0 if plain else WEIGHT_DECAY), name


def test_a_pretraining_decays_the_class_token_as_mae_does():
    """Its code calls timm's ``add_weight_decay`` without a list of exceptions."""

    class Algorithm(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = timm.create_model("vit_tiny_patch16_224", num_classes=0)

    with torch.device("meta"):
        algorithm = Algorithm()
    groups = parameter_groups(algorithm, WEIGHT_DECAY)
    decayed = {id(p) for g in groups if g["weight_decay"] for p in g["params"]}
    assert id(algorithm.encoder.cls_token) in decayed
    assert id(algorithm.encoder.blocks[0].norm1.weight) not in decayed
