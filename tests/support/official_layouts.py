"""Small random checkpoints in their owners' layouts, with the owners' forward passes restated.

Written against the published descriptions of the files, not against the loaders under test.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import nn
from transformers import BertConfig, BertModel

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)
TEXTS = ["a photo of a mild pulmonary edema.", "no pleural effusion", "large heart, clear lungs"]
WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "a",
    "photo",
    "of",
    "mild",
    "pulmonary",
    "ed",
    "##ema",
    "no",
    "pl",
    "##eural",
    "effusion",
    "large",
    "heart",
    "clear",
    "lungs",
    ".",
    ",",
]


@dataclass
class Official:
    """A checkpoint in its owner's layout and what its owner's code would answer.

    `save` writes a state under the owner's names into the owner's container.
    """

    entry: dict
    state: dict[str, torch.Tensor]
    save: Callable[[dict[str, torch.Tensor]], None]
    images: Callable[[np.ndarray], torch.Tensor]
    texts: Callable[[list[str]], torch.Tensor]
    projection: str
    scale: float


def normalised(images: np.ndarray, mean, std) -> torch.Tensor:
    """Grey uint8 of the model's size to normalised ``[b, 3, h, w]``."""
    scaled = torch.from_numpy(images).float().div(255)[:, None].expand(-1, 3, -1, -1)
    return (scaled - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]


def image_input(size: int, mean, std) -> dict:
    """Return the ``input`` block of an entry."""
    return {"size": size, "channels": 3, "mean": mean, "std": std, "interpolation": "bicubic"}


def shaken(module: nn.Module, seed: int) -> nn.Module:
    """Return the module in evaluation mode with random values everywhere, norms included."""
    generator = torch.Generator().manual_seed(seed)
    for name, value in module.state_dict().items():
        if not value.is_floating_point():
            continue
        noise = torch.randn(value.shape, generator=generator)
        if "running_var" in name:
            value.copy_(1 + 0.3 * noise.abs())
        else:
            value.add_(0.1 * noise)
    return module.eval()


def write_vocabulary(folder: Path) -> Path:
    """Write a small ``vocab.txt``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS) + "\n", encoding="utf-8")
    return folder


def word_pieces(text: str) -> list[str]:
    """Split a text greedily into pieces of `WORDS`, lower case, as BERT does."""
    spaced = "".join(c if c.isalnum() or c.isspace() else f" {c} " for c in text.lower())
    pieces = []
    for word in spaced.split():
        start, found = 0, []
        while start < len(word):
            heads = [
                end
                for end in range(len(word), start, -1)
                if ("##" if start else "") + word[start:end] in WORDS
            ]
            if not heads:
                found = ["[UNK]"]
                break
            found.append(("##" if start else "") + word[start : heads[0]])
            start = heads[0]
        pieces += found
    return ["[CLS]", *pieces, "[SEP]"]


def padded(texts: list[str], length: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and mask, padded to the longest or to `length`."""
    rows = [[WORDS.index(piece) for piece in word_pieces(text)] for text in texts]
    length = length or max(map(len, rows))
    ids = torch.tensor([row + [0] * (length - len(row)) for row in rows])
    return ids, (ids != 0).long()


TINY_BERT = {
    "vocab_size": len(WORDS),
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "max_position_embeddings": 128,
}


def tiny_bert(pooler: bool) -> nn.Module:
    """Return a small random BERT with Hugging Face's names."""
    torch.manual_seed(11)
    return shaken(BertModel(BertConfig(**TINY_BERT), add_pooling_layer=pooler), 12)


def prefixed(prefix: str, module: nn.Module) -> dict[str, torch.Tensor]:
    """Return a state dict with a prefix before each key."""
    return {prefix + key: value.clone() for key, value in module.state_dict().items()}


def torch_script(state: dict[str, torch.Tensor], path: Path) -> None:
    """Save `state` as a TorchScript archive, as OpenAI publishes CLIP."""

    class Node(nn.Module):
        def forward(self, x):
            return x

    tree = Node()
    for key, value in state.items():
        *parents, name = key.split(".")
        node = tree
        for parent in parents:
            if parent not in node._modules:
                node.add_module(parent, Node())
            node = node._modules[parent]
        if value.is_floating_point():
            node.register_parameter(name, nn.Parameter(value, requires_grad=False))
        else:
            node.register_buffer(name, value)
    torch.jit.trace(tree, torch.zeros(1)).save(str(path))


class Foreign:
    """Makes classes of packages that are not installed, long enough to pickle them."""

    def __init__(self, *names: str) -> None:
        self.names, self.classes, self.added = names, {}, []

    def __enter__(self) -> dict[str, type]:
        for name in self.names:
            module, _, kind = name.rpartition(".")
            for depth in range(1, module.count(".") + 2):
                part = ".".join(module.split(".")[:depth])
                if part not in sys.modules:
                    sys.modules[part] = ModuleType(part)
                    self.added.append(part)
            self.classes[kind] = type(kind, (), {"__module__": module})
            setattr(sys.modules[module], kind, self.classes[kind])
        return self.classes

    def __exit__(self, *_) -> None:
        for part in self.added:
            del sys.modules[part]
