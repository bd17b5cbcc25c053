"""CLIP with a ResNet: OpenAI's names, against a forward pass in plain functions."""

import numpy as np
import pytest
import torch
from torch.nn.functional import avg_pool2d, batch_norm, conv2d, relu

from medaudit.core.errors import MedauditError
from medaudit.models.kinds import build
from official_layouts import normalised

WIDTH, DIMENSION, SIDE, HEADS = 8, 12, 64, 4
TEXT = {"width": 16, "heads": 2, "layers": 1, "context_length": 16, "vocab_size": 49408}
MEAN, STD = [0.5, 0.4, 0.3], [0.25, 0.2, 0.3]
ENTRY = {
    "kind": "clip",
    "architecture": "RN50",
    "arguments": {
        "embed_dim": DIMENSION,
        "vision_cfg": {"image_size": SIDE, "width": WIDTH, "layers": [1, 2, 1, 1]},
        "text_cfg": TEXT,
    },
    "weights": "w.pt",
    "input": {"size": SIDE, "channels": 3, "mean": MEAN, "std": STD, "interpolation": "bicubic"},
}


def drawn_weights() -> dict[str, torch.Tensor]:
    """Return random weights by OpenAI's names; the text tower's are not looked at."""
    draw, state = torch.Generator().manual_seed(3), {}

    def random(*shape):
        return torch.randn(shape, generator=draw)

    def conv(name, norm, out, into, size):
        state[f"{name}.weight"] = random(out, into, size, size) * (2 / (into * size**2)) ** 0.5
        state[f"{norm}.weight"] = 1 + 0.2 * random(out)
        state[f"{norm}.bias"] = 0.2 * random(out)
        state[f"{norm}.running_mean"] = 0.2 * random(out)
        state[f"{norm}.running_var"] = 0.5 + random(out).square()
        state[f"{norm}.num_batches_tracked"] = torch.tensor(9)

    stem = [(3, WIDTH // 2), (WIDTH // 2, WIDTH // 2), (WIDTH // 2, WIDTH)]
    for k, (into, out) in enumerate(stem, 1):
        conv(f"visual.conv{k}", f"visual.bn{k}", out, into, 3)
    into = WIDTH
    for stage, (units, planes) in enumerate(zip((1, 2, 1, 1), (8, 16, 32, 64), strict=True), 1):
        for unit in range(units):
            name, out = f"visual.layer{stage}.{unit}", 4 * planes
            conv(f"{name}.conv1", f"{name}.bn1", planes, into, 1)
            conv(f"{name}.conv2", f"{name}.bn2", planes, planes, 3)
            conv(f"{name}.conv3", f"{name}.bn3", out, planes, 1)
            if unit == 0:
                conv(f"{name}.downsample.0", f"{name}.downsample.1", out, into, 1)
            into = out
    state["visual.attnpool.positional_embedding"] = random((SIDE // 32) ** 2 + 1, into)
    for part, out in (("q", into), ("k", into), ("v", into), ("c", DIMENSION)):
        state[f"visual.attnpool.{part}_proj.weight"] = random(out, into) / into**0.5
        state[f"visual.attnpool.{part}_proj.bias"] = random(out)
    return state | text_weights(random) | {"logit_scale": torch.tensor(2.0)}


def text_weights(random) -> dict[str, torch.Tensor]:
    block, wide = "transformer.resblocks.0", TEXT["width"]
    shapes = {
        "token_embedding.weight": (TEXT["vocab_size"], wide),
        "positional_embedding": (TEXT["context_length"], wide),
        "text_projection": (wide, DIMENSION),
        f"{block}.attn.in_proj_weight": (3 * wide, wide),
        f"{block}.attn.in_proj_bias": (3 * wide,),
        f"{block}.attn.out_proj.weight": (wide, wide),
        f"{block}.attn.out_proj.bias": (wide,),
        f"{block}.mlp.c_fc.weight": (4 * wide, wide),
        f"{block}.mlp.c_fc.bias": (4 * wide,),
        f"{block}.mlp.c_proj.weight": (wide, 4 * wide),
        f"{block}.mlp.c_proj.bias": (wide,),
    }
    norms = [f"{block}.ln_1", f"{block}.ln_2", "ln_final"]
    shapes |= {f"{norm}.{part}": (wide,) for norm in norms for part in ("weight", "bias")}
    return {name: 0.3 * random(*shape) for name, shape in shapes.items()}


def forward(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """Return the embedding as in Radford et al. 2021, section 2.4 (ResNet-D, blur, attention pool)."""

    def step(x, name, norm, stride=1):
        kernel = state[f"{name}.weight"]
        x = conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2)
        parts = ("running_mean", "running_var", "weight", "bias")
        return batch_norm(x, *(state[f"{norm}.{part}"] for part in parts))

    for k in (1, 2, 3):
        x = relu(step(x, f"visual.conv{k}", f"visual.bn{k}", 2 if k == 1 else 1))
    x = avg_pool2d(x, 2)
    for stage, units in enumerate((1, 2, 1, 1), 1):
        for unit in range(units):
            name, same = f"visual.layer{stage}.{unit}", x
            pool = stage > 1 and unit == 0
            x = relu(step(x, f"{name}.conv1", f"{name}.bn1"))
            x = relu(step(x, f"{name}.conv2", f"{name}.bn2"))
            x = step(avg_pool2d(x, 2) if pool else x, f"{name}.conv3", f"{name}.bn3")
            if unit == 0:
                same = avg_pool2d(same, 2) if pool else same
                same = step(same, f"{name}.downsample.0", f"{name}.downsample.1")
            x = relu(x + same)
    return attention_pool(state, x)


def attention_pool(state: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    tokens = x.flatten(2).transpose(1, 2)
    tokens = torch.cat([tokens.mean(1, keepdim=True), tokens], 1)
    tokens = tokens + state["visual.attnpool.positional_embedding"]

    def project(part, value):
        name = f"visual.attnpool.{part}_proj"
        return value @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    q, k, v = (
        project(part, tokens).unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in ("q", "k", "v")
    )
    weights = (q[:, :, :1] @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
    return project("c", (weights @ v).transpose(1, 2).flatten(2)[:, 0])


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDAUDIT_DATA", str(tmp_path))
    with torch.no_grad():
        yield tmp_path


def test_a_resnet_gives_its_owners_embedding(root):
    state = drawn_weights()
    torch.save(state, root / "w.pt")
    images = np.random.default_rng(1).integers(0, 256, (3, SIDE, SIDE), dtype=np.uint8)
    found = build(ENTRY).encode_images(images)
    expected = forward(state, normalised(images, MEAN, STD)).numpy()
    assert np.abs(found - expected).max() <= 1e-4 * np.abs(expected).max()


def test_a_resnets_weight_of_another_depth_is_named(root):
    state = drawn_weights()
    state.pop("visual.layer2.1.conv1.weight")
    torch.save(state, root / "w.pt")
    with pytest.raises(MedauditError, match=r"lacks 1: image\.trunk\.layer2\.1\.conv1\.weight"):
        build(ENTRY)
