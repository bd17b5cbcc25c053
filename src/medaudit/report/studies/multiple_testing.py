"""P-values adjusted for many tests: by Holm, or by the step-down procedure of the maximum."""

import numpy as np


def holm(p: np.ndarray) -> np.ndarray:
    """Return p-values adjusted by Holm's step-down procedure (1979), shape kept, at most 1."""
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(stepped)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


def step_down(statistics: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return p-values adjusted by the step-down procedure of the maximum.

    Westfall and Young (1993), algorithm 4.1, with permutations; Romano and Wolf (2005) with
    bootstrap draws: a test's p-value is the share of draws (one added) in which the largest of its
    statistic and of those of all tests with smaller statistics reaches its own. It bounds the
    chance of any false finding, as Holm's does, but it knows how the tests hang together, and a
    few hundred draws do for any number of tests.

    Parameters
    ----------
    statistics : numpy.ndarray
        Shape (tests,), finite, on one scale; larger is further from the null hypothesis.
    draws : numpy.ndarray
        The statistics under the null hypothesis, shape (tests, draws), each column drawn for all
        tests together; NaN where undefined: such a draw says nothing of that test.

    Returns
    -------
    numpy.ndarray
        Shape (tests,), in [1 / (draws + 1), 1].
    """
    order = np.argsort(statistics, kind="stable")
    known = np.where(np.isnan(draws), -np.inf, draws)[order]
    largest = np.maximum.accumulate(known, axis=0)
    reached = (largest >= statistics[order][:, None]).sum(axis=1)
    p = (1 + reached) / (1 + draws.shape[1])
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(p[::-1])[::-1]
    return adjusted
