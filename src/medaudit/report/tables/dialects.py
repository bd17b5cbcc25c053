"""Tables: every run in every paper's definition of fairness, and how the definitions rank runs."""

from typing import Any

import pandas as pd

from medaudit.audit.dialects.rankings import rank_measures
from medaudit.report.studies.context import Context
from medaudit.report.tables.columns import cohort_column, interval_text, run_columns
from medaudit.report.tables.table import Column, Table
from medaudit.report.wording import terms

SHOWN = 3


def dialects(context: Context) -> Table | None:
    """Every run in every measure of every dialect."""
    evidence, rows = context.evidence, context.extras.dialects
    rows = rows[rows["seed"] == "mean"].drop(columns=["file", "row"], errors="ignore")
    if rows.empty:
        return None
    data = rows.assign(
        attribute_shown=rows["attribute"].map(terms.attribute),
        value_low=rows["low"],
        value_high=rows["high"],
        value_status=rows["status"],
        groups=rows["n_estimable"].astype("string") + " of " + rows["n_groups"].astype("string"),
    ).drop(columns=["low", "high"])
    return Table(
        "dialects",
        "All dialects",
        f"The same predictions in each paper's definition; {interval_text(evidence)}, widened "
        "towards the fair end, because noise alone makes such measures look unfair. Where a measure "
        "is a metric or gap of the audit, its interval and test are those of the audit. Null: the "
        "value when group membership is permuted between patients, on average and in the least "
        "fair 5 of 100 cases; p is not adjusted for the number of measures.",
        data,
        (
            *run_columns(evidence),
            Column("attribute_shown", "Attribute"),
            Column("dialect", "Dialect"),
            Column("measure", "Measure"),
            Column("task", "Task"),
            Column("better", "Better is"),
            Column("value", "Value", "estimate"),
            Column("null_mean", "Null: mean", "number"),
            Column("null_q95", "Null: 95 %", "number"),
            Column("p_value", "p", "p"),
            Column("groups", "Groups estimable"),
        ),
    )


def rankings(context: Context) -> Table | None:
    """Pairs of measures from different dialects that rank the runs differently."""
    if context.extras.dialects.empty:
        return None
    found = rank_measures(context.extras.dialects)
    dialect = [found[side].str.partition(": ")[0] for side in ("first", "second")]
    found = found[dialect[0] != dialect[1]]
    kept = found[found["n_swapped"] > 0].sort_values("tau", kind="stable", na_position="last")
    fairest = _fairest(context.extras.dialects)
    data = kept.drop(columns="swapped").assign(
        attribute_shown=kept["attribute"].map(terms.attribute),
        which=kept["swapped"].map(_first_swaps),
    )
    for side in ("first", "second"):
        keys = zip(kept["cohort"], kept["attribute"], kept[side], strict=True)
        data[f"fairest_by_{side}"] = [fairest.get(key) for key in keys]
    return Table(
        "rankings",
        "Where the ranking depends on the dialect",
        f"{len(kept)} of {len(found)} pairs of measures from different papers rank some runs in a "
        "different order. Tau: Kendall's tau-b between the two rankings; 1 is the same order, −1 "
        "the reverse. 'a > b': run a is fairer by the first measure, run b by the second. These "
        "are ranks of point estimates without a test: a swap may be noise.",
        data.reset_index(drop=True),
        (
            *cohort_column(context.evidence),
            Column("attribute_shown", "Attribute"),
            Column("first", "First measure"),
            Column("second", "Second measure"),
            Column("tau", "Tau", "number"),
            Column("n_runs", "Runs", "count"),
            Column("n_swapped", "Pairs swapped", "count"),
            Column("fairest_by_first", "Fairest by the first"),
            Column("fairest_by_second", "Fairest by the second"),
            Column("which", "Swapped"),
        ),
    )


def _fairest(rows: pd.DataFrame) -> dict[tuple[Any, ...], str]:
    """Return the fairest run by cohort, attribute and measure."""
    rows = rows[rows["seed"].eq("mean") & rows["value"].notna()]
    fair = rows["value"].where(rows["better"] == "higher", -rows["value"])
    rows = rows.assign(fair=fair, by=rows["dialect"] + ": " + rows["measure"])
    best = rows.sort_values("fair", ascending=False, kind="stable")
    best = best.drop_duplicates(["cohort", "attribute", "by"])
    names = best["model"] + " / " + best["method"]
    return dict(
        zip(zip(best["cohort"], best["attribute"], best["by"], strict=True), names, strict=True)
    )


def _first_swaps(swapped: str) -> str:
    """Return the first swaps of a list, and how many more there are."""
    parts = swapped.split("; ")
    more = f"; and {len(parts) - SHOWN} more" if len(parts) > SHOWN else ""
    return "; ".join(parts[:SHOWN]) + more
