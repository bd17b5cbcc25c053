"""Adjustment for multiple testing: Holm's, and the step-down maximum of resampled tests."""

import numpy as np
import pandas as pd


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
