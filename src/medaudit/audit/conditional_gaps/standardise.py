"""Standardised values of groups, their largest difference, and its permutation test.

*Direct standardisation*: a group's value is the mean of its values by stratum, each weighted with
the stratum's share among all images, the same for every group. Variances are cluster robust: a
unit (the images of one patient in one group) contributes the square of its influence on the
group's value (Liang and Zeger 1986), summed over all of its strata, seeds and tasks. They are at
least the floor of `medaudit.audit.conditional_gaps.cell_kernels`, brought to the scale of
the data by the ratio of the two in all groups together, so that no interval is a point.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from medaudit.audit.conditional_gaps.columns import Column, Estimate
from medaudit.metrics.effective_size import wilson_limits
from medaudit.metrics.gap_statistics import all_pairs, critical
from medaudit.metrics.nulls import MOVABLE
from medaudit.metrics.resampling import cut_blocks, permute_groups, run_blocks

DEFINED = 0.9
"""Share of the permutations that must leave every cell a value."""
TIE = 1e-9


@dataclass(frozen=True)
class Standardised:
    """Standardised values of groups.

    Parameters
    ----------
    value, variance, shrunk : ndarray, shape (groups,)
        `shrunk` is the value with one success and one failure added to every stratum.
    """

    value: np.ndarray
    variance: np.ndarray
    shrunk: np.ndarray

    def limits(self, level: float) -> tuple[np.ndarray, np.ndarray]:
        """Return Wilson's limits (1927) with the effective sample size that the variance means."""
        size = self.shrunk * (1 - self.shrunk) / self.variance
        return wilson_limits(self.value, size, ndtri((1 + level) / 2))


@dataclass(frozen=True)
class Exchange:
    """How groups are permuted.

    Parameters
    ----------
    pattern : ndarray of int, shape (units,)
        Units of one pattern exchange their groups; -1 takes no part.
    stream : tuple of str
        Name of the random stream.
    draws, threads : int
        Number of permutations, and of blocks of them computed at once.
    """

    pattern: np.ndarray
    stream: tuple[str, ...]
    draws: int
    threads: int


@dataclass(frozen=True)
class LargestGap:
    """The largest difference between groups (``max_min``).

    Parameters
    ----------
    value, low, high : float
        `low` is above 0 only where the test rejects at 1 - level.
    p_value : float
        NaN without a test: too few units can exchange their group, or too many permutations leave
        a cell without a value.
    n_movable, n_units : int
        Units that can exchange their group, of all units in the test.
    """

    value: float
    low: float
    high: float
    p_value: float
    n_movable: int
    n_units: int


def estimate(
    columns: Sequence[Column], group: np.ndarray, n_groups: int, scale: float
) -> Standardised:
    """Return the standardised values of the groups: means over the columns.

    Parameters
    ----------
    columns : sequence of Column
        Seeds and tasks.
    group : ndarray of int16, shape (units,)
        -1: takes no part.
    n_groups : int
        Number of groups.
    scale : float
        What the floor of the variance is multiplied by (`floor_scale`).
    """
    found = _add_up(columns, group, n_groups)
    value, shrunk, floor = (part / len(columns) for part in found[:3])
    counted = (group >= 0) & (found.influence != 0)
    squares = np.bincount(
        group[counted], (found.influence[counted] / len(columns)) ** 2, minlength=n_groups
    )
    units = np.bincount(group[counted], minlength=n_groups)
    robust = squares * units / np.maximum(units - 1, 1)
    return Standardised(value, np.maximum(robust, scale * floor), shrunk)


def floor_scale(columns: Sequence[Column], group: np.ndarray) -> float:
    """Return the ratio of robust variance and floor of all groups as one; 1 where that is 0.

    Above 1 where the images of a patient are alike. It does not depend on who is in which group,
    so that a permutation does not change it.
    """
    whole = np.where(group >= 0, 0, -1).astype(np.int16)
    robust = estimate(columns, whole, 1, 0.0).variance[0]
    ratio = robust / (_add_up(columns, whole, 1).floor[0] / len(columns))
    return float(ratio) if np.isfinite(ratio) and ratio > 0 else 1.0


def _add_up(columns: Sequence[Column], group: np.ndarray, n_groups: int) -> Estimate:
    value, shrunk, floor = np.zeros((3, n_groups))
    found = Estimate(value, shrunk, floor, np.zeros(group.size))
    for column in columns:
        column.add(found, group)
    return found


def largest_gap(
    columns: Sequence[Column],
    group: np.ndarray,
    observed: Standardised,
    scale: float,
    exchange: Exchange | None,
    level: float,
) -> LargestGap:
    """Return the largest difference between groups with its interval and test.

    The statistic is the largest studentised difference, max |a - b| / se(a - b), for the observed
    groups and for each permutation (Chung and Romano 2013): the test is exact where units are
    exchangeable and right in large samples where only the values are equal. The lower limit is
    the largest of (a - b) - c se(a - b), with c the critical value of the permutations; the upper
    one the largest of (a - b) + z se(a - b).

    Parameters
    ----------
    columns, group, scale
        As for `estimate`.
    observed : Standardised
        The groups' values.
    exchange : Exchange or None
        None: no test, and the interval is Bonferroni's.
    level : float
        Confidence level, e.g. 0.95.
    """
    n_groups = observed.value.size
    first, second = all_pairs(n_groups)
    difference = observed.value[first] - observed.value[second]
    error = np.sqrt(observed.variance[first] + observed.variance[second])
    z = ndtri((1 + level) / 2)
    reach = ndtri(1 - (1 - level) / (n_groups * (n_groups - 1)))
    p_value, movable, units = np.nan, 0, 0
    if exchange is not None:
        movable, units = _count_movable(group, exchange.pattern)
        if units and movable >= MOVABLE * units:
            null = _permute(columns, group, n_groups, scale, exchange)
            if np.isfinite(null).mean() >= DEFINED:
                statistic = (difference / error).max()
                p_value = float((1 + (null >= statistic - TIE).sum()) / (1 + null.size))
                reach = critical(null, round(1 - level, 9))
    return LargestGap(
        float(difference.max()),
        float(np.clip((difference - reach * error).max(), 0, 1)),
        float(np.clip((difference + z * error).max(), 0, 1)),
        p_value,
        movable,
        units,
    )


def _count_movable(group: np.ndarray, pattern: np.ndarray) -> tuple[int, int]:
    """Count the units that another group's unit shares its pattern with, and all units."""
    taking = pattern >= 0
    pairs = np.unique(np.stack([pattern[taking], group[taking]]), axis=1)
    several = np.bincount(pairs[0], minlength=1) > 1
    return int(several[pattern[taking]].sum()), int(taking.sum())


def _permute(
    columns: Sequence[Column],
    group: np.ndarray,
    n_groups: int,
    scale: float,
    exchange: Exchange,
) -> np.ndarray:
    """Return the statistic under permuted groups; infinite where a permutation empties a cell."""
    first, second = np.triu_indices(n_groups, 1)
    null = np.full(exchange.draws, np.inf)

    def compute(block: slice) -> None:
        permuted = permute_groups(group, exchange.pattern, exchange.stream, block)
        rows = np.ascontiguousarray(permuted.T, np.int16)
        for place, moved in zip(range(block.start, block.stop), rows, strict=True):
            found = estimate(columns, moved, n_groups, scale)
            error = np.sqrt(found.variance[first] + found.variance[second])
            statistic = (np.abs(found.value[first] - found.value[second]) / error).max()
            null[place] = statistic if np.isfinite(statistic) else np.inf

    run_blocks(compute, cut_blocks(exchange.draws, group.size, 2), exchange.threads)
    return null
