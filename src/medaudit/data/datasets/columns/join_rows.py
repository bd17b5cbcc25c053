"""Make one row per key of a joined table that has several."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.data.datasets.columns.source import Source

SEPARATOR = "|"
"""Between the values of ``several: list``."""


def collapse(
    other: Source, key: pd.Series, spec: Mapping[str, Any], key_columns: list[str]
) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a joined table with one row per key, by the rule ``several``, and their rows.

    Parameters
    ----------
    other : Source
        The joined table.
    key : pandas.Series
        Key of each of its rows; rows without one are left out.
    spec : dict
        ``several``: ``error`` (default; equal rows count once), ``first``, ``last``,
        ``consistent`` (a value that differs becomes missing), ``majority`` (most frequent value;
        missing if two are), ``list`` (distinct values, sorted, joined with ``|``), ``each`` (all rows: the
        join repeats rows). ``order``: column by which ``first`` and ``last`` are decided, which need
        it.
    key_columns : list of str
        For messages.
    """
    table = other.frame.assign(**{"\0key": key})
    order = np.flatnonzero(key.notna().to_numpy())
    rule = spec.get("several", "error")
    if rule in ("first", "last"):
        order = order[_sorted(other, spec, rule)[order].argsort(kind="stable")]
    table = table.iloc[order]
    places = other.rows[0][order]
    if rule == "each" or table["\0key"].is_unique:
        return table, places
    if rule == "error":
        table = table.drop_duplicates()
        _check_equal(other, table, key_columns)
    elif rule in ("first", "last"):
        table = table.drop_duplicates("\0key", keep=rule)
    else:
        return _combine(table, RULES[rule]), places[~table["\0key"].duplicated().to_numpy()]
    return table, other.rows[0][table.index.to_numpy()]


def _sorted(other: Source, spec: Mapping[str, Any], rule: str) -> np.ndarray:
    """Return the place of each row by the column ``order``, whatever the order of the rows is."""
    if not spec.get("order"):
        raise MedauditError(
            f"`several: {rule}` of the join of {other.sheets[0].where} needs `order`, the column that "
            f"decides which row is the {rule}; the order of the rows in the file must not decide"
        )
    text = other.column(spec["order"], "join.order")
    numbers = pd.to_numeric(text, errors="coerce")
    values = numbers if numbers.notna().equals(text.notna()) else text
    # Of rows with the same value, their other columns decide.
    ranks = other.frame.rank(method="dense", na_option="top").assign(**{"\0order": values.rank()})
    keys = [ranks[name].fillna(0) for name in reversed(ranks.columns[:-1])]
    places = np.empty(len(ranks), int)
    places[np.lexsort([*keys, ranks["\0order"].fillna(0)])] = np.arange(len(ranks))
    return places


def _check_equal(other: Source, table: pd.DataFrame, key_columns: list[str]) -> None:
    duplicate = table["\0key"].duplicated(keep=False)
    if not duplicate.any():
        return
    first = table.loc[duplicate, "\0key"].iloc[0]
    rows = table[table["\0key"] == first]
    differ = [name for name in rows.columns[:-1] if rows[name].nunique(dropna=False) > 1]
    lines = " and ".join(other.sheets[0].place(int(row)) for row in rows.index[:2])
    raise MedauditError(
        f"{other.sheets[0].where}: {' and '.join(key_columns)} {first!r} has {len(rows)} rows "
        f"({lines}) that differ in {differ}; {table.loc[duplicate, chr(0) + 'key'].nunique()} keys "
        "are like this: set `several` of the join to first, last, consistent, majority or list, or "
        "to each, which repeats the image's row"
    )


def _combine(table: pd.DataFrame, rule: Callable[[pd.DataFrame, str], pd.Series]) -> pd.DataFrame:
    keys = table["\0key"].drop_duplicates()
    columns = {
        name: rule(table[["\0key", name]].dropna(), name).reindex(keys).to_numpy()
        for name in table.columns[:-1]
    }
    combined = pd.DataFrame(columns, index=keys.index).astype("str")
    return combined.assign(**{"\0key": keys})


def _consistent(pairs: pd.DataFrame, name: str) -> pd.Series:
    distinct = pairs.drop_duplicates()
    return distinct.drop_duplicates("\0key", keep=False).set_index("\0key")[name]


def _majority(pairs: pd.DataFrame, name: str) -> pd.Series:
    counts = pairs.value_counts().rename("count").reset_index()
    most = counts.groupby("\0key")["count"].transform("max")
    return _consistent(counts.loc[counts["count"] == most, ["\0key", name]], name)


def _list(pairs: pd.DataFrame, name: str) -> pd.Series:
    return (
        pairs.drop_duplicates()
        .groupby("\0key", sort=False)[name]
        .agg(lambda values: SEPARATOR.join(sorted(values)))
    )


RULES = {"consistent": _consistent, "majority": _majority, "list": _list}
