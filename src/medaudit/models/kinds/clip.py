"""CLIP, in the layout of OpenAI and open_clip (PubMedCLIP) or of Hugging Face (PLIP).

Radford et al., "Learning Transferable Visual Models From Natural Language Supervision", 2021.
"""

import json
from functools import cache, partial
from pathlib import Path

import torch
from torch import nn

from medaudit.core.errors import MedauditError
from medaudit.models.interface import ImageInput, ModelSettings
from medaudit.models.vision_language import (
    ImageTower,
    Towers,
    VisionLanguageEncoder,
    join_layers,
    load_towers,
    open_weights,
    rename_keys,
    transpose_key,
    with_golden_check,
)

_OPENAI_SCALARS = ("input_resolution", "context_length", "vocab_size")
_BLOCK = r"blocks\.(\d+)\."
_VISUAL_TO_TIMM = [
    (r"visual\.", "image.trunk."),
    (r"image\.trunk\.conv1\.", "image.trunk.patch_embed.proj."),
    (r"image\.trunk\.class_embedding", "image.trunk.cls_token"),
    (r"image\.trunk\.positional_embedding", "image.trunk.pos_embed"),
    (r"image\.trunk\.ln_pre\.", "image.trunk.norm_pre."),
    (r"image\.trunk\.ln_post\.", "image.trunk.norm."),
    (r"image\.trunk\.transformer\.resblocks\.", "image.trunk.blocks."),
    (rf"image\.trunk\.{_BLOCK}ln_", r"image.trunk.blocks.\1.norm"),
    (rf"image\.trunk\.{_BLOCK}attn\.in_proj_", r"image.trunk.blocks.\1.attn.qkv."),
    (rf"image\.trunk\.{_BLOCK}attn\.out_proj", r"image.trunk.blocks.\1.attn.proj"),
    (rf"image\.trunk\.{_BLOCK}mlp\.c_fc", r"image.trunk.blocks.\1.mlp.fc1"),
    (rf"image\.trunk\.{_BLOCK}mlp\.c_proj", r"image.trunk.blocks.\1.mlp.fc2"),
    (r"(token_embedding|positional_embedding|transformer|ln_final|text_projection)", r"text.\1"),
]
# Hugging Face's CLIP has the typing error "pre_layrnorm" in its published keys.
_HF_TO_OPENAI = [
    (r"(vision_model|text_model)\.(encoder\.)?", r"\1."),
    (r"vision_model\.", "visual."),
    (r"text_model\.", ""),
    (r"(visual\.|)layers\.", r"\1transformer.resblocks."),
    (r"(.*resblocks\.\d+\.)self_attn\.", r"\1attn."),
    (r"(.*resblocks\.\d+\.)layer_norm", r"\1ln_"),
    (r"(.*resblocks\.\d+\.)mlp\.fc1", r"\1mlp.c_fc"),
    (r"(.*resblocks\.\d+\.)mlp\.fc2", r"\1mlp.c_proj"),
    (r"(.*attn\.in_proj)\.", r"\1_"),
    (r"visual\.embeddings\.class_embedding", "visual.class_embedding"),
    (r"visual\.embeddings\.patch_embedding", "visual.conv1"),
    (r"(visual\.|)embeddings\.position_embedding\.weight", r"\1positional_embedding"),
    (r"embeddings\.token_embedding", "token_embedding"),
    (r"visual\.pre_layrnorm", "visual.ln_pre"),
    (r"visual\.post_layernorm", "visual.ln_post"),
    (r"final_layer_norm", "ln_final"),
]


def build(settings: ModelSettings) -> VisionLanguageEncoder:
    """Build a CLIP model from its file, whichever of the layouts it has.

    Parameters
    ----------
    settings : dict
        ``architecture`` is a name of open_clip, e.g. ``ViT-B-16-quickgelu`` or ``RN50``;
        ``arguments`` overrides parts of its configuration (``embed_dim``, ``vision_cfg``,
        ``text_cfg``).

    Raises
    ------
    MedauditError
        The file does not fit, or was trained with another activation than the architecture has.
    """
    state, path, description = open_weights(settings)
    config = configuration(settings)
    _check_activation(config, state, path)
    towers = network(settings)
    load_towers(towers, to_towers(state), settings, path)
    encoder = VisionLanguageEncoder(
        towers,
        lambda texts: (tokenize(texts, config["text_cfg"]["context_length"]),),
        ImageInput.from_settings(settings),
        {**description, "architecture": settings["architecture"]},
        logit_scale=towers.logit_scale.exp().item(),
    )
    return with_golden_check(encoder, settings)


def network(settings: ModelSettings) -> Towers:
    """Return both towers with random weights."""
    config = configuration(settings)
    return Towers(image_tower(config), _text_tower(config), ("logit_scale",))


def tokenize(texts: list[str], context_length: int = 77) -> torch.Tensor:
    """Return the ids of `texts`, int64 ``[m, context_length]``, with CLIP's own vocabulary."""
    return _tokenizer()(texts, context_length)


@cache
def _tokenizer():
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()


def configuration(settings: ModelSettings) -> dict:
    """Return open_clip's configuration of the architecture, with the entry's changes.

    Raises
    ------
    MedauditError
        The architecture is not a plain CLIP of open_clip.
    """
    from open_clip import get_model_config

    config = get_model_config(settings["architecture"])
    if (
        config is None
        or "timm_model_name" in config["vision_cfg"]
        or "hf_model_name" in config["text_cfg"]
    ):
        raise MedauditError(
            f"model {settings.get('name', 'clip')}: architecture {settings['architecture']!r} is not "
            "a plain CLIP of open_clip; use e.g. ViT-B-16, ViT-B-16-quickgelu or ViT-B-32"
        )
    given = settings.get("arguments", {})
    towers = {key: {**config[key], **given.get(key, {})} for key in ("vision_cfg", "text_cfg")}
    return {"quick_gelu": False, **config, **given, **towers}


def image_tower(config: dict) -> ImageTower:
    """Return the image tower of a configuration, a timm ViT or CLIP's own ResNet."""
    from timm.models.vision_transformer import VisionTransformer

    vision = config["vision_cfg"]
    if isinstance(vision["layers"], list):
        return ImageTower(_resnet(vision, config["embed_dim"]), nn.Identity())
    trunk = VisionTransformer(
        img_size=vision["image_size"],
        patch_size=vision["patch_size"],
        embed_dim=vision["width"],
        depth=vision["layers"],
        num_heads=vision["width"] // vision.get("head_width", 64),
        mlp_ratio=vision.get("mlp_ratio", 4.0),
        num_classes=0,
        global_pool="token",
        pre_norm=True,
        norm_layer=partial(nn.LayerNorm, eps=1e-5),
        act_layer="quick_gelu" if config["quick_gelu"] else "gelu",
    )
    return ImageTower(trunk, nn.Linear(vision["width"], config["embed_dim"], bias=False))


def _resnet(vision: dict, dimension: int) -> nn.Module:
    """Return CLIP's ResNet; its attention pooling holds the projection."""
    from open_clip.modified_resnet import ModifiedResNet

    return ModifiedResNet(
        layers=vision["layers"],
        output_dim=dimension,
        heads=vision["width"] * 32 // vision.get("head_width", 64),
        image_size=vision["image_size"],
        width=vision["width"],
    )


def _text_tower(config: dict) -> nn.Module:
    from open_clip.transformer import QuickGELU, TextTransformer

    text = config["text_cfg"]
    sizes = {key: text[key] for key in ("context_length", "vocab_size", "width", "heads", "layers")}
    activation = QuickGELU if config["quick_gelu"] else nn.GELU
    return TextTransformer(**sizes, output_dim=config["embed_dim"], act_layer=activation)


def _check_activation(config: dict, state: dict, path: Path) -> None:
    """Compare the activation with the one the file, or the owner's config next to it, asks for."""
    # QuickGELU and GELU have no weights: a file trained with one loads into the other without an
    # error and gives wrong embeddings. OpenAI's archive is known by its scalars.
    says, source = None, None
    if "input_resolution" in state:
        says, source = True, f"{path.name} is OpenAI's archive, which"
    for name in ("open_clip_config.json", "config.json"):
        if says is None and (path.parent / name).is_file():
            content = json.loads((path.parent / name).read_text(encoding="utf-8"))
            says, source = _quick_gelu(content), f"{path.parent / name}"
    if says is not None and says != config["quick_gelu"]:
        names = {True: "QuickGELU", False: "exact GELU"}
        raise MedauditError(
            f"{source} uses {names[says]}, but the architecture in the catalogue has "
            f"{names[config['quick_gelu']]}: the weights would load and give wrong embeddings. "
            "Set `architecture` to the name with (or without) -quickgelu"
        )


def _quick_gelu(content: dict) -> bool | None:
    if "model_cfg" in content:
        return content["model_cfg"].get("quick_gelu", False)
    if "vision_config" in content:
        return content["vision_config"].get("hidden_act", "quick_gelu") == "quick_gelu"
    return None


def to_towers(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename the keys of any of the layouts to those of `Towers`."""
    state = {key: value for key, value in state.items() if key not in _OPENAI_SCALARS}
    if any(key.startswith("vision_model.") for key in state):
        state = _hf_to_openai(state)
    if any(key.startswith("visual.attnpool.") for key in state):  # a ResNet
        return rename_keys(state, [(r"visual\.", "image.trunk."), _VISUAL_TO_TIMM[-1]])
    state = transpose_key(state, "visual.proj", "image.projection.weight")
    state = rename_keys(state, _VISUAL_TO_TIMM)
    for name, axes in (("cls_token", 2), ("pos_embed", 1)):
        key = f"image.trunk.{name}"
        if key in state:
            state[key] = state[key][(None,) * axes]
    return state


def _hf_to_openai(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    state = {key: value for key, value in state.items() if not key.endswith(".position_ids")}
    state = join_layers(state, ("q_proj", "k_proj", "v_proj"), "in_proj")
    state = transpose_key(state, "visual_projection.weight", "visual.proj")
    state = transpose_key(state, "text_projection.weight", "text_projection")
    return rename_keys(state, _HF_TO_OPENAI)
