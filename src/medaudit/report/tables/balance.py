"""Table: size of each group in each split, from the cohort cards."""

import pandas as pd

from medaudit.report.studies.context import Context
from medaudit.report.tables.columns import cohort_column
from medaudit.report.tables.table import Column, Table
from medaudit.report.wording import terms

KEY = ["cohort", "split", "attribute", "group"]


def balance(context: Context) -> Table:
    """Images and patients in each group and split of the study's cohorts."""
    rows = [
        {"cohort": name, **row}
        for name, card in context.evidence.cards.items()
        for row in card.get("counts", [])
    ]
    data = pd.DataFrame(rows, columns=[*KEY, "n_images", "n_patients"])
    data["attribute_shown"] = data["attribute"].map(terms.attribute)
    return Table(
        "balance",
        "Composition of the cohorts",
        "Images and patients by split and group.",
        data,
        (
            *cohort_column(context.evidence),
            Column("split", "Split"),
            Column("attribute_shown", "Attribute"),
            Column("group", "Group"),
            Column("n_images", "Images", "count"),
            Column("n_patients", "Patients", "count"),
        ),
    )
