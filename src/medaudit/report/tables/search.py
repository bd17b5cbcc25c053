"""Tables of the searches: trials, cost, and the drop from validation to test."""

from typing import Any

import numpy as np
import pandas as pd

from medaudit.core.documents import PredictionsFooter
from medaudit.core.intersections import join_names
from medaudit.core.statuses import Status
from medaudit.report.studies.context import Context
from medaudit.report.studies.contrasts import Run
from medaudit.report.studies.evidence import RUN, Evidence
from medaudit.report.studies.fairtune_claims import find_search_claims
from medaudit.report.studies.fairtune_comparisons import TITLES, attribute_of
from medaudit.report.studies.fairtune_outcomes import BY_KEY, POINTS, Outcome, Outcomes
from medaudit.report.tables.columns import interval_text, run_columns
from medaudit.report.tables.table import Column, Table
from medaudit.report.wording import terms

ON_TEST = {"auc": "auc", "auc_min": "min_auc", "auc_gap": "gap_auc", "eoddsd": "eoddsd"}
ON_TEST |= {"dpd": "dpd"}
"""Objective of a search to the same quantity on test."""


def search(context: Context) -> Table | None:
    """Every search: trials, epochs, and the best validation value against refits and test."""
    if not context.extras.searches:
        return None
    return Table(
        "search",
        "Searches: trials, and the drop from validation to test",
        "In per cent. Best: objective of the best trial on validation. Refits: mean over refits of "
        "the best point with other seeds, on validation and on test. Drop: best on validation "
        "minus refits on test, signed so that positive is worse; "
        f"{interval_text(context.evidence)}, from the test value only. A drop above 0 is expected: "
        "the best of many trials, each at its best epoch, was partly lucky (the winner's curse). "
        "Epochs: of counted trials, and their share of the epochs without pruning.",
        pd.DataFrame(search_rows(context)),
        (
            *run_columns(context.evidence),
            Column("objective", "Objective"),
            Column("complete", "Complete", "count"),
            Column("pruned", "Pruned", "count"),
            Column("undefined", "Undefined", "count"),
            Column("lost", "Lost", "count"),
            Column("epochs", "Epochs run", "count"),
            Column("epochs_share", "% of epochs without pruning", "number", 0),
            Column("best", "Best on validation", "number", 1),
            Column("refits", "Refits on validation", "number", 1),
            Column("test", "Refits on test", "estimate", 1),
            Column("drop", "Drop", "difference", 1),
            Column("processor_hours", "CPU hours", "number", 2),
        ),
    )


def search_rows(context: Context) -> list[dict[str, Any]]:
    """Return the rows of `search`, one per search."""
    evidence, extras = context.evidence, context.extras
    outcomes = Outcomes(evidence, extras)
    refits = {(f["cohort"], f["model"], f["method"]): f for f in extras.footers}
    rows = []
    for found in extras.searches:
        run: Run = (found["cohort"], found["model"], found["method"])
        objective = found["objective"]
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


def _refits(footer: PredictionsFooter | None, sign: int) -> float:
    """Return the mean validation objective of the refits with other seeds than the search's (0)."""
    chosen = footer["runs"]["chosen"] if footer and footer.get("runs") else []
    values = [run["criterion"] for run in chosen if str(run["seed"]) != "0"]
    return -sign * POINTS * float(np.mean(values)) if values and None not in values else np.nan


def _on_test(
    outcomes: Outcomes, evidence: Evidence, run: Run, found: dict[str, Any], sign: int
) -> dict[str, Any]:
    """Return the objective on test, and the drop to it from the best validation value."""
    names, best = found["objective"].get("attribute"), found["value"]
    own = join_names(names or [])
    quantity = BY_KEY.get(ON_TEST.get(found["objective"]["metric"], ""))
    value = Outcome(np.nan, np.array([np.nan]), Status.MISSING)
    if quantity is not None:
        value = outcomes.get(run, own or attribute_of(evidence.cards[run[0]]), quantity)
    # The validation value is fixed: the drop's interval is the test value's, mirrored or shifted.
    ends = sorted(sign * (best - end) for end in (value.low, value.high))
    numbers = {"test": value.value, "test_low": value.low, "test_high": value.high}
    numbers |= {"drop": sign * (best - value.value), "drop_low": ends[0], "drop_high": ends[1]}
    points = {name: number * POINTS for name, number in numbers.items()}
    return points | {"test_status": value.status, "drop_status": value.status}


def search_costs(context: Context) -> Table | None:
    """Cost of each method's searches, in total and on average."""
    if not context.extras.searches:
        return None
    rows = pd.DataFrame(search_rows(context))
    rows["trials"] = rows["complete"] + rows["pruned"]
    sums = ["trials", "pruned", "epochs", "epochs_without_pruning", "processor_hours", "hours"]
    grouped = rows.groupby(["model", "method"], sort=False)
    data = grouped[sums].sum().reset_index()
    data["searches"] = grouped.size().to_numpy()
    data["epochs_share"] = POINTS * data["epochs"] / data["epochs_without_pruning"]
    data["each"] = data["processor_hours"] / data["searches"]
    return Table(
        "search_costs",
        "Cost of the searches",
        "Sums over the study's datasets and attributes, for counted trials only: start-up and lost "
        "trials are in results/benchmark/search. CPU hours: processor time of all threads. Hours: "
        "wall time, summed over workers.",
        data,
        (
            Column("model", "Model"),
            Column("method", "Method"),
            Column("searches", "Searches", "count"),
            Column("trials", "Trials", "count"),
            Column("pruned", "Pruned trials", "count"),
            Column("epochs", "Epochs run", "count"),
            Column("epochs_share", "% of epochs without pruning", "number", 0),
            Column("processor_hours", "CPU hours", "number", 2),
            Column("hours", "Hours", "number", 2),
            Column("each", "CPU hours per search", "number", 2),
        ),
    )


def search_claims(context: Context) -> Table | None:
    """The searched method minus every other method on test, over all cohorts and by cohort."""
    data = find_search_claims(context.evidence, context.extras)
    if data.empty:
        return None
    renamed = {"value": "difference", "low": "difference_low", "high": "difference_high"}
    data = data.rename(columns={**renamed, "status": "difference_status"})
    data["comparison_shown"] = data["comparison"].map(TITLES).str.partition(":")[0]
    data["compared"] = data["first"] + " minus " + data["second"]
    data["quantity_shown"] = data["quantity"].map(terms.first_upper)
    return Table(
        "search_claims",
        "Does the search help on test?",
        "Differences in percentage points over the same test patients (paired bootstrap draws); "
        f"{interval_text(context.evidence)}; averaged over seeds, so the intervals do not include "
        "the variation between seeds. All: mean over the cohorts on which both ran; attributes of "
        "one dataset share patients and are treated as perfectly dependent, datasets as "
        "independent. The worst group is each method's own. Holm: means are adjusted for all other "
        "methods of the same comparison and quantity, single cohorts for all cohorts of the same "
        "two methods and quantity.",
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
