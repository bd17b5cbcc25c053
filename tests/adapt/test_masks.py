"""Masks: which parameters a bit or a name reaches, and that nothing else moves."""

import pytest
import timm
import torch
from torch import nn

from medaudit.adapt.finetune.block_chain import cut_into_blocks
from medaudit.adapt.finetune.masks import find_layout, tuned_parameters, widen
from medaudit.adapt.finetune.optimizer import make_optimizer
from medaudit.adapt.finetune.tuning import apply_tuning, train_tuned
from medaudit.core.errors import MedauditError
from medaudit.models.vision_language import ImageTower

TINY = {"img_size": 16, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}


def vit(**changes) -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("vit_tiny_patch16_224", num_classes=0, **{**TINY, **changes})


def resnet(name="resnet10t") -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model(name, num_classes=0)


def block(number: int, *parts: str) -> set[str]:
    return {f"blocks.{number}.{part}.{kind}" for part in parts for kind in ("weight", "bias")}


NORMS, ATTENTION, MLP = ("norm1", "norm2"), ("attn.qkv", "attn.proj"), ("mlp.fc1", "mlp.fc2")
BITS = {
    "100000": block(0, *NORMS),
    "010000": block(0, *ATTENTION),
    "001000": block(0, *MLP),
    "000100": block(1, *NORMS),
    "000010": block(1, *ATTENTION),
    "000001": block(1, *MLP),
}


@pytest.mark.parametrize("mask", BITS)
def test_a_bit_is_a_component_of_a_block(mask):
    assert tuned_parameters(vit(), "mask", mask) == BITS[mask]


def test_bits_add_up():
    expected = block(0, *ATTENTION) | block(1, *NORMS, *MLP)
    assert tuned_parameters(vit(), "mask", "010101") == expected
    outside = {"cls_token", "pos_embed", "patch_embed.proj.weight", "patch_embed.proj.bias"}
    outside |= {"norm.weight", "norm.bias"}
    everything = tuned_parameters(vit(), "full")
    assert everything - tuned_parameters(vit(), "mask", "111111") == outside
    assert tuned_parameters(vit(), "mask", "000000") == set()


def test_names_are_what_their_papers_tune():
    tower = vit()
    attention = block(0, *ATTENTION) | block(1, *ATTENTION)
    norms = block(0, *NORMS) | block(1, *NORMS) | {"norm.weight", "norm.bias"}
    biases = {name for name, _ in tower.named_parameters() if name.split(".")[-1] == "bias"}
    assert tuned_parameters(tower, "attention") == attention
    assert tuned_parameters(tower, "layernorm") == norms
    assert tuned_parameters(tower, "bitfit") == biases
    assert len(biases) == 1 + 2 * 6 + 1
    assert tuned_parameters(tower, "linear") == set()
    assert tuned_parameters(tower, "full") == {name for name, _ in tower.named_parameters()}


def test_counts_of_a_vit_base():
    with torch.device("meta"):
        tower = timm.create_model("vit_base_patch16_224", num_classes=0)
    width, depth = 768, 12
    sizes = {
        "norms": 2 * 2 * width,
        "attention": width * 3 * width + 3 * width + width * width + width,
        "mlp": width * 4 * width + 4 * width + 4 * width * width + width,
    }
    assert find_layout(tower).length == 36
    numbers = {name: p.numel() for name, p in tower.named_parameters()}
    for component, size in sizes.items():
        names = tuned_parameters(tower, "mask", widen("1" * depth, component))
        assert sum(numbers[name] for name in names) == depth * size
        assert len(names) == 48
    assert len(tuned_parameters(tower, "layernorm")) == 50
    assert len(tuned_parameters(tower, "bitfit")) == 74
    assert sum(numbers.values()) == 85_798_656


def test_layer_scales_and_query_norms_go_with_what_holds_them():
    tower = vit(init_values=1e-5, qk_norm=True)
    found = tuned_parameters(tower, "mask", "010000")
    assert {"blocks.0.attn.q_norm.weight", "blocks.0.attn.k_norm.bias"} <= found
    reached = {name for bit in BITS for name in tuned_parameters(tower, "mask", bit)}
    assert not [name for name in reached if ".ls1." in name or ".ls2." in name]


@pytest.mark.parametrize("name", ["resnet10t", "resnetv2_50"])
def test_stages_of_a_resnet_have_norms_and_convolutions(name):
    tower = resnet(name)
    modules = dict(tower.named_modules())
    layout = find_layout(tower)
    assert layout.components == ("norms", "convolutions")
    assert layout.length == 8
    second = layout.units[1]
    for mask, norms in (("00100000", True), ("00010000", False)):
        expected = {
            name
            for name, _ in tower.named_parameters()
            if name.startswith(f"{second}.")
            and isinstance(modules[name.rpartition(".")[0]], nn.Conv2d) is not norms
        }
        assert tuned_parameters(tower, "mask", mask) == expected != set()


def test_a_mask_widens_to_all_components():
    assert widen("101", "attention") == "010000010"
    assert widen("10", "norms", ("norms", "convolutions")) == "1000"
    with pytest.raises(MedauditError, match="no attention to tune"):
        widen("10", "attention", ("norms", "convolutions"))


@pytest.mark.parametrize(
    ("tune", "mask", "message"),
    [
        ("mask", "01", "has 2 characters; this model takes 6 bits"),
        ("mask", "01012x", "takes 6 bits"),
        ("mask", None, "needs `mask`, a text of 6 bits"),
        ("mlp", None, "'mlp' is unknown"),
    ],
)
def test_a_wrong_mask_is_refused(tune, mask, message):
    with pytest.raises(MedauditError, match=message):
        tuned_parameters(vit(), tune, mask)


def test_a_tower_without_blocks_is_refused():
    with pytest.raises(MedauditError, match="no transformer blocks and no ResNet stages"):
        find_layout(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))
    with pytest.raises(MedauditError, match="no attention to tune"):
        tuned_parameters(resnet(), "attention")


@pytest.mark.parametrize("mask", ["000000", "010001", "000100"])
def test_what_is_frozen_has_no_gradient_no_state_and_does_not_move(mask):
    tower = apply_tuning(vit(), {"tune": "mask", "mask": mask})
    network = nn.Module()
    network.tower, network.head = tower, nn.Linear(24, 1)
    before = {name: p.detach().clone() for name, p in tower.named_parameters()}
    optimizer = make_optimizer(network, {"weight_decay": 0.1})
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    network.head(tower(torch.randn(4, 3, 16, 16))).square().mean().backward()
    optimizer.step()
    tuned = tuned_parameters(tower, "mask", mask)
    assert {name for name, p in tower.named_parameters() if p.grad is not None} == tuned
    moved = {name for name, p in tower.named_parameters() if not torch.equal(p, before[name])}
    assert moved == tuned
    assert len(optimizer.state) == len(tuned) + 2


def test_frozen_batch_norm_keeps_its_statistics():
    tower = apply_tuning(resnet(), {"tune": "mask", "mask": "00000010"})
    train_tuned(tower, True)
    before = {name: value.clone() for name, value in tower.named_buffers()}
    tower(torch.randn(4, 3, 32, 32))
    moved = {name for name, value in tower.named_buffers() if not torch.equal(value, before[name])}
    assert moved
    assert all(name.startswith("layer4.") for name in moved)


def test_frozen_blocks_drop_nothing():
    tower = apply_tuning(vit(drop_path_rate=0.5), {"tune": "mask", "mask": "000010"})
    train_tuned(tower, True)
    modes = {name: module.training for name, module in tower.named_modules()}
    assert not any(mode for name, mode in modes.items() if name.startswith("blocks.0"))
    assert modes["blocks.1.drop_path1"]
    assert modes["blocks.1.attn.attn_drop"]
    assert not modes["blocks.1.mlp.drop1"]
    train_tuned(tower, False)
    assert not any(module.training for module in tower.modules())


TOWERS = {
    "vit": vit,
    "vit_mean": lambda: vit(global_pool="avg", class_token=False),
    "resnet": resnet,
    "resnetv2": lambda: resnet("resnetv2_50"),
    "projected": lambda: ImageTower(vit(pre_norm=True), nn.Linear(24, 5)),
}


@pytest.mark.parametrize("name", TOWERS)
def test_a_tower_can_be_run_from_every_level(name):
    tower = TOWERS[name]().eval()
    chain = cut_into_blocks(tower)
    x = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        expected = tower(x)
        for level in range(chain.end + 1):
            inside = chain.run(x, 0, level)
            assert torch.equal(chain.run(inside, level), expected)


def test_the_frozen_level_is_below_the_lowest_tuned_parameter():
    tower = vit(depth=3)
    chain = cut_into_blocks(tower)
    levels = {"0" * 9: 4, "000000010": 2, "000100000": 1, "001000000": 0}
    for mask, level in levels.items():
        apply_tuning(tower, {"tune": "mask", "mask": mask})
        assert chain.frozen_level() == level, mask
    for tune, level in {"linear": 4, "full": 0, "bitfit": 0, "attention": 0}.items():
        apply_tuning(tower, {"tune": tune})
        assert chain.frozen_level() == level, tune
    tower.requires_grad_(False)
    tower.norm.weight.requires_grad_(True)
    assert chain.frozen_level() == 3


def test_an_unknown_architecture_is_not_cut():
    assert cut_into_blocks(nn.Sequential(nn.Flatten())) is None
