"""Tables on the origin of a gap: the embedding, or the decision made from it."""

from medaudit.report.studies.context import Context
from medaudit.report.tables.columns import interval_text, run_columns
from medaudit.report.tables.table import Column, Table
from medaudit.report.wording import terms

PROBES = {"linear": "linear", "knn": "50 nearest neighbours"}


def attribute_probes(context: Context) -> Table | None:
    """AUC with which a probe predicts each group from a model's frozen embedding."""
    evidence, rows = context.evidence, context.extras.probes
    if rows.empty:
        return None
    data = rows.rename(columns={"value": "auc", "low": "auc_low", "high": "auc_high"}).assign(
        auc_status=rows["status"],
        attribute_shown=rows["attribute"].map(terms.attribute),
        probe_shown=rows["probe"].map(PROBES),
    )
    return Table(
        "attribute_probes",
        "Origin of the gap: groups in the embedding",
        f"AUC of predicting the group (against all others) from the frozen embedding; "
        f"{interval_text(evidence)}. Chance: group labels shuffled between patients. An embedding "
        "that encodes the group does not show that a decision uses it.",
        data,
        (
            *run_columns(evidence)[:-1],
            Column("attribute_shown", "Attribute"),
            Column("group", "Group"),
            Column("probe_shown", "Probe"),
            Column("auc", "AUC", "estimate"),
            Column("null_mean", "Chance: mean", "number"),
            Column("null_q95", "Chance: 95 %", "number"),
            Column("p_value", "p", "p"),
            Column("n", "Images", "count"),
            Column("n_patients", "Patients", "count"),
        ),
    )


def parts(context: Context) -> Table | None:
    """Decomposition of the gaps in TPR and FPR into ranking, calibration and threshold."""
    evidence, rows = context.evidence, context.extras.parts
    rows = rows[rows["seed"] == "mean"]
    if rows.empty:
        return None
    key = ["cohort", "model", "method", "task", "attribute", "group", "metric"]
    data = rows[key].drop_duplicates().reset_index(drop=True)
    for part in rows["part"].unique():
        own = rows.loc[rows["part"] == part, [*key, "value", "low", "high", "status"]]
        names = {"value": part} | {n: f"{part}_{n}" for n in ("low", "high", "status")}
        data = data.merge(own.rename(columns=names), on=key, how="left")
    data["attribute_shown"] = data["attribute"].map(terms.attribute)
    data["metric_shown"] = data["metric"].map(terms.measure)
    return Table(
        "parts",
        "Origin of the gap: parts of the decision's gap",
        "Each group minus all others (of two groups, only the first is listed). Gap = ranking + "
        "calibration + threshold: the parts that a better model, calibration by group and a "
        f"threshold by group would remove. {context.level} confidence intervals in brackets "
        "(bootstrap over patients, at most 200 draws).",
        data,
        (
            *run_columns(evidence),
            Column("task", "Task"),
            Column("attribute_shown", "Attribute"),
            Column("group", "Group"),
            Column("metric_shown", "Metric"),
            *(
                Column(part, terms.first_upper(part), "difference")
                for part in ("gap", "ranking", "calibration", "threshold")
            ),
        ),
    )
