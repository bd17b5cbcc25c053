"""Combine several rows of one image: those of several readers, or of several findings."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.data.datasets.columns.labels import decide
from medaudit.data.datasets.columns.levels import matches
from medaudit.data.datasets.columns.source import Source, listed


def keep_readers(source: Source, spec: Mapping[str, Any] | None) -> None:
    """Leave out the rows of readers that are not in ``only``."""
    if not spec or not spec.get("only"):
        return
    if not spec.get("by"):
        raise MedauditError("`readers.only` needs `readers.by`, the column that names the reader")
    text = source.column(spec["by"], "readers.by")
    wanted = listed(spec["only"])
    source.drop(~matches(text, wanted), f"{spec['by']} is not {' or '.join(map(str, wanted))}")


def combine_rows(source: Source, frame: pd.DataFrame, spec: Mapping[str, Any]) -> pd.DataFrame:
    """Return one row per image, its labels combined over its rows.

    Parameters
    ----------
    source : Source
        The rows, for messages; those that are left out are taken out of it too.
    frame : pandas.DataFrame
        Manifest with one row per image and reader.
    spec : dict
        ``rule``: ``any``, ``all`` or ``majority`` (see `labels.combine`) of the image's rows. With
        ``by``, it counts readers: rows of one reader, such as several boxes, are first combined by
        ``any``.

    Raises
    ------
    MedauditError
        The rows of an image differ in another column, e.g. its patient or age.
    """
    code, images = pd.factorize(frame["image_id"])
    vote, image_of_vote = _votes(source, code, spec)
    first = np.flatnonzero(~frame["image_id"].duplicated().to_numpy())
    labels = [name for name in frame.columns if name.startswith("y_")]
    for name in frame.columns.drop(labels):
        _check_same(source, frame, name, first[code])
    combined = frame.iloc[first].reset_index(drop=True)
    for name in labels:
        values = frame[name].to_numpy()
        count = len(image_of_vote)
        found = [np.bincount(vote, values == value, count) for value in (1, 0)]
        said = decide(found[0], found[1], "any")
        ones, zeros = (np.bincount(image_of_vote, said == v, len(images)) for v in (1, 0))
        combined[name] = decide(ones, zeros, spec["rule"])
        ties = int(((ones == zeros) & (ones > 0)).sum()) if spec["rule"] == "majority" else 0
        source.exclude(f"readers are divided evenly on {name[2:]}: label set to missing", ties)
    source.take(first)
    return combined


def _votes(
    source: Source, code: np.ndarray, spec: Mapping[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the vote that each row belongs to, and the image of each vote."""
    if not spec.get("by"):
        return np.arange(len(code)), code
    reader = pd.factorize(source.column(spec["by"], "readers.by"), use_na_sentinel=False)[0]
    pairs, vote = np.unique(np.stack([code, reader]), axis=1, return_inverse=True)
    return vote.ravel(), pairs[0]


def _check_same(source: Source, frame: pd.DataFrame, name: str, first: np.ndarray) -> None:
    values = frame[name]
    other = values.iloc[first].reset_index(drop=True)
    differ = ((values != other) & ~(values.isna() & other.isna())).to_numpy()
    if differ.any():
        at = int(differ.argmax())
        column = source.frame.columns[0]
        raise MedauditError(
            f"{source.where(column, at)}: image {frame['image_id'].iloc[at]!r} has the "
            f"{name.removeprefix('a_')} {values.iloc[at]!r}, but {other.iloc[at]!r} in "
            f"{source.where(column, int(first[at]))}; rows that are combined by `readers` may "
            "differ only in their labels: correct it, or leave the column out"
        )
