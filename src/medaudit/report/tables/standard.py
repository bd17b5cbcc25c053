"""The tables that every study gets."""

import pandas as pd

from medaudit.report.studies.evidence import RUN, Evidence, overall
from medaudit.report.tables.balance import balance
from medaudit.report.tables.table import Column, Table
from medaudit.report.wording import terms


def run_columns(evidence: Evidence) -> tuple[Column, ...]:
    """Return the columns that name a run; the cohort only where there are several."""
    columns = (Column("cohort", "Cohort"), Column("model", "Model"), Column("method", "Method"))
    return columns if len(evidence.cards) > 1 else columns[1:]


def measure_columns(evidence: Evidence) -> list[Column]:
    """Return the columns of all measures."""
    return [
        Column(name, terms.first_upper(terms.measure(name)), "estimate")
        for name in evidence.measures
    ]


def standard_tables(evidence: Evidence, facts: pd.DataFrame) -> list[Table]:
    """Return the tables of a study in the order in which they are read."""
    return [
        performance(evidence, facts),
        fairness(evidence, facts),
        groups(evidence),
        tasks(evidence),
        differences(evidence, facts),
        gaps(evidence, facts),
        balance(evidence),
    ]


def performance(evidence: Evidence, facts: pd.DataFrame) -> Table:
    """Overall value of every measure, one row a run."""
    rows = facts[facts["kind"] == "performance"]
    data = spread(rows, RUN, evidence.measures, extra=("seed_sd",))
    data = data.merge(counts(rows, RUN), on=RUN, how="left")
    first = evidence.headline
    return Table(
        "performance",
        "Performance of every run",
        f"Test set, mean over tasks and seeds; {interval_text(evidence)}. "
        f"Spread over seeds: standard deviation of the {terms.measure(first)} of the seeds.",
        data,
        (
            *run_columns(evidence),
            *measure_columns(evidence),
            Column(f"{first}_seed_sd", "Spread over seeds", "number"),
            Column("n", "Images", "count"),
            Column("n_patients", "Patients", "count"),
        ),
    )


def fairness(evidence: Evidence, facts: pd.DataFrame) -> Table:
    """Gaps of the headline measure, one row a run and attribute."""
    rows = facts[
        (facts["kind"] == "gap")
        & facts["measure"].eq(evidence.headline)
        & facts["gap"].eq(evidence.gap)
        & facts["task"].ne("mean_of_gaps")
    ]
    return Table(
        "fairness",
        f"Fairness: {terms.gap(evidence.gap)} in {terms.measure(evidence.headline)}",
        gap_caption(evidence),
        gap_data(rows),
        (*run_columns(evidence), *gap_columns()),
    )


def gaps(evidence: Evidence, facts: pd.DataFrame) -> Table:
    """All gaps of all measures."""
    rows = facts[facts["kind"] == "gap"]
    columns = (
        Column("measure_shown", "Measure"),
        Column("gap_shown", "Kind of gap"),
        Column("task", "Task"),
        *gap_columns(),
    )
    return Table(
        "gaps",
        "All gaps",
        gap_caption(evidence),
        gap_data(rows),
        (*run_columns(evidence), *columns),
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
    )
    keep = [*RUN, "attribute", "attribute_shown", "measure", "measure_shown", "gap_name"]
    keep += ["gap_shown", "task", "dialect", "gap", "gap_low", "gap_high", "gap_status"]
    keep += ["null_mean", "null_q95", "p_value", "p_adjusted", "family", "family_size"]
    keep += ["smallest_detectable", "worst", "best", "groups", "n_groups", "n_estimable"]
    return data[keep].reset_index(drop=True)


def gap_columns() -> tuple[Column, ...]:
    """Return the columns of a gap from its attribute on."""
    return (
        Column("attribute_shown", "Attribute"),
        Column("gap", "Gap", "estimate"),
        Column("null_mean", "Fair: mean", "number"),
        Column("null_q95", "Fair: 95 %", "number"),
        Column("p_value", "p", "p"),
        Column("p_adjusted", "p, adjusted", "p"),
        Column("smallest_detectable", "Smallest detectable", "number"),
        Column("worst", "Worst group"),
        Column("best", "Best group"),
        Column("groups", "Groups estimable"),
    )


def gap_caption(evidence: Evidence) -> str:
    """Return what a reader must know to read a gap."""
    return (
        f"{interval_text(evidence)}. A gap is positive even for a model that treats all groups "
        "alike: 'fair' is what such a model shows on this test set (group labels permuted by "
        "patient), on average and at most in 95 of 100 cases. p: chance of a gap this large in a fair model; "
        "adjusted: for all gaps of the same measure and kind on the cohort. A true gap below 'smallest detectable' "
        "would probably have gone unseen."
    )


def groups(evidence: Evidence) -> Table:
    """Every measure in every group, one row a run and group."""
    rows = overall(evidence.metrics)
    rows = rows[rows["group"].ne("all")]
    rows = rows.assign(attribute_shown=rows["attribute"].map(terms.attribute))
    key = [*RUN, "attribute", "attribute_shown", "group"]
    return Table(
        "groups",
        "Performance by group",
        f"Test set, mean over tasks and seeds; {interval_text(evidence)}.",
        spread(rows, key, evidence.measures).merge(counts(rows, key), on=key, how="left"),
        (
            *run_columns(evidence),
            Column("attribute_shown", "Attribute"),
            Column("group", "Group"),
            *measure_columns(evidence),
            Column("n", "Images", "count"),
            Column("n_patients", "Patients", "count"),
        ),
    )


def tasks(evidence: Evidence) -> Table:
    """Every measure of every single task, one row a run and task."""
    rows = evidence.metrics
    rows = rows[
        (rows["seed"] == "mean")
        & rows["attribute"].eq("all")
        & rows["group"].eq("all")
        & ~rows["task"].isin(["all", "mean", "mean_of_gaps"])
    ]
    key = [*RUN, "task"]
    data = spread(rows, key, evidence.measures).merge(
        counts(rows, key, ("n", "n_pos", "n_patients")), on=key, how="left"
    )
    return Table(
        "tasks",
        "Performance by task",
        f"Test set, all patients, mean over seeds; {interval_text(evidence)}.",
        data,
        (
            *run_columns(evidence),
            Column("task", "Task"),
            *measure_columns(evidence),
            Column("n", "Images", "count"),
            Column("n_pos", "Positive", "count"),
            Column("n_patients", "Patients", "count"),
        ),
    )


def differences(evidence: Evidence, facts: pd.DataFrame) -> Table:
    """Paired differences between runs that share a model or a method."""
    rows = facts[facts["kind"].isin(["performance_difference", "gap_difference"])]
    gap = rows["kind"].eq("gap_difference")
    of_gap = " gap by " + rows["attribute"].map(terms.attribute)
    data = rows.rename(
        columns={"value": "difference", "low": "difference_low", "high": "difference_high"}
    ).assign(
        difference_status=rows["status"],
        quantity=rows["measure"].map(terms.measure) + of_gap.where(gap, ""),
        first=rows["model"] + " / " + rows["method"],
        second=rows["against_model"] + " / " + rows["against_method"],
    )
    keep = ["cohort", "quantity", "kind", "measure", "attribute", "first", "second"]
    keep += ["difference", "difference_low", "difference_high", "difference_status"]
    return Table(
        "differences",
        "Differences between runs",
        f"First less second, over the same patients (paired bootstrap draws); "
        f"{interval_text(evidence)}; seeds averaged, so their spread is not in the interval. "
        "Adjusted: for all pairs of the same quantity on the cohort (Romano and Wolf 2005).",
        data[[*keep, "p_value", "p_adjusted", "family", "family_size"]].reset_index(drop=True),
        (
            *run_columns(evidence)[:-2],
            Column("quantity", "Quantity"),
            Column("first", "First"),
            Column("second", "Second"),
            Column("difference", "Difference", "difference"),
            Column("p_value", "p", "p"),
            Column("p_adjusted", "p, adjusted", "p"),
        ),
    )


def spread(
    rows: pd.DataFrame, key: list[str], measures: list[str], extra: tuple[str, ...] = ()
) -> pd.DataFrame:
    """Turn rows of (key, measure) into one row a key with columns for each measure.

    A measure that a key lacks gets the status ``missing``.
    """
    names = {"value": "", "low": "_low", "high": "_high", "status": "_status"}
    names |= {column: f"_{column}" for column in extra}
    wide = rows[key].drop_duplicates().reset_index(drop=True)
    for measure in measures:
        found = rows.loc[rows["measure"] == measure, [*key, *names]]
        renamed = found.rename(columns={old: measure + new for old, new in names.items()})
        wide = wide.merge(renamed, on=key, how="left", validate="one_to_one")
        wide[f"{measure}_status"] = wide[f"{measure}_status"].fillna("missing")
    return wide


def counts(
    rows: pd.DataFrame, key: list[str], columns: tuple[str, ...] = ("n", "n_patients")
) -> pd.DataFrame:
    """Return the counts of each key's first measure."""
    return rows.groupby(key, sort=False)[list(columns)].first().reset_index()


def interval_text(evidence: Evidence) -> str:
    """Say what stands in brackets."""
    draws = evidence.evaluation.get("bootstrap", {}).get("draws")
    by = f"bootstrap over patients, {draws} draws" if draws else "bootstrap over patients"
    return f"in brackets the {evidence.level * 100:g} % interval ({by})"
