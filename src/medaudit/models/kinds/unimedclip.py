"""UniMed-CLIP: CLIP's image tower with PubMedBERT.

Khattak et al., "UniMed-CLIP: towards a unified image-text pretraining paradigm for diverse medical
imaging modalities", 2024. Its file holds the image tower under OpenAI's names, and the text tower
and its projection as BiomedCLIP's.
"""

import torch

from medaudit.models.bert_text import UNUSED, WordPieces
from medaudit.models.interface import ImageInput, ModelSettings
from medaudit.models.kinds.biomedclip import CONTEXT, VOCABULARY, text_tower
from medaudit.models.kinds.clip import configuration, image_tower, to_towers
from medaudit.models.vision_language import (
    Towers,
    VisionLanguageEncoder,
    load_towers,
    open_weights,
    rename_keys,
    with_golden_check,
)

_TEXT = [
    (r"text_encoder\.transformer\.", "text.bert."),
    (r"text_encoder\.proj\.", "text.projection."),
]


def build(settings: ModelSettings) -> VisionLanguageEncoder:
    """Build UniMed-CLIP from its ``.pt``.

    Parameters
    ----------
    settings : dict
        ``architecture``: open_clip's name of the image tower, e.g. ``ViT-B-16-quickgelu``;
        ``weights``; ``tokenizer`` (folder with PubMedBERT's ``vocab.txt``); ``arguments``: changes to
        ``embed_dim``, ``vision_cfg`` (open_clip) and ``text`` (`transformers.BertConfig`).

    Raises
    ------
    MedauditError
        The file does not fit.
    """
    state, path, description = open_weights(settings)
    towers = network(settings)
    load_towers(towers, _to_towers(state), settings, path, allow_extra=UNUSED)
    encoder = VisionLanguageEncoder(
        towers,
        WordPieces(settings, towers.text.bert.config.vocab_size, CONTEXT),
        ImageInput.from_settings(settings),
        {**description, "architecture": settings["architecture"]},
        logit_scale=towers.logit_scale.exp().item(),
    )
    return with_golden_check(encoder, settings)


def network(settings: ModelSettings) -> Towers:
    """Return both towers with random weights."""
    arguments = dict(settings.get("arguments", {}))
    text = {"vocab_size": VOCABULARY, **arguments.pop("text", {})}
    config = configuration({**settings, "arguments": arguments})
    return Towers(image_tower(config), text_tower(text, config["embed_dim"]), ("logit_scale",))


def _to_towers(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    bare = {key.removeprefix("module."): value for key, value in state.items()}
    return rename_keys(to_towers(bare), _TEXT)
