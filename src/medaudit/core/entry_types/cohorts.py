"""Types of the entries of cohorts. Written from ``cohorts.schema.yaml``: do not edit.

``python -m medaudit.cli.reference`` writes this file again after a change of the schema.
"""

from typing import Any, TypedDict


class CohortEntrySplit(TypedDict, total=False):
    """Keys of a cohort entry split."""

    train: float
    val: float
    test: float
    kind: str
    share: float
    test_share: float
    seeds: list[int]
    attribute: str
    val_share: float


class CohortEntry(TypedDict, total=False):
    """Keys of a cohort entry."""

    dataset: str
    builder: str
    label: str
    task_type: str
    tasks: list[str]
    exclusivity: str
    views: list[str] | None
    age_threshold: float | None
    age_rule: str
    cell_size: int
    images_per_patient: int | None
    split: CohortEntrySplit
    attributes: list[list[str] | str]
    image_size: int
    on_error: str
    exclude_seen: bool | list[str]
    seed: int
    split_file: str | None
    balance: str
    test_weights: str
    age_given_label: bool
    patients: int | None
    enrich: list[str] | None
    enrich_training: bool
    images_per_task: int | None
    stratify: list[str] | None
    age_bands: dict[str, Any] | list[float] | None
    known: list[str]
    known_after_split: list[str]
    levels: dict[str, Any]
    training_share: dict[str, Any]
    channels: int
    notes: list[str]
