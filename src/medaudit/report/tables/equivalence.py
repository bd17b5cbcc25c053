"""Table: every gap that has a margin, with its verdict, also task by task."""

import pandas as pd

from medaudit.report.equivalence import judged_rows, upper_limit
from medaudit.report.studies.context import Context
from medaudit.report.studies.evidence import RUN
from medaudit.report.tables.columns import interval_text, run_columns
from medaudit.report.tables.table import Column, Table
from medaudit.report.wording import terms


def equivalence(context: Context) -> Table | None:
    """Every gap with a margin: is it fair within it?"""
    evidence = context.evidence
    rows = judged_rows(evidence.gaps, evidence.evaluation.get("margins") or {})
    if rows.empty:
        return None
    return Table(
        "equivalence",
        "Is each gap within its margin?",
        f"Test set, mean over seeds; {interval_text(evidence)}. Margins were declared before the "
        f"run. Fair within the margin: the one-sided {context.level} upper limit is below it, and "
        "no group is left out. Unfair: the lower limit is above it. Undecided: neither is shown. "
        "The largest difference is tested for equivalence, the worst group against all others for "
        "non-inferiority. Verdicts are not adjusted for multiple testing: that all gaps are fair "
        "needs no adjustment, that a single one is does.",
        _data(rows),
        (
            *run_columns(evidence),
            Column("measure_shown", "Measure"),
            Column("gap_shown", "Kind of gap"),
            Column("task", "Task"),
            Column("attribute_shown", "Attribute"),
            Column("gap", "Gap", "estimate"),
            Column("upper", "Upper limit", "number"),
            Column("margin", "Margin", "number"),
            Column("equivalence", "Verdict"),
            Column("worst", "Worst group"),
            Column("groups", "Groups estimable"),
        ),
    )


def _data(rows: pd.DataFrame) -> pd.DataFrame:
    renamed = rows.rename(
        columns={"gap": "gap_name", "value": "gap", "low": "gap_low", "high": "gap_high"}
    )
    data = renamed.assign(
        gap_status=rows["status"],
        measure_shown=rows["measure"].map(terms.measure),
        gap_shown=rows["gap"].map(terms.gap),
        attribute_shown=rows["attribute"].map(terms.attribute),
        upper=[upper_limit(row) for row in rows.to_dict("records")],
        groups=rows["n_estimable"].astype("string") + " of " + rows["n_groups"].astype("string"),
    )
    keep = [*RUN, "measure", "measure_shown", "gap_name", "gap_shown", "task", "attribute"]
    keep += ["attribute_shown", "gap", "gap_low", "gap_high", "gap_status", "upper", "margin"]
    return data[[*keep, "equivalence", "worst", "groups", "n_groups", "n_estimable"]]
