"""MAE, MoCo v3 and BiT: small random weights under their owners' names, and their forward passes.

The forward passes are restated in plain functions of the weights; nothing of timm is used.
"""

import numpy as np
import torch
from torch.nn.functional import (
    conv2d,
    gelu,
    group_norm,
    layer_norm,
    linear,
    max_pool2d,
    pad,
    relu,
)

State = dict[str, torch.Tensor]
WIDTH, DEPTH, PATCH, SIDE = 24, 2, 8, 32
VIT = {"img_size": SIDE, "patch_size": PATCH, "embed_dim": WIDTH, "depth": DEPTH}
BIT_CHANNELS, BIT_STEM, BIT_UNITS = 128, 32, (3, 4, 6, 3)


def drawn(shapes: dict[str, tuple[int, ...]], seed: int) -> State:
    """Return random tensors; scales of norms lie around 1."""
    generator = torch.Generator().manual_seed(seed)
    state = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    gains = ("norm.weight", "norm1.weight", "norm2.weight", "gamma")
    return {k: 1 + 0.2 * v if k.endswith(gains) else 0.3 * v for k, v in state.items()}


def block_shapes(name: str, width: int) -> dict[str, tuple[int, ...]]:
    """Return the weights of one transformer block."""
    layers = {"attn.qkv": (3, 1), "attn.proj": (1, 1), "mlp.fc1": (4, 1), "mlp.fc2": (1, 4)}
    shapes = {f"{name}.{norm}.{part}": (width,) for norm in ("norm1", "norm2") for part in WB}
    for layer, (out, into) in layers.items():
        shapes |= {f"{name}.{layer}.weight": (out * width, into * width)}
        shapes |= {f"{name}.{layer}.bias": (out * width,)}
    return shapes


WB = ("weight", "bias")


def vit_shapes() -> dict[str, tuple[int, ...]]:
    """Return the encoder's weights by the names all three owners use."""
    shapes = {
        "cls_token": (1, 1, WIDTH),
        "pos_embed": (1, 1 + (SIDE // PATCH) ** 2, WIDTH),
        "patch_embed.proj.weight": (WIDTH, 3, PATCH, PATCH),
        "patch_embed.proj.bias": (WIDTH,),
        "norm.weight": (WIDTH,),
        "norm.bias": (WIDTH,),
    }
    for i in range(DEPTH):
        shapes |= block_shapes(f"blocks.{i}", WIDTH)
    return shapes


def decoder_shapes(width: int = 16) -> dict[str, tuple[int, ...]]:
    """Return MAE's decoder and mask token."""
    return {
        "mask_token": (1, 1, width),
        "decoder_pos_embed": (1, 1 + (SIDE // PATCH) ** 2, width),
        "decoder_embed.weight": (width, WIDTH),
        "decoder_embed.bias": (width,),
        **block_shapes("decoder_blocks.0", width),
        "decoder_norm.weight": (width,),
        "decoder_norm.bias": (width,),
        "decoder_pred.weight": (PATCH**2 * 3, width),
        "decoder_pred.bias": (PATCH**2 * 3,),
    }


def vit_tokens(state: State, pixels: torch.Tensor, heads: int) -> torch.Tensor:
    """Return all tokens before the last norm."""
    x = conv2d(pixels, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], PATCH)
    x = x.flatten(2).transpose(1, 2)
    x = torch.cat([state["cls_token"].expand(len(x), -1, -1), x], dim=1) + state["pos_embed"]
    for i in range(DEPTH):
        weight = {k.removeprefix(f"blocks.{i}."): v for k, v in state.items()}
        x = x + _attention(weight, _norm(weight, "norm1", x), heads)
        inner = gelu(_linear(weight, "mlp.fc1", _norm(weight, "norm2", x)))
        x = x + _linear(weight, "mlp.fc2", inner)
    return x


def class_token(state: State, pixels: torch.Tensor, heads: int) -> torch.Tensor:
    """Return the normed class token, the feature of linear probing."""
    return _norm(state, "norm", vit_tokens(state, pixels, heads))[:, 0]


def mean_token(state: State, pixels: torch.Tensor, heads: int, scale, shift) -> torch.Tensor:
    """Return the norm of the mean of patch tokens that were not normed, as MAE is fine-tuned."""
    mean = vit_tokens(state, pixels, heads)[:, 1:].mean(dim=1)
    return layer_norm(mean, (WIDTH,), scale, shift, 1e-6)


def _attention(weight: State, x: torch.Tensor, heads: int) -> torch.Tensor:
    rows = []
    for image in x:
        q, k, v = _linear(weight, "attn.qkv", image).chunk(3, dim=1)
        parts = [part.chunk(heads, dim=1) for part in (q, k, v)]
        rows.append(
            torch.cat(
                [
                    torch.softmax(a @ b.T / a.shape[1] ** 0.5, dim=1) @ c
                    for a, b, c in zip(*parts, strict=True)
                ],
                dim=1,
            )
        )
    return _linear(weight, "attn.proj", torch.stack(rows))


def _norm(state: State, name: str, x: torch.Tensor) -> torch.Tensor:
    return layer_norm(x, (x.shape[-1],), state[f"{name}.weight"], state[f"{name}.bias"], 1e-6)


def _linear(state: State, name: str, x: torch.Tensor) -> torch.Tensor:
    return linear(x, state[f"{name}.weight"], state[f"{name}.bias"])


def bit_shapes(
    channels=(BIT_CHANNELS,) * 4, stem: int = BIT_STEM, units=BIT_UNITS, classes: int = 5
) -> dict[str, tuple[int, ...]]:
    """Return BiT's weights, kernels as height, width, in, out."""
    shapes = {"root_block/standardized_conv2d/kernel": (7, 7, 3, stem)}
    before = stem
    for block, (width, count) in enumerate(zip(channels, units, strict=True), start=1):
        for unit in range(1, count + 1):
            name, middle = f"block{block}/unit{unit:02d}", width // 4
            conv, norm = "standardized_conv2d/kernel", "group_norm"
            if unit == 1:
                shapes[f"{name}/a/proj/{conv}"] = (1, 1, before, width)
            shapes[f"{name}/a/{conv}"] = (1, 1, before, middle)
            shapes[f"{name}/b/{conv}"] = (3, 3, middle, middle)
            shapes[f"{name}/c/{conv}"] = (1, 1, middle, width)
            for letter, size in (("a", before), ("b", middle), ("c", middle)):
                shapes |= {f"{name}/{letter}/{norm}/{p}": (size,) for p in ("gamma", "beta")}
            before = width
    shapes |= {f"group_norm/{part}": (before,) for part in ("gamma", "beta")}
    return shapes | {"head/conv2d/kernel": (1, 1, before, classes), "head/conv2d/bias": (classes,)}


def bit_weights(seed: int) -> dict[str, np.ndarray]:
    """Return random weights; kernels have a mean, which standardisation takes away."""
    state = drawn(bit_shapes(), seed)
    return {k: (v + 0.2 if "kernel" in k else v).numpy() for k, v in state.items()}


def bit_features(weights: dict[str, np.ndarray], pixels: torch.Tensor) -> torch.Tensor:
    """Return the mean of the last map after norm and ReLU, by TensorFlow's explicit paddings."""
    w = {name: torch.from_numpy(value).double() for name, value in weights.items()}
    x = _conv(w, "root_block", pad(pixels.double(), (3, 3, 3, 3)), 2)
    x = max_pool2d(pad(x, (1, 1, 1, 1)), 3, 2)
    for block, count in enumerate(BIT_UNITS, start=1):
        for unit in range(1, count + 1):
            stride = 2 if unit == 1 and block > 1 else 1
            x = _unit(w, f"block{block}/unit{unit:02d}", x, stride)
    return relu(_group_norm(w, "group_norm", x)).mean(dim=(2, 3))


def _unit(w: State, name: str, x: torch.Tensor, stride: int) -> torch.Tensor:
    out = relu(_group_norm(w, f"{name}/a/group_norm", x))
    if f"{name}/a/proj/standardized_conv2d/kernel" in w:
        x = _conv(w, f"{name}/a/proj", out, stride)
    out = _conv(w, f"{name}/a", out, 1)
    out = relu(_group_norm(w, f"{name}/b/group_norm", out))
    out = _conv(w, f"{name}/b", pad(out, (1, 1, 1, 1)), stride)
    out = relu(_group_norm(w, f"{name}/c/group_norm", out))
    return x + _conv(w, f"{name}/c", out, 1)


def _conv(w: State, name: str, x: torch.Tensor, stride: int) -> torch.Tensor:
    kernel = w[f"{name}/standardized_conv2d/kernel"]
    mean = kernel.mean(dim=(0, 1, 2))
    variance = ((kernel - mean) ** 2).mean(dim=(0, 1, 2))
    kernel = (kernel - mean) / torch.sqrt(variance + 1e-10)
    return conv2d(x, kernel.permute(3, 2, 0, 1), stride=stride)


def _group_norm(w: State, name: str, x: torch.Tensor) -> torch.Tensor:
    return group_norm(x, 32, w[f"{name}/gamma"], w[f"{name}/beta"], 1e-5)
