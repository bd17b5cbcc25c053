"""Groups of patients: age groups by a cohort's own rule, and intersections of attributes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.core.intersections import SEPARATOR
from medaudit.data.datasets import DETAIL

RULES = ("ge", "gt")


def age_group(age: pd.Series, settings: Mapping[str, Any]) -> pd.Series:
    """Split patients into a young and an old group; a missing age belongs to no group.

    Parameters
    ----------
    age : pandas.Series
        Years.
    settings : dict
        ``age_threshold`` T in years and ``age_rule``: ``ge`` makes the groups ``<T`` and ``>=T``,
        ``gt`` makes ``<=T`` and ``>T``.
    """
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
