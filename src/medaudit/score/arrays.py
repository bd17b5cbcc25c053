"""Arrays of labels, scores and groups as the tables that `medaudit.score` reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError

ID, PATIENT, SPLIT, WEIGHT = "image_id", "patient_id", "split", "weight"


@dataclass
class Tables:
    """Predictions and groups as tables, and which column has which role.

    Parameters
    ----------
    predictions, groups : pandas.DataFrame
        Rows of the arrays in their order; both have the column `ID`.
    columns : dict
        Role of each column of `predictions`.
    """

    predictions: pd.DataFrame
    groups: pd.DataFrame
    columns: dict[str, str | list[str]] = field(default_factory=dict)


def tables_of(
    y_true: Any,
    y_score: Any,
    groups: Any,
    *,
    patients: Any = None,
    split: Any = None,
    sample_weight: Any = None,
) -> Tables:
    """Return the tables of an audit whose data are arrays.

    Parameters
    ----------
    y_true : array_like
        Labels, shape (n,); of several findings a frame, an array of shape (n, findings) or a dict.
    y_score : array_like
        Scores of the same shape; of a label with more than two classes, shape (n, classes), a frame
        with the classes as columns; or a dict of models to scores of shape (n,).
    groups : array_like
        A frame or dict with one column per attribute, a named series, or an array of shape (n,).
    patients, split, sample_weight : array_like, optional
        Shape (n,).

    Raises
    ------
    MedauditError
        Lengths or indexes differ, or labels and scores do not fit each other.
    """
    if groups is None:
        raise MedauditError("audit: groups are needed, e.g. groups={'sex': sex, 'age': age}")
    labels, scores, people = (
        _frame(y_true, "label"),
        _frame(y_score, "score"),
        _frame(groups, "group"),
    )
    single = {PATIENT: patients, SPLIT: split, WEIGHT: sample_weight}
    others = {name: _frame(value, name) for name, value in single.items() if value is not None}
    _check_rows({"y_true": labels, "y_score": scores, "groups": people, **others})
    found = Tables(
        pd.DataFrame({ID: np.arange(len(labels)).astype(str)}),
        people.reset_index(drop=True).assign(**{ID: np.arange(len(labels)).astype(str)}),
        {"id": ID},
    )
    roles = {PATIENT: "patient", SPLIT: "split", WEIGHT: "weight"}
    for name, frame in others.items():
        found.predictions[name] = frame.iloc[:, 0].to_numpy()
        found.columns[roles[name]] = name
    _add_pairs(found, labels, scores)
    return found


def _frame(value: Any, name: str) -> pd.DataFrame:
    if isinstance(value, pd.DataFrame):
        frame = value
    elif isinstance(value, pd.Series):
        frame = value.to_frame(name if value.name is None else value.name)
    elif isinstance(value, Mapping):
        frame = pd.DataFrame({key: _column(column) for key, column in value.items()})
    else:
        array = np.asarray(value)
        if array.ndim not in (1, 2):
            raise MedauditError(f"audit: {name} has {array.ndim} dimensions; give 1 or 2")
        several = array.ndim == 2 and array.shape[1] > 1
        names = [str(k) for k in range(array.shape[1])] if several else [name]
        frame = pd.DataFrame(array.reshape(len(array), -1), columns=names)
    return frame.rename(columns=str)


def _column(value: Any) -> Any:
    return value if isinstance(value, pd.Series) else np.asarray(value)


def _check_rows(frames: dict[str, pd.DataFrame]) -> None:
    sizes = {name: len(frame) for name, frame in frames.items()}
    if len(set(sizes.values())) > 1:
        shown = ", ".join(f"{name} {size}" for name, size in sizes.items())
        raise MedauditError(f"audit: the numbers of rows differ: {shown}")
    # A frame that was sorted or filtered keeps its index: rows would be paired wrongly.
    plain = pd.RangeIndex(next(iter(sizes.values())))
    own = {name: f.index for name, f in frames.items() if not f.index.equals(plain)}
    if len(own) and any(not index.equals(next(iter(own.values()))) for index in own.values()):
        raise MedauditError(
            f"audit: {' and '.join(own)} have different indexes, so their rows may not belong "
            "together; bring them into one order, or pass arrays (.to_numpy())"
        )


def _add_pairs(found: Tables, labels: pd.DataFrame, scores: pd.DataFrame) -> None:
    """Add label and score columns in the layout that the shapes say."""
    rows = found.predictions
    if labels.shape[1] == 1:
        rows["label"] = labels.iloc[:, 0].to_numpy()
        found.columns["label"] = "label"
        names = ["score"] if scores.shape[1] == 1 else [f"score_{name}" for name in scores]
        for name, column in zip(names, scores.columns, strict=True):
            rows[name] = scores[column].to_numpy()
        found.columns["score"] = names[0] if len(names) == 1 else names
        return
    if list(labels.columns) != list(scores.columns):
        raise MedauditError(
            f"audit: y_true has the findings {list(labels.columns)}, y_score has "
            f"{list(scores.columns)}; give both the same columns in one order"
        )
    for name in labels:
        rows[f"label_{name}"] = labels[name].to_numpy()
        rows[f"score_{name}"] = scores[name].to_numpy()
    found.columns["label"] = [f"label_{name}" for name in labels]
    found.columns["score"] = [f"score_{name}" for name in labels]
