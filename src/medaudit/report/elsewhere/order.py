"""Is the fairest model at home the fairest elsewhere? Rank correlation, selection rules, regret."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from medaudit.metrics.gaps import harm
from medaudit.report.elsewhere.places import Pair, Place, pairs_of
from medaudit.report.studies.differences import compare_paired
from medaudit.report.studies.evidence import Evidence, direction

FEWEST = 3
"""Fewest runs whose order is compared."""

AUC, WORST, SMALLEST, ENCODING = (
    "highest AUC",
    "best worst group",
    "smallest gap",
    "least attribute encoding",
)
"""Rules by which a model could be selected at home."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Gaps:
    """The largest differences of all runs between the groups estimable in all of them.

    Parameters
    ----------
    runs : list of tuple
        Model and method.
    home, away : numpy.ndarray
        ``[runs]``.
    home_draws, away_draws : numpy.ndarray
        ``[runs, draws]``.
    groups : list of str
        The groups.
    """

    runs: list[tuple[str, str]]
    home: np.ndarray
    away: np.ndarray
    home_draws: np.ndarray
    away_draws: np.ndarray
    groups: list[str]


def find_orders(evidence: Evidence) -> pd.DataFrame:
    """Return how well the order of the runs by their gaps is kept elsewhere.

    Returns
    -------
    pandas.DataFrame
        One row per external cohort, measure and attribute: ``value``, Kendall's tau of the gaps at
        home and elsewhere over the runs (1: the same order, -1: reversed), with the percentile
        interval over the draws of patients in both places; ``n_runs``; ``status`` ``too_few``
        below `FEWEST` runs. Draws add noise to the order, so the interval lies lower than tau
        where the runs are close to each other.
    """
    rows = []
    for pair, measure, attribute, gaps in _all_gaps(evidence):
        row = {"cohort": pair.cohort, "home_cohort": pair.home, "measure": measure}
        row |= {"attribute": attribute, "n_runs": len(gaps.runs) if gaps else 0}
        if gaps is None or len(gaps.runs) < FEWEST:
            rows.append({**row, "status": "too_few"})
            continue
        drawn = tau(gaps.home_draws, gaps.away_draws)
        tail = (1 - evidence.level) / 2
        low, high = np.nanquantile(drawn, [tail, 1 - tail])
        value = float(tau(gaps.home[:, None], gaps.away[:, None])[0])
        rows.append({**row, "value": value, "low": low, "high": high, "status": "ok"})
    columns = ["cohort", "home_cohort", "measure", "attribute", "n_runs", "value", "low", "high"]
    return pd.DataFrame(rows, columns=[*columns, "status"])


def find_selections(evidence: Evidence, probes: pd.DataFrame) -> pd.DataFrame:
    """Return what each rule of selection at home would have cost elsewhere.

    Parameters
    ----------
    evidence : Evidence
        The study's merged tables.
    probes : pandas.DataFrame
        Attribute probes (`medaudit.core.audit_tables.PROBES`); without them, `ENCODING` is left out.

    Returns
    -------
    pandas.DataFrame
        One row per external cohort, measure, attribute and rule: the selected ``model`` and
        ``method``, its gap at ``home`` and ``away``, the run with the smallest gap elsewhere
        (``best_model``, ``best_method``, ``best_away``), the regret (``value``, the difference of
        their gaps elsewhere) with its paired interval and p-value, and ``share``: of the draws at
        home in which the rule selects that best run. The best run is that of the sample, so the
        regret is slightly too large.
    """
    rows: list[Row] = []
    for pair, measure, attribute, gaps in _all_gaps(evidence):
        if gaps is None or len(gaps.runs) < FEWEST:
            continue
        head = {"cohort": pair.cohort, "home_cohort": pair.home, "measure": measure}
        head["attribute"] = attribute
        for rule, score, draws in _rules(evidence, pair, attribute, gaps, probes):
            rows.append({**head, "rule": rule, **_regret(score, draws, gaps, evidence.level)})
    return pd.DataFrame(rows)


def tau(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return Kendall's tau (1938) of two sets of values ``[items, draws]``: ``[draws]``."""
    a, b = np.triu_indices(len(first), 1)
    same = np.sign(first[a] - first[b]) * np.sign(second[a] - second[b])
    return same.mean(axis=0)


def _all_gaps(evidence: Evidence):
    for pair in pairs_of(evidence):
        for measure in evidence.lead:
            home, away = (
                Place(evidence, name, pair.tasks, measure) for name in (pair.home, pair.cohort)
            )
            for attribute in away.attributes():
                yield pair, measure, attribute, _gaps(home, away, attribute)


def _gaps(home: Place, away: Place, attribute: str) -> Gaps | None:
    runs = [run for run in away.runs() if run in home.runs()]
    listed = [set(place.groups(run, attribute)) for place in (home, away) for run in runs]
    shared = set.intersection(*listed) if listed else set()
    groups = [g for g in home.groups(runs[0], attribute) if g in shared] if runs else []
    if len(groups) < 2:
        return None
    found = [[place.gap(run, attribute, groups) for run in runs] for place in (home, away)]
    values = [np.array([gap.value for gap in part]) for part in found]
    draws = [np.stack([gap.draws for gap in part]) for part in found]
    return Gaps(runs, values[0], values[1], draws[0], draws[1], groups)


def _rules(
    evidence: Evidence, pair: Pair, attribute: str, gaps: Gaps, probes: pd.DataFrame
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return each rule with its score at home, smaller is better: ``[runs]``, ``[runs, draws]``."""
    main = "auc" if "auc" in evidence.measures else evidence.headline
    home = Place(evidence, pair.home, pair.tasks, main)
    sign = -direction(main)
    found = []
    whole = [home.get(run, "all", "all") for run in gaps.runs]
    if all(part is not None and part.status == "ok" for part in whole):
        known = [part for part in whole if part is not None]
        found.append((AUC, sign * np.array([p.value for p in known]), sign * _draws(known)))
    parts = [[home.get(run, attribute, g) for g in gaps.groups] for run in gaps.runs]
    if all(part is not None and part.status == "ok" for row in parts for part in row):
        values = np.array([[p.value for p in row if p] for row in parts])
        draws = np.stack([_draws([p for p in row if p]) for row in parts])
        found.append((WORST, harm(main, values).max(axis=1), harm(main, draws).max(axis=1)))
    found.append((SMALLEST, gaps.home, gaps.home_draws))
    encoded = _encoding(probes, pair.home, attribute, [run[0] for run in gaps.runs])
    if np.isfinite(encoded).all():
        found.append((ENCODING, encoded, np.tile(encoded[:, None], gaps.home_draws.shape[1])))
    return found


def _draws(parts: list) -> np.ndarray:
    return np.stack([part.draws for part in parts])


def _encoding(probes: pd.DataFrame, cohort: str, attribute: str, models: list[str]) -> np.ndarray:
    """Return how well each model's embedding tells the groups apart: mean AUC over groups."""
    if probes.empty:
        return np.full(len(models), np.nan)
    own = probes[probes["cohort"].eq(cohort) & probes["attribute"].eq(attribute)]
    strength = own[own["status"] == "ok"].groupby("model")["value"].mean()
    return np.array([strength.get(model, np.nan) for model in models])


def _regret(score: np.ndarray, draws: np.ndarray, gaps: Gaps, level: float) -> Row:
    chosen, best = int(np.argmin(score)), int(np.argmin(gaps.away))
    (model, method), (best_model, best_method) = gaps.runs[chosen], gaps.runs[best]
    same = chosen == best
    low, high, p = (
        (0.0, 0.0, np.nan)
        if same
        else compare_paired(gaps.away_draws[chosen], gaps.away_draws[best], level)
    )
    return {
        "model": model,
        "method": method,
        "home": gaps.home[chosen],
        "away": gaps.away[chosen],
        "best_model": best_model,
        "best_method": best_method,
        "best_away": gaps.away[best],
        "value": gaps.away[chosen] - gaps.away[best],
        "low": low,
        "high": high,
        "p_value": p,
        "share": float((np.argmin(draws, axis=0) == best).mean()),
        "status": "ok",
    }
