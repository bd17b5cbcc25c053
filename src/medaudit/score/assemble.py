"""Turn external tables into a cohort and predictions with the workflow's own table schemas."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, cast

import numpy as np
import pandas as pd

from medaudit.adapt.predictions.columns import NAMED_ONLY, OPTIONS, Columns, find_columns
from medaudit.adapt.predictions.probabilities import as_probabilities
from medaudit.adapt.predictions.shaping import find_task_type, tidy
from medaudit.core.documents import CohortCard
from medaudit.core.errors import MedauditError
from medaudit.core.files import sha256
from medaudit.core.intersections import SEPARATOR
from medaudit.core.table_io import PREDICTIONS
from medaudit.data.cohort.card import describe
from medaudit.data.cohort.selection import Selection
from medaudit.data.groups import describe_groups
from medaudit.data.readers.sheet import Sheet, read_sheet
from medaudit.score.join_groups import choose_attributes, join_groups
from medaudit.score.synthetic import is_synthetic
from medaudit.score.weights import add_weights

_RUN = ["model", "method"]
OUTCOMES = "outcomes"
"""Type of task of a study without labels and scores."""


class Options(TypedDict):
    """What the user says about the files beyond the roles of columns."""

    attributes: list[str] | None
    control: list[str]
    age_threshold: float | list[float]
    scores: str
    task_type: str
    positive: str | None


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
        return cast(CohortCard, {**card, **describe_groups(self.cohort, settings)})


def assemble(
    predictions: Path | pd.DataFrame,
    groups: Path | pd.DataFrame | None,
    columns: dict[str, list[str]],
    options: Options,
) -> Study:
    """Read the files, find the role of each column, join the groups, and return the study.

    Parameters
    ----------
    predictions, groups : Path or pandas.DataFrame
        The files; without `groups`, the other columns of the predictions are the groups.
    columns : dict of str to list of str
        Columns named by the user, see `medaudit.adapt.predictions.columns.find_columns`.
    options : dict
        ``attributes``, ``control``, ``age_threshold``, ``scores``, ``task_type``, ``positive``.

    Raises
    ------
    MedauditError
        Anything that would make a number wrong; the message says what and where.
    """
    unknown = set(columns) - {*OPTIONS, *NAMED_ONLY}
    if unknown:
        raise MedauditError(f"unknown roles of columns {sorted(unknown)}; use {list(OPTIONS)}")
    sheet = read_sheet(predictions, "the predictions")
    own = None if groups is None else read_sheet(groups, "the groups")
    given = _of_file(columns, sheet, own)
    found = find_columns(sheet.frame, given, sheet.where, positive=options["positive"])
    tidied = tidy(sheet, found, options["positive"])
    frame, task_type = tidied.frame, find_task_type(tidied, options["task_type"])
    frame["score"], read = as_probabilities(frame, options["scores"], task_type == "multiclass")
    images = _images(frame, sheet.where)
    source = own or _remaining(sheet, found, frame)
    joined = join_groups(own, images, columns) if own else _first_rows(source, images)
    attributes, names = choose_attributes(
        joined,
        (options["attributes"], options.get("control", [])),
        options["age_threshold"],
        source.where,
        source.notes,
    )
    notes = [*sheet.notes, *tidied.notes, f"{task_type}; scores are {read}"]
    cohort = _cohort(frame, images, attributes)
    detected = _detected(sheet, found, frame, notes)
    detected += [("groups file", f"{own.where}: {len(own.frame)} rows")] if own else []
    detected += [("", note) for note in source.notes]
    return Study(
        name=_slug(Path(predictions).stem) if isinstance(predictions, str | Path) else "scored",
        cohort=add_weights(cohort, sheet, found, tidied, names),
        predictions=_by_model(frame, sheet.where),
        tasks=list(frame["task"].unique()),
        task_type=task_type,
        attributes=names,
        declared=names if options["attributes"] else [],
        detected=[*detected, ("groups", ", ".join(_with_counts(attributes, names)))],
        files=[Path(f) for f in (predictions, groups) if isinstance(f, str | Path)],
        has_patients="patient" in found.roles or not images["patient_id"].is_unique,
    )


def _of_file(
    columns: dict[str, list[str]], sheet: Sheet, own: Sheet | None
) -> dict[str, list[str]]:
    """Return the named columns without the id columns that only the groups file has."""
    if own is None:
        return columns
    elsewhere = set(own.frame.columns) - set(sheet.frame.columns)
    shared = {"id", "patient"}
    return {
        role: chosen
        for role, chosen in columns.items()
        if role not in shared or not set(chosen) <= elsewhere
    }


def _images(frame: pd.DataFrame, where: str) -> pd.DataFrame:
    """Return one row per image: id, patient, split and its first row in the file."""
    images = frame[["image_id", "patient_id", "split"]].drop_duplicates()
    duplicate = images["image_id"].duplicated()
    if duplicate.any():
        raise MedauditError(
            f"{where}: {int(duplicate.sum())} image ids have more than one patient or split, e.g. "
            f"{images.loc[duplicate, 'image_id'].iloc[0]!r}; give each image one of each, or name "
            "another id column with --id"
        )
    first = frame[["image_id", "row"]].drop_duplicates("image_id")
    return images.assign(row=first["row"]).reset_index(drop=True)


def _remaining(sheet: Sheet, found: Columns, frame: pd.DataFrame) -> Sheet:
    """Return the columns that have no role and the same value in all rows of an image."""
    rest = sheet.frame.drop(columns=list(found.taken))
    rows = frame.drop_duplicates("row").set_index("row")["image_id"].reindex(rest.index)
    if rows.is_unique:
        return Sheet(rest, sheet.where)
    varying = [c for c in rest if (rest[c].groupby(rows).nunique() > 1).any()]
    notes = [f"not used as groups, since they differ within an image: {', '.join(varying)}"]
    return Sheet(rest.drop(columns=varying), sheet.where, notes if varying else [])


def _first_rows(source: Sheet, images: pd.DataFrame) -> pd.DataFrame:
    return source.frame.iloc[images["row"]].reset_index(drop=True)


def _cohort(frame: pd.DataFrame, images: pd.DataFrame, attributes: pd.DataFrame) -> pd.DataFrame:
    labels = _labels(frame, images)
    return pd.concat(
        [
            images[["image_id", "patient_id"]].assign(path=images["image_id"]),
            attributes[["age"]].assign(view=pd.Series(None, dtype="str")),
            images[["split"]],
            pd.DataFrame({f"y_{task}": values for task, values in labels.items()}),
            attributes.drop(columns="age"),
        ],
        axis=1,
    )


def _labels(frame: pd.DataFrame, images: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return the labels of each task in the order of `images`; models and seeds must agree."""
    place = pd.Index(images["image_id"]).get_indexer(frame["image_id"])
    y, found = frame["y"].to_numpy(), {}
    # Writing y to its place keeps the last label of an image; reading it back finds the others.
    for task, rows in frame.groupby("task", sort=False).indices.items():
        labels = np.full(len(images), np.nan)
        labels[place[rows]] = y[rows]
        differ = labels[place[rows]] != y[rows]
        differ &= ~(np.isnan(labels[place[rows]]) & np.isnan(y[rows]))
        found[str(task)] = labels
        if differ.any():
            first = frame["image_id"].iloc[rows[differ][0]]
            raise MedauditError(
                f"labels of {task} differ between models or seeds for {int(differ.sum())} rows, "
                f"e.g. image {first!r}; give each image one label"
            )
    return found


def _by_model(frame: pd.DataFrame, where: str) -> dict[tuple[str, str], pd.DataFrame]:
    found = {(str(m), str(k)): rows for (m, k), rows in frame.groupby(_RUN, sort=False)}
    everyone = frame["image_id"].nunique()
    for run, rows in found.items():
        expected = everyone * frame["task"].nunique() * rows["seed"].nunique()
        if len(rows) != expected:
            raise MedauditError(
                f"{where}: model {' / '.join(run)} has {len(rows)} of {expected} scores (images "
                "x tasks x seeds), but models are compared on the same images; add the missing "
                "scores, or audit the model in a file of its own"
            )
    columns = list(PREDICTIONS.columns)
    kept = {key: rows[rows["split"] != "train"] for key, rows in found.items()}
    return {key: rows[columns].reset_index(drop=True) for key, rows in kept.items()}


def _detected(
    sheet: Sheet, found: Columns, frame: pd.DataFrame, notes: list[str]
) -> list[tuple[str, str]]:
    """Return the role of each column, and the notes, as pairs to print."""
    roles = {"id": "image id"}
    shown = [("predictions", f"{sheet.where}: {len(sheet.frame)} rows")]
    shown += [(roles.get(role, role), column) for role, column in found.roles.items()]
    shown += [(f"task {task}", f"{y} / {score}") for task, (y, score) in found.tasks.items()]
    if found.label:
        several = [*found.scores.values(), *found.classes.values()]
        shown += [("label", found.label), ("scores", ", ".join(several))]
    if "patient" not in found.roles:
        shown += [("patient", "no column: each image counts as a patient")]
    if "split" not in found.roles:
        shown += [("split", "no column: every row is a test row")]
    else:
        counts = frame.drop_duplicates("image_id")["split"].value_counts()
        shown += [("splits", ", ".join(f"{split} {n}" for split, n in counts.items()))]
    return shown + [("", note) for note in notes]


def _with_counts(attributes: pd.DataFrame, names: list[str | list[str]]) -> list[str]:
    """Return the attributes, single ones with the number of images in each group."""
    single = [name for name in names if isinstance(name, str)]
    levels = {name: attributes[f"a_{name}"].value_counts() for name in single}
    texts = [
        f"{name} (" + ", ".join(f"{level} {n}" for level, n in counts.items()) + ")"
        for name, counts in levels.items()
    ]
    return texts + [SEPARATOR.join(name) for name in names if not isinstance(name, str)]


def _slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "scored"
