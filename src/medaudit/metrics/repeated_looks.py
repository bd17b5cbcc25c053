"""Critical values for looking again and again: error spending over looks at every possible start.

At each look, the mean since every possible start of a change is compared with a baseline. The error
probability is spent look by look (Lan and DeMets 1983), and the probability that any of the many
correlated statistics crosses is bounded by Hunter's inequality (1976) over a tree of neighbours.
"""

from functools import lru_cache

import numpy as np
from numpy.polynomial.legendre import leggauss
from scipy.optimize import brentq
from scipy.special import ndtr

NODES, WEIGHTS = leggauss(48)
LARGEST = 12.0
"""Critical value beyond which nothing is spent: a probability of 1e-33."""


def critical_values(weights: np.ndarray, baseline: float, spent: np.ndarray) -> np.ndarray:
    """Return the critical value of |z| at each look, the same for every start.

    Parameters
    ----------
    weights : numpy.ndarray
        Information of each period after the baseline, shape (looks,), up to a common factor: e.g.
        numbers of images. A period of 0 has no look.
    baseline : float
        Information of the baseline, above 0, in the same unit.
    spent : numpy.ndarray
        Probability of a false alarm to spend at each look, shape (looks,).

    Returns
    -------
    numpy.ndarray
        Shape (looks,). If all periods have the baseline's mean, the probability that |z| of any
        start reaches its critical value at any look is at most ``spent.sum()``. NaN where a period
        has no look. The values depend on numbers of images only, never on results, and those of a
        look do not depend on later periods.

    Notes
    -----
    z(s, k) is the mean of periods s to k minus the baseline, over its standard error; with
    information I(s, k) the variance is 1/I(s, k) + 1/I(0). Statistics of the same start have the
    correlation sqrt(V(s, k) / V(s, k-1)), as sequential estimates do (Scharfstein, Tsiatis and
    Robins 1997), those of the same look sqrt(V(s, k) / V(s+1, k)). Each statistic is tied to its
    start's previous look, and the newest start to its neighbour, which makes a tree. Hunter's
    inequality, P(any) <= sum P(A) - sum over the tree's edges of P(A and B), is then solved for the
    value of each look.
    """
    return _solve(tuple(weights), float(baseline), tuple(spent)).copy()


@lru_cache(maxsize=256)
def _solve(given: tuple[float, ...], baseline: float, spent: tuple[float, ...]) -> np.ndarray:
    weights = np.array(given)
    found = np.full(len(weights), np.nan)
    kept = np.flatnonzero(weights > 0)
    before, previous = np.empty(0), np.nan
    for place, look in enumerate(kept):
        own = np.cumsum(weights[kept[: place + 1]][::-1])[::-1]
        variance = 1 / own + 1 / baseline
        tied = np.sqrt(variance[:-1] / before) if place else np.empty(0)
        newest = np.sqrt(variance[-2] / variance[-1]) if place else np.nan

        def excess(
            value: float,
            starts: int = place + 1,
            tied: np.ndarray = tied,
            newest: float = newest,
            previous: float = previous,
            budget: float = spent[look],
        ) -> float:
            total = starts * 2 * ndtr(-value)
            if starts > 1:
                total -= both_exceed(value, previous, tied).sum()
                total -= both_exceed(value, value, np.array([newest])).sum()
            return total - budget

        found[look] = brentq(excess, 0, LARGEST, xtol=1e-6) if excess(LARGEST) < 0 else LARGEST
        before, previous = variance, found[look]
    return found


def both_exceed(first: float, second: float, correlation: np.ndarray) -> np.ndarray:
    """Return P(|X| > first and |Y| > second) of standard normal pairs, by Gauss-Legendre.

    Parameters
    ----------
    first, second : float
        Thresholds, at least 0.
    correlation : numpy.ndarray
        In [0, 1].
    """
    end = first + 9
    half = (end - first) / 2
    x = half * NODES[:, None] + (end + first) / 2
    spread = np.sqrt(np.maximum(1 - correlation**2, 1e-12))
    beyond = ndtr((correlation * x - second) / spread) + ndtr((-second - correlation * x) / spread)
    density = np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)
    return 2 * half * (WEIGHTS[:, None] * density * beyond).sum(axis=0)
