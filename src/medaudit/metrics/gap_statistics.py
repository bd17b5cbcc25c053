"""The statistic of gap tests: how many standard errors apart the limits of two groups meet.

For two groups with values a > b, MOVER (Zou and Donner 2008) combines Wilson's limits at c
standard errors, l and u, to the lower limit of the difference
``a - b - sqrt((a - l)^2 + (u - b)^2)``. The statistic T is the c at which that limit is 0, and of
several groups the largest of any pair (Konietschke et al. 2012). Permutations give its critical
value; the gap's lower limit at this value excludes 0 if and only if the test rejects.
"""

from typing import NamedTuple

import numpy as np

from medaudit.metrics.bootstrap_kernels import compiled

TIE = 1e-4
"""Permuted values are float32: statistics closer than this are a tie."""
STEPS = 60


class Contrasts(NamedTuple):
    """Ordered pairs of rows, of which the first is to be larger.

    Parameters
    ----------
    first, second : ndarray of int, shape (pairs,)
        Rows of the values: groups, and after them their rests.
    """

    first: np.ndarray
    second: np.ndarray


def all_pairs(groups: int) -> Contrasts:
    """Return every ordered pair of different groups."""
    first, second = np.nonzero(~np.eye(groups, dtype=bool))  # strided, as one array of pairs
    return Contrasts(first.copy(), second.copy())


def against_rest(groups: int, upward: bool) -> Contrasts:
    """Return each group against its rest: the group first if `upward`, else the rest."""
    own, rest = np.arange(groups), np.arange(groups) + groups
    return Contrasts(own, rest) if upward else Contrasts(rest, own)


@compiled
def _distance(value, size, c, sign):
    """Return the distance of a value to its Wilson limit below (-1) or above (1)."""
    square = c * c / size
    root = np.sqrt(square * value * (1 - value) + square * square / 4)
    return abs((value + square / 2 + sign * root) / (1 + square) - value)


@compiled
def _reach(a, size_a, b, size_b, c):
    low, high = _distance(a, size_a, c, -1.0), _distance(b, size_b, c, 1.0)
    return np.sqrt(low * low + high * high)


@compiled
def _solve(a, size_a, b, size_b, start):
    """Return the c at which the pair's lower limit is 0, known to be above `start`."""
    apart = a - b
    low, high = start, max(2 * start, 1.0)
    while _reach(a, size_a, b, size_b, high) < apart and high < 1e6:
        low, high = high, 2 * high
    for _ in range(STEPS):
        middle = (low + high) / 2
        if _reach(a, size_a, b, size_b, middle) < apart:
            low = middle
        else:
            high = middle
        if high - low < 1e-7 * high:
            break
    return (low + high) / 2


@compiled
def largest_statistic(value, size, first, second):
    """Return T of every column, 0 where no pair is in order.

    `value` and `size` have shape (rows, columns); pairs with a NaN do not count, and a column
    without any other is NaN.
    """
    found = np.full(value.shape[1], np.nan)
    for b in range(value.shape[1]):
        top, any_pair = 0.0, False
        for k in range(first.size):
            i, j = first[k], second[k]
            x, y, n, m = value[i, b], value[j, b], size[i, b], size[j, b]
            if np.isfinite(x) and np.isfinite(y) and n > 0 and m > 0:
                any_pair = True
                if x > y and _reach(x, n, y, m, top) < x - y:
                    top = _solve(x, n, y, m, top)
        if any_pair:
            found[b] = top
    return found


@compiled
def count_found(value, size, first, second, reach):
    """Count the columns whose T exceeds `reach`; faster than to compute T."""
    found = 0
    for b in range(value.shape[1]):
        for k in range(first.size):
            x, y = value[first[k], b], value[second[k], b]
            if x > y and _reach(x, size[first[k]], y, size[second[k]], reach) < x - y:
                found += 1
                break
    return found


@compiled
def largest_limit(value, size, first, second, reach, upper):
    """Return the largest lower (or upper) limit of any pair's difference, for each reach."""
    found = np.full(reach.size, np.nan)
    for b in range(reach.size):
        for k in range(first.size):
            x, y, n, m = value[first[k]], value[second[k]], size[first[k]], size[second[k]]
            if upper:
                limit = x - y + _reach(y, m, x, n, reach[b])
            else:
                limit = x - y - _reach(x, n, y, m, reach[b])
            if not found[b] >= limit:
                found[b] = limit
    return found


def critical(null: np.ndarray, alpha: float) -> float:
    """Return the largest statistic that is not significant, infinite if none can be.

    ``statistic > critical`` if and only if `p_value` is at most `alpha`.
    """
    null = np.sort(null[~np.isnan(null)])[::-1]
    place = int(np.floor(alpha * (null.size + 1) + 1e-9))
    return float(null[place - 1]) if place >= 1 else np.inf


def p_value(statistic: float, null: np.ndarray) -> float:
    """Return the add-one p-value of a statistic (Phipson and Smyth 2010); NaN without a null."""
    null = null[np.isfinite(null)]
    if not null.size or not np.isfinite(statistic):
        return np.nan
    reached = null >= statistic - TIE * (1 + statistic)
    return float((1 + reached.sum()) / (1 + null.size))


def centred_statistic(
    value: np.ndarray, null: np.ndarray, contrasts: Contrasts
) -> tuple[float, np.ndarray]:
    """Return how far differences are from those of the permutations, and the same of these.

    The largest of ``|difference - mean*| / sd*`` over pairs, with mean and standard deviation of
    the permuted differences: at equal scores groups may differ, and only what the scores do not
    explain counts.

    Parameters
    ----------
    value : ndarray, shape (rows,)
        Values.
    null : ndarray, shape (rows, draws)
        Permuted values.
    contrasts : Contrasts
        Pairs of rows.

    Returns
    -------
    float, ndarray of shape (draws,)
        NaN where no pair is defined.
    """
    first, second = contrasts
    drawn = null[first].astype(float) - null[second]
    known = np.isfinite(drawn)
    count = known.sum(axis=1)
    mean = np.where(known, drawn, 0).sum(axis=1) / np.maximum(count, 1)
    moved = np.where(known, drawn - mean[:, None], 0)
    spread = np.sqrt((moved**2).sum(axis=1) / np.maximum(count - 1, 1))
    usable = (count > 1) & (spread > 1e-12)
    if not usable.any():
        return np.nan, np.full(null.shape[1], np.nan)
    away = np.abs(value[first] - value[second] - mean)[usable] / spread[usable]
    drawn_away = np.where(known[usable], np.abs(moved[usable]) / spread[usable, None], -np.inf)
    largest = drawn_away.max(axis=0)
    return float(away.max()), np.where(np.isfinite(largest), largest, np.nan)
