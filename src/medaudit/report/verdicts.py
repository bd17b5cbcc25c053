"""Verdicts of tests of gaps and differences, and the rules by which they are given.

Verdicts against a margin, which alone can call a gap fair, are in `medaudit.report.equivalence`.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import numpy as np

from medaudit.report.wording.nulls import untested


class Verdict(StrEnum):
    """What a test of a gap or of a difference shows."""

    SHOWN = "difference shown"
    """Significant after adjusting for multiple testing."""

    HINT = "suggestive only"
    """Significant only before adjusting."""

    NOT_SHOWN = "no difference shown"
    """Compatible with the hypothesis of no difference, which is not thereby proved."""

    UNTESTED = "not tested"
    """There is a value, but no test: too few patients can exchange their groups."""

    UNKNOWN = "not estimable"
    """There is no value or no interval."""


def judge_gap(gap: Mapping[str, Any], alpha: float) -> Verdict:
    """Return the verdict on a gap between groups, tested against its null hypothesis.

    Parameters
    ----------
    gap : mapping
        ``value``, ``p_value``, ``p_adjusted`` and, if known, ``null_status``.
    alpha : float
        Level of significance, e.g. 0.05.
    """
    if not np.isfinite(_number(gap["value"])):
        return Verdict.UNKNOWN
    if untested(gap) or not np.isfinite(_number(gap["p_value"])):
        return Verdict.UNTESTED
    return _judge(_significant(gap["p_value"], alpha), _significant(gap["p_adjusted"], alpha))


def judge_difference(row: Mapping[str, Any], alpha: float) -> Verdict:
    """Return the verdict on a paired difference: its interval must exclude 0.

    Parameters
    ----------
    row : mapping
        ``value``, ``low``, ``high`` (interval) and ``p_adjusted``.
    alpha : float
        Level of significance, e.g. 0.05.
    """
    if not np.isfinite([_number(row[name]) for name in ("value", "low", "high")]).all():
        return Verdict.UNKNOWN
    return _judge(not row["low"] <= 0 <= row["high"], _significant(row["p_adjusted"], alpha))


def _judge(alone: bool, adjusted: bool) -> Verdict:
    if not alone:
        return Verdict.NOT_SHOWN
    return Verdict.SHOWN if adjusted else Verdict.HINT


def _significant(p_value: Any, alpha: float) -> bool:
    # 1 - 0.9 is a little less than 0.1 in floating point, so p = 0.1 would not be significant.
    return _number(p_value) <= round(alpha, 9)


def _number(value: Any) -> float:
    """Return a number, NaN for None and pandas' NA."""
    return float(value) if isinstance(value, int | float | np.number) else np.nan
