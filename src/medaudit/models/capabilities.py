"""What each kind of model can do: the one table that everything decided by a model's kind reads.

It is not part of `medaudit.models.kinds`, whose code is hashed into every embedding: a new line
here reruns nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Kind:
    """Capabilities of a kind of model.

    Parameters
    ----------
    embedding : bool
        It is an encoder, ``medaudit.models.kinds.<kind>``, with frozen embeddings of its own: a
        probe can be trained on them. False where there are only predictions.
    trainable : bool
        It has weights to fine-tune; only read where `embedding` is true.
    text : bool
        It has a text tower: zero-shot methods run on it.
    drop_path : bool
        It can be trained with stochastic depth.
    members : bool
        It is a combination of other models (``members`` of its entry), and runs with every method
        that runs with all of them.
    only_method : str or None
        Kind of the only methods that run with it, and that run with no other model; None: any
        method that the other capabilities allow.
    """

    embedding: bool = True
    trainable: bool = True
    text: bool = False
    drop_path: bool = False
    members: bool = False
    only_method: str | None = None


KINDS = {
    "pixels": Kind(trainable=False),
    "timm": Kind(drop_path=True),
    "clip": Kind(text=True),
    "biomedclip": Kind(text=True),
    "gloria": Kind(text=True),
    "medclip": Kind(text=True),
    "cxrclip": Kind(text=True),
    "siglip": Kind(text=True),
    "unimedclip": Kind(text=True),
    "embeddings": Kind(trainable=False),
    "onnx": Kind(trainable=False),
    "torch_export": Kind(trainable=False),
    "ensemble": Kind(embedding=False, trainable=False, members=True),
    "predictions": Kind(embedding=False, trainable=False, only_method="given"),
}
"""Kinds of models, by the ``kind`` of a catalogue entry (``models.schema.yaml`` has the same)."""


def capabilities(entry: Mapping[str, Any]) -> Kind:
    """Return what a model can do: its kind's capabilities, unless its file gives scores."""
    can = KINDS[entry["kind"]]
    if entry.get("output", {}).get("holds", "embedding") == "embedding":
        return can
    return replace(can, embedding=False, only_method="given")


def why_not(entry: Mapping[str, Any]) -> str:
    """Return which methods a model runs with, and why no others, for messages."""
    can, kind = capabilities(entry), entry["kind"]
    if can.only_method:
        return f"a model of kind {kind} that gives scores runs only with methods of kind {can.only_method}"
    if not can.trainable:
        return f"a model of kind {kind} has no weights to train: it runs with probes (methods of kind probe)"
    return f"a model of kind {kind} has no text tower: it runs with probes and fine-tuning"
