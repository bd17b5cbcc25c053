"""GLoRIA: ResNet-50 with Bio_ClinicalBERT, trained on CheXpert images and reports.

Huang et al., "GLoRIA: A Multimodal Global-Local Representation Learning Framework for
Label-efficient Medical Image Recognition", ICCV 2021. Only its global representation is used, one
vector per image. (The local representation has 361 vectors per image.)
"""

import re

import cv2
import numpy as np
import timm
import torch
from torch import nn

from medaudit.core.errors import MedauditError
from medaudit.data.image_store import Images
from medaudit.models.bert_text import CLINICAL_VOCABULARY, UNUSED, BertText, WordPieces
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

TOKENS = 97
INNER_SIZE = 299
RESIZE, CROP = 256, 224
TEMPERATURE = 10.0
"""Factor of the cosine in the global loss (temp3 of the owner's configuration)."""

_RULES = [
    (r"gloria\.img_encoder\.model\.", "image.trunk."),
    (r"gloria\.img_encoder\.global_embedder\.", "image.projection."),
    (r"gloria\.img_encoder\.local_embedder\.", "local."),
    (r"gloria\.text_encoder\.model\.", "text.bert."),
]


class GloriaTower(ImageTower):
    """Image tower that first enlarges its input to 299 x 299, as the owner's does."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the global embedding ``[b, d]``."""
        size = (INNER_SIZE, INNER_SIZE)
        enlarged = nn.functional.interpolate(pixels, size, mode="bilinear", align_corners=True)
        return super().forward(enlarged)


class GloriaEncoder(VisionLanguageEncoder):
    """GLoRIA with the owner's preprocessing, which uses OpenCV's resizing."""

    def prepare(self, images: Images) -> torch.Tensor:
        """Resize the longest side to 256 (area average), pad to a square, crop the middle 224."""
        longest, crop = self.input.size * RESIZE // CROP, self.input.size
        start = (longest - crop) // 2
        part = slice(start, start + crop)
        square = [_pad_to(_resize_longest(image, longest), longest) for image in images]
        return super().prepare(np.stack(square)[:, part, part])


def build(settings: ModelSettings) -> GloriaEncoder:
    """Build GLoRIA from its PyTorch Lightning checkpoint.

    Parameters
    ----------
    settings : dict
        ``weights``; ``tokenizer`` (folder with Bio_ClinicalBERT's ``vocab.txt``); ``arguments``:
        changes to the standard sizes, ``embed_dim``, ``image`` (`timm.create_model`) and ``text``
        (`transformers.BertConfig`).
    """
    state, path, description = open_weights(settings)
    towers = network(settings)
    load_towers(towers, rename_keys(state, _RULES), settings, path, allow_extra=UNUSED)
    encoder = GloriaEncoder(
        towers,
        WordPieces(settings, towers.text.bert.config.vocab_size, TOKENS, clean_report),
        ImageInput.from_settings(settings),
        description,
        logit_scale=TEMPERATURE,
    )
    return with_golden_check(encoder, settings)


def network(settings: ModelSettings) -> Towers:
    """Return both towers with random weights."""
    arguments = settings.get("arguments", {})
    text = {"vocab_size": CLINICAL_VOCABULARY, **arguments.get("text", {})}
    width = text.get("hidden_size", 768)
    trunk = timm.create_model("resnet50", num_classes=0, **arguments.get("image", {}))
    towers = Towers(
        GloriaTower(trunk, nn.Linear(trunk.num_features, width)),
        BertText(text, sum_of_last_four, nn.Identity()),
    )
    # Part of the owner's file that is not used here; built so that loading stays strict.
    towers.local = nn.Conv2d(trunk.feature_info[3]["num_chs"], width, 1, bias=False)
    return towers


def sum_of_last_four(hidden: tuple[torch.Tensor, ...], mask: torch.Tensor) -> torch.Tensor:
    """Return the owner's sentence vector: the masked sum of the last four layers, divided by 97."""
    # The owner's code sums the last four layers, sums word pieces to words, sets everything after
    # [SEP] to zero and averages over all 97 positions. Summing pieces first changes no total.
    summed = torch.stack(hidden[-4:]).sum(dim=0)
    return (summed * mask[..., None]).sum(dim=1) / TOKENS


def clean_report(text: str) -> str:
    """Return a text cleaned as in the owner's code: lower-case words without punctuation.

    Sentences end at a full stop or at a number with a full stop; sentences of one word are
    removed. A text that has only such sentences keeps them: the owner's code would embed an empty
    text, which makes the prompts "Edema" and "Cardiomegaly" the same.

    Raises
    ------
    MedauditError
        The text contains no word.
    """
    sentences = re.split(r"[0-9]+\.|\.", text.replace("\n", " "))
    words = [re.findall(r"\w+", sentence.lower()) for sentence in sentences]
    longer = [sentence for sentence in words if len(sentence) > 1]
    kept = [word for sentence in longer or words for word in sentence]
    plain = [word.encode("ascii", "ignore").decode() for word in kept]
    cleaned = " ".join(word for word in plain if word)
    if not cleaned:
        raise MedauditError(
            f"the prompt {text!r} contains no word that GLoRIA reads (letters or digits, ASCII); "
            "reword it"
        )
    return cleaned


def _pad_to(image: np.ndarray, side: int) -> np.ndarray:
    """Return a grey image in the middle of a black square."""
    gaps = [(gap // 2, gap - gap // 2) for gap in (side - length for length in image.shape)]
    return np.pad(image, gaps)


def _resize_longest(image: np.ndarray, longest: int) -> np.ndarray:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    height, width = grey.shape
    if height >= width:
        size = (int(width * (longest / height)), longest)
    else:
        size = (longest, int(height * (longest / width)))
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
