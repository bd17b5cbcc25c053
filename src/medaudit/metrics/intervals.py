"""Confidence intervals from bootstrap replicates."""

import numpy as np
from scipy.special import ndtr, ndtri

ENOUGH = 0.9
"""Share of the replicates that must be defined."""
SHOWN_BIAS = 3
"""What the bias that resampling shows is multiplied by; see `inflated_interval`."""


def percentile_interval(replicates: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the percentile interval of each row.

    Parameters
    ----------
    replicates : ndarray, shape (rows, draws)
        NaN where a replicate is undefined.
    level : float
        Confidence level, e.g. 0.95.

    Returns
    -------
    tuple of ndarray, shape (rows,)
        NaN where fewer than 90 % of the replicates are defined.
    """
    tail = (1 - level) / 2
    shape = (len(replicates), 1)
    return _quantiles(replicates, np.full(shape, tail), np.full(shape, 1 - tail))


def bca_interval(
    value: np.ndarray, replicates: np.ndarray, jackknife: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the bias-corrected and accelerated interval of each row (Efron 1987).

    Parameters
    ----------
    value : ndarray, shape (rows,)
        Values of the sample.
    replicates : ndarray, shape (rows, draws)
        NaN where a replicate is undefined.
    jackknife : ndarray, shape (rows, parts)
        Values with one part of the patients left out (`medaudit.metrics.resampling.leave_out`).
    level : float
        Confidence level, e.g. 0.95.

    Returns
    -------
    tuple of ndarray, shape (rows,)
        NaN where fewer than 90 % of the replicates are defined.
    """
    defined = np.isfinite(replicates).sum(axis=1)
    # Replicates equal to the value count half: metrics of few images are discrete, and counting
    # ties as "not below" would read them as bias.
    below = (replicates < value[:, None]).sum(axis=1) + (replicates == value[:, None]).sum(
        axis=1
    ) / 2
    # Kept half a replicate away from 0 and 1, where the normal quantile is infinite.
    share = np.clip(below / np.maximum(defined, 1), 0.5 / replicates.shape[1], None)
    bias = ndtri(np.minimum(share, 1 - 0.5 / replicates.shape[1]))[:, None]
    known = np.isfinite(jackknife)
    mean = np.where(known, jackknife, 0).sum(axis=1) / known.sum(axis=1).clip(1)
    spread = np.where(known, mean[:, None] - jackknife, 0)
    cubes, squares = (spread**3).sum(axis=1), (spread**2).sum(axis=1)
    rate = np.divide(cubes, 6 * squares**1.5, out=np.zeros(len(value)), where=squares > 0)[:, None]
    low, high = (
        ndtr(bias + (bias + z) / (1 - rate * (bias + z)))
        for z in ndtri([(1 - level) / 2, (1 + level) / 2])
    )
    return _quantiles(replicates, low, high)


def inflated_interval(
    value: np.ndarray, replicates: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return an interval for each row of a statistic that noise enlarges: a calibration error.

    The error of a sample is biased upward, and resampling adds the bias again, so percentile
    intervals are too high (they cover the truth in 0 to 60 % of samples). Where a bin is
    calibrated, resampling shows at most ``sqrt(2) - 1 = 0.41`` of the bias; where it is not, there
    is hardly any bias. The lower end is therefore ``value - 3 bias - z sd``, cut at 0, and the
    upper end ``value + z sd``, with the bias ``mean(replicates) - value`` (at least 0) and the
    standard deviation of the replicates.

    Parameters
    ----------
    value : ndarray, shape (rows,)
        Values of the sample.
    replicates : ndarray, shape (rows, draws)
        NaN where a replicate is undefined.
    level : float
        Confidence level, e.g. 0.95.

    Returns
    -------
    tuple of ndarray, shape (rows,)
        NaN where fewer than 90 % of the replicates are defined.
    """
    defined = np.isfinite(replicates)
    count = np.maximum(defined.sum(axis=1), 1)
    drawn = np.where(defined, replicates, 0).astype(float)
    mean = drawn.sum(axis=1) / count
    spread = np.sqrt((np.where(defined, drawn - mean[:, None], 0) ** 2).sum(axis=1) / count)
    reach = ndtri((1 + level) / 2) * spread
    low = np.maximum(value - SHOWN_BIAS * np.maximum(mean - value, 0) - reach, 0)
    enough = count >= max(ENOUGH * replicates.shape[1], 2)
    return np.where(enough, low, np.nan), np.where(enough, value + reach, np.nan)


def maximum_interval(
    contrast: np.ndarray, replicates: np.ndarray, level: float
) -> tuple[float, float]:
    """Return an interval for the largest of several contrasts, at least 0.

    The plug-in maximum is biased upward, and percentile intervals of it miss the truth near 0. Let
    ``se_k`` be the bootstrap standard error of contrast k and ``c`` the quantile, over replicates,
    of ``max_k (contrast*_k - contrast_k) / se_k``. Then ``max_k (contrast_k - c se_k)`` is above
    the true maximum only if some contrast exceeds its true value by more than ``c se_k``. And
    ``max_k (contrast_k + z se_k)`` is below it only if the contrast that is truly largest is
    underestimated by more than ``z se_k``, which needs no correction for their number. So the
    interval holds its level for large gaps and for gaps of 0, but is wide where there are many
    groups.

    Parameters
    ----------
    contrast : ndarray, shape (contrasts,)
        E.g. all differences of two groups.
    replicates : ndarray, shape (contrasts, draws)
        The same contrasts of the replicates.
    level : float
        Confidence level, e.g. 0.95.

    Returns
    -------
    tuple of float
        The lower end is cut at 0; NaN where fewer than 90 % of the replicates are defined.
    """
    kept = np.isfinite(replicates).all(axis=0)
    if kept.mean() < ENOUGH:
        return np.nan, np.nan
    drawn = replicates[:, kept].astype(float)
    error = drawn.std(axis=1, ddof=1)
    tail = (1 - level) / 2
    moves = (drawn - contrast[:, None]) / np.maximum(error, 1e-300)[:, None]
    moves[error == 0] = 0
    c = np.quantile(moves.max(axis=0), 1 - tail)
    low = np.max(contrast - max(c, 0) * error)
    high = np.max(contrast + ndtri(1 - tail) * error)
    return max(low, 0.0), max(high, 0.0)


def _quantiles(
    replicates: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return two quantiles of each row, which differ by row, interpolated as NumPy does."""
    ordered = np.sort(replicates, axis=1)
    defined = np.isfinite(ordered).sum(axis=1)
    enough = defined >= max(ENOUGH * replicates.shape[1], 2)
    found = []
    for share in (low, high):
        place = np.where(enough, share.reshape(-1) * (defined - 1), 0)
        left = np.floor(place).astype(int)
        right = np.minimum(left + 1, np.maximum(defined - 1, 0))
        rows = np.arange(len(ordered))
        found.append(
            ordered[rows, left] + (place - left) * (ordered[rows, right] - ordered[rows, left])
        )
    first, second = (np.where(enough, ends, np.nan) for ends in found)
    return first, second
