"""The rows of one attribute: groups and gaps, crude, by stratum and standardised."""

from collections.abc import Iterator, Sequence

import numpy as np

from medaudit.audit.conditional_gaps.columns import METRICS, Column
from medaudit.audit.conditional_gaps.compared_images import ComparedImages, Strata
from medaudit.audit.conditional_gaps.standardise import (
    MOVABLE,
    Standardised,
    estimate,
    floor_scale,
    largest_gap,
)
from medaudit.audit.conditional_gaps.strata import (
    Support,
    cross,
    find_support,
)
from medaudit.core.audit_tables import CRUDE, STANDARDISED
from medaudit.core.entry_types import Evaluation
from medaudit.core.statuses import Status
from medaudit.metrics.attributes import Attribute
from medaudit.metrics.audit_settings import ECE_BINS, AuditSettings
from medaudit.metrics.gaps import harm
from medaudit.metrics.group_metrics import (
    ALL,
    MEAN,
    GroupBlock,
    GroupMetrics,
    measure_groups,
    sort_scores,
)
from medaudit.metrics.sample import Sample

GAP = "max_min"
NULL = "equal_value"
"""Name of the hypothesis: the groups have the same (standardised) value of the metric."""


class Comparison:
    """The groups of one attribute, given what is controlled for.

    Parameters
    ----------
    sample : Sample
        The test split.
    control : Attribute
        The strata.
    attribute : Attribute
        The groups.
    settings : AuditSettings
        See `medaudit.audit.conditional_gaps.find_conditional_gaps`.
    """

    def __init__(
        self, sample: Sample, control: Attribute, attribute: Attribute, settings: AuditSettings
    ) -> None:
        self.sample, self.control, self.attribute = sample, control, attribute
        self.evaluation = settings["evaluation"]
        self.stream = (settings["cohort"], attribute.name, "given", control.name)
        self.images = ComparedImages(sample, attribute)
        self.metrics = [m for m in self.evaluation["metrics"] if m in METRICS]
        self.cells = self._measure()
        self.shape = (len(control.levels), len(attribute.levels))

    def rows(self) -> Iterator[dict]:
        """Yield the rows of every task and metric."""
        for t, task in enumerate(self.cells.tasks):
            for m in self.cells.metrics_of(t)[0]:
                status = self.cells.status[:, -1, t, m].reshape(self.shape)
                if status[0, 0] == "":
                    continue
                share = self._share(t)
                support = find_support(status == "ok", share)
                head = {"task": task, "attribute": self.attribute.name}
                head["metric"] = self.cells.metrics[m]
                for row in self._rows_of(t, m, support, share):
                    yield {**head, **row}

    def _measure(self) -> GroupMetrics:
        cells = cross(self.control, self.attribute)
        size = len(cells.levels)
        scores = sort_scores(self.sample, cells, cells.codes, size, ECE_BINS)
        evaluation: Evaluation = {**self.evaluation, "metrics": self.metrics}
        blocks = [GroupBlock(0, scores)]
        return measure_groups(self.sample, cells, cells.levels, blocks, evaluation)

    def _tasks(self, t: int) -> list[int]:
        """Return the single tasks that a task is the mean of."""
        if self.cells.tasks[t] != MEAN:
            return [t]
        return list(range(len(self.sample.tasks)))

    def _share(self, t: int) -> np.ndarray:
        """Return the share of each stratum among the images whose group and label are known."""
        size = len(self.control.levels)
        shares = [self.images.share(task, self.control.codes, size) for task in self._tasks(t)]
        return np.mean(shares, axis=0)

    def _rows_of(self, t: int, m: int, support: Support, share: np.ndarray) -> Iterator[dict]:
        """Yield the rows of one task and metric."""
        common = {
            "coverage": support.coverage,
            "n_groups": self.shape[1],
            "n_strata": self.shape[0],
            "n_compared": int(support.strata.sum()),
        }
        for name in (CRUDE, STANDARDISED):
            for row in self._summary(name, t, m, support):
                yield {**common, **row}
        counts = self.cells.counts[:, t].reshape(*self.shape, 3)
        status = self.cells.status[:, -1, t, m].reshape(self.shape)
        for s, level in enumerate(self.control.levels):
            kept = np.flatnonzero(status[s] == "ok")
            strata = Strata(level, np.where(self.control.codes == s, 0, -1), kept, tested=False)
            for row in self._compared(strata, t, m, status[s], counts[s]):
                yield {**common, "share": share[s], **row}

    def _summary(self, name: str, t: int, m: int, support: Support) -> Iterator[dict]:
        """Yield the rows of all compared strata, as one (crude) or standardised."""
        place = np.where(support.strata, np.cumsum(support.strata) - 1, -1)
        codes = np.where(self.control.codes >= 0, place[np.maximum(self.control.codes, 0)], -1)
        codes = codes if name == STANDARDISED else np.minimum(codes, 0)
        groups = np.flatnonzero(support.groups) if support.comparable else np.empty(0, int)
        status = self.cells.status[:, -1, t, m].reshape(self.shape)
        ok = np.where(support.groups & support.comparable, "ok", _worst(status)).astype(object)
        counts = self._count(t, codes)
        yield from self._compared(Strata(name, codes, groups, tested=True), t, m, ok, counts)

    def _count(self, t: int, codes: np.ndarray) -> np.ndarray:
        """Count images, positives and patients of each group in the compared strata."""
        merged = np.where(codes >= 0, self.attribute.codes, -1)
        scores = sort_scores(
            self.sample,
            Attribute(self.attribute.name, self.attribute.levels, merged),
            merged,
            self.shape[1],
            ECE_BINS,
        )
        found = np.zeros((self.shape[1], 3), int)
        for task in self._tasks(t):
            one = scores[0, task]
            pairs = np.unique(np.stack([one.group, one.unit]), axis=1)
            counts = (
                np.bincount(one.group, minlength=self.shape[1]),
                np.bincount(one.group[one.positive], minlength=self.shape[1]),
                np.bincount(pairs[0], minlength=self.shape[1]),
            )
            found = np.maximum(found, np.stack(counts, axis=1))
        if self.cells.tasks[t] in (ALL, MEAN):
            found[:, 1] = -1
        return found

    def _compared(
        self, strata: Strata, t: int, m: int, status: np.ndarray, counts: np.ndarray
    ) -> Iterator[dict]:
        """Yield one row per group, and the row of their largest difference."""
        metric, level = self.cells.metrics[m], self.evaluation["bootstrap"]["level"]
        columns = self.images.columns(strata, self._tasks(t), metric) if strata.groups.size else []
        group = _recode(self.images.units.group, strata.groups)
        scale = floor_scale(columns, group) if columns else 1.0
        found = estimate(columns, group, strata.groups.size, scale) if columns else None
        limits = found.limits(level) if found else (np.empty(0), np.empty(0))
        for g, name in enumerate(self.attribute.levels):
            row = _row(strata.name, "value", name, counts[g], status[g])
            at = np.flatnonzero(strata.groups == g)
            if found and at.size:
                value, low, high = (float(a[at[0]]) for a in (found.value, *limits))
                row |= {"value": value, "low": low, "high": high}
            yield row
        row = _row(strata.name, "gap", GAP, _total(counts), _gap_status(status))
        row["n_estimable"] = strata.groups.size
        if found and strata.groups.size > 1:
            row |= self._gap(strata, t, metric, (columns, group, found, scale))
        yield row

    def _gap(
        self,
        strata: Strata,
        t: int,
        metric: str,
        parts: tuple[Sequence[Column], np.ndarray, Standardised, float],
    ) -> dict:
        exchange = None
        if strata.tested:
            stream = (*self.stream, self.cells.tasks[t])
            pattern = self.images.profiles(strata, self._tasks(t), metric)
            exchange = (pattern, stream, self.evaluation["null"]["draws"])
        level = self.evaluation["bootstrap"]["level"]
        columns, group, found, scale = parts
        gap = largest_gap(columns, group, found, scale, exchange, level)
        badness = harm(metric, found.value)
        names = [self.attribute.levels[g] for g in strata.groups]
        row: dict = {"value": gap.value, "low": gap.low, "high": gap.high, "p_value": gap.p_value}
        row |= {"worst": names[int(badness.argmax())], "best": names[int(badness.argmin())]}
        if strata.tested:
            enough = gap.n_units and gap.n_movable >= MOVABLE * gap.n_units
            row |= {"null": NULL, "null_status": Status.OK if enough else Status.NO_NULL}
            row |= {"n_movable": gap.n_movable}
        return row


def _recode(group: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Return the place of each unit's group among the kept ones, -1 for the others."""
    place = np.full(int(group.max(initial=0)) + 1, -1, np.int16)
    place[kept] = np.arange(kept.size)
    return place[group]


def _worst(status: np.ndarray) -> np.ndarray:
    """Return the first status of each group that is not ``ok``, else ``too_few``."""
    bad = [next((s for s in column if s != "ok"), Status.TOO_FEW) for column in status.T]
    return np.array(bad, object)


def _gap_status(status: np.ndarray) -> str:
    if (status == "ok").sum() > 1:
        return Status.OK
    return next((s for s in status if s != "ok"), Status.TOO_FEW)


def _total(counts: np.ndarray) -> np.ndarray:
    total = counts.sum(axis=0)
    return np.where(counts.min(axis=0) < 0, -1, total)


def _row(stratum: str, kind: str, group: str, counts: np.ndarray, status: str) -> dict:
    n, n_pos, n_patients = (int(count) for count in counts)
    return {
        "stratum": stratum,
        "kind": kind,
        "group": group,
        "n": n,
        "n_pos": n_pos if n_pos >= 0 else None,
        "n_patients": n_patients,
        "status": str(status),
    }
