"""The rows selected so far by a cohort's builder, and the reasons why others were excluded."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict

import pandas as pd

from medaudit.core.entry_types import CohortEntry


class Sites(TypedDict):
    """Rows to keep before a cohort is built: those of a level of an attribute, or all others."""

    attribute: str
    level: str
    keep: bool


class CohortSettings(CohortEntry, total=False):
    """A cohort's catalogue entry as its builder gets it."""

    name: str
    rows: Sites
    seen: dict[str, Any]
    """``lists`` of pretraining images by model, and the ``folder`` of the dataset."""


@dataclass
class Selection:
    """The rows of a manifest that a builder selects, and what the card says about them.

    Parameters
    ----------
    frame : pandas.DataFrame
        Rows that are left, in the manifest's order; in the end with the columns of
        `medaudit.core.table_io.COHORT`.
    exclusions : list of dict
        ``{"reason": str, "count": images removed, "left": images left}`` in the order of removal.
    notes : list of str
        Sentences that every output based on the cohort must repeat.
    tables : dict of str to Path
        Further files that were read, by role; the card lists their SHA-256.
    details : dict
        Further fields of the card (JSON).
    """

    frame: pd.DataFrame
    exclusions: list[dict] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    tables: dict[str, Path] = field(default_factory=dict)
    details: dict = field(default_factory=dict)

    def keep(self, rows: pd.Series, reason: str) -> int:
        """Keep the rows that are true, record `reason` for the others, and return their number."""
        kept = self.frame[rows.to_numpy(bool)]
        count = len(self.frame) - len(kept)
        self.exclusions.append({"reason": reason, "count": count, "left": len(kept)})
        self.frame = kept
        return count
