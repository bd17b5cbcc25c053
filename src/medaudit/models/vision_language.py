"""What all vision-language models share: two towers, one file, a way to score.

The image tower is always a timm network and a projection, so that fine-tuning finds the same
names in every model (``trunk``, ``projection``). Weights are renamed from the owner's layout and
loaded strictly as a whole.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import nn

from medaudit.core.errors import MedauditError
from medaudit.models.interface import ImageInput
from medaudit.models.torch_encoder import TorchEncoder
from medaudit.models.weights.load import (
    check_golden,
    check_sha256,
    load_strict,
    read_state,
    resolve_weights,
)


class ImageTower(nn.Module):
    """A timm trunk and the projection into the space shared with text.

    Parameters
    ----------
    trunk : torch.nn.Module
        Maps ``[b, 3, size, size]`` to features ``[b, f]``.
    projection : torch.nn.Module
        Maps features to the embedding ``[b, d]``.
    """

    def __init__(self, trunk: nn.Module, projection: nn.Module) -> None:
        super().__init__()
        self.trunk, self.projection = trunk, projection

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the embedding, not normalised."""
        return self.projection(self.trunk(pixels))


class Towers(nn.Module):
    """Both towers, as one module to load a file into.

    Parameters
    ----------
    image, text : torch.nn.Module
        The towers.
    scalars : tuple of str
        Names of the scalars the owner's file holds, e.g. ``logit_scale``.
    """

    def __init__(self, image: nn.Module, text: nn.Module, scalars: Sequence[str] = ()) -> None:
        super().__init__()
        self.image, self.text = image, text
        for name in scalars:
            self.register_buffer(name, torch.zeros(()))


class VisionLanguageEncoder(TorchEncoder):
    """An image tower with its preprocessing, and a text tower that shares its space.

    ``module`` is the image tower alone: it is what is fine-tuned. The text tower stays on the
    CPU, since it only ever sees a few prompts.

    Parameters
    ----------
    towers : Towers
        With weights loaded.
    tokenize : callable
        Maps a list of strings to the inputs of the text tower, a tuple of tensors.
    image_input : ImageInput
        Preprocessing after the image is square.
    description : dict
        For `spec`.
    logit_scale, logit_bias : float
        A score is ``logit_scale * cosine + logit_bias``; the scale is not a logarithm.
    link : str
        ``softmax`` over classes, or ``sigmoid`` for each class, whichever the model was trained
        with.
    texts_at_once : int or None
        Texts in one pass of the text tower; None for all, where they depend on each other.
    square : str
        ``crop`` (to the middle), ``pad`` (with black) or ``stretch``: what the owner does to
        images that are not square.
    """

    def __init__(
        self,
        towers: Towers,
        tokenize: Callable[[list[str]], tuple[torch.Tensor, ...]],
        image_input: ImageInput,
        description: dict,
        *,
        logit_scale: float,
        logit_bias: float = 0.0,
        link: str = "softmax",
        square: str = "crop",
        texts_at_once: int | None = 64,
    ) -> None:
        super().__init__(towers.image, image_input, description)
        self.text, self.tokenize = towers.text.eval(), tokenize
        self.logit_scale, self.logit_bias, self.link = logit_scale, logit_bias, link
        self.square = square
        self.texts_at_once = texts_at_once

    def prepare(self, images: np.ndarray) -> torch.Tensor:
        """Return pixels as the model wants them, float32 ``[b, 3, size, size]``."""
        return super().prepare(make_square(images, self.square))

    @torch.inference_mode()
    def encode_texts(self, texts: list[str]) -> np.ndarray:
        """Return float32 ``[m, d]`` for `texts`, not normalised.

        Raises
        ------
        MedauditError
            The vocabulary is not there, or a text leaves nothing to encode.
        """
        step = self.texts_at_once or len(texts)
        batches = [texts[start : start + step] for start in range(0, len(texts), step)]
        parts = [self.text(*self.tokenize(batch)) for batch in batches]
        return torch.cat(parts).float().numpy()

    def spec(self) -> dict:
        """Return weights, preprocessing, scoring, device and versions as JSON."""
        scoring = {"scale": self.logit_scale, "bias": self.logit_bias, "link": self.link}
        return {**super().spec(), "square": self.square, "scoring": scoring}


def make_square(images: np.ndarray, how: str) -> np.ndarray:
    """Crop ``[b, h, w, ...]`` to its middle or pad it with zeros, as `VisionLanguageEncoder` says."""
    height, width = images.shape[1:3]
    if height == width or how == "stretch":
        return images
    if how == "crop":
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return images[:, top : top + side, left : left + side]
    lacking = [max(height, width) - length for length in (height, width)]
    sides = [(0, 0), *((gap // 2, gap - gap // 2) for gap in lacking)]
    return np.pad(images, [*sides, (0, 0)][: images.ndim])


def open_weights(settings: dict) -> tuple[dict[str, torch.Tensor], Path, dict]:
    """Return the tensors of an entry's file, its path, and the start of the model's description."""
    path = resolve_weights(settings)
    state = read_state(path, settings.get("sha256"))
    description = {
        "kind": settings["kind"],
        "weights": path.name,
        "sha256": check_sha256(path, None),
        "arguments": settings.get("arguments", {}),
        "versions": {name: version(name) for name in ("timm", "open_clip_torch", "transformers")},
    }
    return state, path, description


def choice(settings: dict, field: str, known: Iterable[str]) -> str:
    """Return a field of an entry that names one of several things."""
    if settings.get(field) not in known:
        raise MedauditError(
            f"model {settings.get('name', settings['kind'])}: {field} {settings.get(field)!r} is "
            f"none of {sorted(known)}"
        )
    return settings[field]


def fill(towers: Towers, state: dict, settings: dict, path: Path, allow_extra=()) -> None:
    """Load a renamed state into both towers strictly; the error names model and file."""
    what = f"model {settings.get('name', settings['kind'])} ({path})"
    load_strict(towers, state, what, allow_extra=allow_extra)


def finish(encoder: VisionLanguageEncoder, settings: dict) -> VisionLanguageEncoder:
    """Check the golden image, if the entry has one, and return the encoder."""
    check_golden(encoder, settings)
    return encoder


def rename(state: dict[str, torch.Tensor], rules: Sequence[tuple[str, str]]) -> dict:
    """Apply regular expressions to every key, one after the other, from the key's start.

    Raises
    ------
    MedauditError
        Two keys become one.
    """
    renamed: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        name = key
        for pattern, replacement in rules:
            name = re.sub(f"^{pattern}", replacement, name)
        if name in renamed:
            raise MedauditError(f"the weights hold {name} twice: two layouts in one file?")
        renamed[name] = value
    return renamed


def fuse(state: dict[str, torch.Tensor], parts: Sequence[str], whole: str) -> dict:
    """Join layers, e.g. query, key and value to qkv, in that order, where all are there."""
    fused = dict(state)
    for key in state:
        if f".{parts[0]}." not in key:
            continue
        names = [key.replace(f".{parts[0]}.", f".{part}.") for part in parts]
        if all(name in fused for name in names):
            joined = torch.cat([fused.pop(name) for name in names])
            fused[key.replace(f".{parts[0]}.", f".{whole}.")] = joined
    return fused


def transpose(state: dict[str, torch.Tensor], key: str, name: str) -> dict:
    """Rename `key` to `name` and turn it over, where it is there."""
    if key not in state:
        return state
    rest = {other: value for other, value in state.items() if other != key}
    return {**rest, name: state[key].T.contiguous()}
