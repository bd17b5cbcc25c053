"""Find the keys by which the rows of other tables belong to the rows of the pictures' table."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from medaudit.data.readers.roles import plain

SAMPLE = 500
"""Values of a column that are looked for in another table."""

LEAST = 0.5
"""Least share of them that must be there."""


def find_joins(
    base: pd.DataFrame, others: dict[str, pd.DataFrame]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """Return the joins of an entry, and for every table that is not joined why.

    Parameters
    ----------
    base : pandas.DataFrame
        Rows of the pictures' table.
    others : dict of str to pandas.DataFrame
        Other tables by name. A table may be joined by a column of one that is joined before it.
    """
    joins: list[dict[str, Any]] = []
    known, left = {name: base[name] for name in base.columns}, dict(others)
    while left:
        best = max(
            ((key, table) for table, frame in left.items() for key in _keys(known, frame)),
            key=lambda found: found[0][0],
            default=None,
        )
        if best is None:
            break
        (score, own, other, unique), table = best
        frame = left.pop(table)
        join: dict[str, Any] = {"table": table, "on": own if own == other else {own: other}}
        joins.append(join if unique else {**join, "several": "consistent"})
        known |= {name: frame[name] for name in frame.columns if name not in known}
    return joins, dict.fromkeys(left, "no column has the values of a column of the pictures' table")


def _keys(
    known: dict[str, pd.Series], frame: pd.DataFrame
) -> Iterator[tuple[tuple, str, str, bool]]:
    """Yield score, columns of both sides, and whether the key is unique in the other table."""
    samples = {name: _sample(column) for name, column in known.items()}
    for other in frame.columns:
        values = frame[other].dropna()
        unique, held = values.is_unique, set(values)
        if len(held) < 2 or plain(str(other)) in ("", "index", "unnamed_0"):
            continue
        for own, sample in samples.items():
            same = plain(own) == plain(str(other))
            # other names: only a key that cannot agree by chance, as small numbers do
            if len(sample) < 2 or not (same or (unique and _is_key(sample))):
                continue
            share = sum(value in held for value in sample) / len(sample)
            if share >= LEAST:
                yield (same, unique, round(share, 2), len(sample)), own, str(other), unique


def _sample(column: pd.Series) -> list[str]:
    values = column.dropna().unique()
    rows = np.unique(np.linspace(0, len(values) - 1, min(SAMPLE, len(values))).astype(int))
    return [str(value) for value in values[rows]] if len(values) else []


def _is_key(sample: list[str]) -> bool:
    return len(sample) >= 10 and sum(len(value) > 3 for value in sample) > 0.8 * len(sample)
