"""Intervals that hold for all members of a family of estimates together."""

import numpy as np

MINIMUM_DRAWS = 20
"""An estimate with fewer defined draws has no interval."""


def simultaneous(
    values: np.ndarray, draws: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return intervals and p-values of a family by the largest studentised deviation (max-T).

    Each estimate is divided by the standard deviation of its bootstrap draws. The critical value is
    the quantile of the largest absolute deviation of the draws from their estimates over the family
    (Westfall and Young 1993, single step; Davison and Hinkley 1997, section 4.4).

    Parameters
    ----------
    values : numpy.ndarray
        ``[tests]``; NaN where there is none.
    draws : numpy.ndarray
        ``[tests, draws]``, over the same draws of patients; NaN where undefined.
    level : float
        Probability that all intervals of the family cover at once, e.g. 0.95.

    Returns
    -------
    low, high : numpy.ndarray
        ``[tests]``: value -/+ critical value x standard deviation. NaN where undefined; the value
        itself where the draws do not vary.
    p_value : numpy.ndarray
        ``[tests]``, adjusted, in (0, 1]; 1 where the draws do not vary.
    """
    values = np.asarray(values, float)
    low, high, p = (np.full(len(values), np.nan) for _ in range(3))
    tested = np.isfinite(values) & (np.isfinite(draws).sum(axis=1) >= MINIMUM_DRAWS)
    if not tested.any():
        return low, high, p
    own, moved = values[tested], np.asarray(draws[tested], float)
    spread = np.nanstd(moved, axis=1, ddof=1)
    scale = np.where(spread > 0, spread, np.inf)
    largest = np.nanmax(np.abs(moved - own[:, None]) / scale[:, None], axis=0, initial=0)
    reach = np.quantile(largest, level) * spread
    low[tested], high[tested] = own - reach, own + reach
    above = (largest >= (np.abs(own) / scale)[:, None]).sum(axis=1)
    p[tested] = (1 + above) / (1 + len(largest))
    return low, high, p
