"""One metric of one task and seed, for all groups of an attribute: what gaps are made of."""

from dataclasses import dataclass, replace

import numpy as np

from medaudit.metrics.definitions import METRICS
from medaudit.metrics.gap_intervals import Limits
from medaudit.metrics.gap_statistics import Contrasts, against_rest, all_pairs
from medaudit.metrics.gaps import Parts
from medaudit.metrics.group_intervals import CONTINUOUS, GroupIntervals
from medaudit.metrics.group_metrics import ALL, MEAN, GroupMetrics
from medaudit.metrics.nulls import CALIBRATION, null_of, strata_of
from medaudit.metrics.permutation import Permuted


@dataclass(frozen=True)
class Cell:
    """One metric of one task and seed for all groups of an attribute.

    Parameters
    ----------
    seed, task, metric : str
    groups : tuple of str
    status, rest_status : ndarray of str, shape (groups,)
        Of each group, and of all others together.
    value, drawn, null : Parts
        Values, bootstrap replicates and permutations.
    limits : ndarray, shape (6, 2, groups)
        Estimate, effective size, lower and upper limit, the standard errors between them, and the
        size that tests use, of each group and of its rest.
    null_size : ndarray, shape (2, groups, permutations)
        Effective sizes under permutation.
    whole : tuple of float
        Value and limits of all groups together.
    movable : tuple of (int, int, bool)
        Patients who can exchange groups, all patients, and whether they are enough for a test.
    joint : bool
        Whether tasks were permuted jointly.
    """

    seed: str
    task: str
    metric: str
    groups: tuple[str, ...]
    status: np.ndarray
    rest_status: np.ndarray
    value: Parts
    drawn: Parts
    null: Parts
    limits: np.ndarray
    null_size: np.ndarray
    whole: tuple[float, float, float]
    movable: tuple[int, int, bool]
    joint: bool

    def take(self, kept: np.ndarray) -> "Cell":
        """Return the cell of some of its groups."""
        parts = (self.value, self.drawn, self.null)
        value, drawn, null = (Parts(p.group[kept], p.rest[kept], p.whole) for p in parts)
        return replace(
            self,
            groups=tuple(group for group, keep in zip(self.groups, kept, strict=True) if keep),
            status=self.status[kept],
            rest_status=self.rest_status[kept],
            value=value,
            drawn=drawn,
            null=null,
            limits=self.limits[:, :, kept],
            null_size=self.null_size[:, kept],
        )

    @property
    def upward(self) -> bool:
        """Whether larger is worse."""
        return METRICS[self.metric].target == 0 or self.folded

    @property
    def folded(self) -> bool:
        """Whether harm is a distance from the best value, which lies inside the range."""
        return self.metric in BEST

    @property
    def counted(self) -> bool:
        """Whether values are shares of images, and no means over tasks."""
        return self.metric not in CONTINUOUS and self.task != MEAN

    def pairs(self) -> Contrasts:
        """Return all ordered pairs of groups."""
        return all_pairs(len(self.groups))

    def rests(self) -> Contrasts:
        """Return each group against its rest, the worse first."""
        return against_rest(len(self.groups), self.upward)

    def rows(self, folded: bool = False) -> tuple[Limits, np.ndarray, np.ndarray]:
        """Return limits, permuted values and permuted sizes: of groups, after them of rests.

        Parameters
        ----------
        folded : bool
            Whether as distances from the best value, where that lies inside the range.
        """
        value, size, low, high, reach, tested = self.limits.reshape(6, -1)
        raw = np.append(self.value.group, self.value.rest)
        null = np.concatenate([self.null.group, self.null.rest])
        if folded and self.folded:
            best = BEST[self.metric]
            across = (low <= best) & (best <= high)
            ends = np.sort(np.abs(np.stack([low, high]) - best), axis=0)
            low, high = np.where(across, 0, ends[0]), ends[1]
            value, raw, null = (np.abs(a - best) for a in (value, raw, null))
        limits = Limits(value, size, low, high, reach, raw, tested)
        return limits, null, np.concatenate(self.null_size)


BEST = {"calibration_slope": 1.0, "calibration_intercept": 0.0}
"""Best values that lie inside a metric's range."""


class Cells:
    """Cuts the metrics of an attribute, of the rests and of the permutations into `Cell`s."""

    def __init__(
        self,
        metrics: GroupMetrics,
        own: GroupIntervals,
        rest: GroupMetrics | None,
        rest_limits: GroupIntervals | None,
        permuted: Permuted,
        joint: bool,
    ) -> None:
        self.metrics, self.rest, self.joint = metrics, rest, joint
        self.own, self.rest_limits, self.permuted = own, rest_limits, permuted
        self.size = len(metrics.groups) - 1

    def of(self, s: int, m: int) -> list[Cell]:
        """Return the cells of one seed and metric, one per task that it applies to."""
        tasks = range(len(self.metrics.tasks))
        return [self._cut(s, t, m) for t in tasks if self.metrics.status[0, s, t, m] != ""]

    def _cut(self, s: int, t: int, m: int) -> Cell:
        metrics, place = self.metrics, (slice(None), s, t, m)
        value, status, drawn = (
            a[place] for a in (metrics.value, metrics.status, metrics.replicates)
        )
        rest_value, rest_drawn = self._none(1)[:, 0], self._none(1)
        if self.rest is not None:
            rest_value, rest_drawn = self.rest.value[place], self.rest.replicates[place]
        permuted, spread = self.permuted, self._spread(place)
        null = _spread_out(permuted.group[place], spread)
        null_rest = (
            self._none(1) if permuted.rest is None else _spread_out(permuted.rest[place], spread)
        )
        return Cell(
            seed=metrics.seeds[s],
            task=metrics.tasks[t],
            metric=metrics.metrics[m],
            groups=metrics.groups[:-1],
            status=status[:-1],
            rest_status=status[:-1] if self.rest is None else self.rest.status[place],
            value=Parts(value[:-1], rest_value, value[-1]),
            drawn=Parts(drawn[:-1], rest_drawn, drawn[-1]),
            null=Parts(null, _widen(null_rest, permuted.group), value[-1]),
            limits=np.stack(
                [self._limits(self.own, place), self._limits(self.rest_limits, place)], 1
            ),
            null_size=self._null_sizes(place),
            whole=(value[-1], self.own.low[place][-1], self.own.high[place][-1]),
            movable=self._movable(t, m, status[:-1] == "ok"),
            joint=self.joint,
        )

    def _spread(self, place: tuple) -> float:
        """Return how much wider means over tasks vary than independent permutations of tasks do.

        Tasks of one sample depend on each other, and their permutations do not. Tests that are
        studentised take that from the sizes; of the others, the permuted means are spread out by
        the ratio of standard deviations in the bootstrap.
        """
        _, s, t, m = place
        tasks, sized = self.metrics.tasks, np.isfinite(self.own.sizes.size[place]).any()
        studentised = sized and null_of(self.metrics.metrics[m]) != CALIBRATION
        if tasks[t] != MEAN or self.joint or studentised:
            return 1.0
        single = [u for u, name in enumerate(tasks) if name not in (ALL, MEAN)]
        drawn = self.metrics.replicates[-1, s, single, m].astype(float)
        drawn = drawn[:, np.isfinite(drawn).all(axis=0)]
        if drawn.shape[1] < 2:
            return 1.0
        alone = drawn.var(axis=1).sum()
        return float(np.sqrt(drawn.sum(axis=0).var() / alone)) if alone > 0 else 1.0

    def _limits(self, found: GroupIntervals | None, place: tuple) -> np.ndarray:
        if found is None:
            return np.full((6, self.size), np.nan)
        size, tested = found.sizes.size, found.sizes.tested
        arrays = (found.centre, size, found.low, found.high, found.reach, tested)
        limits = np.array([array[place][: self.size] for array in arrays])
        if np.isfinite(limits[[1, 5]]).any():
            limits[5] *= self._level(place)
        return limits

    def _level(self, place: tuple) -> float:
        """Return by how much tests' sizes are scaled, in all groups alike, to those observed."""
        sizes = self.own.sizes
        ratio = sizes.size[place][: self.size] / sizes.tested[place][: self.size]
        return float(np.nanmedian(ratio)) if np.isfinite(ratio).any() else 1.0

    def _null_sizes(self, place: tuple) -> np.ndarray:
        """Return permuted sizes of groups and of rests, which hardly vary from the observed."""
        assert self.permuted.size is not None
        own = self.permuted.size[place] * self._level(place)
        if self.size == 2:
            return np.stack([own, own[::-1]])
        observed = self._limits(self.rest_limits, place)[5]
        return np.stack([own, np.broadcast_to(observed[:, None], own.shape)])

    def _movable(self, t: int, m: int, estimable: np.ndarray) -> tuple[int, int, bool]:
        """Count who can move over the groups that are estimable: the fewest of all tasks."""
        metric, tasks = self.metrics.metrics[m], self.metrics.tasks
        single = (
            [t] if tasks[t] != MEAN else [u for u, name in enumerate(tasks[:-1]) if name != ALL]
        )
        groups = np.flatnonzero(estimable)
        found = [self.permuted.movable[u, strata_of(metric)].of(metric, groups) for u in single]
        moving, patients = min((one[:2] for one in found), key=lambda pair: pair[0])
        return moving, patients, all(enough for *_, enough in found) and groups.size > 1

    def _none(self, width: int) -> np.ndarray:
        return np.full((self.size, width), np.nan)


def _spread_out(null: np.ndarray, spread: float) -> np.ndarray:
    """Return permuted values, shape (groups, draws), `spread` times as far from their mean."""
    if spread == 1:
        return null
    known = np.isfinite(null)
    count = np.maximum(known.sum(axis=1, keepdims=True), 1)
    centre = np.where(known, null, 0).sum(axis=1, keepdims=True) / count
    return centre + spread * (null - centre)


def _widen(rest: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return permuted values of rests, NaN where there are none, as wide as those of groups."""
    return np.broadcast_to(rest, (len(rest), group.shape[-1]))
