"""Tables of ensembles of models, and of linear probes against training all weights."""

import pandas as pd

from medaudit.report.studies import how_fair_models
from medaudit.report.studies.evidence import Evidence
from medaudit.report.studies.extras import Extras
from medaudit.report.tables.foundation_columns import summary_table
from medaudit.report.tables.table import Column, Table

WAYS = {"linear": "one linear layer", "full": "all weights"}


def ensembles(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> Table | None:
    """Every ensemble, with its members."""
    rows = evidence.runs
    rows = rows[rows["model"].map(lambda name: how_fair_models.is_ensemble(extras, name))]
    members = [", ".join(extras.models[name]["members"]) for name in rows["model"]]
    rows = _with_keys(rows.assign(members=members), extras)
    return summary_table(
        "ensembles",
        "Ensembles of models",
        "Each is the mean of its members' stored predictions; no model was run again.",
        rows,
        (Column("members", "Members"),),
        evidence,
        facts,
    )


def linear_against_full(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> Table | None:
    """Models that were both probed linearly and trained with all weights, one below the other."""
    rows = _with_keys(evidence.runs, extras)
    rows = rows[rows["trained"].isin(WAYS)]
    both = rows.groupby(["cohort", "model"])["trained"].transform("nunique") == len(WAYS)
    rows = rows[both]
    return summary_table(
        "linear_against_full",
        "Linear probing against training all weights",
        "The same models with frozen features under one linear layer, and trained end to end.",
        rows.assign(weights=rows["trained"].map(WAYS)),
        (Column("weights", "Trained"),),
        evidence,
        facts,
    )


def _with_keys(rows: pd.DataFrame, extras: Extras) -> pd.DataFrame:
    """Add what a published row is found by: how it was trained, and what the models are."""
    return rows.assign(
        trained=[how_fair_models.way(extras, name) for name in rows["method"]],
        row=[how_fair_models.identity(extras, name) for name in rows["model"]],
    )
