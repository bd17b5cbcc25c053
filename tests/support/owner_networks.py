"""Forward passes of encoders, restated in plain functions of weights under their owners' names.

Nothing of timm is used, nor of the rules that rename weights.
"""

import torch
from torch.nn.functional import conv2d, gelu, interpolate, layer_norm, linear, pad, silu

State = dict[str, torch.Tensor]


def below(state: State, prefix: str) -> State:
    """Return the weights below a prefix, without it."""
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def norm(state: State, name: str, x: torch.Tensor, epsilon: float = 1e-6) -> torch.Tensor:
    """Return the layer norm `name` of `x`."""
    return layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], epsilon)


def dense(state: State, name: str, x: torch.Tensor) -> torch.Tensor:
    """Return the linear layer `name` of `x`."""
    return linear(x, state[f"{name}.weight"], state.get(f"{name}.bias"))


def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, scale: float) -> torch.Tensor:
    """Return softmax(scale q k') v, with heads in front of positions."""
    return torch.softmax(scale * q @ k.transpose(-1, -2), dim=-1) @ v


def heads_of(x: torch.Tensor, heads: int) -> torch.Tensor:
    """Split the last axis: ``[b, n, heads * d]`` to ``[b, heads, n, d]``."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merged(x: torch.Tensor) -> torch.Tensor:
    """Reverse `heads_of`."""
    return x.transpose(1, 2).flatten(2)


def patches(state: State, pixels: torch.Tensor) -> torch.Tensor:
    """Return the projected patches ``[b, n, d]``."""
    weight = state["patch_embed.proj.weight"]
    out = conv2d(pixels, weight, state["patch_embed.proj.bias"], stride=weight.shape[-1])
    return out.flatten(2).transpose(1, 2)


def dinov2(state: State, pixels: torch.Tensor, heads: int) -> torch.Tensor:
    """Return DINOv2's normed class token; positions resampled as facebookresearch does."""
    x = patches(state, pixels)
    x = torch.cat([state["cls_token"].expand(len(x), -1, -1), x], dim=1)
    registers = state.get("register_tokens")
    x = x + dinov2_positions(state["pos_embed"], x.shape[1] - 1, registers is not None)
    if registers is not None:
        x = torch.cat([x[:, :1], registers.expand(len(x), -1, -1), x[:, 1:]], dim=1)
    depth = len({key.split(".")[1] for key in state if key.startswith("blocks.")})
    for i in range(depth):
        block = below(state, f"blocks.{i}.")
        q, k, v = (
            heads_of(part, heads)
            for part in dense(block, "attn.qkv", norm(block, "norm1", x)).chunk(3, dim=-1)
        )
        mixed = merged(attend(q, k, v, q.shape[-1] ** -0.5))
        x = x + block["ls1.gamma"] * dense(block, "attn.proj", mixed)
        inner = gelu(dense(block, "mlp.fc1", norm(block, "norm2", x)))
        x = x + block["ls2.gamma"] * dense(block, "mlp.fc2", inner)
    return norm(state, "norm", x)[:, 0]


def dinov2_positions(positions: torch.Tensor, count: int, registers: bool) -> torch.Tensor:
    """Return position embeddings for `count` patches."""
    old, new = round((positions.shape[1] - 1) ** 0.5), round(count**0.5)
    if old == new:
        return positions
    grid = positions[:, 1:].reshape(1, old, old, -1).permute(0, 3, 1, 2)
    offset = 0.0 if registers else 0.1
    scale = ((new + offset) / old,) * 2
    grid = interpolate(grid, scale_factor=scale, mode="bicubic", antialias=registers)
    return torch.cat([positions[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


def panderm(state: State, pixels: torch.Tensor, heads: int) -> torch.Tensor:
    """Return the normed class token of PanDerm's encoder (CAE): no bias for keys, scaled branches."""
    x = patches(state, pixels)
    x = torch.cat([state["cls_token"].expand(len(x), -1, -1), x], dim=1) + state["pos_embed"]
    depth = len({key.split(".")[1] for key in state if key.startswith("blocks.")})
    for i in range(depth):
        block = below(state, f"blocks.{i}.")
        q, k, v = linear(norm(block, "norm1", x), block["attn.qkv.weight"]).chunk(3, dim=-1)
        q, v = q + block["attn.q_bias"], v + block["attn.v_bias"]
        parts = (heads_of(part, heads) for part in (q, k, v))
        mixed = merged(attend(*parts, (q.shape[-1] // heads) ** -0.5))
        x = x + block["gamma_1"] * dense(block, "attn.proj", mixed)
        inner = gelu(dense(block, "mlp.fc1", norm(block, "norm2", x)))
        x = x + block["gamma_2"] * dense(block, "mlp.fc2", inner)
    return norm(state, "norm", x)[:, 0]


def eva02(state: State, pixels: torch.Tensor, heads: int) -> torch.Tensor:
    """Return the norm of the mean of EVA-02's patches: rotary positions, gated layers."""
    x = patches(state, pixels)
    side = round(x.shape[1] ** 0.5)
    x = torch.cat([state["cls_token"].expand(len(x), -1, -1), x], dim=1) + state["pos_embed"]
    width = x.shape[-1] // heads
    angles = rotary_angles(side, width)
    depth = len({key.split(".")[1] for key in state if key.startswith("blocks.")})
    for i in range(depth):
        block = below(state, f"blocks.{i}.")
        q, k, v = _eva_parts(block, norm(block, "norm1", x))
        q, k, v = (heads_of(part, heads) for part in (q, k, v))
        q, k = (torch.cat([p[:, :, :1], rotated(p[:, :, 1:], angles)], dim=2) for p in (q, k))
        x = x + dense(block, "attn.proj", merged(attend(q, k, v, width**-0.5)))
        x = x + _eva_gate(block, norm(block, "norm2", x))
    return norm(state, "norm", x[:, 1:].mean(dim=1))


def _eva_parts(block: State, x: torch.Tensor):
    if "attn.qkv.weight" in block:
        q, k, v = linear(x, block["attn.qkv.weight"]).chunk(3, dim=-1)
    else:
        q, k, v = (linear(x, block[f"attn.{name}_proj.weight"]) for name in "qkv")
    return q + block["attn.q_bias"], k, v + block["attn.v_bias"]


def _eva_gate(block: State, x: torch.Tensor) -> torch.Tensor:
    if "mlp.w12.weight" in block:
        gate, value = dense(block, "mlp.w12", x).chunk(2, dim=-1)
        return dense(block, "mlp.w3", silu(gate) * value)
    hidden = silu(dense(block, "mlp.w1", x)) * dense(block, "mlp.w2", x)
    return dense(block, "mlp.w3", norm(block, "mlp.ffn_ln", hidden))


def rotary_angles(side: int, width: int) -> torch.Tensor:
    """Return the angle of each pair of channels at each patch, ``[side * side, width / 2]``.

    The first half turns with the row, the second with the column.
    """
    rates = 10000.0 ** -(torch.arange(0, width // 2, 2) / (width // 2))
    turns = torch.arange(side)[:, None] * rates
    rows = turns[:, None].expand(-1, side, -1)
    columns = turns[None].expand(side, -1, -1)
    return torch.cat([rows, columns], dim=-1).flatten(0, 1)


def rotated(x: torch.Tensor, angles: torch.Tensor) -> torch.Tensor:
    """Turn each pair of neighbouring channels by its angle."""
    first, second = x[..., 0::2], x[..., 1::2]
    cos, sin = angles.cos(), angles.sin()
    turned = torch.stack([first * cos - second * sin, second * cos + first * sin], dim=-1)
    return turned.flatten(-2)


def davit(state: State, pixels: torch.Tensor, heads: tuple[int, ...], window: int) -> torch.Tensor:
    """Return the norm of the mean of DaViT's last map, as MedImageInsight's image encoder."""
    x = pixels
    for stage, count in enumerate(heads):
        conv = below(state, f"convs.{stage}.")
        weight = conv["proj.weight"]
        if stage:
            x = _channels_first(norm(conv, "norm", _channels_last(x), 1e-5))
        stride, padding = (4, 3) if stage == 0 else (2, 1)
        x = conv2d(x, weight, conv["proj.bias"], stride=stride, padding=padding)
        if not stage:
            x = _channels_first(norm(conv, "norm", _channels_last(x), 1e-5))
        block = below(state, f"blocks.{stage}.0.")
        x = _davit_block(below(block, "spatial_block."), x, "window_attn", count, window)
        x = _davit_block(below(block, "channel_block."), x, "channel_attn", count, None)
    return norm(state, "norms", x.mean(dim=(2, 3)), 1e-5)


def _davit_block(block: State, x: torch.Tensor, name: str, heads: int, window: int | None):
    x = x + _depthwise(below(block, "conv1.fn.dw."), x)
    tokens = _channels_last(x)
    inner = norm(block, f"{name}.norm", tokens, 1e-5)
    weight = below(block, f"{name}.fn.")
    mixed = (
        _by_window(weight, inner, heads, window) if window else _by_channel(weight, inner, heads)
    )
    x = _channels_first(tokens + mixed)
    x = x + _depthwise(below(block, "conv2.fn.dw."), x)
    tokens = _channels_last(x)
    inner = gelu(dense(block, "ffn.fn.net.fc1", norm(block, "ffn.norm", tokens, 1e-5)))
    return _channels_first(tokens + dense(block, "ffn.fn.net.fc2", inner))


def _by_window(weight: State, x: torch.Tensor, heads: int, window: int) -> torch.Tensor:
    b, height, width, channels = x.shape
    x = pad(x, (0, 0, 0, -width % window, 0, -height % window))
    out = torch.zeros_like(x)
    for top in range(0, x.shape[1], window):
        for left in range(0, x.shape[2], window):
            part = x[:, top : top + window, left : left + window].reshape(b, -1, channels)
            q, k, v = (heads_of(p, heads) for p in dense(weight, "qkv", part).chunk(3, dim=-1))
            mixed = dense(weight, "proj", merged(attend(q, k, v, q.shape[-1] ** -0.5)))
            mixed = mixed.reshape(b, window, window, channels)
            out[:, top : top + window, left : left + window] = mixed
    return out[:, :height, :width]


def _by_channel(weight: State, x: torch.Tensor, groups: int) -> torch.Tensor:
    tokens = x.flatten(1, 2)
    parts = dense(weight, "qkv", tokens).chunk(3, dim=-1)
    q, k, v = (heads_of(part, groups).transpose(-1, -2) for part in parts)
    mixed = attend(q, k, v, tokens.shape[1] ** -0.5).transpose(-1, -2)
    return dense(weight, "proj", merged(mixed)).reshape(x.shape)


def _depthwise(weight: State, x: torch.Tensor) -> torch.Tensor:
    return conv2d(x, weight["weight"], weight["bias"], padding=1, groups=x.shape[1])


def _channels_last(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 2, 3, 1)


def _channels_first(x: torch.Tensor) -> torch.Tensor:
    return x.permute(0, 3, 1, 2)
