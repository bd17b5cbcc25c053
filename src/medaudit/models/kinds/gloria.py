"""GLoRIA: a ResNet-50 and Bio_ClinicalBERT trained on CheXpert images and reports.

Huang et al., "GLoRIA: A Multimodal Global-Local Representation Learning Framework for
Label-efficient Medical Image Recognition", ICCV 2021. Only its global representation is used: it
can be stored once for an image. (The local one is 361 vectors an image.)
"""

import re

import cv2
import numpy as np
import timm
import torch
from torch import nn

from medaudit.core.errors import MedauditError
from medaudit.models.bert import CLINICAL_VOCABULARY, UNUSED, BertText, WordPieces
from medaudit.models.interface import ImageInput
from medaudit.models.vision_language import (
    ImageTower,
    Towers,
    VisionLanguageEncoder,
    fill,
    finish,
    make_square,
    open_weights,
    rename,
)

TOKENS = 97
INNER_SIZE = 299
RESIZE, CROP = 256, 224
TEMPERATURE = 10.0
"""What multiplies the cosine in the global loss (temp3 of the owner's configuration)."""

_RULES = [
    (r"gloria\.img_encoder\.model\.", "image.trunk."),
    (r"gloria\.img_encoder\.global_embedder\.", "image.projection."),
    (r"gloria\.img_encoder\.local_embedder\.", "local."),
    (r"gloria\.text_encoder\.model\.", "text.bert."),
]


class GloriaTower(ImageTower):
    """The image tower, which enlarges what it is given to 299 x 299 as the owner's does."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the global embedding ``[b, d]``."""
        size = (INNER_SIZE, INNER_SIZE)
        mode = {"mode": "bilinear", "align_corners": True}
        return super().forward(nn.functional.interpolate(pixels, size, **mode))


class GloriaEncoder(VisionLanguageEncoder):
    """GLoRIA with the owner's preprocessing, which is OpenCV's."""

    def prepare(self, images: np.ndarray) -> torch.Tensor:
        """Resize the longest side to 256 by area, pad to a square, crop the middle 224."""
        longest, crop = self.input.size * RESIZE // CROP, self.input.size
        resized = np.stack([_resize_longest(image, longest) for image in images])
        start = (longest - crop) // 2
        cropped = make_square(resized, "pad")[:, start : start + crop, start : start + crop]
        return super().prepare(cropped)


def build(settings: dict) -> GloriaEncoder:
    """Build GLoRIA from its Lightning checkpoint.

    Parameters
    ----------
    settings : dict
        ``weights``; ``tokenizer`` (folder with Bio_ClinicalBERT's ``vocab.txt``); ``arguments``:
        changes to the standard sizes, ``embed_dim``, ``image`` (`timm.create_model`) and ``text``
        (`transformers.BertConfig`).
    """
    state, path, description = open_weights(settings)
    arguments = settings.get("arguments", {})
    text = {"vocab_size": CLINICAL_VOCABULARY, **arguments.get("text", {})}
    width = text.get("hidden_size", 768)
    trunk = timm.create_model("resnet50", num_classes=0, **arguments.get("image", {}))
    towers = Towers(
        GloriaTower(trunk, nn.Linear(trunk.num_features, width)),
        BertText(text, sum_of_last_four, nn.Identity()),
    )
    towers.local = nn.Conv2d(trunk.feature_info[3]["num_chs"], width, 1, bias=False)
    fill(towers, rename(state, _RULES), settings, path, allow_extra=UNUSED)
    encoder = GloriaEncoder(
        towers,
        WordPieces(settings, text["vocab_size"], TOKENS, clean_report),
        ImageInput.from_settings(settings),
        description,
        logit_scale=TEMPERATURE,
        square="pad",
    )
    return finish(encoder, settings)


def sum_of_last_four(hidden: tuple[torch.Tensor, ...], mask: torch.Tensor) -> torch.Tensor:
    """Return the owner's sentence vector.

    It sums the last four layers, sums word pieces to words, sets what follows [SEP] to zero and
    averages over all 97 positions: so it is the masked sum over 97, whatever the padding.
    """
    summed = torch.stack(hidden[-4:]).sum(dim=0)
    return (summed * mask[..., None]).sum(dim=1) / TOKENS


def clean_report(text: str) -> str:
    """Return the words of a text as the owner cleans it.

    Sentences end at a point or at a number with a point; punctuation goes, and so do sentences of
    one word. A text of nothing else keeps them: the owner's code would embed an empty text, so
    that the prompts "Edema" and "Cardiomegaly" would be the same.

    Raises
    ------
    MedauditError
        The text holds no word.
    """
    sentences = re.split(r"[0-9]+\.|\.", text.replace("\n", " "))
    words = [re.findall(r"\w+", sentence.lower()) for sentence in sentences]
    longer = [sentence for sentence in words if len(sentence) > 1]
    kept = [word for sentence in longer or words for word in sentence]
    plain = [word.encode("ascii", "ignore").decode() for word in kept]
    cleaned = " ".join(word for word in plain if word)
    if not cleaned:
        raise MedauditError(f"the prompt {text!r} holds no word that GLoRIA would read")
    return cleaned


def _resize_longest(image: np.ndarray, longest: int) -> np.ndarray:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image
    height, width = grey.shape
    if height >= width:
        size = (int(width * (longest / height)), longest)
    else:
        size = (longest, int(height * (longest / width)))
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
