"""Tables of ensembles, and of linear probing against training all weights."""

import pandas as pd

from medaudit.report.studies import how_fair_models
from medaudit.report.studies.context import Context
from medaudit.report.studies.extras import Extras
from medaudit.report.tables.auc_and_gaps import auc_and_gaps_table
from medaudit.report.tables.table import Column, Table

TRAINED = {"linear": "one linear layer", "full": "all weights"}


def ensembles(context: Context) -> Table | None:
    """Every ensemble, with its members."""
    extras, rows = context.extras, context.evidence.runs
    rows = rows[[how_fair_models.is_ensemble(extras, name) for name in rows["model"]]]
    members = [", ".join(extras.models[name]["members"]) for name in rows["model"]]
    return auc_and_gaps_table(
        "ensembles",
        "Ensembles of models",
        "Each is the mean of its members' stored predictions; no model was run again.",
        _with_keys(rows.assign(members=members), extras),
        (Column("members", "Members"),),
        context,
    )


def linear_against_full(context: Context) -> Table | None:
    """Models that were both probed linearly and trained with all weights, one below the other."""
    rows = _with_keys(context.evidence.runs, context.extras)
    rows = rows[rows["trained"].isin(TRAINED)]
    both = rows.groupby(["cohort", "model"])["trained"].transform("nunique") == len(TRAINED)
    rows = rows[both]
    return auc_and_gaps_table(
        "linear_against_full",
        "Linear probing against training all weights",
        "The same models with one linear layer on frozen features, and trained end to end.",
        rows.assign(weights=rows["trained"].map(TRAINED)),
        (Column("weights", "Trained"),),
        context,
    )


def _with_keys(rows: pd.DataFrame, extras: Extras) -> pd.DataFrame:
    """Add the key of the published row: what was trained, and which models."""
    return rows.assign(
        trained=[how_fair_models.trained_part(extras, name) for name in rows["method"]],
        row=[how_fair_models.identity(extras, name) for name in rows["model"]],
    )
