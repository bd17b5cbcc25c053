"""Swin transformers in Hugging Face's layout, renamed to timm's."""

import torch

from medaudit.models.vision_language import join_layers, rename_keys


def hf_to_timm(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Rename the Swin below `prefix` to ``image.trunk``; other keys stay as they are.

    Query, key and value become one layer. ``relative_position_index`` is left out: timm computes
    it.
    """
    inner = prefix.replace(".", r"\.")
    block = r"(image\.trunk\.layers\.\d+\.blocks\.\d+\.)"
    rules = [
        (inner, "image.trunk."),
        (r"image\.trunk\.encoder\.", "image.trunk."),
        (r"image\.trunk\.embeddings\.patch_embeddings\.projection", "image.trunk.patch_embed.proj"),
        (r"image\.trunk\.embeddings\.norm", "image.trunk.patch_embed.norm"),
        (r"image\.trunk\.layernorm", "image.trunk.norm"),
        (block + r"attention\.self\.", r"\1attn."),
        (block + r"attention\.output\.dense", r"\1attn.proj"),
        (block + r"layernorm_before", r"\1norm1"),
        (block + r"layernorm_after", r"\1norm2"),
        (block + r"intermediate\.dense", r"\1mlp.fc1"),
        (block + r"output\.dense", r"\1mlp.fc2"),
    ]
    rest = {key: value for key, value in state.items() if not key.startswith(prefix)}
    ours = {
        key: state[key] for key in state.keys() - rest.keys() if not key.endswith("position_index")
    }
    fused = join_layers(rename_keys(ours, rules), ("query", "key", "value"), "qkv")
    return {**rest, **{_next_stage(key): value for key, value in fused.items()}}


def _next_stage(key: str) -> str:
    # timm downsamples at the start of a stage, Hugging Face at the end of the one before.
    parts = key.split(".")
    if parts[:3] == ["image", "trunk", "layers"] and parts[4:5] == ["downsample"]:
        parts[3] = str(int(parts[3]) + 1)
    return ".".join(parts)
