"""Adjustment for multiple testing: families, Holm's procedure, and the step-down maximum.

A study that names its primary questions has one family of primary gaps. Of all other gaps, those
that a run's answers are made of (the leading measures by every attribute) are a family per run, so
that further models cost a model no power; the rest are families per measure.
"""

from typing import Any

import numpy as np
import pandas as pd

from medaudit.config.grids import AXES
from medaudit.core.entry_types import StudyEntry
from medaudit.core.intersections import join_names

PRIMARY, EXPLORATORY = "primary", "exploratory"
PRIMARY_FAMILY = "primary questions"


def roles_of(
    gaps: pd.DataFrame, entry: StudyEntry, lead: tuple[list[str], str]
) -> pd.Series | None:
    """Return the role of each gap, `PRIMARY` or `EXPLORATORY`; None where a study names neither.

    Parameters
    ----------
    gaps : pandas.DataFrame
        ``cohort``, ``model``, ``method``, ``attribute``, ``measure``, ``gap`` and ``task``.
    entry : StudyEntry
        ``questions``: each names a metric, an attribute, and perhaps a kind of gap (``max_min`` if
        not), cohorts, models (``subjects`` if not) and methods. ``subjects`` without questions:
        the gaps of these models in the leading measures by every attribute.
    lead : tuple of (list of str, str)
        The leading measures and the kind of gap.

    Returns
    -------
    pandas.Series or None
        Text, with the index of `gaps`. Gaps of the mean over tasks can be primary, the means of
        the tasks' gaps are exploratory.
    """
    questions: list[dict[str, Any]] = [{**question} for question in entry.get("questions") or []]
    subjects = {"models": entry["subjects"]} if entry.get("subjects") else {}
    if not questions and not subjects:
        return None
    if not questions:
        questions = [{"metric": measure, "gap": lead[1]} for measure in lead[0]]
    asked = pd.Series(False, gaps.index)
    for question in questions:
        asked |= _asked(gaps, subjects | question)
    return asked.map({True: PRIMARY, False: EXPLORATORY})


def _asked(gaps: pd.DataFrame, question: dict[str, Any]) -> pd.Series:
    kept = gaps["measure"].eq(question["metric"]) & gaps["task"].ne("mean_of_gaps")
    kept &= gaps["gap"].eq(question.get("gap", "max_min"))
    if "attribute" in question:
        kept &= gaps["attribute"].eq(join_names(question["attribute"]))
    for axis in AXES:
        if axis in question:
            kept &= gaps[axis.removesuffix("s")].isin(question[axis])
    return kept


def adjust_families(frame: pd.DataFrame, family: list[str]) -> pd.DataFrame:
    """Adjust p-values by Holm's step-down procedure (1979) within each family of tests.

    Parameters
    ----------
    frame : pandas.DataFrame
        With ``p_value``; NaN where there is no test.
    family : list of str
        Columns whose values together name a family.

    Returns
    -------
    pandas.DataFrame
        `frame` with ``p_adjusted`` (float64, at most 1) and ``family_size`` (number of tests).
        Both are missing where ``p_value`` is.
    """
    from statsmodels.stats.multitest import multipletests  # takes a second to load

    adjusted = pd.Series(np.nan, frame.index)
    sizes = pd.Series(pd.NA, frame.index, dtype="Int64")
    for _, part in frame[frame["p_value"].notna()].groupby(family):
        p_values = part["p_value"].to_numpy(float)
        adjusted[part.index] = multipletests(p_values, method="holm")[1]
        sizes[part.index] = len(part)
    return frame.assign(p_adjusted=adjusted, family_size=sizes)


def step_down(statistics: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return p-values adjusted by the step-down procedure of the maximum.

    Westfall and Young (1993), algorithm 4.1, with permutations; Romano and Wolf (2005) with
    bootstrap draws. The adjusted p-value of a test is the share of draws (plus one) in which the
    maximum over this test and all tests with smaller statistics reaches its statistic. Like
    Holm's, the procedure bounds the probability of any false finding, but it uses the dependence
    between the tests: a few hundred draws suffice for any number of tests.

    Parameters
    ----------
    statistics : numpy.ndarray
        Shape (tests,), finite, on one scale; larger is further from the null hypothesis.
    draws : numpy.ndarray
        The statistics under the null hypothesis, shape (tests, draws); each column is one draw of
        all tests together. NaN where undefined: the draw does not count for this test.

    Returns
    -------
    numpy.ndarray
        Shape (tests,), in [1 / (draws + 1), 1].
    """
    order = np.argsort(statistics, kind="stable")
    known = np.where(np.isnan(draws), -np.inf, draws)[order]
    # Row k holds the maximum over the k + 1 smallest statistics: the tests not yet rejected.
    largest = np.maximum.accumulate(known, axis=0)
    reached = (largest >= statistics[order][:, None]).sum(axis=1)
    p = (1 + reached) / (1 + draws.shape[1])
    adjusted = np.empty_like(p)
    # A less extreme test never gets a smaller p-value than a more extreme one.
    adjusted[order] = np.maximum.accumulate(p[::-1])[::-1]
    return adjusted
