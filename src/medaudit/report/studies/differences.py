"""Paired differences between two runs: both use the same bootstrap draws of patients."""

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pandas as pd

from medaudit.core.entry_types import StudyEntry
from medaudit.report.studies.evidence import RUN, Evidence, direction, overall
from medaudit.report.studies.multiple_testing import step_down

MINIMUM_DRAWS = 20
"""With fewer defined draws there is no interval."""


def compare_paired(
    first: np.ndarray, second: np.ndarray, level: float
) -> tuple[float, float, float]:
    """Return (low, high, p-value) of the difference `first` - `second`.

    Parameters
    ----------
    first, second : numpy.ndarray
        Replicates, shape (draws,), over the same draws of patients; NaN where undefined.
    level : float
        Level of the percentile interval.

    Returns
    -------
    tuple of float
        The p-value is two-sided, 2 min(P(d <= 0), P(d >= 0)) with one added to each count
        (Davison and Hinkley 1997, section 4.2). All three are NaN if both are defined in fewer
        than `MINIMUM_DRAWS` draws.
    """
    difference = first - second
    difference = difference[np.isfinite(difference)]
    if len(difference) < MINIMUM_DRAWS:
        return np.nan, np.nan, np.nan
    tail = (1 - level) / 2
    low, high = np.quantile(difference, [tail, 1 - tail])
    side = min((difference <= 0).sum(), (difference >= 0).sum())
    return low, high, min(1.0, 2 * (side + 1) / (len(difference) + 1))


def adjust_differences(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """Return p-values of several differences, adjusted together by `step_down`.

    The statistic is |difference| / standard deviation of its draws. Its null distribution is
    |draw - difference| / the same standard deviation.

    Parameters
    ----------
    values : numpy.ndarray
        Differences, shape (tests,); NaN where there is none.
    draws : numpy.ndarray
        Their replicates over the same draws of patients, shape (tests, draws). NaN where
        undefined: the draw does not count for this difference.

    Returns
    -------
    numpy.ndarray
        Shape (tests,), in (0, 1]. NaN where the difference is NaN or has fewer than
        `MINIMUM_DRAWS` draws; 1 where the draws do not vary.
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


def comparable_pairs(runs: pd.DataFrame, best: int | None = None) -> Iterator[tuple[int, int]]:
    """Yield the pairs of rows of `runs` that share the method or the model.

    Every pair with the row `best` is added. All runs are on one cohort.
    """
    names = list(runs[["model", "method"]].itertuples(index=False, name=None))
    for first, second in combinations(range(len(names)), 2):
        same_model, same_method = (a == b for a, b in zip(names[first], names[second], strict=True))
        if same_method != same_model or best in (first, second):
            yield first, second


def performance_differences(evidence: Evidence) -> pd.DataFrame:
    """Return differences in the overall value of each measure, one row per pair and measure.

    The pairs share the model or the method, or include the run that is best in that measure.
    ``p_adjusted`` is over all pairs of one measure on a cohort (`adjust_differences`).
    """
    rows = overall(evidence.metrics)
    rows = rows[(rows["attribute"] == "all") & rows["group"].eq("all")]
    parts = [
        _family([_differences(part, evidence)])
        for _, part in rows.groupby(["cohort", "measure"], sort=False)
    ]
    return _stack(parts).assign(kind="performance_difference", attribute="all", gap="none")


def gap_differences(evidence: Evidence) -> pd.DataFrame:
    """Return differences in the gap (``max_min``) of each attribute, one row per pair.

    In every draw, the gap is max - min of the replicates of the groups that are estimable in both
    runs, so both runs are compared over the same groups. ``p_adjusted`` is over all pairs and
    attributes of one measure on a cohort (`adjust_differences`).
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
    """Join the parts of one family; no adjusted p-value is below the unadjusted one."""
    frame = pd.concat([part for part, _ in parts], ignore_index=True)
    draws = np.concatenate([moved for _, moved in parts])
    adjusted = adjust_differences(frame["value"].to_numpy(), draws)
    return frame.assign(p_adjusted=np.maximum(adjusted, frame["p_value"]))


def _differences(rows: pd.DataFrame, evidence: Evidence) -> tuple[pd.DataFrame, np.ndarray]:
    runs, draws, level = rows[RUN].reset_index(drop=True), evidence.replicates(rows), evidence.level
    values = rows["value"].to_numpy(float)
    pairs = list(comparable_pairs(runs, _best(rows, values, evidence.entry)))
    found = [(values[a] - values[b], *compare_paired(draws[a], draws[b], level)) for a, b in pairs]
    first, second = np.array(pairs, dtype=int).reshape(-1, 2).T
    return _frame(rows, runs, pairs, found), draws[first] - draws[second]


def _best(rows: pd.DataFrame, values: np.ndarray, entry: StudyEntry) -> int | None:
    """Return the place of the best run, of the subjects if there are any; never of a control."""
    ranked = direction(rows["measure"].iloc[0]) * values
    control = rows["model"].isin(entry.get("controls") or []).to_numpy()
    subject = rows["model"].isin(entry.get("subjects") or []).to_numpy()
    for kept in (subject & ~control, ~control, np.ones_like(control)):
        if np.isfinite(ranked[kept]).any():
            return int(np.nanargmax(np.where(kept, ranked, np.nan)))
    return None


def _gap_differences(rows: pd.DataFrame, evidence: Evidence) -> tuple[pd.DataFrame, np.ndarray]:
    runs = rows[RUN].drop_duplicates().reset_index(drop=True)
    groups = list(dict.fromkeys(rows["group"]))
    place = pd.MultiIndex.from_frame(rows[["model", "method", "group"]])
    draws = evidence.replicates(rows)
    values = rows["value"].where(rows["status"] == "ok").to_numpy(float)
    cells = place.get_indexer(
        [(run.model, run.method, group) for run in runs.itertuples() for group in groups]
    ).reshape(len(runs), len(groups))
    pairs, found, moved = list(comparable_pairs(runs)), [], []
    for a, b in pairs:
        usable = (cells[a] >= 0) & (cells[b] >= 0)
        usable[usable] = np.isfinite(values[cells[a][usable]] + values[cells[b][usable]])
        if usable.sum() < 2:
            found.append((np.nan, np.nan, np.nan, np.nan))
            moved.append(np.full(draws.shape[1], np.nan))
            continue
        left, right = cells[a][usable], cells[b][usable]
        gaps = np.ptp(draws[left], axis=0), np.ptp(draws[right], axis=0)
        value = np.ptp(values[left]) - np.ptp(values[right])
        found.append((value, *compare_paired(*gaps, evidence.level)))
        moved.append(gaps[0] - gaps[1])
    return _frame(rows, runs, pairs, found), np.array(moved).reshape(len(found), draws.shape[1])


def _frame(
    rows: pd.DataFrame, runs: pd.DataFrame, pairs: list[tuple[int, int]], found: list[tuple]
) -> pd.DataFrame:
    first, second = ([pair[k] for pair in pairs] for k in (0, 1))
    same = ("measure", "metric", "task", "attribute", "dialect")
    numbers = pd.DataFrame(found, columns=["value", "low", "high", "p_value"], dtype=float)
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
