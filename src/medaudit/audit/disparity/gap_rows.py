"""Rows of the gap table: from the values of groups to gaps, intervals and permutation tests."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from medaudit.core.entry_types import Evaluation
from medaudit.metrics.gap_intervals import bound, percentile
from medaudit.metrics.gap_tests import POWER, detectable, null_limit, p_value
from medaudit.metrics.gaps import GAPS, OTHERS, GapName, Parts, harm, measure
from medaudit.metrics.group_metrics import ALL, MEAN
from medaudit.metrics.task_dependence import couple_tasks

MEAN_OF_GAPS = "mean_of_gaps"
AVERAGED = ("value", "low", "high")


@dataclass(frozen=True)
class GapRow:
    """One row of the table, and what a mean over tasks needs of it.

    Parameters
    ----------
    row : dict
        The columns of the table, and ``null``: the gaps of the permutations, or None.
    null : ndarray, shape (permutations,)
        The same gaps; empty where the gap is not estimable.
    fair : ndarray, shape (draws,)
        Gaps of the bootstrap replicates, as they would be if all groups were alike.
    """

    row: dict
    null: np.ndarray
    fair: np.ndarray


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
        )


def gap_rows(cells: list[Cell], evaluation: Evaluation) -> list[dict]:
    """Return the rows of every gap of one metric and seed: each task, and the mean of gaps.

    A row has ``null`` next to the columns of the table: the gaps of the permutations, shape
    (draws,), or None where the gap is not estimable.

    Parameters
    ----------
    cells : list of Cell
        One per task.
    evaluation : Evaluation
        ``gaps`` and ``bootstrap`` (``level``).
    """
    level = evaluation["bootstrap"]["level"]
    rows: list[dict] = []
    for gap in evaluation["gaps"]:
        if not cells or not GAPS[gap].defined(cells[0].metric):
            continue
        if gap == OTHERS:
            rows += [row for cell in cells for row in _others_rows(cell, level)]
            continue
        found = [_gap_row(gap, cell, level) for cell in cells]
        rows += [one.row for one in found]
        several = [one for one in found if one.row["task"] not in (ALL, MEAN)]
        if len(several) > 1:
            rows.append(_mean_of_gaps(several, cells[0].joint))
    return rows


def _gap_row(gap: str, cell: Cell, level: float) -> GapRow:
    estimable = cell.status == "ok"
    if gap == "worst_rest":
        estimable &= cell.rest_status == "ok"
    row = _start(gap, cell, estimable)
    if estimable.sum() < 2:
        row["status"] = next((s for s in cell.status if s != "ok"), "too_few")
        return GapRow(row, np.empty(0), np.empty(0))
    kept = cell.take(estimable)
    row["value"] = float(measure(gap, cell.metric, kept.value))
    if not np.isfinite(row["value"]):
        row["status"] = "undefined:no_decision"
        return GapRow(row, np.empty(0), np.empty(0))
    null = measure(gap, cell.metric, _spread(kept.null))
    row["low"], row["high"] = bound(gap, cell.metric, kept.value, kept.drawn, level)
    _set_null(row, null)
    row["smallest_detectable"] = detectable(gap, cell.metric, kept.null, row["null_q95"])
    badness = harm(cell.metric, kept.value.group)
    if gap == "worst_rest":
        badness = badness - harm(cell.metric, kept.value.rest)
    row["worst"] = kept.groups[int(badness.argmax())]
    row["best"] = None if gap == "worst_rest" else kept.groups[int(badness.argmin())]
    return GapRow(row, null, measure(gap, cell.metric, _recentre(kept)))


def _recentre(cell: Cell) -> Parts:
    """Return the replicates as they would be if all groups were alike."""
    level, value, drawn = cell.value.group.mean(), cell.value, cell.drawn
    return Parts(
        drawn.group - value.group[:, None] + level,
        drawn.rest - value.rest[:, None] + level,
        drawn.whole - value.whole + level,
    )


def _start(gap: str, cell: Cell, estimable: np.ndarray) -> dict:
    return {
        "seed": cell.seed,
        "task": cell.task,
        "gap": gap,
        "metric": cell.metric,
        **dict.fromkeys(("value", "low", "high", "null_mean", "null_q95", "p_value"), np.nan),
        "smallest_detectable": np.nan,
        "null": None,
        "worst": None,
        "best": None,
        "n_groups": estimable.size,
        "n_estimable": int(estimable.sum()),
        "status": "ok",
    }


def _spread(null: Parts) -> Parts:
    """Return the permutations with the value of everybody, which they do not change, for each."""
    return Parts(null.group, null.rest, np.full(null.group.shape[1], null.whole))


def _set_null(row: dict, null: np.ndarray) -> None:
    row["null_mean"] = float(np.nanmean(null)) if np.isfinite(null).any() else np.nan
    row["null_q95"] = null_limit(null, row["gap"])
    row["p_value"] = p_value(row["value"], null, row["gap"])
    row["null"] = null


def _mean_of_gaps(several: list[GapRow], joint: bool) -> dict:
    rows = [one.row for one in several]
    mean = {**rows[0], "task": MEAN_OF_GAPS, "worst": None, "best": None}
    mean["n_estimable"] = min(row["n_estimable"] for row in rows)
    mean["smallest_detectable"] = np.nan
    mean["status"] = next((row["status"] for row in rows if row["status"] != "ok"), "ok")
    if mean["status"] != "ok":
        empty = dict.fromkeys((*AVERAGED, "null_mean", "null_q95", "p_value"), np.nan)
        return {**mean, **empty, "null": None}
    for name in AVERAGED:
        mean[name] = float(np.mean([row[name] for row in rows]))
    nulls = np.array([one.null for one in several])
    drawn = np.array([one.fair for one in several])
    null = nulls.mean(axis=0) if joint else couple_tasks(nulls, drawn)
    _set_null(mean, null)
    return mean


def _others_rows(cell: Cell, level: float) -> Iterator[dict]:
    for g, group in enumerate(cell.groups):
        statuses = np.array([cell.status[g], cell.rest_status[g]], object)
        row = _start(str(GapName(OTHERS, group)), cell, statuses == "ok")
        null = cell.null.group[g] - cell.null.rest[g]
        if row["n_estimable"] < 2:
            row["status"] = next(status for status in statuses if status != "ok")
        else:
            row["value"] = float(cell.value.group[g] - cell.value.rest[g])
            row["low"], row["high"] = percentile(cell.drawn.group[g] - cell.drawn.rest[g], level)
            _set_null(row, null)
            some = null[np.isfinite(null)]
            if some.size:
                reach = [np.quantile(sign * some, POWER) for sign in (1, -1)]
                row["smallest_detectable"] = row["null_q95"] + float(max(reach))
        yield row
