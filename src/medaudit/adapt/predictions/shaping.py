"""From an external table to tidy predictions: model, image, task, seed, y, score."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from medaudit.adapt.predictions.detection.choices import Columns
from medaudit.adapt.predictions.label_words import positive_levels
from medaudit.adapt.predictions.splits import KNOWN
from medaudit.core.errors import MedauditError
from medaudit.data.readers.sheet import Sheet, as_numbers, as_text, has_decimal_commas
from medaudit.metrics.probability_sums import sum_tolerance

KEY = ["model", "method", "seed", "image_id", "task"]


@dataclass
class TidyPredictions:
    """Predictions with one row per model, method, seed, image and task.

    Parameters
    ----------
    frame : pandas.DataFrame
        ``image_id``, ``patient_id`` (the image id without a patient column), ``split``, ``model``,
        ``method``, ``seed``, ``task``, ``y`` (1, 0 or missing), ``score`` (as given), ``row`` (of
        the file, from 0).
    multiclass : bool
        Whether one label column names the class of each image, so that the tasks are classes that
        exclude each other.
    notes : list of str
        What was decided while reading, for the user.
    """

    frame: pd.DataFrame
    multiclass: bool
    notes: list[str]


@dataclass
class _Reader:
    """A sheet, its columns, the user's positive label, and the notes taken while reading."""

    sheet: Sheet
    columns: Columns
    positive: str | None
    notes: list[str] = field(default_factory=list)


def tidy(sheet: Sheet, columns: Columns, positive: str | None) -> TidyPredictions:
    """Return the predictions of a table in long form, whatever its layout.

    Parameters
    ----------
    sheet : Sheet
        The table.
    columns : Columns
        The role of each column.
    positive : str, optional
        The label value that counts as 1.

    Raises
    ------
    MedauditError
        A label is neither positive nor negative, a score is not a finite number, a split is
        unknown, or two rows have the same model, method, seed, image and task.
    """
    reader = _Reader(sheet, columns, positive)
    base = _base(reader)
    multiclass = bool(columns.classes)
    parts = _classes(reader, base) if multiclass else _layout(reader, base)
    frame = pd.concat(parts, ignore_index=True)
    _check_unique(frame, sheet.where)
    return TidyPredictions(frame, multiclass, reader.notes)


def find_task_type(predictions: TidyPredictions, wanted: str) -> str:
    """Return ``binary``, ``multilabel`` or ``multiclass``; a single task is always binary.

    With ``wanted="auto"``, several tasks are multi-class if one label column names the class, or
    if every image has exactly one positive label and probabilities that sum to 1 within 0.001.
    """
    frame = predictions.frame
    tasks = frame["task"].nunique()
    if tasks == 1:
        return "binary"
    if wanted != "auto":
        return wanted
    if predictions.multiclass:
        return "multiclass"
    images = frame.groupby(["model", "method", "seed", "image_id"], sort=False)
    one = (images["y"].sum() == 1) & (images["y"].count() == tasks)
    sums = (images["score"].sum() - 1).abs() <= sum_tolerance(frame["score"].to_numpy(float), tasks)
    return "multiclass" if (one & sums).all() else "multilabel"


def _check_unique(frame: pd.DataFrame, where: str) -> None:
    # Columns that hold one value cannot distinguish rows; leaving them out saves time and memory.
    varying = [k for k in KEY if k == "image_id" or (frame[k] != frame[k].iloc[0]).any()]
    duplicate = frame.duplicated(varying, keep=False)
    if duplicate.any():
        shown = frame.loc[duplicate, KEY].iloc[0].to_dict()
        raise MedauditError(
            f"{where}: {int(duplicate.sum())} rows share model, image and task, e.g. {shown}; "
            "drop the duplicates, or name the column that distinguishes them (--id, --task, "
            "--model, --seed)"
        )


def _base(reader: _Reader) -> pd.DataFrame:
    """Return row, image_id, patient_id, split, model, method and seed of each row of the file."""
    sheet, roles = reader.sheet, reader.columns.roles
    base = pd.DataFrame({"row": np.arange(len(sheet.frame))})
    base["image_id"] = _image_ids(reader, base["row"])
    base["patient_id"] = (
        _text(sheet, roles["patient"], "patient") if "patient" in roles else base["image_id"]
    )
    base["split"] = _splits(sheet, roles["split"]) if "split" in roles else "test"
    for role, default in (("model", "model"), ("method", "given")):
        base[role] = _text(sheet, roles[role], role) if role in roles else default
    seeds = roles.get("seed")
    base["seed"] = pd.factorize(sheet.frame[seeds], sort=True)[0] if seeds else 0
    return base


def _image_ids(reader: _Reader, row: pd.Series) -> pd.Series:
    sheet, roles = reader.sheet, reader.columns.roles
    if "id" in roles:
        return _text(sheet, roles["id"], "id")
    several = [role for role in ("model", "method", "task", "seed") if role in roles]
    if several:
        raise MedauditError(
            f"{sheet.where} has a column of {several[0]}s and no image id, so rows cannot be "
            "matched; name the id column with --id"
        )
    reader.notes.append("no image id: rows are numbered")
    return "row " + (row + 1).astype("str")


def _text(sheet: Sheet, column: str, what: str) -> pd.Series:
    values = sheet.frame[column]
    if values.isna().any():
        raise MedauditError(
            f"{sheet.where}: {int(values.isna().sum())} rows have no {what} ({column}); the first "
            f"is row {_first(values.isna())}. Fill the column, or drop these rows"
        )
    return as_text(values)


def _first(rows: pd.Series) -> int:
    """Return the number, from 1, of the first row that is true."""
    return int(rows.to_numpy().argmax()) + 1


def _splits(sheet: Sheet, column: str) -> pd.Series:
    values = _text(sheet, column, "split")
    found = values.str.strip().str.casefold().map(KNOWN)
    if found.isna().any():
        raise MedauditError(
            f"{sheet.where}: {column} holds {sorted(values[found.isna()].unique())[:5]}; known "
            f"splits are {sorted(KNOWN)}; rename them, or leave the column out to score every row"
        )
    if not (found == "test").any():
        raise MedauditError(
            f"{sheet.where}: {column} has no test row, so there is nothing to audit; add test rows, "
            "or leave the column out to score every row"
        )
    return found


def _layout(reader: _Reader, base: pd.DataFrame) -> list[pd.DataFrame]:
    sheet, columns, roles = reader.sheet, reader.columns, reader.columns.roles
    if columns.tasks:
        return [
            base.assign(task=task, y=_labels(reader, y), score=_scores(reader, score))
            for task, (y, score) in columns.tasks.items()
        ]
    if columns.label is not None:
        return _one_label(reader, base, columns.label)
    task = _text(sheet, roles["task"], "task") if "task" in roles else "label"
    y, score = _labels(reader, roles.get("label")), _scores(reader, roles["score"])
    if columns.turned and columns.decision:
        score = _turn(reader, score, columns.decision)
    return [base.assign(task=task, y=y, score=score)]


def _turn(reader: _Reader, score: pd.Series, decision: str) -> pd.Series:
    """Return the probability of the positive class from the confidence in a decision."""
    answer = _labels(reader, decision)
    if answer.isna().any():
        raise MedauditError(
            f"{reader.sheet.where}: {int(answer.isna().sum())} rows have no {decision}, the first is "
            f"row {_first(answer.isna())}, so their confidence has no direction; drop these rows"
        )
    return score.where(answer == 1, 1 - score)


def _classes(reader: _Reader, base: pd.DataFrame) -> list[pd.DataFrame]:
    """Return one task per class, its label 1 where the label column names that class."""
    sheet, columns = reader.sheet, reader.columns
    truth = as_text(sheet.frame[columns.label])
    if truth.isna().any():
        raise MedauditError(
            f"{sheet.where}: {int(truth.isna().sum())} rows have no class in {columns.label}; fill "
            "it, or drop these rows"
        )
    reader.notes.append(f"multi-class: {columns.label} names one of {len(columns.classes)} classes")
    truth = truth.str.strip()
    return [
        base.assign(task=name, y=(truth == name).astype(float), score=_scores(reader, column))
        for name, column in columns.classes.items()
    ]


def _one_label(reader: _Reader, base: pd.DataFrame, label: str) -> list[pd.DataFrame]:
    """Return one binary task with one column of scores per model."""
    sheet, columns = reader.sheet, reader.columns
    if "model" in columns.roles:
        raise MedauditError(
            f"{sheet.where}: the score columns {list(columns.scores.values())[:5]} are one per "
            f"model, but {columns.roles['model']} names models too; name the score with --score, or "
            f"leave that column out with --not-a-role {columns.roles['model']}"
        )
    y = _labels(reader, label)
    reader.notes.append(f"{len(columns.scores)} models, one per score column")
    return [
        base.assign(model=name, task="label", y=y, score=_scores(reader, column))
        for name, column in columns.scores.items()
    ]


def _labels(reader: _Reader, column: str | None) -> pd.Series:
    """Return labels as 1, 0 or missing; without a column all are missing."""
    sheet = reader.sheet
    if column is None:
        return pd.Series(np.nan, index=sheet.frame.index)
    text = as_text(sheet.frame[column]).str.strip()
    levels = sorted(text.dropna().unique())
    wanted = reader.positive or reader.columns.positive
    positive = positive_levels(levels, wanted, column, sheet.where)
    negative = [level for level in levels if level not in positive]
    blank = int(text.isna().sum())
    note = f"{column}: 1 is {sorted(positive)}, 0 is {negative}"
    note += f", {blank} blank" if blank else ""
    if note not in reader.notes:
        reader.notes.append(note)
    return text.isin(positive).astype(float).where(text.notna())


def _scores(reader: _Reader, column: str) -> pd.Series:
    where, values = reader.sheet.where, reader.sheet.frame[column]
    scores = as_numbers(values, f"the score {column}", where)
    for bad, what in ((scores.isna(), "missing (NaN)"), (np.isinf(scores), "infinite")):
        if bad.any():
            raise MedauditError(
                f"{where}: {int(bad.sum())} of {len(bad)} scores in {column} are {what}; the first "
                f"is in row {_first(bad)}. Predict these images, or drop their rows"
            )
    if has_decimal_commas(values):
        reader.notes.append(f"{column} has decimal commas")
    return scores
