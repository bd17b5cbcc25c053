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
        missing if two are), ``list`` (distinct values joined with ``|``), ``each`` (all rows: the
        join repeats rows). ``order``: column by which ``first`` and ``last`` are decided.
    key_columns : list of str
        For messages.
    """
    table = other.frame.assign(**{"\0key": key})
    order = np.flatnonzero(key.notna().to_numpy())
    rule = spec.get("several", "error")
    if spec.get("order"):
        order = order[np.argsort(_order(other, spec["order"])[order], kind="stable")]
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


def _order(other: Source, name: str) -> np.ndarray:
    text = other.column(name, "join.order")
    numbers = pd.to_numeric(text, errors="coerce")
    values = numbers if numbers.notna().equals(text.notna()) else text
    return values.rank(method="first", na_option="top").to_numpy()


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
    return pairs.drop_duplicates().groupby("\0key", sort=False)[name].agg(SEPARATOR.join)


RULES = {"consistent": _consistent, "majority": _majority, "list": _list}
