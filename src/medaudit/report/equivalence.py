"""Verdicts on gaps against a margin that was declared before the audit.

A test against 0 can show that a gap exists; it can never show that a model is fair. For that, the
largest gap that is still acceptable (the margin) must be named beforehand, and the data must rule
out a larger one: two one-sided tests for the gap, non-inferiority for the worst group.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from medaudit.core.margins import JUDGED, Margins, margin_of
from medaudit.metrics.gaps import parse_gap
from medaudit.report.wording.number_format import missing


class Equivalence(StrEnum):
    """What an audit shows about a gap and its margin."""

    FAIR = "fair within the margin"
    """The one-sided upper limit is below the margin, and all groups could be estimated."""

    UNFAIR = "unfair"
    """The lower limit of the interval is above the margin."""

    UNDECIDED = "undecided"
    """The data exclude neither a gap below the margin nor one above it."""

    NOT_ESTIMABLE = "not estimable"
    """There is no value or no interval."""


def judge(gap: Mapping[str, Any], margin: float) -> Equivalence:
    """Return the verdict on one gap.

    Parameters
    ----------
    gap : mapping
        ``value``, ``low``, ``high`` (interval), ``upper`` (one-sided upper limit; where it is
        missing, ``high`` takes its place, which is never smaller), ``n_groups``, ``n_estimable``
        and ``status``.
    margin : float
        The largest gap that is still acceptable, in the unit of the metric.

    Returns
    -------
    Equivalence
        A gap is fair only if ``upper`` is below the margin and no group is left out: a group that
        is too small to estimate may be the worst. It is unfair if ``low`` is above the margin,
        whether or not a group is left out.
    """
    low, upper = gap["low"], upper_limit(gap)
    if gap["status"] != "ok" or missing(gap["value"]) or (missing(low) and missing(upper)):
        return Equivalence.NOT_ESTIMABLE
    if not missing(low) and low > margin:
        return Equivalence.UNFAIR
    if not missing(upper) and upper < margin and gap["n_estimable"] == gap["n_groups"]:
        return Equivalence.FAIR
    return Equivalence.UNDECIDED


def upper_limit(gap: Mapping[str, Any]) -> float:
    """Return the one-sided upper limit of a gap, or the upper end of its interval."""
    upper = gap.get("upper")
    return gap["high"] if missing(upper) else float(upper)  # type: ignore[arg-type]


def judge_gaps(gaps: pd.DataFrame, margins: Margins) -> pd.DataFrame:
    """Add ``margin`` and ``equivalence`` to gaps, both missing where no margin applies.

    Parameters
    ----------
    gaps : pandas.DataFrame
        Rows of `medaudit.core.table_io.GAPS`.
    margins : mapping
        ``evaluation.margins``.
    """
    found, verdicts = [], []
    for row in gaps.to_dict("records"):
        judged = parse_gap(row["gap"]).kind in JUDGED
        margin = margin_of(margins, row["metric"], row["attribute"]) if judged else None
        found.append(np.nan if margin is None else margin)
        verdicts.append(None if margin is None else str(judge({**row}, margin)))
    return gaps.assign(
        margin=np.array(found, float), equivalence=pd.Series(verdicts, gaps.index, dtype=object)
    )


def judged_rows(gaps: pd.DataFrame, margins: Margins) -> pd.DataFrame:
    """Return the gaps that a margin applies to, of the mean over seeds: what a gate looks at.

    All tasks are kept, not only their mean: a gap in one finding must not hide behind the others.
    """
    judged = judge_gaps(gaps[gaps["seed"] == "mean"], margins)
    return judged[judged["equivalence"].notna()].reset_index(drop=True)
