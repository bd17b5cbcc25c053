"""Tables of the searches themselves: trials, cost, and what is left of the best value on test."""

import numpy as np
import pandas as pd

from medaudit.report.studies.evidence import RUN, Evidence
from medaudit.report.studies.extras import Extras
from medaudit.report.studies.fairtune_claims import find_search_claims
from medaudit.report.studies.fairtune_comparisons import TITLES, attribute_of
from medaudit.report.studies.fairtune_outcomes import BY_KEY, POINTS, Outcome, Outcomes
from medaudit.report.tables.standard import interval_text, run_columns
from medaudit.report.tables.table import Column, Table
from medaudit.report.wording import terms

ON_TEST = {"auc": "auc", "auc_min": "min_auc", "auc_gap": "gap_auc", "eoddsd": "eoddsd"}
ON_TEST |= {"dpd": "dpd"}
"""Objectives that have the same number on test, and which."""


def search(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> Table | None:
    """Every search: trials, epochs, and the best validation value against the refits and test."""
    if not extras.searches:
        return None
    data = pd.DataFrame(search_rows(evidence, extras))
    return Table(
        "search",
        "Searches: trials, and the drop from validation to test",
        "Best: the objective of the best trial on validation. Refits: mean of the best point's "
        "refits with other seeds on validation, and on test; in per cent. Drop: how much worse test is "
        f"than the best trial looked (positive is worse); {interval_text(evidence)} of the test "
        "value, the validation value taken as it was found. A drop above 0 is expected: the best "
        "of many trials, each the best of its epochs, was partly lucky (the winner's curse). "
        "Epochs: of counted trials, against all of them run to their end.",
        data,
        (
            *run_columns(evidence),
            Column("objective", "Objective"),
            Column("complete", "Complete", "count"),
            Column("pruned", "Pruned", "count"),
            Column("undefined", "Undefined", "count"),
            Column("lost", "Lost", "count"),
            Column("epochs", "Epochs run", "count"),
            Column("epochs_share", "% of those without pruning", "number", 0),
            Column("best", "Best on validation", "number", 1),
            Column("refits", "Refits on validation", "number", 1),
            Column("test", "Refits on test", "estimate", 1),
            Column("drop", "Drop", "difference", 1),
            Column("processor_hours", "CPU hours", "number", 2),
        ),
    )


def search_rows(evidence: Evidence, extras: Extras) -> list[dict]:
    """Return one row a search, see `search`."""
    outcomes = Outcomes(evidence, extras)
    refits = {tuple(footer[axis] for axis in RUN): footer for footer in extras.footers}
    rows = []
    for found in extras.searches:
        run, objective = tuple(found[axis] for axis in RUN), found["objective"]
        sign = 1 if objective["direction"] == "maximize" else -1
        row = dict(zip(RUN, run, strict=True)) | {"objective": objective["metric"]}
        row |= {name: found["trials"][name] for name in ("complete", "pruned", "undefined", "lost")}
        ran, whole = (found["epochs"][name] for name in ("run", "without_pruning"))
        row |= {
            "epochs": ran,
            "epochs_without_pruning": whole,
            "epochs_share": POINTS * ran / whole,
        }
        row |= {"epochs_lost": found["epochs"]["lost"], "best": found["value"] * POINTS}
        row["refits"] = _refits(refits.get(run), sign)
        row |= _on_test(outcomes, evidence, run, found, sign)
        for name in ("seconds", "processor_seconds"):
            row[name.replace("seconds", "hours")] = found[name] / 3600
        rows.append(row)
    return rows


def _refits(footer: dict | None, sign: int) -> float:
    """Return the mean validation objective of the refits other than that of the search's seed."""
    chosen = footer["runs"]["chosen"] if footer and footer.get("runs") else []
    values = [run["criterion"] for run in chosen if str(run["seed"]) != "0"]
    return -sign * POINTS * float(np.mean(values)) if values and None not in values else np.nan


def _on_test(outcomes: Outcomes, evidence: Evidence, run: tuple, found: dict, sign: int) -> dict:
    """Return the objective on test and the drop to it; their intervals are the same one, turned."""
    wanted, best = found["objective"].get("attribute"), found["value"]
    own = wanted if isinstance(wanted, str) else " & ".join(wanted or [])
    quantity = BY_KEY.get(ON_TEST.get(found["objective"]["metric"]))
    value = Outcome(np.nan, np.array([np.nan]), "missing")
    if quantity is not None:
        value = outcomes.of(run, own or attribute_of(evidence.cards[run[0]]), quantity)
    ends = sorted(sign * (best - end) for end in (value.low, value.high))
    numbers = {"test": value.value, "test_low": value.low, "test_high": value.high}
    numbers |= {"drop": sign * (best - value.value), "drop_low": ends[0], "drop_high": ends[1]}
    points = {name: number * POINTS for name, number in numbers.items()}
    return points | {"test_status": value.status, "drop_status": value.status}


def search_costs(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> Table | None:
    """What each method's searches cost together, and each on average."""
    if not extras.searches:
        return None
    rows = pd.DataFrame(search_rows(evidence, extras))
    rows["trials"] = rows["complete"] + rows["pruned"]
    sums = ["trials", "pruned", "epochs", "epochs_without_pruning", "processor_hours", "hours"]
    grouped = rows.groupby(["model", "method"], sort=False)
    data = grouped[sums].sum().reset_index()
    data["searches"] = grouped.size().to_numpy()
    data["epochs_share"] = POINTS * data["epochs"] / data["epochs_without_pruning"]
    data["each"] = data["processor_hours"] / data["searches"]
    return Table(
        "search_costs",
        "What the searches cost",
        "Sums over the study's datasets and attributes, of counted trials alone: start-up and lost "
        "trials are in results/benchmark/search. CPU hours are processor time of all threads, "
        "hours the wall time of all workers together.",
        data,
        (
            Column("model", "Model"),
            Column("method", "Method"),
            Column("searches", "Searches", "count"),
            Column("trials", "Trials", "count"),
            Column("pruned", "of these pruned", "count"),
            Column("epochs", "Epochs run", "count"),
            Column("epochs_share", "% of those without pruning", "number", 0),
            Column("processor_hours", "CPU hours", "number", 2),
            Column("hours", "Hours", "number", 2),
            Column("each", "CPU hours a search", "number", 2),
        ),
    )


def search_claims(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> Table | None:
    """What is searched less every other method on test, over all cohorts and by cohort."""
    data = find_search_claims(evidence, extras)
    if data.empty:
        return None
    renamed = {"value": "difference", "low": "difference_low", "high": "difference_high"}
    data = data.rename(columns={**renamed, "status": "difference_status"})
    data["comparison_shown"] = data["comparison"].map(TITLES).str.partition(":")[0]
    data["compared"] = data["first"] + " less " + data["second"]
    data["quantity_shown"] = data["quantity"].map(terms.first_upper)
    return Table(
        "search_claims",
        "Does the search help on test?",
        "Differences in percentage points over the same test patients (paired bootstrap draws); "
        f"{interval_text(evidence)}; seeds averaged, so their spread is not in the interval. "
        "All: the mean over the cohorts where both ran; attributes of one dataset share patients "
        "and are taken to depend on each other wholly, datasets not at all. The worst group is "
        "each method's own. Holm: the means are adjusted for all other methods of the same comparison "
        "and quantity, single cohorts for all cohorts of the same two methods and quantity.",
        data,
        (
            Column("comparison_shown", "Comparison"),
            Column("cohort", "Cohort"),
            Column("compared", "Compared"),
            Column("quantity_shown", "Quantity"),
            Column("n_cohorts", "Cohorts", "count"),
            Column("difference", "Difference", "difference", 2),
            Column("p_value", "p", "p"),
            Column("p_adjusted", "p, Holm", "p"),
            Column("verdict", "Verdict"),
        ),
    )
