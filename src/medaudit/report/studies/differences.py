"""Differences between two runs over the same patients: paired by their bootstrap draws."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd

from medaudit.report.studies.evidence import RUN, Evidence, direction, overall
from medaudit.report.studies.multiple_testing import step_down

MINIMUM_DRAWS = 20


def paired(first: np.ndarray, second: np.ndarray, level: float) -> tuple[float, float, float]:
    """Return (low, high, p) of the difference `first` - `second`.

    Parameters
    ----------
    first, second : numpy.ndarray
        Replicates, shape (draws,), of the same patient weights; NaN where undefined.
    level : float
        Of the percentile interval.

    Returns
    -------
    tuple of float
        The p-value is two-sided, 2 min(P(d <= 0), P(d >= 0)) with one added to each count
        (Davison and Hinkley 1997, section 4.2). All NaN with fewer than `MINIMUM_DRAWS` draws
        in which both are defined.
    """
    difference = first - second
    difference = difference[np.isfinite(difference)]
    if len(difference) < MINIMUM_DRAWS:
        return np.nan, np.nan, np.nan
    tail = (1 - level) / 2
    low, high = np.quantile(difference, [tail, 1 - tail])
    side = min((difference <= 0).sum(), (difference >= 0).sum())
    return low, high, min(1.0, 2 * (side + 1) / (len(difference) + 1))


def adjusted(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Adjust the tests of several differences at once by `step_down`.

    The statistic is the size of the difference, and of its draws the size of their deviation from
    it, both over the draws' standard deviation.

    Parameters
    ----------
    values : numpy.ndarray
        Differences, shape (tests,); NaN where there is none.
    draws : numpy.ndarray
        Their replicates by the same patient weights, shape (tests, draws); NaN where undefined:
        such a draw says nothing of that difference.

    Returns
    -------
    numpy.ndarray
        Shape (tests,), in (0, 1]. NaN where the difference is NaN or has fewer than
        `MINIMUM_DRAWS` draws. 1 where the draws do not vary.
    """
    found = np.full(len(values), np.nan)
    tested = np.isfinite(values) & (np.isfinite(draws).sum(axis=1) >= MINIMUM_DRAWS)
    values, draws = np.asarray(values, float)[tested], np.asarray(draws, float)[tested]
    if tested.any():
        spread = np.nanstd(draws, axis=1, ddof=1)
        spread[spread == 0] = np.inf
        moved = np.abs(draws - values[:, None]) / spread[:, None]
        found[tested] = step_down(np.abs(values) / spread, moved)
    return found


def pairs(runs: pd.DataFrame, best: int | None = None) -> Iterator[tuple[int, int]]:
    """Give the pairs of rows of `runs`, all of one cohort, that share the method or the model.

    With `best`, a row of `runs`, also every pair that this row is in.
    """
    names = list(runs[["model", "method"]].itertuples(index=False, name=None))
    for first, second in combinations(range(len(names)), 2):
        same_model, same_method = (a == b for a, b in zip(names[first], names[second], strict=True))
        if same_method != same_model or best in (first, second):
            yield first, second


def performance_differences(evidence: Evidence) -> pd.DataFrame:
    """Differences in each measure's overall value, one row a pair of runs and measure.

    The pairs share the model or the method, or hold the run that is best by that measure.
    ``p_adjusted`` is over all pairs of one measure on a cohort (`adjusted`).
    """
    rows = overall(evidence.metrics)
    rows = rows[(rows["attribute"] == "all") & rows["group"].eq("all")]
    parts = [
        _family([_differences(part, evidence.replicates(part), evidence.level)])
        for _, part in rows.groupby(["cohort", "measure"], sort=False)
    ]
    return _stack(parts).assign(kind="performance_difference", attribute="all", gap="none")


def gap_differences(evidence: Evidence) -> pd.DataFrame:
    """Differences in the largest difference between groups (``max_min``), by attribute.

    The gap of a draw is the largest less the smallest replicate of the groups that are
    estimable in both runs, so that a pair is compared over the same groups. ``p_adjusted`` is
    over all pairs and attributes of one measure on a cohort (`adjusted`).
    """
    rows = overall(evidence.metrics)
    rows = rows[(rows["attribute"] != "all") & rows["group"].ne("all")]
    parts = [
        _family(
            [
                _gap_differences(part, evidence)
                for _, part in family.groupby("attribute", sort=False)
            ]
        )
        for _, family in rows.groupby(["cohort", "measure"], sort=False)
    ]
    return _stack(parts).assign(kind="gap_difference", gap="max_min")


def _family(parts: list[tuple[pd.DataFrame, np.ndarray]]) -> pd.DataFrame:
    """Join the parts of one family and adjust its p-values; never below the plain ones."""
    frame = pd.concat([part for part, _ in parts], ignore_index=True)
    draws = np.concatenate([moved for _, moved in parts])
    together = adjusted(frame["value"].to_numpy(), draws)
    return frame.assign(p_adjusted=np.maximum(together, frame["p_value"]))


def _differences(
    rows: pd.DataFrame, draws: np.ndarray, level: float
) -> tuple[pd.DataFrame, np.ndarray]:
    runs = rows[RUN].reset_index(drop=True)
    values = rows["value"].to_numpy(float)
    ranked = direction(rows["measure"].iloc[0]) * values
    best = None if np.isnan(ranked).all() else int(np.nanargmax(ranked))
    found = [
        (a, b, values[a] - values[b], *paired(draws[a], draws[b], level))
        for a, b in pairs(runs, best)
    ]
    first, second = ([item[k] for item in found] for k in (0, 1))
    return _frame(rows, runs, found), draws[first] - draws[second]


def _gap_differences(rows: pd.DataFrame, evidence: Evidence) -> tuple[pd.DataFrame, np.ndarray]:
    runs = rows[RUN].drop_duplicates().reset_index(drop=True)
    groups = list(dict.fromkeys(rows["group"]))
    place = pd.MultiIndex.from_frame(rows[["model", "method", "group"]])
    draws = evidence.replicates(rows)
    values = rows["value"].where(rows["status"] == "ok").to_numpy(float)
    cells = place.get_indexer(
        [(run.model, run.method, group) for run in runs.itertuples() for group in groups]
    ).reshape(len(runs), len(groups))
    found, moved = [], []
    for a, b in pairs(runs):
        usable = (cells[a] >= 0) & (cells[b] >= 0)
        usable[usable] = np.isfinite(values[cells[a][usable]] + values[cells[b][usable]])
        if usable.sum() < 2:
            found.append((a, b, np.nan, np.nan, np.nan, np.nan))
            moved.append(np.full(draws.shape[1], np.nan))
            continue
        left, right = cells[a][usable], cells[b][usable]
        gaps = np.ptp(draws[left], axis=0), np.ptp(draws[right], axis=0)
        value = np.ptp(values[left]) - np.ptp(values[right])
        found.append((a, b, value, *paired(*gaps, evidence.level)))
        moved.append(gaps[0] - gaps[1])
    return _frame(rows, runs, found), np.array(moved).reshape(len(found), draws.shape[1])


def _frame(rows: pd.DataFrame, runs: pd.DataFrame, found: list[tuple]) -> pd.DataFrame:
    first, second = ([item[k] for item in found] for k in (0, 1))
    same = ("measure", "metric", "task", "attribute", "dialect")
    numbers = pd.DataFrame(
        [item[2:] for item in found], columns=["value", "low", "high", "p_value"], dtype=float
    )
    return numbers.assign(
        cohort=runs["cohort"].iloc[0],
        model=runs["model"].iloc[first].to_numpy(),
        method=runs["method"].iloc[first].to_numpy(),
        against_model=runs["model"].iloc[second].to_numpy(),
        against_method=runs["method"].iloc[second].to_numpy(),
        status=np.where(numbers["value"].isna(), "missing", "ok"),
        **{column: rows[column].iloc[0] for column in same},
    )


def _stack(parts: list[pd.DataFrame]) -> pd.DataFrame:
    filled = [part for part in parts if len(part)]
    return pd.concat(filled, ignore_index=True) if filled else parts[0].copy()
