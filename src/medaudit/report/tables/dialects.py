"""Tables: every run in every paper's definition, and where the definition changes the ranking."""

import pandas as pd

from medaudit.audit.dialects.rankings import rank_measures
from medaudit.report.studies.evidence import Evidence
from medaudit.report.studies.extras import Extras
from medaudit.report.tables.standard import interval_text, run_columns
from medaudit.report.tables.table import Column, Table
from medaudit.report.wording import terms

SHOWN = 3


def dialects(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> Table | None:
    """Every run by every measure of every dialect."""
    rows = extras.dialects
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
        "towards the fair end, since noise alone makes such measures unfair. 'Fair': what a model "
        "that treats groups alike shows on this test set (group labels permuted by patient), on "
        "average and in the least fair 5 of 100 cases; p is not adjusted for the number of "
        "measures.",
        data,
        (
            *run_columns(evidence),
            Column("attribute_shown", "Attribute"),
            Column("dialect", "Dialect"),
            Column("measure", "Measure"),
            Column("task", "Task"),
            Column("better", "Better is"),
            Column("value", "Value", "estimate"),
            Column("null_mean", "Fair: mean", "number"),
            Column("null_q95", "Fair: 95 %", "number"),
            Column("p_value", "p", "p"),
            Column("groups", "Groups estimable"),
        ),
    )


def rankings(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> Table | None:
    """Each two measures of different dialects that rank the runs differently."""
    if extras.dialects.empty:
        return None
    found = rank_measures(extras.dialects)
    dialect = [found[side].str.partition(": ")[0] for side in ("first", "second")]
    found = found[dialect[0] != dialect[1]]
    kept = found[found["n_swapped"] > 0].sort_values("tau", kind="stable", na_position="last")
    fairest = _fairest(extras.dialects)
    data = kept.drop(columns="swapped").assign(
        attribute_shown=kept["attribute"].map(terms.attribute),
        which=kept["swapped"].map(_some),
        **{
            f"fairest_by_{side}": [
                fairest.get(key)
                for key in zip(kept["cohort"], kept["attribute"], kept[side], strict=True)
            ]
            for side in ("first", "second")
        },
    )
    return Table(
        "rankings",
        "Where the ranking changes with the dialect",
        f"{len(kept)} of {len(found)} pairs of measures of different papers put some runs in "
        "another order. Tau: Kendall's tau-b between the two rankings, 1 is the same order, −1 "
        "the reverse; 'a > b': the first measure finds a fairer, the second b. These are ranks of "
        "point estimates: where intervals overlap, a swap may be chance.",
        data.reset_index(drop=True),
        (
            *([Column("cohort", "Cohort")] if len(evidence.cards) > 1 else []),
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


def _fairest(rows: pd.DataFrame) -> dict[tuple[str, str, str], str]:
    """Return the run that each measure finds fairest, by cohort, attribute and measure."""
    rows = rows[rows["seed"].eq("mean") & rows["value"].notna()]
    fair = rows["value"].where(rows["better"] == "higher", -rows["value"])
    rows = rows.assign(fair=fair, by=rows["dialect"] + ": " + rows["measure"])
    best = rows.sort_values("fair", ascending=False, kind="stable")
    best = best.drop_duplicates(["cohort", "attribute", "by"])
    names = best["model"] + " / " + best["method"]
    return dict(
        zip(zip(best["cohort"], best["attribute"], best["by"], strict=True), names, strict=True)
    )


def _some(swapped: str) -> str:
    """Return the first few of a list of swaps."""
    parts = swapped.split("; ")
    more = f"; and {len(parts) - SHOWN} more" if len(parts) > SHOWN else ""
    return "; ".join(parts[:SHOWN]) + more
