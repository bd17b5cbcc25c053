"""Effective sizes of a run's group values: of each group, of its rest, and of means.

`observed_sizes` is what intervals and the observed statistics of gap tests are made of;
`PooledDesign` holds what all groups together say of clustering, which values and permutations
share.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from medaudit.metrics.effective_size import correlation, mean_size, shrink_size
from medaudit.metrics.group_metrics import ALL, MEAN, GroupBlock, GroupMetrics
from medaudit.metrics.influence import Sizes, UnitSums, sizes, unbiased
from medaudit.metrics.intervals import variance_of_draws
from medaudit.metrics.resampling import code_type
from medaudit.metrics.sorted_scores import SortedScores

REPLICATED = ("average_precision", "brier", "absolute_error")
"""Metrics in [0, 1] whose variance comes from the bootstrap."""


@dataclass(frozen=True)
class PooledDesign:
    """What all groups together say of patients' clustering and of the dependence of means.

    Parameters
    ----------
    metrics : GroupMetrics
        Gives the axes.
    rho : ndarray, shape (seeds, tasks, metrics)
        Correlation within patients.
    inflation : ndarray, shape (seeds, tasks, metrics)
        Design effect.
    seeds : ndarray, shape (tasks, metrics)
        Variance of the mean over seeds over the mean of the seeds' variances.
    tasks : ndarray, shape (tasks, tasks, seeds, metrics)
        Correlations between single tasks from sample to sample.
    """

    metrics: GroupMetrics
    rho: np.ndarray
    inflation: np.ndarray
    seeds: np.ndarray
    tasks: np.ndarray

    def average(self, value: np.ndarray, size: np.ndarray, joint: bool) -> None:
        """Fill the sizes of means over seeds and over tasks, in place.

        Parameters
        ----------
        value, size : ndarray, shape (groups, seeds, tasks, metrics, ...)
            Values, means included, and sizes.
        joint : bool
            Whether tasks depend on each other, as they do in the sample; independent
            permutations do not.
        """
        extra = (None,) * (size.ndim - 4)
        size[:, -1] = size[:, :-1].mean(axis=1) / self.seeds[(slice(None), slice(None), *extra)]
        if self.metrics.tasks[-1] != MEAN:
            return
        single = [t for t, name in enumerate(self.metrics.tasks[:-1]) if name != ALL]
        between = self.tasks if joint else np.eye(len(single))[:, :, None, None] + 0 * self.tasks
        place = (slice(None), slice(None), None, slice(None), slice(None), *extra)
        size[:, :, -1] = mean_size(
            np.moveaxis(value[:, :, single].astype(float), 2, 0),
            np.moveaxis(size[:, :, single].astype(float), 2, 0),
            between[place],
        )


@dataclass(frozen=True)
class ObservedSizes:
    """Effective sizes along the axes of the values, and the patients behind them.

    Parameters
    ----------
    size, patients : ndarray, shape (groups, seeds, tasks, metrics)
        NaN for metrics that are not in [0, 1] or have no size.
    clustered : ndarray of bool, shape (groups, seeds, tasks, metrics)
        Whether patients had several images, or images different weights.
    tested : ndarray, shape (groups, seeds, tasks, metrics)
        Sizes made as those of permutations are: with the pooled design effect for metrics whose
        variance comes from the bootstrap, which permutations do not have.
    """

    size: np.ndarray
    patients: np.ndarray
    clustered: np.ndarray
    tested: np.ndarray


def pool_design(metrics: GroupMetrics, everybody: GroupBlock) -> PooledDesign:
    """Measure clustering and dependence on all groups of an attribute together.

    Parameters
    ----------
    metrics : GroupMetrics
        Values and replicates; the last group is that of everybody.
    everybody : GroupBlock
        Its sorted scores.
    """
    axes = metrics.value.shape[1:]
    rho, inflation = np.zeros(axes), np.ones(axes)
    whole, spread = metrics.value[-1], variance_of_draws(metrics.replicates[-1])
    for (s, t), scores in everybody.scores.items():
        places, names = metrics.metrics_of(t)
        found = _sizes_of(scores, names, whole[s, t, places][:, None])
        own = np.nan_to_num(found.inflation[:, 0, 0], nan=1.0)
        for place, name in enumerate(names):
            if name in REPLICATED:
                size, ratio = _replicated_base(name, scores, found)
                at = (s, t, places[place])
                own[place] = size[0] / shrink_size(whole[at], spread[at], size, 1.0)[0]
                found.ratio[place, 0, 0] = ratio[0]
        inflation[s, t, places] = np.nan_to_num(own, nan=1.0)
        rho[s, t, places] = correlation(own, np.nan_to_num(found.ratio[:, 0, 0], nan=1.0))
    return PooledDesign(metrics, rho, inflation, _between_seeds(metrics), _between_tasks(metrics))


def observed_sizes(
    metrics: GroupMetrics, blocks: Sequence[GroupBlock], design: PooledDesign
) -> ObservedSizes:
    """Return the effective sizes of groups.

    Parameters
    ----------
    metrics : GroupMetrics
        Values and replicates of these groups.
    blocks : sequence of GroupBlock
        Their sorted scores.
    design : PooledDesign
        From all groups.
    """
    shape = metrics.value.shape
    empty = [np.full(shape, np.nan) for _ in range(3)]
    found = ObservedSizes(empty[0], empty[1], np.zeros(shape, bool), empty[2])
    variance = variance_of_draws(metrics.replicates)
    for start, sorted_scores in blocks:
        for (s, t), scores in sorted_scores.items():
            groups = slice(start, start + scores.n_groups)
            places, names = metrics.metrics_of(t)
            own = _sizes_of(
                scores, names, metrics.value[groups, s, t][:, places].T, design.rho[s, t, places]
            )
            tested = own.size[:, :, 0].T.copy()
            for place, name in enumerate(names):
                if name in REPLICATED:
                    m = places[place]
                    size, ratio = _replicated_base(name, scores, own)
                    own.size[place, :, 0] = shrink_size(
                        metrics.value[groups, s, t, m],
                        variance[groups, s, t, m] * unbiased(size / ratio),
                        size,
                        design.inflation[s, t, m],
                    )
                    own.ratio[place, :, 0] = ratio
                    own.patients[place, :, 0] = size / ratio
                    tested[:, place] = size / design.inflation[s, t, m]
            found.size[groups, s, t, places] = own.size[:, :, 0].T
            found.tested[groups, s, t, places] = tested
            found.patients[groups, s, t, places] = own.patients[:, :, 0].T
            found.clustered[groups, s, t, places] = own.ratio[:, :, 0].T > 1 + 1e-9
    for size in (found.size, found.tested):
        design.average(metrics.value, size, joint=True)
    _spread_patients(metrics, found)
    return found


def _sizes_of(
    scores: SortedScores, names: Sequence[str], values: np.ndarray, rho: np.ndarray | None = None
) -> Sizes:
    """Return the sizes of the groups that `scores` has, as of one column."""
    key = scores.unit.astype(np.int64) * scores.n_groups + scores.group
    keys, unit = np.unique(key, return_inverse=True)
    sums = UnitSums(replace(scores, unit=unit.astype(np.int32)), keys.size)
    group: np.ndarray = (keys % scores.n_groups).astype(code_type(scores.n_groups - 1))[:, None]
    ones = np.ones((2, scores.n_groups))
    return sizes(sums, names, group, ones, values[:, :, None], rho=rho)


def _replicated_base(
    name: str, scores: SortedScores, found: Sizes
) -> tuple[np.ndarray, np.ndarray]:
    """Return the size of independent images and the ratio of `Sizes`, for a replicated metric."""
    size = scores.n_groups
    used = scores.positive if name == "average_precision" else np.ones(scores.unit.size, bool)
    group, factor = scores.group[used], scores.factor[used]
    whole = np.bincount(group, factor, minlength=size)
    squares = np.bincount(group, factor**2, minlength=size)
    key, place = np.unique(scores.unit[used].astype(np.int64) * size + group, return_inverse=True)
    units = np.bincount(place, factor, minlength=key.size)
    own = np.bincount(key % size, units**2, minlength=size)
    known = squares > 0
    return (
        np.divide(whole**2, squares, out=np.full(size, np.nan), where=known),
        np.divide(own, squares, out=np.full(size, np.nan), where=known),
    )


def _spread_patients(metrics: GroupMetrics, found: ObservedSizes) -> None:
    """Give means over seeds and tasks the fewest patients of theirs, in place."""
    found.patients[:, -1] = found.patients[:, :-1].min(axis=1)
    found.clustered[:, -1] = found.clustered[:, :-1].any(axis=1)
    if metrics.tasks[-1] == MEAN:
        found.patients[:, :, -1] = np.fmin.reduce(found.patients[:, :, :-1], axis=2)
        found.clustered[:, :, -1] = found.clustered[:, :, :-1].any(axis=2)


def _between_seeds(metrics: GroupMetrics) -> np.ndarray:
    variance = variance_of_draws(metrics.replicates[-1])
    mean = variance[:-1].mean(axis=0)
    known = (mean > 0) & (variance[-1] > 0)
    ratio = np.divide(variance[-1], mean, out=np.ones(mean.shape), where=known)
    return np.clip(ratio, 1 / max(len(metrics.seeds) - 1, 1), 1)


def _between_tasks(metrics: GroupMetrics) -> np.ndarray:
    single = [t for t, name in enumerate(metrics.tasks) if name not in (ALL, MEAN)]
    drawn = metrics.replicates[-1][:, single].astype(float)  # seeds, tasks, metrics, draws
    known = np.isfinite(drawn).all(axis=1, keepdims=True)
    count = np.maximum(known.sum(axis=-1, keepdims=True), 1)
    moved = np.where(known, drawn, 0)
    moved = np.where(known, moved - moved.sum(axis=-1, keepdims=True) / count, 0)
    length = np.sqrt((moved**2).sum(axis=-1, keepdims=True))
    moved = np.divide(moved, length, out=np.zeros(moved.shape), where=length > 0)
    found = np.einsum("stmd,sumd->tusm", moved, moved)
    ones = np.arange(len(single))
    found[ones, ones] = 1
    return found
