"""Groups of a cohort: age groups by the cohort's own rule, and intersections of attributes."""

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError

RULES = ("ge", "gt")


def age_group(age: pd.Series, settings: dict) -> pd.Series:
    """Part patients into young and old; a missing age is in no group.

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


def age_levels(settings: dict) -> tuple[str, str]:
    """Return the names of the young and the old group."""
    rule, threshold = settings.get("age_rule"), settings["age_threshold"]
    if rule not in RULES:
        raise MedauditError(f"age_rule is {rule!r}; known are {list(RULES)}")
    young, old = ("<", ">=") if rule == "ge" else ("<=", ">")
    return f"{young}{threshold:g}", f"{old}{threshold:g}"


def list_attributes(settings: dict) -> list[tuple[str, ...]]:
    """Return the attributes to audit as tuples; more than one name is an intersection."""
    return [(a,) if isinstance(a, str) else tuple(a) for a in settings["attributes"]]


def group_of(frame: pd.DataFrame, attribute: tuple[str, ...]) -> pd.Series:
    """Return each row's group, e.g. ``female & >=60``; missing where a part is missing."""
    columns = [frame[f"a_{name}"] for name in attribute]
    group = columns[0]
    for column in columns[1:]:
        group = group + " & " + column
    return group
