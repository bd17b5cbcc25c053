"""Groups of an entry: any column as an attribute, by its levels, merged levels, bands, quantiles."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.data.datasets.columns.levels import Distinct, level_of, plain
from medaudit.data.datasets.columns.source import Source, listed
from medaudit.data.group_levels import cut_bands, cut_quantiles

MOST_LEVELS = 100
SPLITS = {
    "train": ["train", "training", "trn"],
    "val": ["val", "valid", "validate", "validation", "dev", "tune", "tuning"],
    "test": ["test", "testing", "tst", "holdout", "held_out"],
}


def group(source: Source, name: str, spec: str | Mapping[str, Any], key: str) -> pd.Series:
    """Return the level of each row.

    Parameters
    ----------
    source : Source
        The rows.
    name : str
        The attribute's name, for messages.
    spec : str or dict
        A column or template, whose values are the levels; or ``column`` and

        - ``levels``: ``{level: [values]}``, where ``*`` stands for any characters; ``rest`` says
          what other values become: ``error`` (default), ``missing``, ``keep``, or a level;
        - ``bands``: limits of a number, ``[40, 60]`` for ``<40``, ``40-59`` and ``>=60``; or
          ``{level: lowest value}``;
        - ``quantiles``: number of groups with equally many rows.

        ``blank``: the level of a blank; missing by default.
    key : str
        Key of the entry, for messages.

    Returns
    -------
    pandas.Series
        Text; missing where the group is not known.

    Raises
    ------
    MedauditError
        A column does not exist, a value has no level, or there are more than `MOST_LEVELS`.
    """
    parts: Mapping[str, Any] = {"column": spec} if isinstance(spec, str) else spec
    column = parts["column"]
    if "bands" in parts or "quantiles" in parts:
        numbers = source.numbers(column, f"{key}.column")
        found = _cut(source, name, numbers, parts, key)
    elif "levels" in parts:
        found = _merge(source, column, parts, key)
    else:
        found = source.texts(column, f"{key}.column").str.strip()
        if found.nunique() > MOST_LEVELS:
            raise MedauditError(
                f"{source.sheets[source.origin.get(column, 0)].where}: column {column!r} has "
                f"{found.nunique()} values, e.g. {found.dropna().iloc[0]!r}, too many groups to "
                f"compare: set `levels`, `bands` or `quantiles` of `{key}`, or leave it out"
            )
    found = pd.Series(found, index=source.frame.index, dtype="str")
    return found if parts.get("blank") is None else found.fillna(parts["blank"])


def _merge(source: Source, column: str, spec: Mapping[str, Any], key: str) -> pd.Series:
    text = Distinct(source.column(column, f"{key}.column"))
    find = level_of(spec["levels"], key)
    rest = spec.get("rest", "error")
    other = text.where(lambda value: find(value) is None)
    if other.any() and rest == "error":
        source.fail(
            column,
            other,
            f"which no level of `{key}` lists",
            f"add it to a level of `{key}`, or set `rest` to missing, keep or a level",
        )
    if rest == "keep":
        return text.texts(lambda value: find(value) or value)
    default = None if rest in ("missing", "error") else rest
    return text.texts(lambda value: find(value) or default)


def _cut(
    source: Source, name: str, numbers: np.ndarray, spec: Mapping[str, Any], key: str
) -> pd.Series:
    values = pd.Series(numbers, index=source.frame.index)
    if "bands" in spec:
        return cut_bands(values, spec["bands"], whole=bool((values.dropna() % 1 == 0).all()))
    try:
        found, names = cut_quantiles(values, spec["quantiles"])
    except MedauditError as error:
        raise MedauditError(
            f"{source.sheets[0].where}: column {spec['column']!r}: {error}; set fewer `quantiles`, or "
            f"`bands`, of `{key}`"
        ) from error
    source.notes.append(
        f"The groups of {name} are quantiles of {spec['column']}: {', '.join(names)}."
    )
    return found


def owner_split(source: Source, spec: str | Mapping[str, Any]) -> pd.Series:
    """Return the owner's split of each row: ``train``, ``val``, ``test``, or missing.

    Parameters
    ----------
    source : Source
        The rows.
    spec : str or dict
        A column with the usual names, or ``column`` and the values of ``train``, ``val`` and
        ``test``; ``rest: missing`` accepts other values, whose rows are in no split.
    """
    parts: Mapping[str, Any] = {"column": spec} if isinstance(spec, str) else spec
    given = {name: listed(parts[name]) for name in SPLITS if name in parts}
    used = {plain(value) for values in given.values() for value in values}
    usual = {
        name: [word for word in words if word not in used]
        for name, words in SPLITS.items()
        if not given
    }
    levels = {
        "column": parts["column"],
        "levels": given or usual,
        "rest": parts.get("rest", "error"),
    }
    return group(source, "official_split", levels, "columns.split")
