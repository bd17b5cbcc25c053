"""Intervals of calibration errors, free of the bias of small samples."""

from typing import NamedTuple

import numpy as np

from medaudit.core.seeds import generator
from medaudit.metrics.engine import SQUARED
from medaudit.metrics.sorted_scores import SortedScores, summands

DRAWS = 400
SCALES = np.array([0, 0.15, 0.3, 0.45, 0.6, 0.75, 0.9, 1.05, 1.2, 1.5, 2, 3, 5])
FLOOR = 0.25
"""Least miscalibration of a bin, in its standard errors, that the scaled errors start from."""


class ErrorInterval(NamedTuple):
    """Lower limit, median-unbiased estimate and upper limit of calibration errors by group."""

    low: np.ndarray
    centre: np.ndarray
    high: np.ndarray


class _Bins(NamedTuple):
    """A group's bins that hold images: share, mean score, difference to it, effective number."""

    share: np.ndarray
    score: np.ndarray
    apart: np.ndarray
    number: np.ndarray


def error_intervals(scores: SortedScores, level: float, debiased: bool) -> ErrorInterval:
    """Return intervals of the expected calibration error of each group, by test inversion.

    The error of a sample is above the true one, since noise adds up in absolute values, and the
    more so the fewer images a bin has. Let d be a group's differences between rate and mean score
    by bin. For scales t the labels are drawn again (binomial, with the effective number of images
    of each bin) around the mean score plus t d. The interval holds the errors whose draws are as
    large as the sample's with more than half of ``1 - level``, and as small with more than a
    quarter of it. It holds 0 if and only if a calibrated model shows such an error that often.

    Parameters
    ----------
    scores : SortedScores
        The groups.
    level : float
        Confidence level, e.g. 0.95.
    debiased : bool
        Whether of ``ece_debiased`` (root mean square) rather than of ``ece``.

    Returns
    -------
    ErrorInterval
        Each of shape (groups,); NaN for groups without images.
    """
    found = np.full((3, scores.n_groups), np.nan)
    for g, bins in enumerate(_read_bins(scores)):
        if bins.share.size:
            found[:, g] = _invert(bins, level, debiased)
    return ErrorInterval(*found)


def _read_bins(scores: SortedScores) -> list[_Bins]:
    slot, slots, columns = summands(scores, "bins")
    place = scores.group.astype(np.int64) * slots + slot
    length = scores.n_groups * slots
    count, score, label = (np.bincount(place, c, minlength=length) for c in columns.T[:SQUARED])
    squares = np.bincount(place, scores.factor**2, minlength=length)
    known = count > 0
    apart = np.divide(label - score, count, out=np.zeros(length), where=known)
    number = np.divide(count**2, squares, out=np.zeros(length), where=known)
    inflation = _inflation(scores, place, apart)
    found = []
    for g in range(scores.n_groups):
        own = np.flatnonzero(known[g * slots : (g + 1) * slots]) + g * slots
        share = count[own] / count[own].sum() if own.size else count[own]
        found.append(_Bins(share, score[own] / count[own], apart[own], number[own] / inflation[g]))
    return found


def _inflation(scores: SortedScores, place: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """Return the design effect of patients on the rates of bins, by group, at least 1."""
    left = scores.factor * (scores.positive - scores.score - apart[place])
    key = place * (scores.unit.max(initial=0) + 1) + scores.unit
    keys, unit = np.unique(key, return_inverse=True)
    if keys.size == key.size:
        return np.ones(scores.n_groups)
    group = np.zeros(keys.size, np.int64)
    group[unit] = scores.group
    together = np.bincount(group, np.bincount(unit, left) ** 2, minlength=scores.n_groups)
    alone = np.bincount(scores.group, left**2, minlength=scores.n_groups)
    return np.maximum(np.divide(together, alone, out=np.ones_like(alone), where=alone > 0), 1)


def _invert(bins: _Bins, level: float, debiased: bool) -> tuple[float, float, float]:
    rng = generator("calibration error", str(bins.share.size))
    trials = np.maximum(np.round(bins.number), 1).astype(int)
    error = np.sqrt(np.maximum(bins.score * (1 - bins.score), 1e-4) / bins.number)
    direction = np.where(bins.apart < 0, -1, 1) * np.maximum(np.abs(bins.apart), FLOOR * error)
    truth = np.clip(bins.score + SCALES[:, None] * direction, 0, 1)
    drawn = rng.binomial(trials, np.repeat(truth[:, None], DRAWS, axis=1)) / trials
    moved = drawn - bins.score
    own = _error(bins.apart, bins, bins.apart + bins.score, debiased)
    shown = _error(moved, bins, drawn, debiased)
    true = _error(truth - bins.score, bins, None, debiased)
    above = (shown >= own - 1e-12).mean(axis=1)
    below = (shown <= own + 1e-12).mean(axis=1)
    tail = (1 - level) / 2
    low = _cross(true, np.maximum.accumulate(above), tail)
    # Half the tail: true errors need not have the shape that the sample's noise gave them.
    high = _cross(true, -np.minimum.accumulate(below), -tail / 2)
    centre = _cross(true, np.maximum.accumulate(above), 0.5)
    high = max(high, float(own))
    return low, min(max(centre, low), high), high


def _cross(true: np.ndarray, share: np.ndarray, target: float) -> float:
    """Return the error at which an ascending share crosses `target`: 0 if it starts above."""
    if share[0] >= target:
        return 0.0
    return float(np.interp(target, share, true))


def _error(apart: np.ndarray, bins: _Bins, rate: np.ndarray | None, debiased: bool) -> np.ndarray:
    if not debiased:
        return (bins.share * np.abs(apart)).sum(axis=-1)
    squared = apart**2
    share = bins.share
    if rate is not None:
        kept = bins.number > 1
        noise = rate * (1 - rate) / np.where(kept, bins.number - 1, 1)
        share = np.where(kept, share, 0)
        squared = squared - noise
    whole = max(share.sum(), 1e-300)
    return np.sqrt(np.maximum((share * squared).sum(axis=-1) / whole, 0))
