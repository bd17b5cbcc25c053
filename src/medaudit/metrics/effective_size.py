"""Effective sample sizes, and the limits that they give: Wilson's, for every metric in [0, 1].

A metric of a group is treated as a proportion of `size` independent trials, where `size` gives the
variance that the patients' clustering, the importance weights and the pairs of an AUC leave it.
The limits of a value of 0 or 1 are therefore never a point. ``docs/statistics.md`` shows the
coverage in simulations.
"""

import numpy as np
from scipy.special import ndtri, stdtrit

PSEUDO = 1.0
"""Errors of the prior: how much a group's own variance is shrunk to that of all groups."""
SHIFT = 0.25
"""Trials by which limits of proportions are moved outward; see `wilson_limits`."""
LATTICE = 5
"""Up to so many trials the shift is twice `SHIFT`, beyond it falls with their square."""


def wilson_limits(
    value: np.ndarray, size: np.ndarray, reach: np.ndarray | float, shift: np.ndarray | float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return Wilson's score limits of proportions (Wilson 1927, equation for p).

    Parameters
    ----------
    value : ndarray
        Proportions in [0, 1].
    size : ndarray
        Their numbers of trials, above 0; need not be whole.
    reach : ndarray or float
        Quantile of the normal distribution, e.g. 1.96.
    shift : ndarray or float
        Trials by which the value is moved down for the lower and up for the upper limit: a
        partial continuity correction (1/2 is Wilson's with Yates's).

    Returns
    -------
    tuple of ndarray
        NaN where value or size are.
    """
    square = reach**2 / size
    low, high = np.maximum(value - shift / size, 0), np.minimum(value + shift / size, 1)
    ends = [
        (p + square / 2 + sign * np.sqrt(square * p * (1 - p) + square**2 / 4)) / (1 + square)
        for p, sign in ((low, -1), (high, 1))
    ]
    return np.clip(ends[0], 0, 1), np.clip(ends[1], 0, 1)


def lattice_shift(size: np.ndarray) -> np.ndarray:
    """Return the shift for proportions of few trials, 1/4 and up to 1/2 for at most 5.

    Wilson's interval covers .90 of samples of 8 trials at rate .93. Moved by this much it covers
    at least .929 for rates of .80 to .98 and 5 to 300 trials (`tests/metrics/test_effective_size.py`).
    """
    few = np.minimum(LATTICE / np.maximum(size, 1e-9), 1)
    return SHIFT * (1 + few**2)


def t_reach(level: float, patients: np.ndarray, clustered: np.ndarray) -> np.ndarray:
    """Return how many standard errors an interval reaches.

    The normal quantile where images are independent; Student's, with one degree of freedom less
    than effective patients, where the variance had to be estimated from patients.
    """
    student = stdtrit(np.maximum(patients - 1, 1), (1 + level) / 2)
    return np.where(clustered, student, ndtri((1 + level) / 2))


def shrink_size(
    value: np.ndarray, variance: np.ndarray, size: np.ndarray, inflation: np.ndarray | float
) -> np.ndarray:
    """Return the effective size of a value whose variance was estimated.

    Parameters
    ----------
    value, variance : ndarray
        A metric in [0, 1] and its estimated variance; 0 where no image was wrong.
    size : ndarray
        The size that independent images would give it.
    inflation : ndarray or float
        Design effect expected from all groups, which counts as `PSEUDO` errors.

    Returns
    -------
    ndarray
        ``size`` over the design effect, the ratio of the variance to that of `size` trials with
        the prior added to both.
    """
    prior = PSEUDO / size
    spread = np.maximum(value * (1 - value), 0)
    return size * (spread + prior) / (variance * size + inflation * prior)


def ranking_size(value: np.ndarray, positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """Return the number of trials that an AUC is worth, if all images are independent.

    ``value (1 - value)`` over the variance of Hanley and McNeil (1982, equation 2), or over
    Newcombe's (2006, method 5), which takes the mean of both counts in it: the larger variance of
    the two, since which tail the errors lie in is not known. The value is moved towards 1/2 by one
    error in ``2 min(positives, negatives)`` trials.
    """
    trials = 2 * np.minimum(positives, negatives)
    moved = (value * trials + 1) / (trials + 2)
    mean = np.maximum((positives + negatives) / 2 - 1, 0)
    sizes = [
        positives * negatives / (1 + a * (1 - moved) / (2 - moved) + b * moved / (1 + moved))
        for a, b in ((np.maximum(positives - 1, 0), np.maximum(negatives - 1, 0)), (mean, mean))
    ]
    return np.minimum(*sizes)


def correlation(inflation: np.ndarray, ratio: np.ndarray) -> np.ndarray:
    """Return the correlation within patients that a design effect shows, in [0, 1].

    ``inflation = 1 + rho (ratio - 1)``, with `ratio` the patients' squared sums of weights over
    the images' squared weights (Kish 1965): the mean number of images of an image's patient.
    """
    known = np.asarray(ratio) > 1 + 1e-9
    rho = np.divide(
        np.asarray(inflation) - 1, np.asarray(ratio) - 1, out=np.zeros(np.shape(ratio)), where=known
    )
    return np.clip(np.nan_to_num(rho), 0, 1)


def mean_size(values: np.ndarray, sizes: np.ndarray, correlations: np.ndarray) -> np.ndarray:
    """Return the effective size of a mean over tasks.

    Parameters
    ----------
    values, sizes : ndarray, shape (tasks, ...)
        Values and sizes of the tasks.
    correlations : ndarray, shape (tasks, tasks, ...)
        Correlations of the values from sample to sample.

    Returns
    -------
    ndarray, shape (...)
    """
    moved = (values * sizes + 0.5) / (sizes + 1)
    error = np.sqrt(moved * (1 - moved) / sizes)
    variance = np.einsum("t...,u...,tu...->...", error, error, correlations) / len(values) ** 2
    mean = moved.mean(axis=0)
    return np.divide(
        mean * (1 - mean), variance, out=np.full(variance.shape, np.nan), where=variance > 0
    )
