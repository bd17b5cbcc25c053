"""Who is in the cohorts: counts by split, group and task, from the cohorts' cards."""

import pandas as pd

from medaudit.report.studies.evidence import Evidence
from medaudit.report.tables.table import Column, Table
from medaudit.report.wording import terms

KEY = ["cohort", "split", "attribute", "group"]


def balance(evidence: Evidence) -> Table:
    """Images, patients and positives of every group and split of the study's cohorts."""
    rows = [
        {"cohort": name, **row}
        for name, card in evidence.cards.items()
        for row in card.get("counts", [])
    ]
    data = pd.DataFrame(rows, columns=[*KEY, "n_images", "n_patients"])
    data["attribute_shown"] = data["attribute"].map(terms.attribute)
    return Table(
        "balance",
        "Who is in the cohorts",
        "Images and patients by split and group.",
        data,
        (
            *([Column("cohort", "Cohort")] if len(evidence.cards) > 1 else []),
            Column("split", "Split"),
            Column("attribute_shown", "Attribute"),
            Column("group", "Group"),
            Column("n_images", "Images", "count"),
            Column("n_patients", "Patients", "count"),
        ),
    )
