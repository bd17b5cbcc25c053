"""Types of the entries of models. Written from ``models.schema.yaml``: do not edit.

``python -m medaudit.cli.reference`` writes this file again after a change of the schema.
"""

from typing import Any, TypedDict


class ModelEntryOutput(TypedDict, total=False):
    """Keys of a model entry output."""

    name: str | None
    holds: str
    tasks: list[None | str]
    link: str
    pooling: str | None


class ModelEntryInput(TypedDict, total=False):
    """Keys of a model entry input."""

    size: int
    channels: int
    mean: list[float]
    std: list[float]
    interpolation: str
    square: str
    resize: int | None
    name: str | None
    range: list[float]
    layout: str


class ModelEntryPretrainingImages(TypedDict, total=False):
    """Keys of a model entry pretraining images."""

    file: str
    dataset: str
    column: str
    where: dict[str, Any]
    hash: str


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
    pretraining_images: list[ModelEntryPretrainingImages]
    pretraining: ModelEntryPretraining
    architecture: str
    arguments: dict[str, Any]
    weights: str | None
    pretrained: str
    pretrained_epochs: int
    sha256: str | None
    layout: str
    prefix: str | None
    golden: list[float] | None
    input: ModelEntryInput
    pooling: str | None
    members: list[str]
    mean: str
    tokenizer: str | None
    tokenizer_source: str
    image_tower: str
    text_pooling: str
    output: ModelEntryOutput
    file: str
    array: str | None
    ids: str | None
    shape: list[int] | None
    missing: str
    columns: dict[str, Any]
    scores: str
    positive: str
    rename: dict[str, Any]
