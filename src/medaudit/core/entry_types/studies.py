"""Types of the entries of studies. Written from ``studies.schema.yaml``: do not edit.

``python -m medaudit.cli.reference`` writes this file again after a change of the schema.
"""

from typing import Any, TypedDict


class StudyEntryAlso(TypedDict, total=False):
    """Keys of a study entry also."""

    cohorts: list[str]
    models: list[str]
    methods: list[str]


class StudyEntryExternal(TypedDict, total=False):
    """Keys of a study entry external."""

    cohort: str
    home: list[str]
    tasks: dict[str, Any]
    attributes: dict[str, Any]
    levels: dict[str, Any]


class StudyEntryLeaveOut(TypedDict, total=False):
    """Keys of a study entry leave out."""

    attribute: str
    levels: list[str]


class StudyEntryQuestions(TypedDict, total=False):
    """Keys of a study entry questions."""

    metric: str
    attribute: list[str] | str
    gap: str
    cohorts: list[str]
    models: list[str]
    methods: list[str]


class StudyEntry(TypedDict, total=False):
    """Keys of a study entry."""

    title: str
    label: str
    question: str
    cohorts: list[str]
    models: list[str]
    methods: list[str]
    also: list[StudyEntryAlso]
    external: list[StudyEntryExternal | str]
    leave_out: StudyEntryLeaveOut
    tables: list[str]
    figures: list[str]
    questions: list[StudyEntryQuestions]
    subjects: list[str]
    controls: list[str]
    lead: list[str]
    lead_reason: str
    gate: bool | str
