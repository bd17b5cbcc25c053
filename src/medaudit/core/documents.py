"""Types of the JSON documents that stages exchange, so that a type checker finds a misspelt key."""

from typing import Any, TypedDict

from medaudit.core.entry_types import StudyEntry


class GroupCount(TypedDict):
    """Size of one group in one split: one element of ``counts`` of a `CohortCard`."""

    split: str
    attribute: str
    group: str
    n_images: int
    n_patients: int
    positive: dict[str, int]
    known: dict[str, int]


class PlantedGroup(TypedDict):
    """A group of the test images, and how many of them a planted rule applies to."""

    attribute: str
    group: str
    n_images: int
    n_planted: int


class PlantedRule(TypedDict):
    """A difference planted in phantoms, see `medaudit.data.groups.planted.count_planted`."""

    where: dict[str, Any]
    findings: str | list[str]
    visibility: float
    groups: list[PlantedGroup]


class CohortCard(TypedDict, total=False):
    """Card of a cohort, ``results/cohort/<cohort>.json`` (`medaudit.data.cohort.card.describe`)."""

    name: str
    dataset: str
    builder: str
    task_type: str
    tasks: list[str]
    attributes: list[str | list[str]]
    age_threshold: float | None
    age_rule: str | None
    seed: int
    n_images: int
    n_patients: int
    counts: list[GroupCount]
    missing: dict[str, int]
    tables: dict[str, dict[str, str]]
    exclusions: list[dict[str, Any]]
    notes: list[str]
    unit: str
    scored: bool  # False: the file has decisions and no scores
    phantom: bool
    planted: list[PlantedRule]
    balance: dict[str, Any]
    ids_sha256: str
    test_sha256: str
    external: dict[str, Any]


class LintFinding(TypedDict):
    """One finding of the lint."""

    severity: str
    check: str
    where: str
    message: str


class LintFindings(TypedDict, total=False):
    """Findings of the lint on a cohort, ``results/lint/<cohort>.json``."""

    cohort: str
    findings: list[LintFinding]


class ImageStoreCard(TypedDict, total=False):
    """Card of an image store, ``results/images/<cohort>/card.json``."""

    cohort: str
    image_size: int
    channels: int
    resize: str
    sizes: dict[str, Any]
    phantom: bool
    planted: list[dict[str, Any]]
    counts: dict[str, int]
    sha256: str
    decoders: dict[str, str]


class PretrainingCard(TypedDict, total=False):
    """Card of a pretraining, ``results/pretrain/<pretraining>.json``."""

    algorithm: str
    options: dict[str, Any]
    sources: list[dict[str, Any]]
    held_out_patients_excluded: bool
    images: int
    epochs: int
    curve: list[dict[str, Any]]
    weights_sha256: dict[str, str]


class PredictionsFooter(TypedDict, total=False):
    """Footer of a predictions table: the model, its weights, and how its settings were chosen."""

    cohort: str
    model: str
    method: str
    spec: dict[str, Any] | None
    phantom: bool | None
    runs: dict[str, Any]
    rows: dict[str, int]
    notes: list[str]


class StudyHead(TypedDict, total=False):
    """Head of a study's ``index.json``: the settings behind its tables and figures."""

    study: str
    entry: StudyEntry
    level: float
    draws: int | None
    permutations: int | None
    cohorts: list[str]
    headline: str
    lead: list[str]
    gap: str
    notes: list[str]
    tables: list[dict[str, Any]]
    figures: list[dict[str, Any]]
