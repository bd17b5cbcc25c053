"""Types of the entries of methods. Written from ``methods.schema.yaml``: do not edit.

``python -m medaudit.cli.reference`` writes this file again after a change of the schema.
"""

from typing import Any, TypedDict


class MethodEntryLora(TypedDict, total=False):
    """Keys of a method entry lora."""

    rank: int
    alpha: float
    dropout: float
    targets: str


class MethodEntrySwad(TypedDict, total=False):
    """Keys of a method entry swad."""

    optimum_patience: int
    overfit_patience: int
    tolerance: float


class MethodEntryFairprune(TypedDict, total=False):
    """Keys of a method entry fairprune."""

    pruning_ratio: list[float]
    beta: list[float]
    passes: int
    images: int


class MethodEntryFscl(TypedDict, total=False):
    """Keys of a method entry fscl."""

    temperature: float
    projection: int


class MethodEntryResampling(TypedDict, total=False):
    """Keys of a method entry resampling."""

    balance: str


class MethodEntryReweighting(TypedDict, total=False):
    """Keys of a method entry reweighting."""

    balance: str


class MethodEntryGroupdro(TypedDict, total=False):
    """Keys of a method entry groupdro."""

    step_size: float
    adjustment: float


class MethodEntryDomainIndependent(TypedDict, total=False):
    """Keys of a method entry domain independent."""

    combine: str


class MethodEntryEnd(TypedDict, total=False):
    """Keys of a method entry end."""

    alpha: float
    beta: float


class MethodEntryLnl(TypedDict, total=False):
    """Keys of a method entry lnl."""

    entropy_weight: float
    reversal: float
    hidden: int


class MethodEntrySam(TypedDict, total=False):
    """Keys of a method entry sam."""

    rho: float


class MethodEntryObjectiveMinimum(TypedDict, total=False):
    """Keys of a method entry objective minimum."""

    n: int
    n_pos: int
    n_neg: int


class MethodEntryObjective(TypedDict, total=False):
    """Keys of a method entry objective."""

    metric: str
    attribute: list[str] | str | None
    minimum: MethodEntryObjectiveMinimum


class MethodEntryPruning(TypedDict, total=False):
    """Keys of a method entry pruning."""

    kind: str
    first: int
    factor: int


class MethodEntryAugmentationRandaugment(TypedDict, total=False):
    """Keys of a method entry augmentation randaugment."""

    magnitude: float
    std: float
    layers: int
    probability: float


class MethodEntryAugmentation(TypedDict, total=False):
    """Keys of a method entry augmentation."""

    scale: list[float]
    ratio: list[float]
    flip: float
    rotation: float
    randaugment: MethodEntryAugmentationRandaugment | None


class MethodEntryCache(TypedDict, total=False):
    """Keys of a method entry cache."""

    gigabytes: float
    precision: str


class MethodEntry(TypedDict, total=False):
    """Keys of a method entry."""

    kind: str
    label: str
    head: str
    hidden: int
    dropout: float
    epochs: int
    batch_size: int
    learning_rates: list[float]
    weight_decay: float
    seeds: int
    select: str
    tune: str
    mask: str
    lora: MethodEntryLora
    views: int | None
    cache: MethodEntryCache | None
    betas: list[float]
    warmup_epochs: float
    schedule: str
    layer_decay: float | None
    head_std: float
    drop_path: float
    learning_rate_per: int | None
    class_weights: str | None
    augmentation: MethodEntryAugmentation | None
    together: int
    compile: bool
    training: str
    attribute: list[str] | str | None
    resampling: MethodEntryResampling
    reweighting: MethodEntryReweighting
    groupdro: MethodEntryGroupdro
    domain_independent: MethodEntryDomainIndependent
    end: MethodEntryEnd
    lnl: MethodEntryLnl
    sam: MethodEntrySam
    swad: MethodEntrySwad
    by_model: dict[str, Any] | None
    fairprune: MethodEntryFairprune
    fscl: MethodEntryFscl
    space: str
    sampler: str
    learning_rate: list[float]
    objective: MethodEntryObjective
    trials: int
    workers: int
    pruning: MethodEntryPruning | None
    subset: float | None
    group_curves: bool
    by_cohort: dict[str, Any] | None
    format: str
    templates: list[str] | str
    absent: dict[str, Any]
    template: str
    labels: dict[str, Any]
    prompts_per_class: int | None
    pooling: str
