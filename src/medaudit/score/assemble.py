"""Turn external tables into a cohort and predictions with the workflow's own table schemas."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pandas as pd

from medaudit.adapt.predictions.columns import Choice, Columns, Undecided, find_columns
from medaudit.adapt.predictions.probabilities import as_probabilities
from medaudit.adapt.predictions.shaping import find_task_type, tidy
from medaudit.core.documents import CohortCard
from medaudit.core.files import sha256
from medaudit.data.cohort.card import describe
from medaudit.data.cohort.selection import Selection
from medaudit.data.groups import describe_groups
from medaudit.data.readers.sheet import Sheet, read_sheet
from medaudit.score.cohort_rows import (
    by_model,
    cohort_of,
    first_rows,
    images_of,
    remaining,
    with_counts,
)
from medaudit.score.doubts import Doubt, ask, find_doubts
from medaudit.score.join_groups import MOST_LEVELS, Wanted, choose_attributes, join_groups
from medaudit.score.not_groups import post_outcome
from medaudit.score.reading import Options, Reading, read_reading, saved_options
from medaudit.score.sources import Source, read_predictions
from medaudit.score.synthetic import is_synthetic
from medaudit.score.weights import add_weights

OUTCOMES = "outcomes"
"""Type of task of a study without labels and scores."""


@dataclass
class Study:
    """The cohort and the predictions to audit, and how they were read.

    Parameters
    ----------
    name : str
        Name of the cohort and of the study, from the file's name.
    cohort : pandas.DataFrame
        Columns of `medaudit.core.table_io.COHORT`.
    predictions : dict of (str, str) to pandas.DataFrame
        Columns of `medaudit.core.table_io.PREDICTIONS` by model and method.
    tasks : list of str
        Tasks or classes, in the file's order.
    task_type : str
        ``binary``, ``multilabel``, ``multiclass`` or `OUTCOMES`.
    attributes : list
        Names, or lists of names for intersections.
    declared : list
        Those of the attributes that the user named: the bootstrap draws patients within them. A
        column that merely has few levels may follow from the label, and is no stratum.
    detected : list of (str, str)
        Pairs (role, column or note), to print.
    files : list of Path
        The files that were read.
    has_patients : bool
        Whether a column identifies patients.
    rows : sequence of int
        For each row of `cohort`, the row of the predictions file that it comes first in.
    doubts : list of Doubt
        What looked wrong with labels and scores, and the user let pass.
    settings : dict
        How the file was read, as ``columns.yaml`` keeps it.
    refused : dict, optional
        Of answers without scores: what was refused (`medaudit.score.answers_only`).
    answers : str or None
        The column of decisions that were found where the file has no scores.
    """

    name: str
    cohort: pd.DataFrame
    predictions: dict[tuple[str, str], pd.DataFrame]
    tasks: list[str]
    task_type: str
    attributes: list[str | list[str]]
    declared: list[str | list[str]]
    detected: list[tuple[str, str]]
    files: list[Path] = field(default_factory=list)
    has_patients: bool = True
    rows: Sequence[int] = ()
    doubts: list[Doubt] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    refused: dict[str, pd.DataFrame] | None = None
    answers: str | None = None

    @property
    def scored(self) -> bool:
        """Whether there are scores, and not only answers."""
        return self.refused is None

    @property
    def has_validation(self) -> bool:
        """Whether there are validation rows on which thresholds can be chosen."""
        return bool((self.cohort["split"] == "val").any())

    @property
    def weighted(self) -> bool:
        """Whether images have weights that the user gave."""
        return any(column.startswith("w_") for column in self.cohort.columns)

    def card(self) -> CohortCard:
        """Return the cohort's card (see `medaudit.data.cohort.card`)."""
        settings: dict[str, Any] = {"name": self.name, "builder": "file"}
        settings |= {name: getattr(self, name) for name in ("task_type", "tasks", "attributes")}
        source = {
            "dataset": self.name,
            "tables": {p.name: {"file": p.name, "sha256": sha256(p)} for p in self.files},
            "exclusions": [],
            "notes": [],
            "unit": "patient" if self.has_patients else "case",
            "phantom": is_synthetic(self.files),
        }
        details = {"detected": [list(pair) for pair in self.detected]}
        card = describe(Selection(self.cohort, details=details), settings, source)
        groups = describe_groups(self.cohort, settings)
        return cast(CohortCard, {**card, **groups, "scored": self.scored})


def assemble(
    predictions: Source,
    groups: Path | pd.DataFrame | None,
    columns: Mapping[str, Any] | str | Path | None,
    options: Options,
    labels: Path | pd.DataFrame | None = None,
    announce: Callable[[list[Choice]], None] | None = None,
) -> Study:
    """Read the files, find the role of each column, join the groups, and return the study.

    Parameters
    ----------
    predictions : Path, pandas.DataFrame, or list of them
        The predictions.
    groups, labels : Path or pandas.DataFrame, optional
        Groups of patients (default: the other columns of the predictions), and labels in a file
        of their own.
    columns : dict or Path, optional
        What the user said of the columns, see `medaudit.score.reading.Reading`.
    options : dict
        ``attributes``, ``control``, ``age_threshold``, ``scores``, ``task_type``, ``positive``,
        ``yes``.
    announce : callable, optional
        It gets the role of each column before anything that depends on it can fail.

    Raises
    ------
    MedauditError
        Anything that would make a number wrong; the message says what and where.
    """
    reading = read_reading(columns)
    options = cast(Options, {**options, **saved_options(reading, options)})
    sheet, files = read_predictions(predictions, labels, reading)
    own = None if groups is None else read_sheet(groups, "the groups", leftovers=True)
    found = _find(sheet, own, reading, options, announce)
    tidied = tidy(sheet, found, options["positive"])
    frame, task_type = tidied.frame, find_task_type(tidied, options["task_type"])
    frame["score"], read = as_probabilities(frame, options["scores"], task_type == "multiclass")
    doubts = find_doubts(frame, task_type)
    if not options.get("yes"):
        ask(doubts, found, options["positive"], sheet.where)
    images = images_of(frame, sheet.where)
    source = own or remaining(sheet, found, frame)
    wanted = _wanted(options, reading, found)
    joined = (
        join_groups(own, images, reading.columns, wanted.names)
        if own
        else first_rows(source, images)
    )
    wanted.not_groups = post_outcome(joined, frame, MOST_LEVELS) | wanted.not_groups
    attributes, names = choose_attributes(joined, wanted, source.where, source.notes)
    notes = [*sheet.notes, *tidied.notes, f"{task_type}; scores are {read}"]
    cohort = cohort_of(frame, images, attributes)
    detected = _detected(sheet, found, frame, notes, announce is not None)
    detected += [("groups file", f"{own.where}: {len(own.frame)} rows")] if own else []
    detected += [("", note) for note in source.notes]
    return Study(
        name=_slug(files[0].stem) if files else "scored",
        cohort=add_weights(cohort, sheet, found, tidied, names),
        predictions=by_model(frame, sheet.where, found),
        tasks=list(frame["task"].unique()),
        task_type=task_type,
        attributes=names,
        declared=names if options["attributes"] else [],
        detected=[*detected, ("groups", ", ".join(with_counts(attributes, names)))],
        files=[*files, *([groups] if isinstance(groups, Path) else [])],
        has_patients="patient" in found.roles or not images["patient_id"].is_unique,
        rows=images["row"].tolist(),
        doubts=doubts,
        settings=_settings(found, reading, options, names),
        answers=found.answers,
    )


def _find(
    sheet: Sheet,
    own: Sheet | None,
    reading: Reading,
    options: Options,
    announce: Callable[[list[Choice]], None] | None,
) -> Columns:
    given = _of_file(reading.columns, sheet, own)
    show = announce or (lambda choices: None)
    try:
        found = find_columns(
            sheet.frame,
            given,
            sheet.where,
            positive=options["positive"],
            classes=reading.classes,
        )
    except Undecided as error:
        show(error.choices)
        raise
    show(found.choices)
    return found


def _wanted(options: Options, reading: Reading, found: Columns) -> Wanted:
    said = reading.columns
    return Wanted(
        options["attributes"] or [],
        options.get("control", []),
        options["age_threshold"],
        next(iter(said.get("age", [])), None),
        said.get("groups", []),
        said.get("ignore", []),
        dict(found.not_groups),
    )


def _settings(
    found: Columns, reading: Reading, options: Options, names: list[str | list[str]]
) -> dict[str, Any]:
    """Return how the file was read, with what was detected, as the user could have said it."""
    said = {
        "age": next(iter(reading.columns.get("age", [])), None),
        "ignore": reading.columns.get("ignore"),
        "classes": reading.classes,
        "missing": reading.missing,
        **{key: getattr(reading, key) for key in ("sheet", "event", "time", "horizon")},
        "positive": options["positive"] or found.positive,
        **{k: options[k] for k in ("scores", "task_type") if options[k] != "auto"},
    }
    single = [name for name in names if isinstance(name, str)]
    kept = {key: value for key, value in said.items() if value not in (None, [])}
    return {**found.as_settings(), **kept, "groups": single}


def _of_file(
    columns: dict[str, list[str]], sheet: Sheet, own: Sheet | None
) -> dict[str, list[str]]:
    """Return the named columns without those that only the groups file has."""
    elsewhere = {*({} if own is None else own.frame.columns)} - {*sheet.frame.columns}
    shared = ("id", "patient", "age", "ignore", "not_a_role")
    found = {
        role: [c for c in chosen if role not in shared or c not in elsewhere]
        for role, chosen in columns.items()
        if role != "groups"  # checked with the other attributes
    }
    return {role: chosen for role, chosen in found.items() if chosen}


def _detected(
    sheet: Sheet, found: Columns, frame: pd.DataFrame, notes: list[str], announced: bool
) -> list[tuple[str, str]]:
    """Return the role of each column, and the notes, as pairs to print."""
    shown = [("predictions", f"{sheet.where}: {len(sheet.frame)} rows")]
    if not announced:
        shown += [(choice.role, f"{choice.column} ({choice.reason})") for choice in found.choices]
    if "patient" not in found.roles:
        shown += [("patient", "no column: each image counts as a patient")]
    if "split" not in found.roles:
        shown += [("split", "no column: every row is a test row")]
    else:
        counts = frame.drop_duplicates("image_id")["split"].value_counts()
        shown += [("splits", ", ".join(f"{split} {n}" for split, n in counts.items()))]
    return shown + [("", note) for note in notes]


def _slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "scored"
