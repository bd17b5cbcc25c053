"""What is planted in the test images of a cohort, by group: the truth that an audit should find."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from medaudit.core.documents import PlantedGroup, PlantedRule
from medaudit.core.intersections import SEPARATOR
from medaudit.data.datasets import restore_original_levels
from medaudit.data.group_levels import group_of


def count_planted(
    frame: pd.DataFrame,
    attributes: Iterable[tuple[str, ...]],
    rules: Iterable[Mapping[str, Any]],
) -> list[PlantedRule]:
    """Return each planted rule with the number of test images that it applies to, by group.

    Parameters
    ----------
    frame : pandas.DataFrame
        The cohort with its groups.
    attributes : iterable of tuple of str
        Attributes to audit.
    rules : iterable of mapping
        ``phantom.planted`` of the dataset, see `medaudit.data.phantoms.chest.planted`.

    Returns
    -------
    list of PlantedRule
        In the order of the rules.
    """
    # Not at the top: only phantoms need it, and it imports the drawings.
    from medaudit.data.phantoms.chest.planted import match_rows

    test = frame[frame["split"] == "test"]
    original = restore_original_levels(test)
    names = list(attributes)
    return [
        {
            "where": dict(rule.get("where") or {}),
            "findings": rule.get("findings", "all"),
            "visibility": float(rule["visibility"]),
            "groups": [
                part
                for name in names
                for part in _count(test, name, match_rows(original, rule.get("where") or {}))
            ],
        }
        for rule in rules
    ]


def _count(test: pd.DataFrame, name: tuple[str, ...], fits: Any) -> list[PlantedGroup]:
    counts = pd.Series(fits, test.index).groupby(group_of(test, name)).agg(["size", "sum"])
    return [
        {
            "attribute": SEPARATOR.join(name),
            "group": str(group),
            "n_images": int(row["size"]),
            "n_planted": int(row["sum"]),
        }
        for group, row in counts.iterrows()
    ]
