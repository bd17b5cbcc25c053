"""Tables of models at home and elsewhere: gaps, groups, parts of the change, local patients."""

import pandas as pd

from medaudit.report.elsewhere.changes import DIFFERENCE, GAP, VALUE, find_changes
from medaudit.report.studies.context import Context
from medaudit.report.tables.columns import interval_text
from medaudit.report.tables.table import Column, Table
from medaudit.report.wording import terms

RUN = (Column("cohort", "Home → elsewhere"), Column("model", "Model"), Column("method", "Method"))
TESTED = (Column("p_value", "p", "p"), Column("p_adjusted", "p, adjusted", "p"))

PARTS = {
    "change": "change",
    "prevalence": "prevalence",
    "case_mix": "case mix",
    "threshold": "threshold",
    "ranking": "ranking",
}
ACTIONS = {
    "carried": "none: threshold of home",
    "threshold": "new threshold for all",
    "group_thresholds": "new threshold per group",
    "recalibrated": "recalibrated scores",
    "group_recalibrated": "scores recalibrated per group",
}


def external_gaps(context: Context) -> Table | None:
    """The largest difference between groups at home and elsewhere, and whom the change harms."""
    data = find_changes(context.evidence)
    data = _shown(data[data["kind"].isin([GAP, DIFFERENCE])])
    if data.empty:
        return None
    data["order"] = data["kind"].map({GAP: 0, DIFFERENCE: 1})
    data["compared"] = data["group"].where(data["kind"] == DIFFERENCE, "largest difference")
    return Table(
        "external_gaps",
        "Differences between groups at home and elsewhere",
        "Each model with the weights, the preprocessing and the threshold of home; findings that "
        "both places have. Change: elsewhere minus home; "
        f"{interval_text(context.evidence)}; the two places are independent samples unless the test "
        "images are the same. The largest difference is compared by an intersection-union test, "
        "since noise enlarges it. Adjusted: differences by the step-down maximum, largest "
        "differences by Holm, over all runs and attributes of a measure. Harmed: the group that does "
        "worse than at home, compared with the other; of the largest difference, the worst group "
        "elsewhere.",
        _by(data, "order").drop(columns="order"),
        (
            *RUN,
            Column("measure_shown", "Measure"),
            Column("attribute_shown", "By"),
            Column("compared", "Compared"),
            Column("home", "At home", "number"),
            Column("away", "Elsewhere", "number"),
            Column("change", "Change", "difference"),
            *TESTED,
            Column("harmed", "Harmed"),
            Column("verdict", "Verdict"),
        ),
    )


def external_groups(context: Context) -> Table | None:
    """Every group's performance, decisions and calibration at home and elsewhere."""
    data = find_changes(context.evidence)
    data = _shown(data[data["kind"] == VALUE])
    if data.empty:
        return None
    return Table(
        "external_groups",
        "Groups at home and elsewhere",
        "AUC, sensitivity and false positive rate at the threshold carried from home, and the "
        f"calibration error, means over the findings of both places; {interval_text(context.evidence)}. "
        "Adjusted by the step-down maximum over all runs, attributes and groups of a measure.",
        data,
        (
            *RUN,
            Column("measure_shown", "Measure"),
            Column("attribute_shown", "By"),
            Column("group", "Group"),
            Column("home", "At home", "number"),
            Column("away", "Elsewhere", "number"),
            Column("change", "Change", "difference"),
            *TESTED,
            Column("n_home", "Images at home", "count"),
            Column("n_away", "Images elsewhere", "count"),
        ),
    )


def external_parts(context: Context) -> Table | None:
    """How much of each change is prevalence, case mix, threshold and ranking."""
    rows = context.extras.shift
    if rows.empty:
        return None
    rows = _summary_task(rows)
    data = rows.rename(columns={"low": "value_low", "high": "value_high"})
    data = data.assign(value_status=data["status"], gap_status=data["status"])
    data["measure_shown"] = [terms.plain(name) for name in data["metric"]]
    data["attribute_shown"] = [terms.attribute(name) for name in data["attribute"]]
    data["part_shown"] = data["part"].map(PARTS)
    return Table(
        "external_parts",
        "Why rates change elsewhere",
        "The change from home to elsewhere as a sum of four parts. Prevalence: the finding is more "
        "or less frequent (it changes only the share flagged). Case mix: age, view and the other "
        "attributes of the patients, within those with and without the finding. Threshold: the "
        "threshold of home cuts the scores of like patients at another point of the ROC curve. "
        "Ranking: sensitivity is another one at the same false positive rate. Group minus others: the change of the group "
        "minus that of all other groups. Covered: share of the images elsewhere whose case mix home "
        "has. Test weights are not used.",
        data,
        (
            *RUN,
            Column("attribute_shown", "By"),
            Column("group", "Group"),
            Column("measure_shown", "Measure"),
            Column("part_shown", "Part"),
            Column("value", "Change of the group", "difference"),
            Column("gap", "Group minus others", "difference"),
            Column("coverage", "Covered", "number", 2),
        ),
    )


def external_local(context: Context) -> Table | None:
    """How many labelled local patients make sensitivity equal again, by kind of repair."""
    rows = context.extras.local
    if rows.empty:
        return None
    data = rows.assign(
        attribute_shown=[terms.attribute(name) for name in rows["attribute"]],
        repair=rows["action"].map(ACTIONS),
        gap_status=rows["status"],
    )
    return Table(
        "external_local",
        "Repair with labelled local patients",
        "The largest difference in sensitivity between groups elsewhere, on its test split, after a "
        "repair that learnt from this number of other local patients: mean and 95 % range over "
        "random samples of them. Equal: at most the margin (0.05 if none is declared) or the "
        "difference at home, whichever is larger. Sensitivity and false positive rate are means over "
        "groups. The test split itself is fixed, so its own uncertainty is not in the ranges.",
        data,
        (
            *RUN,
            Column("attribute_shown", "By"),
            Column("repair", "Repair"),
            Column("patients", "Local patients", "count"),
            Column("gap", "Difference in sensitivity", "estimate"),
            Column("share_within", "Share of samples that are equal", "number", 2),
            Column("target", "Equal up to", "number"),
            Column("tpr", "Sensitivity", "number"),
            Column("fpr", "False positive rate", "number"),
        ),
    )


def _summary_task(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the mean over tasks, or of the only task."""
    several = rows["task"].eq("mean").groupby(rows["cohort"]).transform("any")
    return rows[rows["task"].eq("mean") | ~several].reset_index(drop=True)


def _shown(data: pd.DataFrame) -> pd.DataFrame:
    """Return changes with the columns that tables show."""
    return data.assign(
        measure_shown=[terms.plain(name) for name in data["measure"]],
        attribute_shown=[terms.attribute(name) for name in data["attribute"]],
        change=data["value"],
        change_low=data["low"],
        change_high=data["high"],
        change_status=data["status"],
    ).reset_index(drop=True)


def _by(data: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return rows sorted by run, measure and attribute as they come, then by a column."""
    keys = ["cohort", "model", "method", "measure", "attribute"]
    place = data.groupby(keys, sort=False).ngroup()
    return (
        data.assign(place=place).sort_values(["place", column], kind="stable").drop(columns="place")
    )
