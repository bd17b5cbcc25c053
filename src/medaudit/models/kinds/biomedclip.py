"""BiomedCLIP: ViT-B/16 with PubMedBERT, in open_clip's layout with a timm trunk.

Zhang et al., "BiomedCLIP: a multimodal biomedical foundation model pretrained from fifteen million
scientific image-text pairs", 2023.
"""

import json
from pathlib import Path

import timm
import torch
from torch import nn

from medaudit.core.errors import MedauditError
from medaudit.models.bert_text import UNUSED, BertText, WordPieces
from medaudit.models.interface import ImageInput, ModelSettings
from medaudit.models.vision_language import (
    ImageTower,
    Towers,
    VisionLanguageEncoder,
    load_towers,
    open_weights,
    rename_keys,
    with_golden_check,
)

VOCABULARY = 30522
CONTEXT = 256
_RULES = [
    (r"visual\.trunk\.", "image.trunk."),
    (r"visual\.head\.proj\.", "image.projection."),
    (r"text\.transformer\.", "text.bert."),
    (r"text\.proj\.", "text.projection."),
]


def build(settings: ModelSettings) -> VisionLanguageEncoder:
    """Build BiomedCLIP from its ``open_clip_pytorch_model.bin``.

    Parameters
    ----------
    settings : dict
        ``weights``; ``tokenizer`` (folder with PubMedBERT's ``vocab.txt``; by default the folder of
        the weights); ``arguments``: changes to the standard sizes, ``embed_dim``, ``image``
        (`timm.create_model`) and ``text`` (`transformers.BertConfig`).
    """
    state, path, description = open_weights(settings)
    dimension = settings.get("arguments", {}).get("embed_dim", 512)
    _check_config(path.parent / "open_clip_config.json", dimension)
    towers = network(settings)
    load_towers(towers, rename_keys(state, _RULES), settings, path, allow_extra=UNUSED)
    encoder = VisionLanguageEncoder(
        towers,
        WordPieces(settings, towers.text.bert.config.vocab_size, CONTEXT),
        ImageInput.from_settings(settings),
        description,
        logit_scale=towers.logit_scale.exp().item(),
    )
    return with_golden_check(encoder, settings)


def network(settings: ModelSettings) -> Towers:
    """Return both towers with random weights."""
    arguments = settings.get("arguments", {})
    text = {"vocab_size": VOCABULARY, **arguments.get("text", {})}
    dimension = arguments.get("embed_dim", 512)
    image = _image_tower(arguments.get("image", {}), dimension)
    return Towers(image, text_tower(text, dimension), ("logit_scale",))


def first_token(hidden: tuple[torch.Tensor, ...], mask: torch.Tensor) -> torch.Tensor:
    """Return the last layer's vector of [CLS]."""
    return hidden[-1][:, 0]


def _image_tower(arguments: dict, dimension: int) -> ImageTower:
    trunk = timm.create_model("vit_base_patch16_224", num_classes=0, **arguments)
    return ImageTower(trunk, nn.Linear(trunk.num_features, dimension, bias=False))


def text_tower(arguments: dict, dimension: int) -> BertText:
    """Return PubMedBERT with the projection of its [CLS] by two layers."""
    width = arguments.get("hidden_size", 768)
    middle = (width + dimension) // 2
    layers = (
        nn.Linear(width, middle, bias=False),
        nn.GELU(),
        nn.Linear(middle, dimension, bias=False),
    )
    return BertText(arguments, first_token, nn.Sequential(*layers))


def _check_config(path: Path, dimension: int) -> None:
    """Compare the owner's config, if it is next to the weights, with what is built here."""
    if not path.is_file():
        return
    config = json.loads(path.read_text(encoding="utf-8"))["model_cfg"]
    vision, text = config["vision_cfg"], config["text_cfg"]
    found = {
        "embed_dim": config["embed_dim"],
        "timm_model_name": vision["timm_model_name"],
        "timm_pool": vision.get("timm_pool", ""),
        "timm_proj": vision.get("timm_proj", "linear"),
        "proj": text.get("hf_proj_type", text.get("proj")),
        "pooler": text.get("hf_pooler_type", text.get("pooler_type")),
    }
    built = {
        "embed_dim": dimension,
        "timm_model_name": "vit_base_patch16_224",
        "timm_pool": "",
        "timm_proj": "linear",
        "proj": "mlp",
        "pooler": "cls_last_hidden_state_pooler",
    }
    other = [
        f"{key}: {found[key]!r}, not {built[key]!r}" for key in built if found[key] != built[key]
    ]
    if other:
        raise MedauditError(
            f"{path} is not the config of BiomedCLIP ({'; '.join(other)}): give the owner's folder"
        )
