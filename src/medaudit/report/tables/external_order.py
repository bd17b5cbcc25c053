"""Tables of the order of models by fairness, at home and elsewhere, and of rules that select one."""

import pandas as pd

from medaudit.report.elsewhere.changes import GAP, find_changes
from medaudit.report.elsewhere.order import find_orders, find_selections
from medaudit.report.studies.context import Context
from medaudit.report.tables.table import Column, Table
from medaudit.report.wording import terms

PAIR = Column("cohort", "Home → elsewhere")
SHOWN = (PAIR, Column("measure_shown", "Gap in"), Column("attribute_shown", "By"))


def external_order(context: Context) -> Table | None:
    """Whether the order of the models by their gaps is kept elsewhere."""
    data = find_orders(context.evidence)
    if data.empty:
        return None
    data = _named(data.rename(columns={"value": "tau", "low": "tau_low", "high": "tau_high"}))
    return Table(
        "external_order",
        "Is the fairest model at home the fairest elsewhere?",
        "Kendall's rank correlation of the models' gaps at home and elsewhere: 1 is the same order, "
        f"0 no relation, -1 the reverse; {context.level} intervals over the draws of patients in both "
        "places, which add noise to the order.",
        data.assign(tau_status=data["status"]),
        (
            *SHOWN,
            Column("n_runs", "Runs", "count"),
            Column("tau", "Rank correlation", "estimate", 2),
        ),
    )


def external_selection(context: Context) -> Table | None:
    """What each rule of selection at home costs elsewhere."""
    data = find_selections(context.evidence, context.extras.probes)
    if data.empty:
        return None
    data = _named(
        data.rename(columns={"value": "regret", "low": "regret_low", "high": "regret_high"})
    )
    names = context.names
    for prefix in ("", "best_"):
        pairs = zip(data[f"{prefix}model"], data[f"{prefix}method"], strict=True)
        data[f"{prefix}run"] = [names.run({"model": a, "method": b}) for a, b in pairs]
    return Table(
        "external_selection",
        "Which rule of selection at home picks the fairest model elsewhere?",
        "Regret: the gap elsewhere of the selected model minus the smallest gap elsewhere, over the "
        f"same patients; {context.level} intervals. Selected on the test results of home. Found: share "
        "of the draws at home in which the rule selects the model with the smallest gap elsewhere. "
        "That model is the best of this sample, so the regret is slightly too large.",
        data.assign(regret_status=data["status"]),
        (
            *SHOWN,
            Column("rule", "Rule"),
            Column("run", "Selected"),
            Column("home", "Its gap at home", "number"),
            Column("away", "Its gap elsewhere", "number"),
            Column("best_run", "Smallest gap elsewhere"),
            Column("best_away", "That gap", "number"),
            Column("regret", "Regret", "estimate"),
            Column("p_value", "p", "p"),
            Column("share", "Found", "number", 2),
        ),
    )


def external_encoding(context: Context) -> Table | None:
    """How well each embedding tells groups apart, next to the gaps at home and elsewhere."""
    probes = context.extras.probes
    changes = find_changes(context.evidence)
    rows = changes[(changes["kind"] == GAP) & (changes["status"] == "ok")]
    if rows.empty or probes.empty:
        return None
    known = (
        probes[probes["status"] == "ok"].groupby(["cohort", "model", "attribute"])["value"].mean()
    )
    external = {
        n: c["external"]["away"] for n, c in context.evidence.cards.items() if "external" in c
    }
    data = _named(rows)
    for column, cohort in (
        ("encoded_home", data["home_cohort"]),
        ("encoded_away", data["cohort"].map(external)),
    ):
        keys = zip(cohort, data["model"], data["attribute"], strict=True)
        data[column] = [known.get(key, float("nan")) for key in keys]
    data = data[data[["encoded_home", "encoded_away"]].notna().any(axis=1)]
    return Table(
        "external_encoding",
        "Groups in the embedding, and gaps at home and elsewhere",
        "AUC of predicting a patient's group from the frozen embedding (mean over groups, 0.5 is "
        "chance), next to the gaps. An embedding that encodes the group does not show that a "
        "decision uses it.",
        data.reset_index(drop=True),
        (
            PAIR,
            Column("model", "Model"),
            Column("method", "Method"),
            *SHOWN[1:],
            Column("encoded_home", "Group in the embedding, home", "number"),
            Column("encoded_away", "elsewhere", "number"),
            Column("home", "Gap at home", "number"),
            Column("away", "Gap elsewhere", "number"),
        ),
    )


def _named(data: pd.DataFrame) -> pd.DataFrame:
    return data.assign(
        measure_shown=[terms.plain(name) for name in data["measure"]],
        attribute_shown=[terms.attribute(name) for name in data["attribute"]],
    ).reset_index(drop=True)
