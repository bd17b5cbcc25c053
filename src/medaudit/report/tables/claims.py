"""Table: the claims about pretraining, balance and sex, tested on a study's runs."""

from medaudit.report.studies.context import Context
from medaudit.report.studies.how_fair_claims import find_claims
from medaudit.report.tables.columns import cohort_column, interval_text
from medaudit.report.tables.table import Column, Table


def claims(context: Context) -> Table | None:
    """Every claim of the paper: the mean over pairs of models, then pair by pair."""
    evidence = context.evidence
    data = find_claims(evidence, context.extras)
    if data.empty:
        return None
    renamed = {"value": "difference", "low": "difference_low", "high": "difference_high"}
    data = data.rename(columns={**renamed, "status": "difference_status"})
    data["compared"] = data["first"] + " minus " + data["second"]
    return Table(
        "claims",
        "Claims of the paper on these runs",
        "Differences in percentage points over the same patients (paired bootstrap draws); "
        f"{interval_text(evidence)}; averaged over seeds, so the intervals do not include the "
        "variation between seeds. A gap is the largest minus the smallest AUC of the groups, each "
        "a mean over tasks; a positive difference in gaps is less fair. Holm: means over pairs are "
        "adjusted for all of them in the study, single pairs for all pairs of the same claim on "
        "the same cohort.",
        data,
        (
            *cohort_column(evidence),
            Column("compared", "Compared"),
            Column("part", "Models"),
            Column("quantity", "Quantity"),
            Column("difference", "Difference", "difference", 2),
            Column("p_value", "p", "p"),
            Column("p_adjusted", "p, Holm", "p"),
            Column("verdict", "Verdict"),
        ),
    )
