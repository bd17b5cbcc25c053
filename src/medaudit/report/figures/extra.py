"""The figures that a study can ask for by name (``figures`` in its entry).

To add one: a function ``(evidence, facts, extras, cohort, notes, suffix) -> Figure | None`` (None
where there is nothing to draw), an entry here, and its name with the stages it needs in
`medaudit.config.requests` and ``studies.schema.yaml``.
"""

from collections.abc import Callable

import pandas as pd

from medaudit.report.figures.adaptation import adaptation
from medaudit.report.figures.attribute_probes import attribute_probes
from medaudit.report.figures.balanced import balanced
from medaudit.report.figures.classes import class_f1
from medaudit.report.figures.curves import group_curves, search_trajectories
from medaudit.report.figures.foundations import performance_fairness
from medaudit.report.figures.group_vs_average import disease_by_group, relative_to_average
from medaudit.report.figures.groups import group_dots
from medaudit.report.figures.masks import bit_stability, mask_frequencies
from medaudit.report.figures.ranks import critical_difference
from medaudit.report.figures.sensitivity import learning_rates, lora_rank
from medaudit.report.figures.style import Figure
from medaudit.report.studies.evidence import Evidence
from medaudit.report.studies.extras import Extras
from medaudit.report.wording.disclaimers import notes_of


def group_f1(evidence, facts, extras, cohort: str, notes: list[str], suffix: str) -> Figure | None:
    """Draw the macro-F1 of every group."""
    if "f1" not in evidence.measures:
        return None
    return group_dots(evidence, cohort, notes, suffix, measure="f1")


EXTRA: dict[str, Callable[..., Figure | None]] = {
    "adaptation": adaptation,
    "class_f1": class_f1,
    "group_f1": group_f1,
    "learning_rates": learning_rates,
    "lora_rank": lora_rank,
    "attribute_probes": attribute_probes,
    "performance_fairness": performance_fairness,
    "balanced": balanced,
    "relative_to_average": relative_to_average,
    "disease_by_group": disease_by_group,
    "critical_difference": critical_difference,
    "mask_frequencies": mask_frequencies,
    "group_curves": group_curves,
    "search_trajectories": search_trajectories,
    "bit_stability": bit_stability,
}
OF_ALL = ("critical_difference", "mask_frequencies")
"""Figures of all cohorts together: drawn once, before the others."""


def extra_figures(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> list[Figure]:
    """Return the figures that the study asks for, in its order, cohort by cohort.

    Those `OF_ALL` cohorts come first. The names of the others end with the cohort's in a study with
    several.
    """
    cohorts, asked = list(evidence.cards), evidence.entry.get("figures", [])
    notes = notes_of(evidence.cards.values())
    drawn = [EXTRA[n](evidence, facts, extras, "", notes, "") for n in asked if n in OF_ALL]
    for cohort in cohorts:
        suffix = f"-{cohort}" if len(cohorts) > 1 else ""
        notes = notes_of([evidence.cards[cohort]])
        for name in (name for name in asked if name not in OF_ALL):
            drawn.append(EXTRA[name](evidence, facts, extras, cohort, notes, suffix))
    return [figure for figure in drawn if figure is not None]
