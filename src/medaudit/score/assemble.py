"""A stranger's tables as a cohort and predictions, in the workflow's own contracts."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.adapt.predictions.columns import OPTIONS, find_columns
from medaudit.adapt.predictions.reading import Sheet, read_sheet
from medaudit.adapt.predictions.shaping import as_probabilities, find_task_type, tidy
from medaudit.core.errors import MedauditError
from medaudit.core.files import sha256
from medaudit.core.table_io import PREDICTIONS
from medaudit.data.cohort.card import describe
from medaudit.data.cohort.selection import Selection
from medaudit.data.groups import describe_groups
from medaudit.score.join_groups import choose_attributes, join_groups


@dataclass
class Study:
    """What is audited.

    Parameters
    ----------
    name : str
        Cohort and study; from the file's name.
    cohort : pandas.DataFrame
        Columns of `medaudit.core.table_io.COHORT`.
    predictions : dict of (str, str) to pandas.DataFrame
        Columns of `medaudit.core.table_io.PREDICTIONS` by model and method.
    tasks : list of str
        In the file's order.
    task_type : str
        ``binary``, ``multilabel`` or ``multiclass``.
    attributes : list
        Names, or lists of names for intersections.
    detected : list of (str, str)
        What was taken as what.
    files : list of Path
        Files that were read.
    has_patients : bool
        Whether a column says who is who.
    """

    name: str
    cohort: pd.DataFrame
    predictions: dict[tuple[str, str], pd.DataFrame]
    tasks: list[str]
    task_type: str
    attributes: list
    detected: list[tuple[str, str]]
    files: list[Path] = field(default_factory=list)
    has_patients: bool = True

    @property
    def has_validation(self) -> bool:
        """Whether there are validation rows to choose thresholds on."""
        return bool((self.cohort["split"] == "val").any())

    def card(self) -> dict:
        """Return the cohort's card (see `medaudit.data.cohort.card`)."""
        settings = {
            "name": self.name,
            "builder": "file",
            "task_type": self.task_type,
            "tasks": self.tasks,
            "attributes": self.attributes,
        }
        source = {
            "dataset": self.name,
            "tables": {p.name: {"file": p.name, "sha256": sha256(p)} for p in self.files},
            "exclusions": [],
            "notes": [],
            "phantom": False,
        }
        details = {"detected": [list(pair) for pair in self.detected]}
        card = describe(Selection(self.cohort, details=details), settings, source)
        return {**card, **describe_groups(self.cohort, settings)}


def assemble(
    predictions: Path | pd.DataFrame,
    groups: Path | pd.DataFrame | None,
    columns: dict[str, list[str]],
    options: dict,
) -> Study:
    """Read, detect and join.

    Parameters
    ----------
    predictions, groups : Path or pandas.DataFrame
        The files; without `groups` the predictions' other columns are the groups.
    columns : dict of str to list of str
        Columns named by the user, see `medaudit.adapt.predictions.columns.find_columns`.
    options : dict
        ``attributes``, ``age_threshold``, ``scores``, ``task_type``, ``positive``.

    Raises
    ------
    MedauditError
        Anything that would make a number wrong; the message says what and where.
    """
    unknown = set(columns) - set(OPTIONS)
    if unknown:
        raise MedauditError(f"unknown columns {sorted(unknown)}; known: {list(OPTIONS)}")
    sheet = read_sheet(predictions, "the predictions")
    own = None if groups is None else read_sheet(groups, "the groups")
    found = find_columns(list(sheet.frame.columns), _of_file(columns, sheet, own), sheet.where)
    frame = tidy(sheet, found, options["positive"])
    task_type = find_task_type(frame, options["task_type"], sheet.notes)
    frame["score"], read = as_probabilities(frame, options["scores"], task_type == "multiclass")
    images = _images(frame, sheet.where)
    source = own or Sheet(_remaining(sheet, found, frame), sheet.where)
    given = join_groups(own, images, columns) if own else _first_rows(source, images)
    attributes, names = choose_attributes(
        given, options["attributes"], options["age_threshold"], source.where, source.notes
    )
    notes = [*sheet.notes, f"{task_type}; scores are {read}"]
    said = _detected(sheet, found, frame, notes) + (_described(own) if own else [])
    if not own:
        said += [("", note) for note in source.notes]
    return Study(
        name=_slug(Path(predictions).stem) if isinstance(predictions, str | Path) else "scored",
        cohort=_cohort(frame, images, attributes),
        predictions=_by_model(frame, sheet.where),
        tasks=list(frame["task"].unique()),
        task_type=task_type,
        attributes=names,
        detected=[*said, ("groups", ", ".join(_shown(attributes, names)))],
        files=[Path(f) for f in (predictions, groups) if isinstance(f, str | Path)],
        has_patients="patient" in found.roles or not images["patient_id"].is_unique,
    )


def _of_file(columns: dict, sheet: Sheet, own: Sheet | None) -> dict[str, list[str]]:
    """Leave out id columns that only the groups file has."""
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
    images = frame[["image_id", "patient_id", "split"]].drop_duplicates()
    twice = images["image_id"].duplicated()
    if twice.any():
        raise MedauditError(
            f"{where}: {int(twice.sum())} image ids have more than one patient or split, e.g. "
            f"{images.loc[twice, 'image_id'].iloc[0]!r}"
        )
    first = frame[["image_id", "row"]].drop_duplicates("image_id")
    return images.assign(row=first["row"]).reset_index(drop=True)


def _remaining(sheet: Sheet, found, frame: pd.DataFrame) -> pd.DataFrame:
    """Return the columns without a role that say one thing of each image."""
    rest = sheet.frame.drop(columns=list(found.taken))
    rows = frame.drop_duplicates("row").set_index("row")["image_id"].reindex(rest.index)
    if rows.is_unique:
        return rest
    varying = [c for c in rest if (rest[c].groupby(rows).nunique() > 1).any()]
    if varying:
        sheet.notes.append(f"differ within an image, so no groups: {', '.join(varying)}")
    return rest.drop(columns=varying)


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
    for task, rows in frame.groupby("task", sort=False).indices.items():
        found[task] = np.full(len(images), np.nan)
        found[task][place[rows]] = y[rows]
        differ = found[task][place[rows]] != y[rows]
        differ &= ~(np.isnan(found[task][place[rows]]) & np.isnan(y[rows]))
        if differ.any():
            first = frame["image_id"].iloc[rows[differ][0]]
            raise MedauditError(
                f"labels of {task} differ between models or seeds for {int(differ.sum())} rows, "
                f"e.g. image {first!r}; an image has one label"
            )
    return found


def _by_model(frame: pd.DataFrame, where: str) -> dict[tuple[str, str], pd.DataFrame]:
    found = dict(list(frame.groupby(["model", "method"], sort=False)))
    sizes = {key: len(rows[["image_id", "task", "seed"]]) for key, rows in found.items()}
    everyone = frame["image_id"].nunique()
    for key, rows in found.items():
        expected = everyone * frame["task"].nunique() * rows["seed"].nunique()
        if sizes[key] != expected:
            raise MedauditError(
                f"{where}: model {' / '.join(key)} has {sizes[key]} of {expected} scores (images "
                "x tasks x seeds): models are compared on the same images; complete it or score "
                "it in a file of its own"
            )
    columns = list(PREDICTIONS.columns)
    kept = {key: rows[rows["split"] != "train"] for key, rows in found.items()}
    return {key: rows[columns].reset_index(drop=True) for key, rows in kept.items()}


def _detected(sheet: Sheet, found, frame: pd.DataFrame, notes: list[str]) -> list[tuple[str, str]]:
    roles = {"id": "image id"}
    said = [("predictions", f"{sheet.where}: {len(sheet.frame)} rows")]
    said += [(roles.get(role, role), column) for role, column in found.roles.items()]
    said += [(f"task {task}", f"{y} / {score}") for task, (y, score) in found.tasks.items()]
    if found.label:
        said += [("label", found.label), ("scores", ", ".join(found.scores.values()))]
    if "patient" not in found.roles:
        said += [("patient", "no column: each image counts as a patient")]
    if "split" not in found.roles:
        said += [("split", "no column: every row is a test row")]
    else:
        counts = frame.drop_duplicates("image_id")["split"].value_counts()
        said += [("splits", ", ".join(f"{split} {n}" for split, n in counts.items()))]
    return said + [("", note) for note in notes]


def _described(sheet: Sheet) -> list[tuple[str, str]]:
    head = [("groups file", f"{sheet.where}: {len(sheet.frame)} rows")]
    return head + [("", note) for note in sheet.notes]


def _shown(attributes: pd.DataFrame, names: list) -> list[str]:
    single = [name for name in names if isinstance(name, str)]
    levels = {name: attributes[f"a_{name}"].value_counts() for name in single}
    texts = [
        f"{name} (" + ", ".join(f"{level} {n}" for level, n in counts.items()) + ")"
        for name, counts in levels.items()
    ]
    return texts + [" & ".join(name) for name in names if not isinstance(name, str)]


def _slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "_", name).strip("._") or "scored"
