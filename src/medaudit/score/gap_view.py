"""The gaps of a result with p-values that are adjusted for multiple testing, as in the report."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from medaudit.report.studies import facts
from medaudit.report.studies.multiple_testing import adjust_families
from medaudit.score.answering import evidence_of
from medaudit.score.assemble import OUTCOMES

if TYPE_CHECKING:  # `medaudit.score` prints nothing
    from medaudit.score import Result

SUMS = ("all", "mean", "mean_of_gaps")
FINDINGS = ["model", "method", "attribute", "gap", "metric"]
"""Columns that name a family of gaps in single findings."""


def adjusted_gaps(result: Result) -> pd.DataFrame:
    """Return the gaps of all tasks together, with ``p_adjusted``.

    The families are the report's (`medaudit.report.studies.facts`): the gaps that a run's answers
    are made of, and of the other gaps those of one metric and kind.
    """
    if result.study.task_type == OUTCOMES:
        return _adjusted_outcomes(result)
    found = facts.gaps(evidence_of(result))
    found = found[found["task"].ne("mean_of_gaps")]
    kept = [*result.gaps.columns, "p_adjusted"]
    return found[kept].reset_index(drop=True)


def _adjusted_outcomes(result: Result) -> pd.DataFrame:
    """Adjust the gaps of outcomes over the attributes, for each outcome."""
    (null,) = result.nulls.values()
    found = result.gaps.assign(p_adjusted=np.nan)
    for _, part in found[found["p_value"].notna()].groupby("metric", sort=False):
        found.loc[part.index, "p_adjusted"] = facts.adjust_gaps(
            part, null[part.index].astype(float)
        )
    return found


def finding_gaps(result: Result) -> pd.DataFrame:
    """Return the gaps of each single finding, with ``p_adjusted``; empty if there is only one.

    In the leading measures, adjusted over all findings, attributes and leading measures of the run,
    as in the report; in others by Holm's procedure over the findings, for each model, attribute,
    metric and kind.
    """
    rows = result.gaps[result.gaps["seed"] == "mean"]
    single = rows[~rows["task"].isin(SUMS)]
    if single["task"].nunique() < 2:
        return single.iloc[:0].assign(p_adjusted=np.nan)
    adjusted = adjust_families(single, FINDINGS).drop(columns="family_size")
    key = [*FINDINGS, "task"]
    leading = facts.findings(evidence_of(result)).set_index(key)["p_adjusted"]
    own = pd.MultiIndex.from_frame(adjusted[key])
    leads = own.isin(leading.index)
    adjusted.loc[leads, "p_adjusted"] = leading.reindex(own[leads]).to_numpy()
    return adjusted
