"""Groups of patients: age groups by a cohort's own rule, and intersections of attributes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.intersections import SEPARATOR
from medaudit.data.datasets import DETAIL

RULES = ("ge", "gt")


def age_group(age: pd.Series, settings: Mapping[str, Any]) -> pd.Series:
    """Split patients into groups by age; a missing age belongs to no group.

    Parameters
    ----------
    age : pandas.Series
        Years.
    settings : dict
        ``age_threshold`` T in years and ``age_rule``: ``ge`` makes the groups ``<T`` and ``>=T``,
        ``gt`` makes ``<=T`` and ``>T``. ``age_bands`` makes any number of groups instead (see
        `cut_bands`).
    """
    if settings.get("age_bands"):
        return cut_bands(age, settings["age_bands"])
    young, old = age_levels(settings)
    threshold = settings["age_threshold"]
    is_old = age >= threshold if settings["age_rule"] == "ge" else age > threshold
    names = pd.Series(np.where(is_old, old, young), index=age.index, dtype="str")
    return names.where(age.notna())


def age_levels(settings: Mapping[str, Any]) -> tuple[str, str]:
    """Return the names of the young and the old group."""
    rule, threshold = settings.get("age_rule"), settings["age_threshold"]
    if rule not in RULES:
        raise MedauditError(f"age_rule is {rule!r}; known are {list(RULES)}")
    young, old = ("<", ">=") if rule == "ge" else ("<=", ">")
    return f"{young}{threshold:g}", f"{old}{threshold:g}"


def cut_bands(
    values: pd.Series, bands: Sequence[float] | Mapping[str, float], whole: bool = True
) -> pd.Series:
    """Cut numbers into bands, each with its lower limit and without its upper one.

    Parameters
    ----------
    values : pandas.Series
        Numbers; NaN is in no band.
    bands : sequence or mapping
        Limits between bands, which `name_bands` names; or ``{level: lowest value}``, where numbers
        below the first level are in none.
    whole : bool
        Whether the numbers count something in whole units, such as years.

    Returns
    -------
    pandas.Series
        Text; missing where there is no band.
    """
    if isinstance(bands, Mapping):
        # a job's settings come with sorted keys: the limits give the order
        names = sorted(bands, key=lambda name: bands[name])
        limits = [float(bands[name]) for name in names]
        lowest = limits[0]
    else:
        names, limits = name_bands(bands, whole), [-np.inf, *map(float, bands)]
        lowest = -np.inf
    if any(low >= high for low, high in zip(limits, limits[1:], strict=False)):
        raise MedauditError(f"bands must rise, but are {list(limits)}; sort them, each once")
    place = np.searchsorted(limits, values.to_numpy(float), side="right") - 1
    found = pd.Series(
        np.array(names, dtype=object)[np.maximum(place, 0)], values.index, dtype="str"
    )
    return found.where(values.notna() & (values >= lowest))


def cut_quantiles(values: pd.Series, count: int) -> tuple[pd.Series, list[str]]:
    """Cut numbers into `count` groups of about equal size; return them and their names in order.

    Raises
    ------
    MedauditError
        There are too few distinct numbers for so many groups.
    """
    numbers = values.to_numpy(float)
    known = numbers[~np.isnan(numbers)]
    cuts = np.quantile(known, np.arange(1, count) / count) if len(known) else np.empty(0)
    limits = sorted({float(f"{cut:.6g}") for cut in cuts})
    if len(limits) + 1 < count:
        raise MedauditError(
            f"{len(np.unique(known))} distinct numbers give no {count} groups of equal size"
        )
    return cut_bands(values, limits, whole=False), name_bands(limits, whole=False)


def name_bands(limits: Sequence[float], whole: bool = True) -> list[str]:
    """Return the names of the bands between limits: ``<40``, ``40-59``, ``>=60``.

    Where the numbers are not whole, the bands between are ``0.1 to <0.2``.
    """
    whole = whole and all(float(limit).is_integer() for limit in limits)
    between = [
        f"{low:g} to <{high:g}" if not whole else f"{low:g}" + f"-{high - 1:g}" * (high > low + 1)
        for low, high in zip(limits, limits[1:], strict=False)
    ]
    return [f"<{limits[0]:g}", *between, f">={limits[-1]:g}"]


def list_attributes(settings: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the attributes to audit as tuples; more than one name is an intersection."""
    return [(a,) if isinstance(a, str) else tuple(a) for a in settings["attributes"]]


def known_attributes(frame: pd.DataFrame) -> list[str]:
    """Return the attributes with at least one known value, without the unmerged originals."""
    columns = [c for c in frame.columns if c.startswith("a_") and not c.endswith(DETAIL)]
    return [column.removeprefix("a_") for column in columns if frame[column].notna().any()]


def check_attributes(frame: pd.DataFrame, settings: Mapping[str, Any]) -> None:
    """Refuse an attribute to audit that is unknown for every image.

    Raises
    ------
    MedauditError
        An attribute has no column, or no value in its column.
    """
    known = known_attributes(frame)
    wanted = dict.fromkeys(a for names in list_attributes(settings) for a in names)
    lacking = [attribute for attribute in wanted if attribute not in known]
    if lacking:
        raise MedauditError(
            f"cohort {settings['name']} lacks the attributes {lacking} (no column, or no value in "
            f"it); it has {known}: change `attributes`, or give the file that holds them"
        )


def group_of(frame: pd.DataFrame, attribute: tuple[str, ...]) -> pd.Series:
    """Return each row's group, e.g. ``female & >=60``; missing where one of its parts is."""
    columns = [frame[f"a_{name}"] for name in attribute]
    group = columns[0]
    for column in columns[1:]:
        group = group + SEPARATOR + column
    return group
