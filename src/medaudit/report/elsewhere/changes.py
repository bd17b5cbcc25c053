"""Changes from home to elsewhere: of each group, of differences between groups, of the largest gap.

The change of the difference between two groups is a linear contrast of four values. Its standard
error comes from the bootstrap draws of both places, which are independent unless the test images are
the same, and is at least that of the audit's own limits.

The largest difference between groups is not linear, and noise enlarges it the more, the smaller the
sample; comparing two of them as they are would find changes where sample sizes differ. It is
compared through contrasts: with the differences a of elsewhere and h of home, |a| exceeds |h| only if
both a - h and a + h are above 0 (or below), which is an intersection-union test (Berger 1982). With
several groups, Bonferroni's correction is over the pairs of groups.
"""

from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtr, ndtri

from medaudit.metrics.gaps import harm
from medaudit.report.elsewhere.places import Pair, Place, Quantity, pairs_of
from medaudit.report.studies.evidence import Evidence
from medaudit.report.studies.multiple_testing import adjust_families, step_down
from medaudit.report.verdicts import judge_difference

VALUE, DIFFERENCE, GAP = "value", "difference", "gap"
COLUMNS = [
    *("cohort", "home_cohort", "model", "method", "measure", "attribute", "kind", "group"),
    *("home", "away", "value", "low", "high", "p_value", "p_adjusted", "family_size"),
    *("n_home", "n_away", "paired", "harmed", "status", "verdict"),
]

Row = dict[str, Any]


def find_changes(evidence: Evidence) -> pd.DataFrame:
    """Return the changes of all runs on all external cohorts of a study.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`. ``kind`` ``value``: ``group`` is a group, or ``all`` of the attribute ``all``;
        ``difference``: ``group`` is "first minus second"; ``gap``: the largest difference
        (``max_min``) of the groups estimable in both places. ``value`` is elsewhere minus home, with
        its interval and p-value. ``p_adjusted``: values and differences by the step-down maximum
        over all runs and attributes of a measure and kind on a cohort, gaps by Holm over the same.
        ``harmed``: the group that does worse, compared with the other, than at home; of a gap, the
        worst group elsewhere.
    """
    frames = [
        _changes_of(evidence, pair, measure)
        for pair in pairs_of(evidence)
        for measure in evidence.answered
    ]
    filled = [frame for frame in frames if len(frame)]
    if not filled:
        return pd.DataFrame(columns=COLUMNS)
    frame = pd.concat(filled, ignore_index=True)
    alpha = 1 - evidence.level
    verdicts = [judge_difference(row, alpha) for row in frame.to_dict("records")]
    return frame.assign(verdict=verdicts)[COLUMNS]


def _changes_of(evidence: Evidence, pair: Pair, measure: str) -> pd.DataFrame:
    home, away = (Place(evidence, name, pair.tasks, measure) for name in (pair.home, pair.cohort))
    rows: list[Row] = []
    for run in away.runs():
        if run not in home.runs():
            continue
        names = {"cohort": pair.cohort, "home_cohort": pair.home, "model": run[0]}
        head = {**names, "method": run[1], "measure": measure, "paired": pair.paired}
        for attribute in ("all", *away.attributes()):
            own = {**head, "attribute": attribute}
            rows += _of_groups(own, home, away, run, evidence.level)
            if attribute != "all":
                rows += _of_differences(own, home, away, run, evidence.level)
    return _adjusted(rows)


def _of_groups(
    head: Row, home: Place, away: Place, run: tuple[str, str], level: float
) -> list[Row]:
    attribute, rows = head["attribute"], []
    names = [key[3] for key in away.found if key[:2] == run and key[2] == attribute]
    for group in names:
        if (group == "all") != (attribute == "all"):
            continue
        parts = [place.get(run, attribute, group) for place in (home, away)]
        lacking = next(
            (p.status if p else "missing" for p in parts if not p or p.status != "ok"), ""
        )
        row = {**head, "kind": VALUE, "group": group}
        if lacking or parts[0] is None or parts[1] is None:
            rows.append({**row, "status": lacking, "draws": None})
            continue
        rows.append(row | _contrast([parts[0]], [parts[1]], head["paired"], level))
    return rows


def _of_differences(
    head: Row, home: Place, away: Place, run: tuple[str, str], level: float
) -> list[Row]:
    attribute, measure = head["attribute"], head["measure"]
    groups = [g for g in home.groups(run, attribute) if g in away.groups(run, attribute)]
    here, there = ({g: place.found[(*run, attribute, g)] for g in groups} for place in (home, away))
    if len(groups) < 2:
        return [{**head, "kind": GAP, "group": "max_min", "status": "too_few", "draws": None}]
    rows = []
    for first, second in combinations(groups, 2):
        before, after = ([place[first], place[second]] for place in (here, there))
        found = _contrast(before, after, head["paired"], level)
        more = harm(measure, np.array(found["value"])) > harm(measure, np.array(0.0))
        name = f"{first} minus {second}"
        harmed = first if more else second
        rows.append({**head, "kind": DIFFERENCE, "group": name, "harmed": harmed, **found})
    worst = max(groups, key=lambda g: float(harm(measure, np.array(there[g].value))))
    gap = _gap_change([here[g] for g in groups], [there[g] for g in groups], head["paired"], level)
    rows.append({**head, "kind": GAP, "group": "max_min", "harmed": worst, **gap})
    return rows


def _contrast(home: list[Quantity], away: list[Quantity], paired: bool, level: float) -> Row:
    """Return the change of a value (one quantity each) or of a difference (two each)."""
    signs = (1, -1)[: len(home)]
    values = [sum(s * q.value for s, q in zip(signs, side, strict=True)) for side in (home, away)]
    spreads = [
        np.sum([s * q.spread for s, q in zip(signs, side, strict=True)], axis=0)
        for side in (home, away)
    ]
    error = _error(spreads[1], spreads[0], paired)
    change = values[1] - values[0]
    reach = float(ndtri((1 + level) / 2)) * error
    return {
        "home": values[0],
        "away": values[1],
        "value": change,
        "low": change - reach,
        "high": change + reach,
        "p_value": float(2 * ndtr(-abs(change) / error)) if error > 0 else np.nan,
        "n_home": sum(q.n for q in home),
        "n_away": sum(q.n for q in away),
        "status": "ok",
        "draws": (spreads[1] - spreads[0]) / error if error > 0 else None,
    }


def _error(first: np.ndarray, second: np.ndarray, paired: bool) -> float:
    """Return the standard error of the difference of two values from their spreads."""
    if paired:
        return float(np.nanstd(first - second))
    return float(np.sqrt(np.nanvar(first) + np.nanvar(second)))


def _gap_change(home: list[Quantity], away: list[Quantity], paired: bool, level: float) -> Row:
    """Return the change of the largest difference between groups, see the module."""
    pairs = list(combinations(range(len(home)), 2))
    a, h = (
        [(side[i].value - side[j].value, side[i].spread - side[j].spread) for i, j in pairs]
        for side in (away, home)
    )
    signs, count = (1, -1), len(pairs)
    # Contrasts s a_p - t h_q, [p and s, q and t], and their errors.
    rows = [(s * d, s * e) for d, e in a for s in signs]
    columns = [(t * d, t * e) for d, e in h for t in signs]
    contrast = np.array([[r[0] - c[0] for c in columns] for r in rows])
    error = np.array([[_error(r[1], c[1], paired) for c in columns] for r in rows])
    values = [float(np.ptp([q.value for q in side])) for side in (home, away)]
    found: Row = {"home": values[0], "away": values[1], "value": values[1] - values[0]}
    found |= {"n_home": sum(q.n for q in home), "n_away": sum(q.n for q in away), "status": "ok"}
    if not (error > 0).all():
        return {**found, "low": np.nan, "high": np.nan, "p_value": np.nan, "draws": None}
    reach = float(ndtri(1 - (1 - level) / (2 * count)))
    low = (contrast - reach * error).min(axis=1).max()
    high = (contrast + reach * error).max(axis=0).min()
    wider = ndtr(-contrast / error).max(axis=1).min()
    narrower = ndtr(contrast / error).max(axis=0).min()
    p = min(1.0, 2 * count * float(min(wider, narrower)))
    return {**found, "low": float(low), "high": float(high), "p_value": p, "draws": None}


def _adjusted(rows: list[Row]) -> pd.DataFrame:
    """Return the rows with p-values adjusted within each kind."""
    if not rows:
        return pd.DataFrame()
    frame = pd.DataFrame(rows).reindex(columns=[*COLUMNS, "draws"])
    parts = []
    for kind, part in frame.groupby("kind", sort=False):
        if kind == GAP and part["p_value"].notna().sum() < 2:  # a family of one needs no correction
            part = part.assign(p_adjusted=part["p_value"], family_size=1)
        elif kind == GAP:
            part = adjust_families(part.drop(columns=["p_adjusted", "family_size"]), ["kind"])
        else:
            part = part.assign(**_step_down(part))
        parts.append(part)
    return pd.concat(parts).sort_index().drop(columns="draws")


def _step_down(part: pd.DataFrame) -> dict[str, pd.Series]:
    adjusted = pd.Series(np.nan, part.index)
    sizes = pd.Series(pd.NA, part.index, dtype="Int64")
    tested = part.index[part["p_value"].notna() & part["draws"].notna()]
    if len(tested):
        error = (part.loc[tested, "high"] - part.loc[tested, "low"]).to_numpy(float)
        p = part.loc[tested, "p_value"].to_numpy(float)
        statistics = -ndtri(np.clip(p / 2, 1e-300, 0.5))
        found = step_down(statistics, np.abs(np.stack(list(part.loc[tested, "draws"]))))
        adjusted[tested] = np.maximum(found, p)
        sizes[tested] = int(np.isfinite(error).sum())
    return {"p_adjusted": adjusted, "family_size": sizes}
