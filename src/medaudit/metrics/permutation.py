"""Group values when the group does not matter: units' groups permuted within strata.

`medaudit.metrics.nulls` says which hypothesis each metric is tested against and in which strata
units of patients exchange their groups. Images of one patient stay together, so the test is exact
whatever the dependence within a patient if units of a stratum are exchangeable. Where they are
not (other variances, other numbers of images), the statistic of
`medaudit.metrics.gap_statistics`, which is studentised with the sizes computed here, is still
right for large groups (Janssen 1997; Chung and Romano 2013; for the AUC Pauly, Asendorf and
Konietschke 2016).

The classes of a multi-class task share one permutation. The tasks of a multi-label sample have
strata of their own, so theirs are independent, which the sizes of their means take into account.
"""

from dataclasses import dataclass, field

import numpy as np

from medaudit.metrics.attributes import Attribute
from medaudit.metrics.audit_settings import ECE_BINS, AuditSettings
from medaudit.metrics.engine import permuted_group_values
from medaudit.metrics.group_metrics import (
    BySeedAndTask,
    GroupMetrics,
    importance_weights,
    task_columns,
)
from medaudit.metrics.influence import UnitSums, sizes
from medaudit.metrics.nulls import (
    CALIBRATION,
    Movable,
    Units,
    count_movable,
    find_strata,
    find_units,
    null_of,
    strata_of,
)
from medaudit.metrics.resampling import cut_blocks, permute_groups, run_blocks
from medaudit.metrics.sample import Sample
from medaudit.metrics.sizes import PooledDesign
from medaudit.metrics.sorted_scores import sort_images

Place = tuple[int, str]
"""A task and a kind of strata."""


@dataclass(frozen=True)
class Permuted:
    """Values under permuted groups.

    Parameters
    ----------
    group : ndarray of float32, shape (levels, seeds, tasks, metrics, draws)
    rest : ndarray of float32 or None
        The same of each group's rest; None where it was not asked for.
    size : ndarray of float32 or None
        Effective sizes of `group`; None without a design.
    movable : dict of (task, kind of strata) to Movable
        Who could exchange groups.
    """

    group: np.ndarray
    rest: np.ndarray | None
    size: np.ndarray | None
    movable: dict[Place, Movable] = field(default_factory=dict)


def permuted_values(
    metrics: GroupMetrics,
    sample: Sample,
    attribute: Attribute,
    settings: AuditSettings,
    threads: int,
    rest: bool,
    design: PooledDesign | None = None,
) -> Permuted:
    """Compute group values, and those of each group's rest, under permuted groups.

    Parameters
    ----------
    metrics : GroupMetrics
        Gives the axes.
    sample : Sample
        The test split.
    attribute : Attribute
        Whose groups are permuted.
    settings : AuditSettings
        ``cohort`` and ``evaluation`` (``null``, ``ece_bins``).
    threads : int
        Blocks of permutations computed at once; changes no number.
    rest : bool
        Whether to compute the rests as well.
    design : PooledDesign, optional
        What all groups together say of the patients' clustering; needed for the sizes.
    """
    evaluation = settings["evaluation"]
    draws, size = evaluation["null"]["draws"], len(attribute.levels)
    units, bins = find_units(sample, attribute), evaluation.get("ece_bins", ECE_BINS)
    tasks = [
        _Task(sample, attribute, units, t, bins, _kinds(metrics, t)) for t in _task_indices(sample)
    ]
    shape = (size, *metrics.value.shape[1:], draws)
    found = Permuted(
        np.full(shape, np.nan, np.float32),
        np.full(shape, np.nan, np.float32) if rest else None,
        None if design is None else np.full(shape, np.nan, np.float32),
        {(task.index, kind): task.movable(kind) for task in tasks for kind in task.kinds},
    )

    def compute(block: slice) -> None:
        for task in tasks:
            for kind, names in task.kinds.items():
                stream = (settings["cohort"], attribute.name, task.stream, kind)
                permuted = permute_groups(units.group, task.strata[kind], stream, block)
                for s in range(len(sample.seeds)):
                    task.fill(found, metrics, names, s, permuted, block, design)

    per_unit = 2 if design is None else 6
    run_blocks(compute, cut_blocks(draws, units.group.size, per_unit), threads)
    metrics.average(found.group)
    if found.rest is not None:
        metrics.average(found.rest)
    if found.size is not None and design is not None:
        joint = sample.multiclass
        design.average(found.group, found.size, joint=joint)
    return found


def _kinds(metrics: GroupMetrics, t: int) -> dict[str, list[str]]:
    """Return the kinds of strata that a task needs, and the metrics of each."""
    kinds: dict[str, list[str]] = {}
    for name in metrics.metrics_of(t)[1]:
        kinds.setdefault(strata_of(name), []).append(name)
    return kinds


def _task_indices(sample: Sample) -> range:
    return range(len(sample.tasks) + sample.multiclass)


class _Task:
    """A task: scores (all images in one group, rows by unit), strata, stream and mean weights."""

    def __init__(
        self,
        sample: Sample,
        attribute: Attribute,
        units: Units,
        t: int,
        bins: int,
        kinds: dict[str, list[str]],
    ) -> None:
        self.index, self.sample, self.units, self.kinds = t, sample, units, kinds
        self.groups = len(attribute.levels)
        self.weights = importance_weights(sample, attribute, t)
        self.mean_weight = _mean_weight(sample, attribute, t, self.weights)
        self.stream = "classes" if sample.multiclass else sample.tasks[t]
        self.scores = self._sort(attribute, bins)
        self.sums = {key: UnitSums(one, units.group.size) for key, one in self.scores.items()}
        self.strata = {kind: find_strata(sample, units, self.weights, t, kind) for kind in kinds}

    def _sort(self, attribute: Attribute, bins: int) -> BySeedAndTask:
        scores = {}
        for column in task_columns(self.sample):
            if column.task == self.index:
                label = (column.y == 1).astype(int)
                mean = self.mean_weight[label, np.maximum(attribute.codes, 0)]
                factor = np.divide(self.weights, mean, out=np.zeros_like(mean), where=mean > 0)
                scores[column.seed, self.index] = sort_images(
                    unit=self.units.of_image,
                    group=np.where(np.isnan(column.y) | (attribute.codes < 0), -1, 0),
                    n_groups=1,
                    positive=column.y == 1,
                    score=column.score,
                    decision=column.decision,
                    factor=factor,
                    bins=bins,
                    own_range=self.sample.own_range,
                )
        return scores

    def movable(self, kind: str) -> Movable:
        """Count who can exchange groups."""
        sums = self.sums[0, self.index]
        stratum = self.strata[kind]
        if kind.startswith(CALIBRATION) and not np.allclose(sums.scores.factor, 1):
            # Equal scores with other weights do not weigh the same: nobody can be exchanged.
            stratum = np.full(stratum.shape, -1)
        cells = sums.by_cell
        negative, positive = cells[:, :2].sum(axis=1) > 0, cells[:, 2:].sum(axis=1) > 0
        taking = self.strata[kind] >= 0
        return count_movable(stratum, taking, self.units, positive, negative, self.groups)

    def fill(
        self,
        found: Permuted,
        metrics: GroupMetrics,
        names: list[str],
        s: int,
        permuted: np.ndarray,
        block: slice,
        design: PooledDesign | None,
    ) -> None:
        """Compute some metrics of one seed for a block of permutations into `found`."""
        t = self.index
        places = [metrics.metrics.index(name) for name in names]
        # The rest of one of two groups is the other.
        ask = found.rest is not None and self.groups != 2
        inside, outside = permuted_group_values(
            self.scores[s, t], names, permuted, self.mean_weight, ask
        )
        found.group[:, s, t, places, block] = np.moveaxis(inside, 0, 1)
        if found.rest is not None:
            outside = inside[:, ::-1] if outside is None else outside
            found.rest[:, s, t, places, block] = np.moveaxis(outside, 0, 1)
        # Tests at equal scores are not studentised by sizes.
        if found.size is not None and design is not None and null_of(names[0]) != CALIBRATION:
            rho, spread = design.rho[s, t, places], design.inflation[s, t, places]
            own = sizes(
                self.sums[s, t], names, permuted, self.mean_weight, inside, rho=rho, spread=spread
            )
            found.size[:, s, t, places, block] = np.moveaxis(own.size, 0, 1)


def _mean_weight(sample: Sample, attribute: Attribute, t: int, weights: np.ndarray) -> np.ndarray:
    """Return the mean importance weight by label and group, shape (2, groups).

    A weight is split in this mean, which goes with the group, and the rest, which stays with the
    image: weights that balance groups still balance them once groups are permuted.
    """
    size = len(attribute.levels)
    if (weights == 1).all():
        return np.ones((2, size))
    y = sample.y[:, min(t, len(sample.tasks) - 1)]
    used = (attribute.codes >= 0) & ~np.isnan(y) & (weights > 0)
    cell = y[used].astype(int) * size + attribute.codes[used]
    total = np.bincount(cell, weights[used], minlength=2 * size)
    count = np.bincount(cell, minlength=2 * size)
    return (total / np.maximum(count, 1)).reshape(2, size)
