"""Types of the entries of datasets. Written from ``datasets.schema.yaml``: do not edit.

``python -m medaudit.cli.reference`` writes this file again after a change of the schema.
"""

from typing import TypedDict


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


class DatasetEntry(TypedDict, total=False):
    """Keys of a dataset entry."""

    loader: str
    attributes: list[str]
    folder: str | None
    table: str | None
    phantom: DatasetEntryPhantom
    demographics: str | None
    race: str
    uncertain: str
    blank: str
    bcc: str
    window: list[float]
    label: str
    slices: DatasetEntrySlices
