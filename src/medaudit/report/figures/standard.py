"""The figures that every study gets."""

import pandas as pd

from medaudit.report.figures.gaps import gap_bands
from medaudit.report.figures.groups import group_dots
from medaudit.report.figures.heatmap import task_heatmap
from medaudit.report.figures.plane import fairness_plane
from medaudit.report.figures.style import Figure
from medaudit.report.studies.evidence import Evidence
from medaudit.report.wording.disclaimers import notes_of


def standard_figures(evidence: Evidence, facts: pd.DataFrame) -> list[Figure]:
    """Return the figures of a study, those of each cohort together.

    The names of a study with several cohorts end with the cohort's.
    """
    cohorts = list(evidence.cards)
    figures = []
    for cohort in cohorts:
        suffix = f"-{cohort}" if len(cohorts) > 1 else ""
        notes = notes_of([evidence.cards[cohort]])
        figures += [
            fairness_plane(evidence, facts, cohort, notes, suffix),
            gap_bands(evidence, facts, cohort, notes, suffix),
            group_dots(evidence, cohort, notes, suffix),
            task_heatmap(evidence, facts, cohort, notes, suffix),
        ]
    return [figure for figure in figures if figure is not None]
