"""The tables that every study gets: performance, gaps, groups, tasks and differences."""

import pandas as pd

from medaudit.report.studies.context import Context
from medaudit.report.studies.evidence import RUN, overall
from medaudit.report.studies.facts import headline_gaps
from medaudit.report.tables.columns import (
    choice_text,
    cohort_column,
    counts,
    interval_text,
    measure_columns,
    pivot_measures,
    run_columns,
    shown_measures,
)
from medaudit.report.tables.table import Column, Table
from medaudit.report.wording import nulls, terms


def performance(context: Context) -> Table:
    """Overall value of every measure, one row per run."""
    evidence, facts = context.evidence, context.facts
    rows = facts[facts["kind"] == "performance"]
    measures = shown_measures(evidence, rows)
    data = pivot_measures(rows, RUN, measures, extra=("seed_sd",))
    data = data.merge(counts(rows, RUN), on=RUN, how="left")
    first = evidence.headline
    return Table(
        "performance",
        "Performance of every run",
        f"Test set, mean over tasks and seeds; {interval_text(evidence)}.{choice_text(evidence)} "
        f"SD over seeds: standard deviation of {terms.measure(first)} over seeds.",
        data,
        (
            *run_columns(evidence),
            *measure_columns(measures),
            Column(f"{first}_seed_sd", "SD over seeds", "number"),
            Column("n", "Images", "count"),
            Column("n_patients", "Patients", "count"),
        ),
    )


def fairness(context: Context) -> Table:
    """Gaps in the headline measure, one row per run and attribute."""
    evidence = context.evidence
    return Table(
        "fairness",
        f"Fairness: {terms.gap(evidence.gap)} in {terms.measure(evidence.headline)}",
        gap_caption(context),
        gap_data(headline_gaps(context.facts, evidence.headline, evidence.gap)),
        (*run_columns(evidence), *gap_columns(context)),
    )


def gaps(context: Context) -> Table:
    """All gaps in all measures."""
    columns = (
        Column("measure_shown", "Measure"),
        Column("gap_shown", "Kind of gap"),
        Column("task", "Task"),
        *gap_columns(context),
    )
    return Table(
        "gaps",
        "All gaps",
        gap_caption(context),
        gap_data(context.facts[context.facts["kind"] == "gap"]),
        (*run_columns(context.evidence), *columns),
    )


def gap_data(rows: pd.DataFrame) -> pd.DataFrame:
    """Return gap facts as the data of a table."""
    renamed = rows.rename(
        columns={"gap": "gap_name", "value": "gap", "low": "gap_low", "high": "gap_high"}
    )
    data = renamed.assign(
        gap_status=rows["status"],
        measure_shown=rows["measure"].map(terms.measure),
        gap_shown=rows["gap"].map(terms.gap),
        attribute_shown=rows["attribute"].map(terms.attribute),
        groups=rows["n_estimable"].astype("string") + " of " + rows["n_groups"].astype("string"),
        tested=[nulls.in_table(row) for row in rows.to_dict("records")],
    )
    keep = [*RUN, "attribute", "attribute_shown", "measure", "measure_shown", "gap_name"]
    keep += ["gap_shown", "task", "dialect", "gap", "gap_low", "gap_high", "gap_status"]
    keep += ["upper", "margin", "equivalence", "null", "null_status", "tested", "n_movable"]
    keep += ["n_patients", "null_mean", "null_q95", "p_value", "p_adjusted", "role", "family"]
    keep += ["family_size", "smallest_detectable", "worst", "best", "lowest", "lowest_value"]
    keep += ["highest", "highest_value", "groups", "n_groups", "n_estimable"]
    return data[keep].reset_index(drop=True)


def gap_columns(context: Context) -> tuple[Column, ...]:
    """Return the columns of a gap, from its attribute on."""
    against = (Column("margin", "Margin", "number"), Column("equivalence", "Verdict"))
    role = (Column("role", "Question"),)
    return (
        Column("attribute_shown", "Attribute"),
        *(role if context.facts["role"].notna().any() else ()),
        Column("gap", "Gap", "estimate"),
        *(against if has_margins(context) else ()),
        Column("tested", "Null hypothesis"),
        Column("null_mean", "Null: mean", "number"),
        Column("null_q95", "Null: 95 %", "number"),
        Column("p_value", "p", "p"),
        Column("p_adjusted", "Adjusted p", "p"),
        Column("smallest_detectable", "Found in 80 %", "number"),
        Column("worst", "Worst group"),
        Column("lowest", "Lowest in"),
        Column("highest", "Highest in"),
        Column("groups", "Groups estimable"),
    )


def has_margins(context: Context) -> bool:
    """Return whether margins were declared."""
    return bool(context.evidence.evaluation.get("margins"))


def gap_caption(context: Context) -> str:
    """Return the caption of a table of gaps: what a reader must know to read a gap."""
    evidence = context.evidence
    said = nulls.explain(evidence.gaps["null"])
    parts = [
        f"{interval_text(evidence)}. A gap is positive even where its null hypothesis holds"
        f"{f' ({said})' if said else ''}. Null: the gap when group membership is permuted between "
        "patients under that hypothesis, on average and at most in 95 of 100 cases; in brackets "
        "how many patients can exchange their groups, if not all. p: probability, under that "
        "hypothesis, of a gap at least this far from 0; a large p is no proof of fairness. "
        f"{_families(context)} Found in 80 %: the smallest gap that this cohort finds in 80 of 100 "
        "samples. Lowest and highest: by the value; which is worse depends on the measure."
    ]
    if has_margins(context):
        parts.append(
            "Verdict against the margin declared before the run: fair within it if the one-sided "
            f"{context.level} upper limit is below it and no group is left out; unfair if the lower "
            "limit is above it; else undecided."
        )
    return " ".join(parts)


def _families(context: Context) -> str:
    same = "all gaps of the same measure and kind on the cohort"
    if not context.facts["role"].notna().any():
        return f"Adjusted for {same}."
    return (
        "Adjusted for all primary questions of the study together; the other gaps are exploratory, "
        f"adjusted for {same} that are no primary questions."
    )


def groups(context: Context) -> Table:
    """Every measure in every group, one row per run and group."""
    evidence = context.evidence
    rows = overall(evidence.metrics)
    rows = rows[rows["group"].ne("all")]
    rows = rows.assign(attribute_shown=rows["attribute"].map(terms.attribute))
    key = [*RUN, "attribute", "attribute_shown", "group"]
    measures = shown_measures(evidence, rows)
    data = pivot_measures(rows, key, measures)
    return Table(
        "groups",
        "Performance by group",
        f"Test set, mean over tasks and seeds; {interval_text(evidence)}.{choice_text(evidence)}",
        data.merge(counts(rows, key), on=key, how="left"),
        (
            *run_columns(evidence),
            Column("attribute_shown", "Attribute"),
            Column("group", "Group"),
            *measure_columns(measures),
            Column("n", "Images", "count"),
            Column("n_patients", "Patients", "count"),
        ),
    )


def tasks(context: Context) -> Table:
    """Every measure in every single task, one row per run and task."""
    evidence = context.evidence
    rows = evidence.metrics
    rows = rows[
        (rows["seed"] == "mean")
        & rows["attribute"].eq("all")
        & rows["group"].eq("all")
        & ~rows["task"].isin(["all", "mean", "mean_of_gaps"])
    ]
    key = [*RUN, "task"]
    measures = shown_measures(evidence, rows)
    data = pivot_measures(rows, key, measures).merge(
        counts(rows, key, ("n", "n_pos", "n_patients")), on=key, how="left"
    )
    return Table(
        "tasks",
        "Performance by task",
        f"Test set, all patients, mean over seeds; {interval_text(evidence)}."
        f"{choice_text(evidence)}",
        data,
        (
            *run_columns(evidence),
            Column("task", "Task"),
            *measure_columns(measures),
            Column("n", "Images", "count"),
            Column("n_pos", "Positive", "count"),
            Column("n_patients", "Patients", "count"),
        ),
    )


def differences(context: Context) -> Table:
    """Paired differences between runs that share a model or a method."""
    evidence, facts = context.evidence, context.facts
    rows = facts[facts["kind"].isin(["performance_difference", "gap_difference"])]
    gap = rows["kind"].eq("gap_difference")
    of_gap = " gap by " + rows["attribute"].map(terms.attribute)
    data = rows.rename(
        columns={"value": "difference", "low": "difference_low", "high": "difference_high"}
    ).assign(
        difference_status=rows["status"],
        quantity=rows["measure"].map(terms.measure) + of_gap.where(gap, ""),
        first=_runs(rows, "", context),
        second=_runs(rows, "against_", context),
    )
    keep = ["cohort", "quantity", "kind", "measure", "attribute", "first", "second"]
    keep += ["difference", "difference_low", "difference_high", "difference_status"]
    return Table(
        "differences",
        "Differences between runs",
        f"First minus second, over the same patients (paired bootstrap draws); "
        f"{interval_text(evidence)}; averaged over seeds, so the intervals do not include the "
        "variation between seeds. Adjusted p: for all pairs of the same quantity on the cohort "
        "(Romano and Wolf 2005).",
        data[[*keep, "p_value", "p_adjusted", "family", "family_size"]].reset_index(drop=True),
        (
            *cohort_column(evidence),
            Column("quantity", "Quantity"),
            Column("first", "First"),
            Column("second", "Second"),
            Column("difference", "Difference", "difference"),
            Column("p_value", "p", "p"),
            Column("p_adjusted", "Adjusted p", "p"),
        ),
    )


def _runs(rows: pd.DataFrame, prefix: str, context: Context) -> list[str]:
    runs = rows[[f"{prefix}model", f"{prefix}method"]].set_axis(["model", "method"], axis=1)
    return [context.names.run(row) for row in runs.to_dict("records")]
