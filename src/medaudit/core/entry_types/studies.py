"""Types of the entries of studies. Written from ``studies.schema.yaml``: do not edit.

``python -m medaudit.cli.reference`` writes this file again after a change of the schema.
"""

from typing import TypedDict


class StudyEntryAlso(TypedDict, total=False):
    """Keys of a study entry also."""

    cohorts: list[str]
    models: list[str]
    methods: list[str]


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
    tables: list[str]
    figures: list[str]
    questions: list[StudyEntryQuestions]
    subjects: list[str]
    controls: list[str]
    lead: list[str]
    lead_reason: str
    gate: bool | str
