"""The value of a search on test: FairTune minus every other method, over the same patients."""

import numpy as np
import pandas as pd

from medaudit.report.studies.contrasts import (
    Estimate,
    Quantities,
    Run,
    difference_of_means,
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
from medaudit.report.studies.fairtune_outcomes import POINTS, mean_over_cohorts
from medaudit.report.studies.multiple_testing import adjust_families
from medaudit.report.verdicts import judge_difference

MIN, GAP, AUC = "worst group's AUC", "gap in AUC", "AUC"
SIGNS = {MIN: 1, GAP: -1, AUC: 1}
"""Quantity to 1 if higher is better, -1 if lower is."""

COLUMNS = [
    *("comparison", "cohort", "family", "quantity", "attribute", "first", "second", "against"),
    *("n_cohorts", "n_datasets", "value", "low", "high", "status", "p_value", "p_adjusted"),
    *("family_size", "verdict"),
]
ALL = "all"
"""Replaces the cohort's name in rows of the mean over all cohorts."""


def find_search_claims(evidence: Evidence, extras: Extras) -> pd.DataFrame:
    """Return the searched method minus every other method, by quantity.

    Returns
    -------
    pandas.DataFrame
        `COLUMNS`: the difference on test in percentage points, first the mean over all cohorts on
        which both ran (``cohort`` is `ALL`, see
        `medaudit.report.studies.fairtune_outcomes.mean_over_cohorts`), then by cohort; ``against``
        is the arm of the other method; ``p_adjusted`` by Holm over the ``family``, which is, of one
        comparison and quantity, either the means against all other methods or all cohorts of one
        pair of methods; ``verdict`` (`medaudit.report.verdicts.judge_difference`).
    """
    rows = []
    if "auc" in evidence.measures:
        quantities = Quantities(evidence, "auc")
        seen: set[tuple] = set()
        for part in comparisons(evidence, extras):
            for label in part.runs.loc[part.runs["arm"] == FAIRTUNE, "label"].unique():
                rows += _against_all(part, label, quantities, seen)
    frame = adjust_families(pd.DataFrame(rows, columns=COLUMNS), ["family"])
    alpha = 1 - evidence.level
    return frame.assign(verdict=[judge_difference(row, alpha) for row in frame.to_dict("records")])


def difference(
    quantities: Quantities, attribute: str, quantity: str, first: Run, second: Run
) -> Estimate:
    """Return `first` - `second` in a quantity, over the groups that are estimable in both."""
    if quantity == AUC:
        return difference_of_means([quantities.value(first)], [quantities.value(second)])
    groups = shared_groups(quantities, [first, second], attribute)
    measure = {MIN: _worst, GAP: Quantities.gap}[quantity]
    sides = [[measure(quantities, run, attribute, groups)] for run in (first, second)]
    return difference_of_means(sides[0], sides[1])


def _worst(quantities: Quantities, run: Run, attribute: str, groups: list[str]) -> Estimate:
    if len(groups) < 2:
        return Estimate(np.nan, np.array([np.nan]), "too_few")
    parts = [quantities.value(run, attribute, group) for group in groups]
    draws = np.min([part.draws for part in parts], axis=0)
    return Estimate(float(min(part.value for part in parts)), draws)


def _against_all(
    part: Comparison, label: str, quantities: Quantities, seen: set[tuple]
) -> list[dict]:
    """Return the rows of one searched method against the others on the same model, or from scratch.

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


def _rows(
    head: dict,
    own: pd.DataFrame,
    other: pd.DataFrame,
    cohorts: list[str],
    quantities: Quantities,
) -> list[dict]:
    pooled, single = [], []
    pair = f"{head['first']} minus {head['second']}"
    for quantity in SIGNS:
        where = f"{head['comparison']}, {quantity}"
        parts = []
        for cohort in cohorts:
            attribute = own.loc[cohort, "attribute"]
            runs = (_run(cohort, own), _run(cohort, other))
            found = difference(quantities, attribute, quantity, *runs)
            parts.append((own.loc[cohort, "dataset"], found))
            row = {**head, "cohort": cohort, "quantity": quantity, "attribute": attribute}
            row |= {"family": f"single cohorts: {pair}, {where}", "n_cohorts": 1, "n_datasets": 1}
            single.append(row | summarise(found, quantities.level, POINTS))
        known = [part for part in parts if part[1].status == "ok"]
        row = {**head, "cohort": ALL, "quantity": quantity, "attribute": ALL}
        row["family"] = f"means over cohorts: {head['first']}, {where}"
        row |= {"n_cohorts": len(known), "n_datasets": len({name for name, _ in known})}
        if cohorts:
            pooled.append(row | summarise(mean_over_cohorts(known), quantities.level, POINTS))
    return pooled + single


def _names(side: pd.DataFrame) -> tuple[str, str]:
    return side["model"].iloc[0], side["method"].iloc[0]


def _run(cohort: str, side: pd.DataFrame) -> Run:
    return (cohort, side.loc[cohort, "model"], side.loc[cohort, "method"])
