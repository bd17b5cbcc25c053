"""MedCLIP: Swin-T or ResNet-50 with Bio_ClinicalBERT, trained on CheXpert and MIMIC-CXR.

Wang et al., "MedCLIP: Contrastive Learning from Unpaired Medical Images and Text", EMNLP 2022.
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

TOKENS = 77
LARGEST_LOG_SCALE = 4.6052  # log(100), to which the owner's code clips the scale
TRUNKS = {"vit": "swin_tiny_patch4_window7_224", "resnet50": "resnet50"}
POOLINGS = ("alone", "batch")
_RULES = [
    (r"vision_model\.model\.fc\.", "image.projection."),
    (r"vision_model\.projection_head\.", "image.projection."),
    (r"vision_model\.model\.", "image.trunk."),
    (r"text_model\.model\.", "text.bert."),
    (r"text_model\.projection_head\.", "text.projection."),
]


def build(settings: ModelSettings) -> VisionLanguageEncoder:
    """Build MedCLIP, with either image tower, from its ``pytorch_model.bin``.

    Parameters
    ----------
    settings : dict
        ``weights``; ``image_tower``: ``vit`` (Swin-T) or ``resnet50``; ``text_pooling``:
        ``alone`` (each prompt is encoded by itself, the default) or ``batch`` (as the owner does:
        the embedding of a prompt depends on the padding, and so on the prompts encoded together
        with it); ``tokenizer`` (folder with Bio_ClinicalBERT's ``vocab.txt``); ``arguments`` as in
        `medaudit.models.kinds.gloria.build`.
    """
    state, path, description = open_weights(settings)
    kind = check_choice(settings, "image_tower", settings["image_tower"], TRUNKS)
    pooling = settings.get("text_pooling", "alone")
    check_choice(settings, "text_pooling", pooling, POOLINGS)
    towers = network(settings)
    if kind == "vit":
        state = hf_to_timm(state, "vision_model.model.")
    load_towers(towers, rename_keys(state, _RULES), settings, path, allow_extra=UNUSED)
    encoder = VisionLanguageEncoder(
        towers,
        WordPieces(settings, towers.text.bert.config.vocab_size, TOKENS),
        ImageInput.from_settings(settings),
        {**description, "image_tower": kind, "text_pooling": pooling},
        logit_scale=towers.logit_scale.clamp(0, LARGEST_LOG_SCALE).exp().item(),
        texts_at_once=1 if pooling == "alone" else None,
    )
    return with_golden_check(encoder, settings)


def network(settings: ModelSettings) -> Towers:
    """Return both towers with random weights."""
    arguments = settings.get("arguments", {})
    trunk = TRUNKS[check_choice(settings, "image_tower", settings["image_tower"], TRUNKS)]
    text = {"vocab_size": CLINICAL_VOCABULARY, **arguments.get("text", {})}
    dimension, width = arguments.get("embed_dim", 512), text.get("hidden_size", 768)
    image = timm.create_model(trunk, num_classes=0, **arguments.get("image", {}))
    return Towers(
        ImageTower(image, nn.Linear(image.num_features, dimension, bias=False)),
        BertText(text, mean_of_three, nn.Linear(width, dimension, bias=False)),
        ("logit_scale",),
    )


def mean_of_three(hidden: tuple[torch.Tensor, ...], mask: torch.Tensor) -> torch.Tensor:
    """Return the owner's sentence vector: the mean over layers 1, 2, last and all positions."""
    # The mean is over padding too (the mask is not used): this is why text_pooling matters.
    return torch.stack([hidden[1], hidden[2], hidden[-1]], dim=1).mean(dim=2).mean(dim=1)
