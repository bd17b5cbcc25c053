"""Intervals of group values: one for each quantity, whatever table shows it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from medaudit.metrics.calibration_error import error_intervals
from medaudit.metrics.effective_size import lattice_shift, t_reach, wilson_limits
from medaudit.metrics.group_metrics import ALL, MEAN, GroupBlock, GroupMetrics
from medaudit.metrics.influence import SIZED
from medaudit.metrics.intervals import percentile_interval
from medaudit.metrics.sizes import (
    REPLICATED,
    ObservedSizes,
    PooledDesign,
    observed_sizes,
    pool_design,
)

NOISY = ("ece", "ece_debiased")
"""Metrics that noise enlarges."""
CONTINUOUS = ("auc", "average_precision", "brier", "absolute_error")
"""Metrics in [0, 1] that take many values: no correction for few possible ones."""


@dataclass(frozen=True)
class GroupIntervals:
    """Limits along the axes of the values.

    Parameters
    ----------
    low, high : ndarray, shape (groups, seeds, tasks, metrics)
        NaN where not estimable.
    centre : ndarray, shape (groups, seeds, tasks, metrics)
        Estimate that the limits lie around: the value, or without its bias if noise enlarges it.
    sizes : ObservedSizes
        Effective sizes.
    reach : ndarray, shape (groups, seeds, tasks, metrics)
        Standard errors from the centre to a limit.
    design : PooledDesign
        What all groups together say.
    """

    low: np.ndarray
    high: np.ndarray
    centre: np.ndarray
    sizes: ObservedSizes
    reach: np.ndarray
    design: PooledDesign


def group_intervals(
    metrics: GroupMetrics,
    blocks: Sequence[GroupBlock],
    level: float,
    design: PooledDesign | None = None,
) -> GroupIntervals:
    """Return the intervals of every group's values.

    Parameters
    ----------
    metrics : GroupMetrics
        Values and replicates; without `design` the last group is that of everybody.
    blocks : sequence of GroupBlock
        Sorted scores of the groups; the last block is everybody's where there are several.
    level : float
        Confidence level, e.g. 0.95.
    design : PooledDesign, optional
        Default: from the last block.

    Returns
    -------
    GroupIntervals
        Metrics in [0, 1] have Wilson's limits at their effective size
        (`medaudit.metrics.effective_size`), calibration errors those of
        `medaudit.metrics.calibration_error`, all others (slope, intercept) the percentiles of the bootstrap.
    """
    design = pool_design(metrics, blocks[-1]) if design is None else design
    sizes = observed_sizes(metrics, blocks, design)
    shift = np.nan_to_num(lattice_shift(np.nan_to_num(sizes.size, nan=1.0)))
    shift[..., [name in CONTINUOUS for name in metrics.metrics]] = 0
    reach = t_reach(level, sizes.patients, sizes.clustered)
    low, high = wilson_limits(metrics.value, sizes.size, reach, shift)
    centre = metrics.value.copy()
    for m, name in enumerate(metrics.metrics):
        if name in NOISY:
            low[..., m], centre[..., m], high[..., m] = _errors(metrics, blocks, m, level)
        elif name not in (*SIZED, *REPLICATED):
            rows = metrics.replicates[..., m, :]
            ends = percentile_interval(rows.reshape(-1, rows.shape[-1]), level)
            low[..., m], high[..., m] = (end.reshape(rows.shape[:-1]) for end in ends)
    # One patient says nothing of how patients differ.
    count = metrics.counts[..., 2].copy()
    if metrics.tasks[-1] == MEAN:
        count[:, -1] = count[:, :-1].max(axis=1)
    alone = np.broadcast_to(count[:, None, :, None] <= 1, low.shape)
    low, high = np.where(alone, np.nan, low), np.where(alone, np.nan, high)
    return GroupIntervals(low, high, centre, sizes, reach, design)


def _errors(
    metrics: GroupMetrics, blocks: Sequence[GroupBlock], m: int, level: float
) -> tuple[np.ndarray, ...]:
    found = np.full((3, *metrics.value.shape[:3]), np.nan)
    debiased = metrics.metrics[m] == "ece_debiased"
    for start, sorted_scores in blocks:
        for (s, t), scores in sorted_scores.items():
            if m in metrics.metrics_of(t)[0]:
                place = slice(start, start + scores.n_groups)
                found[:, place, s, t] = error_intervals(scores, level, debiased)
    found[:, metrics.status[..., m] != "ok"] = np.nan
    # Seeds are tested on the same images: their errors hardly average out.
    found[:, :, -1] = found[:, :, :-1].mean(axis=2)
    if metrics.tasks[-1] == MEAN:
        single = [t for t, name in enumerate(metrics.tasks[:-1]) if name != ALL]
        found[:, :, :, -1] = _mean_over_tasks(found[:, :, :, single])
    return found[0], found[1], found[2]


def _mean_over_tasks(ends: np.ndarray) -> np.ndarray:
    """Return limits of the mean of tasks, whose errors are taken to be fully dependent."""
    return ends.mean(axis=-1)
