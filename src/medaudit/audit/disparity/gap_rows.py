"""Rows of the gap table: from the values of groups to gaps, intervals and permutation tests."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from medaudit.audit.disparity.cells import Cell
from medaudit.core.entry_types import Evaluation
from medaudit.core.statuses import Status
from medaudit.metrics.definitions import METRICS
from medaudit.metrics.gap_intervals import (
    SMALLEST,
    Assessed,
    Limits,
    assess,
    assess_equal_scores,
    bound_distance,
    bound_ratio,
    bound_scaled,
    bound_spread,
)
from medaudit.metrics.gap_statistics import Contrasts
from medaudit.metrics.gap_tests import detectable, null_limit, p_value
from medaudit.metrics.gaps import GAPS, OTHERS, REFERENCE, SIGNED, GapName, Parts, harm, measure
from medaudit.metrics.group_metrics import ALL, MEAN
from medaudit.metrics.nulls import CALIBRATION, null_of
from medaudit.metrics.task_dependence import couple_tasks

MEAN_OF_GAPS = "mean_of_gaps"
AVERAGED = ("value", "low", "high", "upper")
NUMBERS = (*AVERAGED, "null_mean", "null_q95", "p_value", "smallest_detectable")


@dataclass(frozen=True)
class GapRow:
    """One row of the table, and what a mean over tasks needs of it.

    Parameters
    ----------
    row : dict
        The columns of the table, and ``draws``: the gaps of the permutations, or None.
    null : ndarray, shape (permutations,)
        The same gaps; empty where the gap is not estimable.
    fair : ndarray, shape (draws,)
        Gaps of the bootstrap replicates, as they would be if all groups were alike.
    """

    row: dict
    null: np.ndarray
    fair: np.ndarray


def gap_rows(cells: list[Cell], evaluation: Evaluation, reference: str | None = None) -> list[dict]:
    """Return the rows of every gap of one metric and seed: each task, and the mean of gaps.

    A row has ``draws`` next to the columns of the table: the gaps of the permutations, shape
    (permutations,), or None where the gap is not estimable.

    Parameters
    ----------
    cells : list of Cell
        One per task.
    evaluation : Evaluation
        ``gaps`` and ``bootstrap`` (``level``).
    reference : str, optional
        The attribute's reference group; without one, the gap ``reference`` has no rows.
    """
    level = evaluation["bootstrap"]["level"]
    rows: list[dict] = []
    for gap in evaluation["gaps"]:
        if not cells or not GAPS[gap].defined(cells[0].metric):
            continue
        if gap in SIGNED:
            base = reference if gap == REFERENCE else None
            used = cells if gap == OTHERS or base is not None else []
            rows += [row for cell in used for row in _signed_rows(gap, cell, base, level)]
            continue
        found = [_gap_row(gap, cell, level) for cell in cells]
        rows += [one.row for one in found]
        several = [one for one in found if one.row["task"] not in (ALL, MEAN)]
        if len(several) > 1:
            rows.append(_mean_of_gaps(several, cells[0].joint, level))
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
    _bound_and_test(row, gap, kept, level)
    badness = harm(cell.metric, kept.value.group)
    if gap == "worst_rest":
        badness = badness - harm(cell.metric, kept.value.rest)
    row["worst"] = kept.groups[int(badness.argmax())]
    row["best"] = None if gap == "worst_rest" else kept.groups[int(badness.argmin())]
    null = row["draws"] if row["draws"] is not None else np.empty(0)
    return GapRow(row, null, measure(gap, cell.metric, _recentre(kept, gap == "worst_rest")))


def _bound_and_test(row: dict, gap: str, cell: Cell, level: float) -> None:
    """Fill in limits, test and detectable gap of a gap over groups, all estimable."""
    size = len(cell.groups)
    # Of two groups, each is the rest of the other.
    rests = gap == "worst_rest" and size > 2
    limits, null, null_size = cell.rows(folded=gap == "worst_rest")
    contrasts = cell.rests() if rests else cell.pairs()
    if not rests:
        limits, null, null_size = _first(limits, size), null[:size], null_size[:size]
    assessed = _assess(cell, limits, contrasts, null, null_size, level)
    row["low"], row["high"], row["upper"] = assessed.low, assessed.high, assessed.upper
    if gap == "ratio":
        row["low"], row["high"] = bound_ratio(limits, assessed, contrasts, level)
    elif gap == "std":
        row["low"], row["high"] = bound_spread(limits, assessed, size, level)
    elif gap == "es":
        row["low"], row["high"] = bound_scaled(limits, cell.whole, size, level)
    elif gap == "dto":
        target = METRICS[cell.metric].target
        assert target is not None
        row["low"], row["high"] = bound_distance(limits, target, size)
    if gap not in ("max_min", "worst_rest"):
        row["upper"] = np.nan
    _set_null(row, gap, cell, assessed)
    if cell.seed == MEAN and gap in ("max_min", "worst_rest"):
        row["smallest_detectable"] = detectable(
            limits, contrasts, assessed.edge, cell.whole[0], size, cell.upward, cell.counted
        )


def _first(limits: Limits, size: int) -> Limits:
    return limits.take(slice(size))


def _assess(
    cell: Cell,
    limits: Limits,
    contrasts: Contrasts,
    null: np.ndarray,
    null_size: np.ndarray,
    level: float,
) -> Assessed:
    if not cell.movable[2]:
        null = np.full(null.shape, np.nan)
    if null_of(cell.metric) == CALIBRATION or not limits.sized:
        return assess_equal_scores(limits, contrasts, null, level)
    return assess(limits, contrasts, null, null_size, level)


def _set_null(row: dict, gap: str, cell: Cell, assessed: Assessed) -> None:
    """Fill in the test; its permuted gaps are on the scale of the gap that the row shows."""
    row["p_value"] = assessed.p_value
    if not np.isfinite(assessed.p_value):
        row["null_status"] = str(Status.NO_NULL)
        return
    apart = assessed.null
    if gap in ("max_min", "worst_rest"):
        mean, limit, draws = assessed.mean, assessed.limit, apart
    else:
        draws, limit = _rescale(gap, row["value"], cell, assessed)
        mean = np.nan
    row["draws"] = draws
    row["null_mean"] = float(np.nanmean(draws)) if np.isnan(mean) else mean
    row["null_q95"] = limit


def _rescale(gap: str, value: float, cell: Cell, assessed: Assessed) -> tuple[np.ndarray, float]:
    """Bring permuted differences to the scale of another gap, whose fairest value is known."""
    largest = float(np.ptp(cell.value.group))
    whole, size = cell.whole[0], len(cell.groups)
    fairest = {"ratio": 1.0, "std": 0.0, "es": whole}
    if gap == "dto":
        target = METRICS[cell.metric].target
        fairest["dto"] = float(np.sqrt(size) * abs(whole - (0.0 if target is None else target)))
    slope = (value - fairest[gap]) / largest if largest > 0 else 0.0
    if gap == "dto" and slope < 0:
        slope = 0.0
    return fairest[gap] + slope * assessed.null, fairest[gap] + slope * assessed.limit


def _recentre(cell: Cell, rests: bool) -> Parts:
    """Return the replicates as they would be if all groups were alike; of rests there are fewer."""
    level, value, drawn = cell.value.group.mean(), cell.value, cell.drawn
    width = drawn.rest.shape[1] if rests else drawn.group.shape[1]
    return Parts(
        drawn.group[:, :width] - value.group[:, None] + level,
        drawn.rest - value.rest[:, None] + level,
        drawn.whole[:width] - value.whole + level,
    )


def _start(gap: str, cell: Cell, estimable: np.ndarray) -> dict:
    return {
        "seed": cell.seed,
        "task": cell.task,
        "gap": gap,
        "metric": cell.metric,
        **dict.fromkeys(NUMBERS, np.nan),
        "draws": None,
        "worst": None,
        "best": None,
        "null": null_of(cell.metric),
        "null_status": "ok",
        "n_groups": estimable.size,
        "n_estimable": int(estimable.sum()),
        "n_movable": cell.movable[0],
        "n_patients": cell.movable[1],
        "status": "ok",
    }


def _mean_of_gaps(several: list[GapRow], joint: bool, level: float) -> dict:
    rows = [one.row for one in several]
    mean = {**rows[0], "task": MEAN_OF_GAPS, "worst": None, "best": None, "draws": None}
    for name in ("n_estimable", "n_movable", "n_patients"):
        mean[name] = min(row[name] for row in rows)
    mean.update(dict.fromkeys(NUMBERS, np.nan))
    mean["null_status"] = next((r["null_status"] for r in rows if r["null_status"] != "ok"), "ok")
    mean["status"] = next((row["status"] for row in rows if row["status"] != "ok"), "ok")
    if mean["status"] != "ok":
        return mean
    for name in AVERAGED:
        mean[name] = float(np.mean([row[name] for row in rows]))
    if mean["null_status"] != "ok":
        return mean
    nulls = np.array([one.null for one in several])
    drawn = np.array([one.fair for one in several])
    draws = nulls.mean(axis=0) if joint else couple_tasks(nulls, drawn)
    gap = mean["gap"]
    mean["draws"], mean["null_mean"] = draws, float(np.nanmean(draws))
    mean["null_q95"], mean["p_value"] = null_limit(draws, gap), p_value(mean["value"], draws, gap)
    if gap in ("max_min", "worst_rest", "std") and mean["null"] != CALIBRATION:
        found = mean["p_value"] <= round(1 - level, 9)
        mean["low"] = max(mean["low"], SMALLEST) if found else 0.0
    return mean


def _signed_rows(gap: str, cell: Cell, reference: str | None, level: float) -> Iterator[dict]:
    """Yield each group minus its rest, or minus the reference group if there is one."""
    limits, null, null_size = cell.rows()
    size, all_statuses = len(cell.groups), np.append(cell.status, cell.rest_status)
    base = None if reference is None else cell.groups.index(reference)
    for g, group in enumerate(cell.groups):
        if g == base:
            continue
        both = np.array([g, g + size if base is None else base])
        statuses = all_statuses[both]
        row = _start(str(GapName(gap, group)), cell, statuses == "ok")
        if row["n_estimable"] < 2:
            row["status"] = next(status for status in statuses if status != "ok")
        else:
            _signed(row, cell, limits.take(both), null[both], null_size[both], level)
        yield row


def _signed(
    row: dict, cell: Cell, limits: Limits, null: np.ndarray, null_size: np.ndarray, level: float
) -> None:
    """Fill in limits and test of the difference of the first row to the second."""
    pairs = Contrasts(np.array([0, 1]), np.array([1, 0]))
    assessed = _assess(cell, limits, pairs, null, null_size, level)
    row["value"] = float(limits.raw[0] - limits.raw[1])
    reach = np.array([min(assessed.critical, 1e6)])
    ends = [Contrasts(np.array([0]), np.array([1])), Contrasts(np.array([1]), np.array([0]))]
    low, high = (float(limits.largest(end, reach)[0]) for end in ends)
    row["low"], row["high"] = low, -high
    row["p_value"] = assessed.p_value
    if not np.isfinite(assessed.p_value):
        row["null_status"] = str(Status.NO_NULL)
        return
    if null_of(cell.metric) != CALIBRATION and assessed.p_value > round(1 - level, 9):
        row["low"], row["high"] = min(low, 0.0), max(-high, 0.0)
    sign = np.where(null[0] < null[1], -1.0, 1.0)
    row["draws"] = sign * assessed.null
    row["null_mean"] = float(np.nanmean(row["draws"]))
    row["null_q95"] = assessed.limit
    if cell.seed == MEAN:
        row["smallest_detectable"] = detectable(
            limits, pairs, assessed.edge, cell.whole[0], 2, cell.upward, cell.counted
        )
