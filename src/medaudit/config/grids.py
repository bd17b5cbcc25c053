"""The grids of a study: its own cohorts x models x methods, and those listed under ``also``.

Imports nothing heavy: it is read at every start of the workflow.
"""

from collections.abc import Mapping
from typing import Any

VIEW = "view"
"""A column of every cohort's table that gaps can be controlled for."""

AXES = ("cohorts", "models", "methods")


def grids_of(entry: Mapping[str, Any]) -> list[dict[str, list[str]]]:
    """Return the grids of a study's entry, its own first.

    Parameters
    ----------
    entry : dict
        ``cohorts``, ``models``, ``methods``, and perhaps ``also``: a list of dicts with these keys.
    """
    return [{axis: entry.get(axis, []) for axis in AXES}, *entry.get("also", [])]


def names_of(entry: Mapping[str, Any], axis: str) -> list[str]:
    """Return the cohorts, models or methods of all grids of an entry, in order, no duplicates."""
    return list(dict.fromkeys(name for grid in grids_of(entry) for name in grid[axis]))
