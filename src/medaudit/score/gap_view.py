"""The gaps of a result with p-values that are adjusted for multiple testing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from medaudit.core.audit_tables import is_summary
from medaudit.report.studies.evidence import overall
from medaudit.report.studies.facts import adjust_within_families
from medaudit.report.studies.multiple_testing import adjust_families

if TYPE_CHECKING:  # `medaudit.score` prints nothing
    from medaudit.score import Result

SUMS = ("all", "mean", "mean_of_gaps")
FINDINGS = ["model", "method", "attribute", "gap", "metric"]
"""Columns that name a family of gaps in single findings."""


def adjusted_gaps(result: Result) -> pd.DataFrame:
    """Return the gaps of all tasks together, with ``p_adjusted``.

    The families are the report's: all gaps of one metric and kind, by the step-down maximum over
    the permutations (`medaudit.report.studies.facts`).
    """
    rows = _placed(result)
    found = overall(rows.assign(measure=rows["metric"]))
    found = found.assign(kind="gap", role=None)
    drawn = result.nulls

    def permutations(part: pd.DataFrame) -> np.ndarray:
        runs = part[["model", "method", "place"]].itertuples(index=False, name=None)
        return np.array([drawn[model, method][place] for model, method, place in runs], float)

    found = adjust_within_families(found, permutations)
    return found.drop(columns=["measure", "kind", "role", "place"]).reset_index(drop=True)


def _placed(result: Result) -> pd.DataFrame:
    """Return the gaps with the row of their permutations, -1 where none are kept."""
    parts = []
    for _, part in result.gaps.groupby(["model", "method"], sort=False):
        kept = is_summary(part)
        parts.append(part.assign(place=np.where(kept, kept.cumsum() - 1, -1)))
    return pd.concat(parts)


def finding_gaps(result: Result) -> pd.DataFrame:
    """Return the gaps of each single finding, with ``p_adjusted``; empty if there is only one.

    Adjusted by Holm's procedure over the findings, for each model, attribute, metric and kind.
    """
    rows = result.gaps[result.gaps["seed"] == "mean"]
    single = rows[~rows["task"].isin(SUMS)]
    if single["task"].nunique() < 2:
        return single.iloc[:0].assign(p_adjusted=np.nan)
    return adjust_families(single, FINDINGS).drop(columns="family_size")
