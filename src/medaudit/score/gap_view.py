"""The gaps of a result with p-values that are adjusted for multiple testing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from medaudit.report.studies.facts import gaps as report_gaps
from medaudit.report.studies.multiple_testing import adjust_families
from medaudit.score.answering import evidence_of

if TYPE_CHECKING:  # `medaudit.score` prints nothing
    from medaudit.score import Result

SUMS = ("all", "mean", "mean_of_gaps")
FINDINGS = ["model", "method", "attribute", "gap", "metric"]
"""Columns that name a family of gaps in single findings."""


def adjusted_gaps(result: Result) -> pd.DataFrame:
    """Return the gaps of all tasks together, with the report's ``p_adjusted``."""
    found = report_gaps(evidence_of(result))
    return found[found["task"].ne("mean_of_gaps")].reset_index(drop=True)


def finding_gaps(result: Result) -> pd.DataFrame:
    """Return the gaps of each single finding, with ``p_adjusted``; empty if there is only one.

    Adjusted by Holm's procedure over the findings, for each model, attribute, metric and kind.
    """
    rows = result.gaps[result.gaps["seed"] == "mean"]
    single = rows[~rows["task"].isin(SUMS)]
    if single["task"].nunique() < 2:
        return single.iloc[:0].assign(p_adjusted=np.nan)
    return adjust_families(single, FINDINGS).drop(columns="family_size")
