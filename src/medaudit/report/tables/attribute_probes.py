"""Tables: where did the gap enter, with the embedding or with the decision?"""

import pandas as pd

from medaudit.report.studies.evidence import Evidence
from medaudit.report.studies.extras import Extras
from medaudit.report.tables.standard import interval_text, run_columns
from medaudit.report.tables.table import Column, Table
from medaudit.report.wording import terms

PROBES = {"linear": "linear", "knn": "50 nearest neighbours"}


def attribute_probes(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> Table | None:
    """How well each group can be told from a model's frozen embedding."""
    rows = extras.probes
    if rows.empty:
        return None
    data = rows.rename(columns={"value": "auc", "low": "auc_low", "high": "auc_high"}).assign(
        auc_status=rows["status"],
        attribute_shown=rows["attribute"].map(terms.attribute),
        probe_shown=rows["probe"].map(PROBES),
    )
    return Table(
        "attribute_probes",
        "Where did the gap enter: groups in the embedding",
        f"AUC of telling a group from all others by the frozen embedding; {interval_text(evidence)}"
        ". 'Chance': group labels shuffled between patients. That a group can be read from an "
        "embedding does not show that a decision uses it.",
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


def parts(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> Table | None:
    """What the gaps in TPR and FPR are made of: ranking, calibration and threshold."""
    rows = extras.parts
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
        "Where did the gap enter: parts of the decision's gap",
        "Each group less all others (of two groups the first stands for both). Gap = ranking + "
        "calibration + threshold: what a better model, a calibration by group, or a threshold by "
        "group would mend. In brackets the 95 % interval (bootstrap over patients, at most 200 "
        "draws).".replace("95", f"{evidence.level * 100:g}"),
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
