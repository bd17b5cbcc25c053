"""Types of the checked configuration. Written from ``config.schema.yaml``: do not edit.

``python -m medaudit.cli.reference`` writes this file again after a change of the schema.
"""

from typing import Any, TypedDict

from medaudit.core.entry_types.cohorts import CohortEntry
from medaudit.core.entry_types.datasets import DatasetEntry
from medaudit.core.entry_types.methods import MethodEntry
from medaudit.core.entry_types.models import ModelEntry
from medaudit.core.entry_types.pretrainings import PretrainingEntry
from medaudit.core.entry_types.studies import StudyEntry


class EvaluationThreshold(TypedDict, total=False):
    """Keys of an evaluation threshold."""

    rule: str
    value: dict[str, Any] | float


class EvaluationBootstrap(TypedDict, total=False):
    """Keys of an evaluation bootstrap."""

    draws: int
    level: float


class EvaluationNull(TypedDict, total=False):
    """Keys of an evaluation null."""

    draws: int


class EvaluationMinimum(TypedDict, total=False):
    """Keys of an evaluation minimum."""

    n: int
    n_pos: int
    n_neg: int


class EvaluationSensitivity(TypedDict, total=False):
    """Keys of an evaluation sensitivity."""

    prevalence: dict[str, Any]
    false_positive_harm: float | None
    label_sensitivity: float
    label_specificity: float
    flagged: list[float]


class EvaluationMitigation(TypedDict, total=False):
    """Keys of an evaluation mitigation."""

    remedies: list[str] | None
    attributes: list[list[Any] | str] | None
    tasks: list[str] | None
    rules: list[str]
    configurations: int
    seeds: int
    epochs: int
    batch_size: int
    learning_rate: list[float]
    weight_decay: float
    hidden: int


class Evaluation(TypedDict, total=False):
    """Keys of an evaluation."""

    metrics: list[str]
    gaps: list[str]
    threshold: EvaluationThreshold
    bootstrap: EvaluationBootstrap
    null: EvaluationNull
    minimum: EvaluationMinimum
    margins: dict[str, Any]
    reference: dict[str, Any]
    control: list[str]
    sensitivity: EvaluationSensitivity
    mitigation: EvaluationMitigation
    ece_bins: int


class Config(TypedDict, total=False):
    """Keys of a config."""

    run: list[str]
    audit_card: str
    evaluation: Evaluation
    datasets: dict[str, DatasetEntry]
    cohorts: dict[str, CohortEntry]
    pretrainings: dict[str, PretrainingEntry]
    models: dict[str, ModelEntry]
    methods: dict[str, MethodEntry]
    studies: dict[str, StudyEntry]
