"""CXR-CLIP: ResNet-50 or Swin-T with Bio_ClinicalBERT.

You et al., "CXR-CLIP: Toward Large Scale Chest X-ray Language-Image Pre-training", MICCAI 2023.
"""

import timm
import torch
from torch import nn

from medaudit.models.bert_text import CLINICAL_VOCABULARY, UNUSED, BertText, WordPieces
from medaudit.models.interface import ImageInput, ModelSettings
from medaudit.models.swin_layout import hf_to_timm
from medaudit.models.vision_language import (
    ImageTower,
    Towers,
    VisionLanguageEncoder,
    check_choice,
    load_towers,
    open_weights,
    rename_keys,
    with_golden_check,
)

TOKENS = 256
TRUNKS = {"swin": "swin_tiny_patch4_window7_224", "resnet50": "resnet50"}
_RULES = [
    (r"image_encoder\.resnet\.", "image.trunk."),
    (r"image_projection\.projection\.", "image.projection."),
    (r"text_encoder\.text_encoder\.", "text.bert."),
    (r"text_projection\.projection\.", "text.projection."),
]


class FirstCorner(nn.Module):
    """Takes the first position of the last feature map: the owner's code treats it as [CLS]."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Return ``[b, f]``, the top left corner of ``[b, rows, columns, f]``."""
        return features[:, 0, 0]


def build(settings: ModelSettings) -> VisionLanguageEncoder:
    """Build a CXR-CLIP from its ``.tar``.

    Parameters
    ----------
    settings : dict
        ``weights``; ``image_tower``: ``resnet50`` or ``swin``; ``tokenizer`` (folder with
        Bio_ClinicalBERT's ``vocab.txt``); ``arguments`` as in `medaudit.models.kinds.gloria.build`.
    """
    state, path, description = open_weights(settings)
    kind = settings["image_tower"]
    towers = network(settings)
    if kind == "swin":
        state = hf_to_timm(state, "image_encoder.image_encoder.")
    load_towers(towers, rename_keys(state, _RULES), settings, path, allow_extra=UNUSED)
    encoder = VisionLanguageEncoder(
        towers,
        WordPieces(settings, towers.text.bert.config.vocab_size, TOKENS),
        ImageInput.from_settings(settings),
        {**description, "image_tower": kind},
        logit_scale=towers.logit_scale.exp().item(),
    )
    return with_golden_check(encoder, settings)


def network(settings: ModelSettings) -> Towers:
    """Return both towers with random weights."""
    arguments = settings.get("arguments", {})
    kind = check_choice(settings, "image_tower", settings["image_tower"], TRUNKS)
    text = {"vocab_size": CLINICAL_VOCABULARY, **arguments.get("text", {})}
    dimension = arguments.get("embed_dim", 512)
    return Towers(
        _image_tower(kind, arguments.get("image", {}), dimension),
        BertText(text, last_token, nn.Linear(text.get("hidden_size", 768), dimension)),
        ("logit_scale",),
    )


def last_token(hidden: tuple[torch.Tensor, ...], mask: torch.Tensor) -> torch.Tensor:
    """Return the last layer's vector of the last token that is not padding, [SEP]."""
    return hidden[-1][torch.arange(len(mask)), mask.sum(dim=1) - 1]


def _image_tower(kind: str, arguments: dict, dimension: int) -> ImageTower:
    trunk = timm.create_model(TRUNKS[kind], num_classes=0, **arguments)
    if kind == "swin":
        trunk.head = FirstCorner()
    return ImageTower(trunk, nn.Linear(trunk.num_features, dimension))
