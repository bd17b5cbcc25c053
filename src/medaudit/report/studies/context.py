"""The one argument of every function that makes a table or a figure."""

from dataclasses import dataclass, field

import pandas as pd

from medaudit.report.studies.evidence import Evidence
from medaudit.report.studies.extras import Extras
from medaudit.report.wording.disclaimers import notes_of, on_figures
from medaudit.report.wording.names import Names


@dataclass(frozen=True)
class Context:
    """A study's data, and the cohort that a figure is about.

    Parameters
    ----------
    evidence : Evidence
        Merged metrics, gaps and cohort cards.
    facts : pandas.DataFrame
        Of `medaudit.report.studies.facts.gather_facts`.
    extras : Extras
        Results of optional stages, and facts about models and methods.
    cohort : str
        Name; empty for tables and for figures of all cohorts together.
    names : Names
        Display names of models, methods and cohorts.
    """

    evidence: Evidence
    facts: pd.DataFrame
    extras: Extras
    cohort: str = ""
    names: Names = field(default_factory=Names)

    @property
    def notes(self) -> list[str]:
        """Disclaimers of the cohort, or of all cohorts."""
        cards = self.evidence.cards
        return notes_of([cards[self.cohort]] if self.cohort else cards.values())

    @property
    def face(self) -> list[str]:
        """The disclaimers in brief, as a figure shows them."""
        return on_figures(self.notes)

    @property
    def place(self) -> str:
        """Display name of the cohort."""
        return self.names.cohort(self.cohort)

    @property
    def suffix(self) -> str:
        """End of the figure's file name: the cohort, where the study has several."""
        several = len(self.evidence.cards) > 1
        return f"-{self.cohort}" if self.cohort and several else ""

    @property
    def level(self) -> str:
        """Level of the intervals in words, e.g. ``95 %``."""
        return f"{self.evidence.level * 100:g} %"
