"""How far the probabilities of the classes may sum from 1, given their rounding."""

import numpy as np

TOLERANCE = 1e-3


def sum_tolerance(scores: np.ndarray, n_classes: int) -> float:
    """Return the largest deviation of a sum from 1 that rounding explains, at least 0.001.

    Parameters
    ----------
    scores : numpy.ndarray
        Probabilities of any shape. If all are written with one, two or three digits, each may be
        off by half a unit of the last one.
    n_classes : int
        Number of probabilities in a sum.

    Examples
    --------
    >>> round(sum_tolerance(np.array([0.33, 0.33, 0.33]), 3), 4)
    0.015
    >>> sum_tolerance(np.array([0.33333, 0.33333, 0.33333]), 3)
    0.001
    """
    values = scores[np.isfinite(scores)]
    for digits in (1, 2, 3):
        unit = 10.0**-digits
        if np.allclose(np.round(values, digits), values, rtol=0, atol=1e-9):
            return max(TOLERANCE, 0.5001 * n_classes * unit)
    return TOLERANCE
