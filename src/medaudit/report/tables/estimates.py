"""Tables of what an estimate leaves out: small groups without shrinkage, thresholds as chosen."""

import pandas as pd

from medaudit.core.intersections import SEPARATOR
from medaudit.report.studies.context import Context
from medaudit.report.studies.evidence import RUN, Evidence, overall
from medaudit.report.tables.columns import counts, pivot_measures, run_columns
from medaudit.report.tables.table import Column, Table
from medaudit.report.wording import terms

SMALL = 100
"""Images below which a group is shown with its shrunken estimate."""
DECISIONS = ("tpr", "fpr")
"""Measures for which the table of thresholds shows both intervals."""


def shrunken(context: Context) -> Table | None:
    """Hierarchical estimates of groups, where an attribute is crossed or has small groups."""
    evidence = context.evidence
    rows = overall(evidence.metrics)
    rows = rows[rows["group"].ne("all") & rows["shrunk"].notna()]
    crossed = rows["attribute"].str.contains(SEPARATOR, regex=False)
    small = rows.groupby("attribute")["n"].transform("min") < SMALL
    rows = _in_place_of_value(rows[crossed | small], "shrunk", "shrunk_low", "shrunk_high")
    if rows.empty:
        return None
    rows = rows.assign(attribute_shown=rows["attribute"].map(terms.attribute))
    key = [*RUN, "attribute", "attribute_shown", "group"]
    measures = [name for name in evidence.measures if rows["measure"].eq(name).any()]
    data = pivot_measures(rows, key, measures).merge(counts(rows, key), on=key, how="left")
    return Table(
        "shrunken",
        "Performance by group: shrunken estimates",
        f"Intersections and attributes with a group of fewer than {SMALL} images. A small group's "
        "own value is mostly noise, so the largest and smallest values are often those of the "
        "smallest groups. Here each group borrows strength from the others: a hierarchical model "
        "on the logit scale moves a value towards the other groups (of an intersection: towards "
        "what its attributes predict), the more, the smaller the group and the more alike the "
        f"groups are. {evidence.level * 100:g} % intervals of that model in brackets. Read single "
        "small groups here; gaps and tests use the values of the table Performance by group.",
        data,
        (
            *run_columns(evidence),
            Column("attribute_shown", "Attribute"),
            Column("group", "Group"),
            *(_estimate(name) for name in measures),
            Column("n", "Images", "count"),
            Column("n_patients", "Patients", "count"),
        ),
    )


def thresholds(context: Context) -> Table | None:
    """The threshold of each run and task, and TPR and FPR with both intervals."""
    evidence = context.evidence
    rows = evidence.metrics
    whole = rows["attribute"].eq("all") & rows["group"].eq("all") & rows["seed"].eq("mean")
    rows = rows[whole & rows["measure"].isin(["threshold", *DECISIONS])]
    validation = rows[rows["measure"].eq("threshold")]
    if not validation["procedure_low"].notna().any():
        return None
    rows = rows[rows["task"].isin(validation["task"].unique())]
    chosen = rows[rows["measure"].isin(DECISIONS)]
    limits = ("value", "procedure_low", "procedure_high")
    procedure = _in_place_of_value(rows, *limits)
    procedure = procedure.assign(measure=rows["measure"].replace(_WITH_CHOICE))
    measures = [m for m in DECISIONS if chosen["measure"].eq(m).any()]
    both = [column for m in measures for column in (m, _WITH_CHOICE[m])]
    key = [*RUN, "task"]
    data = pivot_measures(pd.concat([chosen, procedure]), key, ["threshold", *both])
    data = data.merge(counts(validation, key, ("n", "n_pos")), on=key, how="left")
    return Table(
        "thresholds",
        "Thresholds and the uncertainty of their choice",
        _threshold_caption(evidence),
        data,
        (
            *run_columns(evidence),
            Column("task", "Task"),
            Column("threshold", "Threshold", "estimate"),
            *(_estimate(name) for name in both),
            Column("n", "Validation images", "count"),
            Column("n_pos", "Positive", "count"),
        ),
    )


_WITH_CHOICE = {name: f"{name} with choice" for name in DECISIONS}


def _threshold_caption(evidence: Evidence) -> str:
    return (
        "Test set, all patients, mean over seeds. Two intervals "
        f"({evidence.level * 100:g} %) of the same value. As chosen: for this threshold, on other "
        "test patients. With choice: for the model with its tuning, averaged over the validation "
        "patients that might have chosen the threshold; it is the one to read when another "
        "hospital will choose its own threshold in the same way. Interval of the threshold: where "
        "it would lie with other validation patients."
    )


def _estimate(measure: str) -> Column:
    name = measure.removesuffix(" with choice")
    suffix = ", with choice" if name != measure else ""
    return Column(measure, f"{terms.first_upper(terms.measure(name))}{suffix}", "estimate")


def _in_place_of_value(rows: pd.DataFrame, value: str, low: str, high: str) -> pd.DataFrame:
    """Return the rows with other columns as their value and interval."""
    return rows.assign(value=rows[value], low=rows[low], high=rows[high])
