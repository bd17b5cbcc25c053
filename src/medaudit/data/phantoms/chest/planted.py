"""Which findings a row has, and how visible the planted rules make them."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from medaudit.core.errors import MedauditError
from medaudit.data.phantoms.chest.findings import FINDINGS

NOTHING = "no_finding"
ALIASES = {"effusion": "pleural_effusion"}


def read_findings(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return, for each finding with a ``y_`` column, which rows have it: bool ``[n]``.

    Raises
    ------
    MedauditError
        A column names a finding that cannot be drawn.
    """
    columns = [column for column in rows.columns if column.startswith("y_")]
    named = {column: canonical_name(column.removeprefix("y_")) for column in columns}
    return {
        name: (rows[column] == 1).to_numpy(bool)
        for column, name in named.items()
        if name != NOTHING
    }


def canonical_name(finding: str) -> str:
    """Return the phantom's name of a finding, e.g. ``pleural_effusion`` for ``Effusion``.

    Raises
    ------
    MedauditError
        There is no such finding.
    """
    name = finding.strip().lower().replace(" ", "_")
    name = ALIASES.get(name, name)
    if name != NOTHING and name not in FINDINGS:
        raise MedauditError(
            f"phantom: cannot draw the finding {finding!r}; it draws {sorted(FINDINGS)}. "
            "Set `folder` of the dataset to use real images"
        )
    return name


def read_visibility(
    rows: pd.DataFrame,
    phantom: dict,
    names: list[str],
    canonical: Callable[[str], str] = canonical_name,
) -> dict[str, np.ndarray]:
    """Return, for each finding, its visibility in each row: float32 ``[n]`` in [0, 1].

    Parameters
    ----------
    rows : pandas.DataFrame
        Has the columns that the rules name.
    phantom : dict
        ``planted`` is a list of rules ``{"where": {...}, "findings": "all" or names,
        "visibility": 0..1}``. `where` has ``age_min`` and ``age_max`` (both inclusive; no rule
        applies to a missing age), ``view``, and attributes by name (``sex``, ``race``, ...) with a
        level or a list of levels. The visibilities of all rules that apply to a row are
        multiplied; without any the visibility is 1.
    names : list of str
        Canonical names of the wanted findings.
    canonical : callable
        Returns the canonical name of a finding in a rule.

    Raises
    ------
    MedauditError
        A rule has an unknown key, finding or column, or a visibility outside [0, 1].
    """
    visible = {name: np.ones(len(rows), np.float32) for name in names}
    for rule in phantom.get("planted") or []:
        _check_rule(rule)
        fits = match_rows(rows, rule.get("where") or {})
        chosen = rule.get("findings", "all")
        wanted = names if chosen == "all" else [canonical(name) for name in chosen]
        for name in set(wanted) & set(names):
            visible[name][fits] *= np.float32(rule["visibility"])
    return visible


def _check_rule(rule: dict) -> None:
    unknown = set(rule) - {"where", "findings", "visibility"}
    visibility = rule.get("visibility")
    valid = (
        isinstance(visibility, int | float)
        and not isinstance(visibility, bool)
        and 0 <= visibility <= 1
    )
    if unknown or not valid:
        raise MedauditError(
            f"phantom: the planted rule {rule} is not valid; it takes `where`, `findings` and a "
            "`visibility` between 0 and 1"
        )


def match_rows(rows: pd.DataFrame, where: dict) -> np.ndarray:
    """Return which rows meet all conditions of a rule's ``where``: bool ``[n]``."""
    fits = np.ones(len(rows), bool)
    for key, wanted in where.items():
        if key == "age_min":
            fits &= (rows["age"] >= wanted).to_numpy(bool)
        elif key == "age_max":
            fits &= (rows["age"] <= wanted).to_numpy(bool)
        else:
            levels = wanted if isinstance(wanted, list) else [wanted]
            fits &= rows[_column(rows, key)].isin(levels).to_numpy(bool)
    return fits


def _column(rows: pd.DataFrame, key: str) -> str:
    places = (f"a_{key}", f"y_{key}", *({"view", "split"} & {key}))
    column = next((place for place in places if place in rows), None)
    if column is None:
        known = [name[2:] for name in rows.columns if name.startswith("a_")]
        raise MedauditError(
            f"phantom: a planted rule names the attribute {key!r}, which the rows lack; they have "
            f"{known}, and `view`, `split`, `age_min`, `age_max` and the labels"
        )
    return column
