"""Table: the claims about pretraining, balance and sex, tested on a study's runs."""

import pandas as pd

from medaudit.report.studies.evidence import Evidence
from medaudit.report.studies.extras import Extras
from medaudit.report.studies.how_fair_claims import find_claims
from medaudit.report.tables.standard import interval_text, run_columns
from medaudit.report.tables.table import Column, Table


def claims(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> Table | None:
    """Every claim of the paper: mean over pairs of models, then pair by pair."""
    data = find_claims(evidence, extras)
    if data.empty:
        return None
    renamed = {"value": "difference", "low": "difference_low", "high": "difference_high"}
    data = data.rename(columns={**renamed, "status": "difference_status"})
    data["compared"] = data["first"] + " less " + data["second"]
    return Table(
        "claims",
        "Claims of the paper on these runs",
        "Differences in percentage points over the same patients (paired bootstrap draws); "
        f"{interval_text(evidence)}; seeds averaged, so their spread is not in the interval. A gap "
        "is the largest less the smallest AUC of the groups, of their means over tasks; a positive "
        "difference of gaps is less fair. Holm: adjusted for all means over pairs of the study; "
        "single pairs for those of the same claim on the same cohort.",
        data,
        (
            *run_columns(evidence)[:-2],
            Column("compared", "Compared"),
            Column("part", "Models"),
            Column("quantity", "Quantity"),
            Column("difference", "Difference", "difference", 2),
            Column("p_value", "p", "p"),
            Column("p_adjusted", "p, Holm", "p"),
            Column("verdict", "Verdict"),
        ),
    )
