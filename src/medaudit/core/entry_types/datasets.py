"""Types of the entries of datasets. Written from ``datasets.schema.yaml``: do not edit.

``python -m medaudit.cli.reference`` writes this file again after a change of the schema.
"""

from typing import Any, TypedDict


class DatasetEntrySlices(TypedDict, total=False):
    """Keys of a dataset entry slices."""

    negative: float
    positive: float


class DatasetEntryPhantomMarksWhere(TypedDict, total=False):
    """Keys of a dataset entry phantom marks where."""

    sex: list[str] | str
    race: list[str] | str
    skin_type: list[str] | str
    age_min: float
    age_max: float
    split: str
    malignant: int
    glaucoma: int


class DatasetEntryPhantomMarks(TypedDict, total=False):
    """Keys of a dataset entry phantom marks."""

    where: DatasetEntryPhantomMarksWhere
    chance: float


class DatasetEntryPhantomPlantedWhere(TypedDict, total=False):
    """Keys of a dataset entry phantom planted where."""

    sex: list[str] | str
    race: list[str] | str
    skin_type: list[str] | str
    age_min: float
    age_max: float
    split: str
    malignant: int
    glaucoma: int


class DatasetEntryPhantomPlanted(TypedDict, total=False):
    """Keys of a dataset entry phantom planted."""

    where: DatasetEntryPhantomPlantedWhere
    findings: list[str] | str
    visibility: float


class DatasetEntryPhantom(TypedDict, total=False):
    """Keys of a dataset entry phantom."""

    rows: int | None
    seed: int
    marks: list[DatasetEntryPhantomMarks]
    planted: list[DatasetEntryPhantomPlanted]


class DatasetEntryDicom(TypedDict, total=False):
    """Keys of a dataset entry dicom."""

    tags: list[str]


class DatasetEntryJoin(TypedDict, total=False):
    """Keys of a dataset entry join."""

    table: str
    on: dict[str, Any] | list[str] | str
    several: str
    order: str
    required: bool


class DatasetEntryKeep(TypedDict, total=False):
    """Keys of a dataset entry keep."""

    column: str
    values: list[bool | float | str] | str
    other_than: list[bool | float | str] | str
    min: float
    max: float
    blank: bool


class DatasetEntryColumnsAge(TypedDict, total=False):
    """Keys of a dataset entry columns age."""

    column: str
    unit: str
    birth: str
    study: str
    year: str
    format: str
    oldest: float
    impossible: str


class DatasetEntryColumnsView(TypedDict, total=False):
    """Keys of a dataset entry columns view."""

    column: str
    levels: dict[str, Any]
    rest: str
    bands: dict[str, Any] | list[float]
    quantiles: int
    blank: str | None


class DatasetEntryColumnsSplit(TypedDict, total=False):
    """Keys of a dataset entry columns split."""

    column: str
    train: list[bool | float | str] | str
    val: list[bool | float | str] | str
    test: list[bool | float | str] | str
    rest: str


class DatasetEntryColumns(TypedDict, total=False):
    """Keys of a dataset entry columns."""

    path: str
    image: str
    patient: str | None
    age: DatasetEntryColumnsAge | str
    view: DatasetEntryColumnsView | str
    split: DatasetEntryColumnsSplit | str


class DatasetEntryReaders(TypedDict, total=False):
    """Keys of a dataset entry readers."""

    rule: str
    by: str
    only: list[bool | float | str] | str


class DatasetEntry(TypedDict, total=False):
    """Keys of a dataset entry."""

    loader: str
    attributes: list[str]
    folder: str | None
    table: str | None
    phantom: DatasetEntryPhantom
    demographics: str | None
    expert_test: bool
    race: str
    uncertain: str
    blank: str
    bcc: str
    window: list[float]
    label: str
    slices: DatasetEntrySlices
    tables: list[str]
    dicom: DatasetEntryDicom
    missing_values: list[bool | float | str]
    unpivot: dict[str, Any]
    join: list[DatasetEntryJoin]
    keep: list[DatasetEntryKeep]
    columns: DatasetEntryColumns
    locate: str
    readers: DatasetEntryReaders
    labels: dict[str, Any]
    groups: dict[str, Any]
    notes: list[str]
    licence: str
    source: str
