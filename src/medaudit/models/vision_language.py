"""Base of all vision-language models: two towers from one file, and how texts score an image.

The image tower is always a timm network and a projection, so that fine-tuning finds the same
names in every model (``trunk``, ``projection``). Weights are renamed from the owner's layout, and
both towers are loaded together: a key of the file that belongs to neither is an error.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from medaudit.core.errors import MedauditError
from medaudit.models.interface import ImageInput, ModelSettings
from medaudit.models.torch_encoder import TorchEncoder
from medaudit.models.weights.load import (
    check_golden,
    check_sha256,
    load_strict,
    read_state,
    resolve_weights,
)
from medaudit.models.weights.prefixes import unwrap


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
    """Both towers as one module, into which a file is loaded.

    Parameters
    ----------
    image, text : torch.nn.Module
        The towers.
    scalars : tuple of str
        Names of the scalars in the owner's file, e.g. ``logit_scale``.
    """

    logit_scale: torch.Tensor
    logit_bias: torch.Tensor

    def __init__(self, image: nn.Module, text: nn.Module, scalars: Sequence[str] = ()) -> None:
        super().__init__()
        self.image, self.text = image, text
        for name in scalars:
            self.register_buffer(name, torch.zeros(()))


class VisionLanguageEncoder(TorchEncoder):
    """An image tower with its preprocessing, and a text tower with the same embedding space.

    ``module`` is only the image tower, which is what fine-tuning trains. The text tower stays on
    the CPU, since it encodes no more than a few prompts.

    Parameters
    ----------
    towers : Towers
        With weights loaded.
    tokenize : callable
        Maps a list of strings to the inputs of the text tower, a tuple of tensors.
    image_input : ImageInput
        Its preprocessing.
    description : dict
        Further contents of `spec`.
    logit_scale, logit_bias : float
        A score is ``logit_scale * cosine + logit_bias``. Files store the logarithm of the scale;
        this is the scale itself.
    link : str
        ``softmax`` over classes or ``sigmoid`` for each class, as the model was trained.
    texts_at_once : int or None
        Texts per pass of the text tower; None passes all together, for a model in which the
        embedding of a text depends on the others.
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
        texts_at_once: int | None = 64,
    ) -> None:
        super().__init__(towers.image, image_input, description)
        self.text, self.tokenize = towers.text.eval(), tokenize
        self.logit_scale, self.logit_bias, self.link = logit_scale, logit_bias, link
        self.texts_at_once = texts_at_once

    @torch.inference_mode()
    def encode_texts(self, texts: list[str]) -> np.ndarray:
        """Return float32 ``[m, d]`` for `texts`, not normalised.

        Raises
        ------
        MedauditError
            The vocabulary file is missing, or a text has no word that the model reads.
        """
        step = self.texts_at_once or len(texts)
        batches = [texts[start : start + step] for start in range(0, len(texts), step)]
        parts = [self.text(*self.tokenize(batch)) for batch in batches]
        return torch.cat(parts).float().numpy()

    def spec(self) -> dict:
        """Return weights, preprocessing, scoring, device and versions as JSON."""
        scoring = {"scale": self.logit_scale, "bias": self.logit_bias, "link": self.link}
        return {**super().spec(), "scoring": scoring}


E = TypeVar("E", bound=VisionLanguageEncoder)


def open_weights(settings: ModelSettings) -> tuple[dict[str, torch.Tensor], Path, dict]:
    """Return the tensors of a model's file, the file's path, and what `spec` says about it."""
    path = resolve_weights(settings)
    state = unwrap(read_state(path, settings.get("sha256")), str(path))
    description = {
        "kind": settings["kind"],
        "weights": path.name,
        "sha256": check_sha256(path, None),
        "arguments": settings.get("arguments", {}),
        "versions": {name: version(name) for name in ("timm", "open_clip_torch", "transformers")},
    }
    return state, path, description


def check_choice(settings: ModelSettings, field: str, value: str, known: Iterable[str]) -> str:
    """Return `value` if it is one of `known`; otherwise the error names the model and the field."""
    if value not in known:
        raise MedauditError(
            f"model {settings.get('name', settings['kind'])}: {field} is {value!r}; use one of "
            f"{sorted(known)}"
        )
    return value


def load_towers(
    towers: Towers,
    state: dict[str, torch.Tensor],
    settings: ModelSettings,
    path: Path,
    allow_extra: Iterable[str] = (),
) -> None:
    """Load renamed weights into both towers strictly; an error names the model and the file."""
    what = f"model {settings.get('name', settings['kind'])} ({path})"
    load_strict(towers, state, what, allow_extra=allow_extra)


def with_golden_check(encoder: E, settings: ModelSettings) -> E:
    """Return the encoder, after comparing its golden embedding if the entry has one."""
    check_golden(encoder, settings)
    return encoder


def rename_keys(state: dict[str, torch.Tensor], rules: Sequence[tuple[str, str]]) -> dict:
    """Rename every key by regular expressions, applied in order, each at the start of the key.

    Raises
    ------
    MedauditError
        Two keys get the same name.
    """
    renamed: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        name = key
        for pattern, replacement in rules:
            name = re.sub(f"^{pattern}", replacement, name)
        if name in renamed:
            raise MedauditError(
                f"two keys of the weights file (one is {key}) both become {name}: the file mixes "
                "two layouts; get the owner's original file"
            )
        renamed[name] = value
    return renamed


def join_layers(state: dict[str, torch.Tensor], parts: Sequence[str], whole: str) -> dict:
    """Concatenate layers, e.g. query, key and value to qkv, in the order of `parts`.

    Layers of which a part is missing stay as they are, so that strict loading reports them.
    """
    fused = dict(state)
    for key in state:
        if f".{parts[0]}." not in key:
            continue
        names = [key.replace(f".{parts[0]}.", f".{part}.") for part in parts]
        if all(name in fused for name in names):
            joined = torch.cat([fused.pop(name) for name in names])
            fused[key.replace(f".{parts[0]}.", f".{whole}.")] = joined
    return fused


def transpose_key(state: dict[str, torch.Tensor], key: str, name: str) -> dict:
    """Rename `key` to `name` and transpose its matrix, if the file has it."""
    if key not in state:
        return state
    rest = {other: value for other, value in state.items() if other != key}
    return {**rest, name: state[key].T.contiguous()}
