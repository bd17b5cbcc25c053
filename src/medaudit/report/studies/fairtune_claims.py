"""Is what a search finds better on test: FairTune less every other method, over the same patients."""

import numpy as np
import pandas as pd

from medaudit.report.studies.contrasts import (
    Estimate,
    Quantities,
    Run,
    less,
    shared_groups,
    summarise,
)
from medaudit.report.studies.evidence import Evidence
from medaudit.report.studies.extras import Extras
from medaudit.report.studies.fairtune_comparisons import (
    FAIRTUNE,
    FULL,
    OVERLAPPING,
    RANDOM,
    Comparison,
    comparisons,
)
from medaudit.report.studies.fairtune_outcomes import POINTS, pool
from medaudit.report.studies.how_fair_claims import judge
from medaudit.report.studies.multiple_testing import holm

MIN, GAP, AUC = "worst group's AUC", "gap in AUC", "AUC"
SIGNS = {MIN: 1, GAP: -1, AUC: 1}
"""Quantities, and which way is better."""

COLUMNS = ("comparison", "cohort", "family", "quantity", "attribute", "first", "second", "against")
COLUMNS += ("n_cohorts", "n_datasets", "value", "low", "high", "status", "p_value", "p_adjusted")
COLUMNS += ("family_size", "verdict")
ALL = "all"
"""In place of a cohort: the mean over all."""


def find_search_claims(evidence: Evidence, extras: Extras) -> pd.DataFrame:
    """Return what was searched less every other method, by quantity.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`: the difference in percentage points on test, first over all cohorts where both
        ran (``cohort`` is `ALL`, see `medaudit.report.studies.fairtune_outcomes.pool`), then by cohort; ``against``
        is the other's arm. ``p_adjusted`` by Holm over the ``family``: of one comparison and
        quantity the means over cohorts against all other methods, or all cohorts of one pair of
        methods. ``verdict`` as in `medaudit.report.studies.how_fair_claims`.
    """
    rows = []
    if "auc" in evidence.measures:
        quantities = Quantities(evidence, "auc")
        seen: set[tuple] = set()
        for part in comparisons(evidence, extras):
            for label in part.runs.loc[part.runs["arm"] == FAIRTUNE, "label"].unique():
                rows += _against_all(part, label, quantities, seen)
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    frame["p_adjusted"] = frame["p_adjusted"].astype(float)
    for _, part in frame[frame["p_value"].notna()].groupby("family"):
        frame.loc[part.index, "p_adjusted"] = holm(part["p_value"].to_numpy(float))
        frame.loc[part.index, "family_size"] = len(part)
    verdicts = [judge(row, 1 - evidence.level) for row in frame.to_dict("records")]
    return frame.assign(verdict=verdicts, family_size=frame["family_size"].astype("Int64"))


def difference(
    quantities: Quantities, attribute: str, quantity: str, first: Run, second: Run
) -> Estimate:
    """Return `first` less `second` in a quantity over the groups that are estimable in both."""
    if quantity == AUC:
        return less([quantities.value(first)], [quantities.value(second)])
    groups = shared_groups(quantities, [first, second], attribute)
    measure = {MIN: _worst, GAP: Quantities.gap}[quantity]
    return less(*([measure(quantities, run, attribute, groups)] for run in (first, second)))


def _worst(quantities: Quantities, run: Run, attribute: str, groups: list[str]) -> Estimate:
    if len(groups) < 2:
        return Estimate(np.nan, np.array([np.nan]), "too_few")
    parts = [quantities.value(run, attribute, group) for group in groups]
    draws = np.min([part.draws for part in parts], axis=0)
    return Estimate(float(min(part.value for part in parts)), draws)


def _against_all(
    part: Comparison, label: str, quantities: Quantities, seen: set[tuple]
) -> list[dict]:
    """Return the rows of one searched method; of several models, against the same model alone.

    Pairs of methods that an earlier comparison has (`seen`) are not repeated.
    """
    runs = part.runs
    own = runs[runs["label"] == label].set_index("cohort")
    others = runs[
        runs["label"].ne(label) & (runs["arm"].eq("scratch") | runs["model"].isin(own["model"]))
    ]
    order = {FULL: 0, RANDOM: 1}
    rows = []
    for arm, name in sorted(
        others[["arm", "label"]].drop_duplicates().itertuples(index=False, name=None),
        key=lambda pair: order.get(pair[0], 2),
    ):
        overlap = part.name == OVERLAPPING
        pair = (overlap, *_names(own), *_names(others[others["label"] == name]))
        if pair in seen:
            continue
        seen.add(pair)
        other = others[others["label"] == name].set_index("cohort")
        cohorts = [cohort for cohort in own.index if cohort in other.index]
        head = {"comparison": part.name, "first": label, "second": name, "against": arm}
        rows += _rows(head, own, other, cohorts, quantities)
    return rows


def _rows(head: dict, own, other, cohorts: list[str], quantities: Quantities) -> list[dict]:
    pooled, single = [], []
    pair = f"{head['first']} less {head['second']}"
    for quantity in SIGNS:
        where = f"{head['comparison']}, {quantity}"
        parts = []
        for cohort in cohorts:
            attribute = own.loc[cohort, "attribute"]
            ends = [_run(cohort, side) for side in (own, other)]
            found = difference(quantities, attribute, quantity, *ends)
            parts.append((own.loc[cohort, "dataset"], found))
            row = {**head, "cohort": cohort, "quantity": quantity, "attribute": attribute}
            row |= {"family": f"single cohorts: {pair}, {where}", "n_cohorts": 1, "n_datasets": 1}
            single.append(row | summarise(found, quantities.level, POINTS))
        known = [pair for pair in parts if pair[1].status == "ok"]
        row = {**head, "cohort": ALL, "quantity": quantity, "attribute": ALL}
        row["family"] = f"means over cohorts: {head['first']}, {where}"
        row |= {"n_cohorts": len(known), "n_datasets": len({name for name, _ in known})}
        if cohorts:
            pooled.append(row | summarise(pool(known), quantities.level, POINTS))
    return pooled + single


def _names(side: pd.DataFrame) -> tuple[str, str]:
    return side["model"].iloc[0], side["method"].iloc[0]


def _run(cohort: str, side: pd.DataFrame) -> Run:
    return (cohort, side.loc[cohort, "model"], side.loc[cohort, "method"])
