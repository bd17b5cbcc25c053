"""Types of the entries of pretrainings. Written from ``pretrainings.schema.yaml``: do not edit.

``python -m medaudit.cli.reference`` writes this file again after a change of the schema.
"""

from typing import Any, TypedDict


class PretrainingEntryInput(TypedDict, total=False):
    """Keys of a pretraining entry input."""

    size: int
    channels: int
    mean: list[float]
    std: list[float]
    interpolation: str


class PretrainingEntryAugmentation(TypedDict, total=False):
    """Keys of a pretraining entry augmentation."""

    scale: list[float]
    ratio: list[float]
    flip: float
    rotation: float


class PretrainingEntryProcedural(TypedDict, total=False):
    """Keys of a pretraining entry procedural."""

    images: int
    seed: int


class PretrainingEntryOptions(TypedDict, total=False):
    """Keys of a pretraining entry options."""

    mask_ratio: float
    decoder_width: int
    decoder_depth: int
    decoder_heads: int
    normalise_pixels: bool
    momentum: float
    temperature: float
    hidden: int
    dimension: int
    templates: list[str]


class PretrainingEntry(TypedDict, total=False):
    """Keys of a pretraining entry."""

    algorithm: str
    cohorts: list[str]
    audited: list[str]
    architecture: str
    arguments: dict[str, Any]
    input: PretrainingEntryInput
    epochs: int
    warmup_epochs: int
    batch_size: int
    micro_batch: int | None
    compile: bool
    base_lr: float
    min_lr: float
    schedule: str
    optimizer: str
    weight_decay: float
    betas: list[float]
    augmentation: PretrainingEntryAugmentation
    seed: int
    fraction: float
    exclude_audited: bool
    snapshots: list[int]
    procedural: PretrainingEntryProcedural | None
    options: PretrainingEntryOptions
