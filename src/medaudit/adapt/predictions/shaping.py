"""From a stranger's columns to tidy predictions: model, image, task, seed, y, score."""

import re

import numpy as np
import pandas as pd

from medaudit.adapt.predictions.columns import Columns
from medaudit.adapt.predictions.reading import Sheet, as_numbers, has_decimal_commas
from medaudit.core.errors import MedauditError

POSITIVE = {"1", "1.0", "yes", "true", "positive", "pos", "present", "y", "t", "+"}
NEGATIVE = {"0", "0.0", "no", "false", "negative", "neg", "absent", "n", "f", "-"}
SPLITS = {
    "train": "train training trn",
    "val": "val valid validation dev tune tuning",
    "test": "test testing tst holdout hold_out evaluation",
}
KINDS = ("auto", "probabilities", "logits")
KEY = ["model", "method", "seed", "image_id", "task"]


def tidy(sheet: Sheet, columns: Columns, positive: str | None) -> pd.DataFrame:
    """Return one row a model, method, seed, image and task.

    Parameters
    ----------
    sheet : Sheet
        The file; notes on what was decided are added to it.
    columns : Columns
        Where everything stands.
    positive : str, optional
        The label's value that counts as 1.

    Returns
    -------
    pandas.DataFrame
        image_id, patient_id (the image where no column says), split, model, method, seed, task,
        y (1, 0 or missing), score (as given), row (of the file).

    Raises
    ------
    MedauditError
        Labels are not two-valued, scores are no finite numbers, a split is unknown, a row stands
        twice.
    """
    base = _base(sheet, columns)
    frame = pd.concat(_layout(sheet, columns, base, positive), ignore_index=True)
    varying = [k for k in KEY if k == "image_id" or (frame[k] != frame[k].iloc[0]).any()]
    twice = frame.duplicated(varying, keep=False)
    if twice.any():
        shown = frame.loc[twice, KEY].iloc[0].to_dict()
        raise MedauditError(
            f"{sheet.where}: {int(twice.sum())} rows share model, image and task, e.g. {shown}; "
            "drop the repeats, or name the column that tells them apart (--id, --task, --model, "
            "--seed)"
        )
    return frame


def _base(sheet: Sheet, columns: Columns) -> pd.DataFrame:
    frame, roles = sheet.frame, columns.roles
    base = pd.DataFrame({"row": np.arange(len(frame))})
    if "id" in roles:
        base["image_id"] = _text(sheet, roles["id"], "id")
    else:
        several = [role for role in ("model", "method", "task", "seed") if role in roles]
        if several:
            raise MedauditError(
                f"{sheet.where} has a column of {several[0]}s and no image id, so rows cannot be "
                "matched; name the id column with --id"
            )
        base["image_id"] = "row " + (base["row"] + 1).astype("str")
        sheet.notes.append("no image id: rows are numbered")
    base["patient_id"] = (
        _text(sheet, roles["patient"], "patient") if "patient" in roles else base["image_id"]
    )
    base["split"] = _splits(sheet, roles["split"]) if "split" in roles else "test"
    for role, default in (("model", "model"), ("method", "given")):
        base[role] = _text(sheet, roles[role], role) if role in roles else default
    base["seed"] = pd.factorize(frame[roles["seed"]], sort=True)[0] if "seed" in roles else 0
    return base


def _text(sheet: Sheet, column: str, what: str) -> pd.Series:
    values = sheet.frame[column]
    if values.isna().any():
        raise MedauditError(
            f"{sheet.where}: {int(values.isna().sum())} rows have no {what} ({column}), first row "
            f"{int(values.isna().to_numpy().argmax()) + 1}"
        )
    return as_text(values)


def as_text(values: pd.Series) -> pd.Series:
    """Return ids and levels as text; whole numbers lose the ``.0`` that a float gave them."""
    if pd.api.types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")
    return values.astype("str").where(values.notna(), None).astype("str")


def _splits(sheet: Sheet, column: str) -> pd.Series:
    known = {word: split for split, words in SPLITS.items() for word in words.split()}
    values = _text(sheet, column, "split")
    found = values.str.strip().str.casefold().map(known)
    if found.isna().any():
        raise MedauditError(
            f"{sheet.where}: {column} holds {sorted(values[found.isna()].unique())[:5]}; known "
            f"splits are {sorted(known)}; rename them, or leave the column out to score every row"
        )
    if not (found == "test").any():
        raise MedauditError(f"{sheet.where}: {column} names no test row; nothing to audit")
    return found


def _layout(sheet: Sheet, columns: Columns, base: pd.DataFrame, positive) -> list[pd.DataFrame]:
    roles = columns.roles
    if columns.tasks:
        return [
            base.assign(task=task, y=_labels(sheet, y, positive), score=_scores(sheet, score))
            for task, (y, score) in columns.tasks.items()
        ]
    if columns.scores:
        return _one_label(sheet, columns, base, positive)
    task = _text(sheet, roles["task"], "task") if "task" in roles else "label"
    y = _labels(sheet, roles.get("label"), positive)
    return [base.assign(task=task, y=y, score=_scores(sheet, roles["score"]))]


def _one_label(sheet, columns: Columns, base: pd.DataFrame, positive) -> list[pd.DataFrame]:
    truth = as_text(sheet.frame[columns.label])
    levels, names = set(truth.dropna().unique()), set(columns.scores)
    if names == {"0", "1"} and levels <= names:
        y, score = _labels(sheet, columns.label, positive), _scores(sheet, columns.scores["1"])
        sheet.notes.append(f"two classes: {columns.scores['1']} is the score of label 1")
        return [base.assign(task="label", y=y, score=score)]
    if levels <= names and len(names) > 2:
        if truth.isna().any():
            raise MedauditError(
                f"{sheet.where}: {int(truth.isna().sum())} rows have no class in {columns.label}"
            )
        sheet.notes.append(f"multi-class: {columns.label} names one of {len(names)} classes")
        return [
            base.assign(task=name, y=(truth == name).astype(float), score=_scores(sheet, column))
            for name, column in columns.scores.items()
        ]
    if "model" in columns.roles:
        raise MedauditError(
            f"{sheet.where}: {columns.label} holds {sorted(levels)[:5]} and the score columns are "
            f"named for {sorted(names)[:5]}; for classes they must be the same"
        )
    y = _labels(sheet, columns.label, positive)
    sheet.notes.append(f"{len(names)} models, one a score column")
    return [
        base.assign(model=name, task="label", y=y, score=_scores(sheet, column))
        for name, column in columns.scores.items()
    ]


def _labels(sheet: Sheet, column: str | None, positive: str | None) -> pd.Series:
    if column is None:
        return pd.Series(np.nan, index=sheet.frame.index)
    text = as_text(sheet.frame[column]).str.strip()
    levels = sorted(text.dropna().unique())
    if positive is not None:
        yes = {positive}
        if positive not in levels or len(levels) > 2:
            raise MedauditError(
                f"{sheet.where}: {column} holds {levels[:5]}; --positive {positive} must be one "
                "of two values"
            )
    else:
        yes = {level for level in levels if level.casefold() in POSITIVE}
        strange = [x for x in levels if x not in yes and x.casefold() not in NEGATIVE]
        if strange:
            raise MedauditError(
                f"{sheet.where}: labels in {column} must be 0 and 1 (or yes and no); found "
                f"{strange[:5]}. Leave uncertain ones blank, or say --positive LEVEL"
            )
    no = [level for level in levels if level not in yes]
    blank = int(text.isna().sum())
    said = f"{column}: 1 is {sorted(yes)}, 0 is {no}" + (f", {blank} blank" if blank else "")
    if said not in sheet.notes:
        sheet.notes.append(said)
    return text.isin(yes).astype(float).where(text.notna())


def _scores(sheet: Sheet, column: str) -> pd.Series:
    values = sheet.frame[column]
    scores = as_numbers(values, f"the score {column}", sheet.where)
    for bad, what in ((scores.isna(), "missing (NaN)"), (np.isinf(scores), "infinite")):
        if bad.any():
            raise MedauditError(
                f"{sheet.where}: {int(bad.sum())} of {len(bad)} scores in {column} are {what}, "
                f"first in row {int(bad.to_numpy().argmax()) + 1}; a score cannot be guessed: "
                "predict these images or drop their rows"
            )
    if has_decimal_commas(values):
        sheet.notes.append(f"{column} has decimal commas")
    return scores


def as_probabilities(frame: pd.DataFrame, kind: str, multiclass: bool) -> tuple[pd.Series, str]:
    """Return the scores in [0, 1] and how they were read.

    Parameters
    ----------
    frame : pandas.DataFrame
        See `tidy`.
    kind : str
        ``probabilities``, ``logits`` or ``auto``: probabilities where all lie in [0, 1], logits
        where some are negative. Each model is judged for itself.
    multiclass : bool
        Logits go through a softmax over the classes of an image, else through a sigmoid.

    Raises
    ------
    MedauditError
        Scores fit neither, or class probabilities do not sum to 1.
    """
    if kind not in KINDS:
        raise MedauditError(f"scores must be one of {KINDS}, not {kind!r}")
    found, said = frame["score"].copy(), {}
    for model, rows in frame.groupby("model", sort=False):
        read = kind if kind != "auto" else _guess(rows["score"], str(model))
        said[model] = read
        if read == "logits":
            found[rows.index] = _softmax(rows) if multiclass else _sigmoid(rows["score"])
        elif not rows["score"].between(0, 1).all():
            low, high = rows["score"].min(), rows["score"].max()
            raise MedauditError(f"{model}: probabilities must lie in [0, 1]; {low:g} to {high:g}")
    if multiclass:
        _check_sums(frame.assign(score=found))
    used = sorted(set(said.values()))
    squash = "softmax" if multiclass else "sigmoid"
    text = {"logits": f"logits, through a {squash}", "probabilities": "probabilities"}
    return found, "; ".join(
        text[u] + ("" if len(used) == 1 else f" ({', '.join(m for m in said if said[m] == u)})")
        for u in used
    )


def _guess(score: pd.Series, model: str) -> str:
    low, high = score.min(), score.max()
    if low >= 0 and high <= 1:
        return "probabilities"
    if low < 0:
        return "logits"
    raise MedauditError(
        f"{model}: scores lie in {low:g} to {high:g}: neither probabilities nor plainly logits "
        "(none is negative). Say --scores logits if they are; divide percentages by 100"
    )


def _sigmoid(score: pd.Series) -> pd.Series:
    return 0.5 * (1 + np.tanh(0.5 * score))


def _softmax(rows: pd.DataFrame) -> pd.Series:
    keys = [rows[name] for name in ("method", "seed", "image_id")]
    high = rows["score"].groupby(keys, sort=False).transform("max")
    power = np.exp(rows["score"] - high)
    return power / power.groupby(keys, sort=False).transform("sum")


def _check_sums(frame: pd.DataFrame) -> None:
    total = frame.groupby(["model", "method", "seed", "image_id"], sort=False)["score"].sum()
    off = total[(total - 1).abs() > 1e-3]
    if len(off):
        raise MedauditError(
            f"class probabilities of {len(off)} images do not sum to 1, e.g. {off.iloc[0]:.4g} for "
            f"{off.index[0][-1]!r}; give softmax outputs, --scores logits, or --task-type multilabel"
        )


def find_task_type(frame: pd.DataFrame, wanted: str, notes: list[str]) -> str:
    """Return ``binary``, ``multilabel`` or ``multiclass``; one task is always binary.

    Without a wish, several tasks are multi-class where each image has exactly one positive and
    its probabilities sum to 1 within 0.001, or where the file says so (one label column that
    names the class).
    """
    tasks = frame["task"].nunique()
    if tasks == 1:
        return "binary"
    if wanted != "auto":
        return wanted
    if any(re.match("multi-class", note) for note in notes):
        return "multiclass"
    images = frame.groupby(["model", "method", "seed", "image_id"], sort=False)
    one = (images["y"].sum() == 1) & (images["y"].count() == tasks)
    sums = (images["score"].sum() - 1).abs() < 1e-3
    return "multiclass" if (one & sums).all() else "multilabel"
