"""A selection in the making: the rows left, and why the others are gone."""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd


@dataclass
class Selection:
    """What a builder returns.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows left, in the manifest's order; finally with the columns of
        `medaudit.core.table_io.COHORT`.
    exclusions : list of dict
        ``{"reason": str, "count": images removed, "left": images left}`` in the order of removal.
    notes : list of str
        Sentences that every output made from the cohort must repeat.
    tables : dict of str to Path
        Further files that were read; their SHA-256 goes into the card.
    details : dict
        What the builder wants in the card (JSON).
    """

    frame: pd.DataFrame
    exclusions: list[dict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tables: dict[str, Path] = field(default_factory=dict)
    details: dict = field(default_factory=dict)

    def keep(self, rows: pd.Series, reason: str) -> int:
        """Keep the `rows` that are true, note `reason` for the others, return their number."""
        kept = self.frame[rows.to_numpy(bool)]
        count = len(self.frame) - len(kept)
        self.exclusions.append({"reason": reason, "count": count, "left": len(kept)})
        self.frame = kept
        return count
