"""Types of the entries of models. Written from ``models.schema.yaml``: do not edit.

``python -m medaudit.cli.reference`` writes this file again after a change of the schema.
"""

from typing import Any, TypedDict


class ModelEntryInput(TypedDict, total=False):
    """Keys of a model entry input."""

    size: int
    channels: int
    mean: list[float]
    std: list[float]
    interpolation: str
    square: str
    resize: int | None


class ModelEntryPretraining(TypedDict, total=False):
    """Keys of a model entry pretraining."""

    objective: str
    domain: str
    method: str


class ModelEntry(TypedDict, total=False):
    """Keys of a model entry."""

    kind: str
    label: str
    dimension: int
    source: str
    licence: str
    pretraining_data: list[str]
    pretraining: ModelEntryPretraining
    architecture: str
    arguments: dict[str, Any]
    weights: str | None
    pretrained: str
    pretrained_epochs: int
    sha256: str | None
    layout: str
    golden: list[float] | None
    input: ModelEntryInput
    pooling: str
    members: list[str]
    mean: str
    tokenizer: str | None
    tokenizer_source: str
    image_tower: str
    text_pooling: str
    file: str
    columns: dict[str, Any]
    scores: str
    positive: str
    rename: dict[str, Any]
