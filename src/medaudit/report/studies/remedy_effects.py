"""What each remedy does to the groups' sensitivity: lifts the worst group, levels down, or neither."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd

from medaudit.core.audit_tables import SPREAD, WORST
from medaudit.core.mitigation import CONTROL
from medaudit.core.statuses import Status

SENSITIVITY = "tpr"
CASE = ["cohort", "model", "task", "attribute"]
"""Columns that together name a comparison of remedies."""


class Effect(StrEnum):
    """What a remedy does to the sensitivity of the groups, by intervals that hold together."""

    LIFTED = "raises the worst group, lowers nobody"
    """The worst group's rise is shown, and no other group's estimate falls."""

    TRADED = "raises the worst group, others fall"
    """The worst group's rise is shown; the estimate of another group falls."""

    DOWN = "levelled down"
    """A group's fall is shown, no rise of the worst group, and the largest difference shrinks."""

    LOWERED = "lowers a group"
    """A group's fall is shown, no rise of the worst group, and the difference does not shrink."""

    NONE = "cannot be told from doing nothing"
    """No change of the worst group, and no fall of another one, is shown."""

    UNKNOWN = "not estimable"
    """The groups have no sensitivity."""


@dataclass(frozen=True)
class Judged:
    """A remedy's effect on one case.

    Parameters
    ----------
    remedy, kind : str
        Name, and ``embeddings``, ``after training`` or ``control``.
    needs_group : bool
        Whether it needs the patient's group at test time.
    effect : Effect
        On sensitivity.
    worst : str
        The group that plain training finds the fewest patients of.
    rows : pandas.DataFrame
        The remedy's rows of `medaudit.core.audit_tables.REMEDIES`, all groups and metrics.
    """

    remedy: str
    kind: str
    needs_group: bool
    effect: Effect
    worst: str
    rows: pd.DataFrame

    def change(self, metric: str, group: str) -> dict:
        """Return the row of a group's metric; a status of ``missing`` where there is none."""
        kept = self.rows["metric"].eq(metric) & self.rows["group"].eq(group)
        found = self.rows[kept].to_dict("records")
        empty = dict.fromkeys(("plain", "value", "change", "low", "high"), np.nan)
        return found[0] if found else {**empty, "group": group, "status": str(Status.MISSING)}

    def extreme(self, metric: str, largest: bool, but: str = "") -> dict:
        """Return the row of the group whose metric changes most upwards, or downwards."""
        own = groups_of(self.rows, metric)
        own = own[own["group"] != but]
        if own.empty:
            return self.change(metric, "")
        place = own["change"].idxmax() if largest else own["change"].idxmin()
        return own.loc[place].to_dict()


def groups_of(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return the rows of single groups with a value in one metric."""
    single = ~rows["group"].isin(["all", WORST, SPREAD])
    return rows[single & rows["metric"].eq(metric) & rows["status"].eq(Status.OK)]


def cases(remedies: pd.DataFrame, rule: str) -> Iterator[tuple[dict[str, str], list[Judged]]]:
    """Yield each case with its judged remedies and controls, those of one rule, in their order."""
    rows = remedies[(remedies["rule"] == rule) & remedies["remedy"].ne("plain")]
    for names, part in rows.groupby(CASE, sort=False):
        judged = [judge(own) for _, own in part.groupby("remedy", sort=False)]
        yield dict(zip(CASE, map(str, names), strict=True)), judged


def judge(rows: pd.DataFrame) -> Judged:
    """Return the effect of one remedy from its rows."""
    first, own = rows.iloc[0], groups_of(rows, SENSITIVITY)
    worst = "" if own.empty else str(own.loc[own["plain"].idxmin(), "group"])
    needs = first["needs_group"] == "yes"
    effect = _effect(rows, own, worst)
    return Judged(str(first["remedy"]), str(first["kind"]), needs, effect, worst, rows)


def _effect(rows: pd.DataFrame, own: pd.DataFrame, worst: str) -> Effect:
    if len(own) < 2 or own[["low", "high"]].isna().any(axis=None):
        return Effect.UNKNOWN
    others = own[own["group"] != worst]
    if (own.loc[own["group"] == worst, "low"] > 0).all():
        return Effect.LIFTED if (others["change"] >= 0).all() else Effect.TRADED
    if not (own["high"] < 0).any():
        return Effect.NONE
    spread = rows[rows["group"].eq(SPREAD) & rows["metric"].eq(SENSITIVITY)]["change"]
    return Effect.DOWN if (spread < 0).any() else Effect.LOWERED


def remedies_only(judged: list[Judged]) -> list[Judged]:
    """Return the judged remedies without controls."""
    return [one for one in judged if one.kind != CONTROL]


def first_rule(remedies: pd.DataFrame) -> str:
    """Return the rule that leads the answers: the first of the settings."""
    return str(remedies["rule"].iloc[0])
