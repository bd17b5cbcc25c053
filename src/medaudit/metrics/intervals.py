"""Confidence intervals from bootstrap replicates."""

import numpy as np
from scipy.special import ndtri

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


def variance_of_draws(replicates: np.ndarray, ddof: int = 0) -> np.ndarray:
    """Return the variance of the defined replicates along the last axis; 0 without any.

    Parameters
    ----------
    replicates : ndarray, shape (..., draws)
        NaN where a replicate is undefined.
    ddof : int
        What is taken off their number.
    """
    known = np.isfinite(replicates)
    count = known.sum(axis=-1)
    drawn = np.where(known, replicates, 0).astype(float)
    mean = drawn.sum(axis=-1) / np.maximum(count, 1)
    squares = (np.where(known, drawn - mean[..., None], 0) ** 2).sum(axis=-1)
    return squares / np.maximum(count - ddof, 1)


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
