"""Table: the change in performance and fairness with each way of adapting a model."""

import pandas as pd

from medaudit.audit.dialects.catalogue import CLIP_NIH
from medaudit.report.studies.context import Context
from medaudit.report.studies.evidence import RUN
from medaudit.report.studies.levelling import Levelling, find_changes
from medaudit.report.tables.columns import interval_text, run_columns
from medaudit.report.tables.table import Column, Table
from medaudit.report.wording.phrases import plural

TEXTS = ("verdict", "best_group", "worst_group")


def changes(context: Context) -> Table | None:
    """Every change from zero-shot (else the linear probe) to each other method."""
    evidence = context.evidence
    data = find_changes(evidence, context.facts, context.extras)
    if data.empty:
        return None
    for column in (*TEXTS, "best_change", "worst_change"):
        data[column] = data.get(column)
    order = {name: k for k, name in enumerate(data["quantity"].unique())}
    runs = {run: k for k, run in enumerate(evidence.runs.itertuples(index=False, name=None))}
    places = [runs[run] for run in data[RUN].itertuples(index=False, name=None)]
    data = data.assign(place=places, kind=data["quantity"].map(order))
    data = data.sort_values(["place", "kind"], kind="stable").drop(columns=["place", "kind"])
    return Table(
        "changes",
        "What adaptation changes",
        f"{answer(data, 1 - evidence.level)} Each method minus the starting point of its model "
        "(its first zero-shot prompt format in the study's order, else the linear probe), over "
        f"the same patients; {interval_text(evidence)}; averaged over seeds. Holm: adjusted for "
        "all models and methods of the same quantity on the cohort. Levelled down: the gap shrank "
        "because the best group lost more than the worst group gained; suggestive only if the "
        "intervals of the two changes do not both exclude 0.",
        data.reset_index(drop=True),
        (
            *run_columns(evidence),
            Column("start", "Compared with"),
            Column("quantity", "Quantity"),
            Column("before", "Before", "number"),
            Column("after", "After", "number"),
            Column("change", "Change", "difference"),
            Column("p_value", "p", "p"),
            Column("p_adjusted", "p, Holm", "p"),
            Column("verdict", "Verdict on the gap"),
            Column("best_group", "Best before"),
            Column("best_change", "Its change", "number"),
            Column("worst_group", "Worst before"),
            Column("worst_change", "Its change ", "number"),
        ),
    )


def answer(data: pd.DataFrame, alpha: float) -> str:
    """Return the number of runs in which accuracy and each of the paper's gaps rose and fell.

    Gaps in single measures replace the paper's gaps if the study has none in its dialect.
    """
    names = list(data["quantity"].unique())
    own = [name for name in names if name.endswith(f"({CLIP_NIH})")]
    own = own or [name for name in names if " gap by " in name]
    counted = [_count(name, data[data["quantity"] == name], alpha) for name in ("accuracy", *own)]
    counted = [text for text in counted if text]
    head = "Number of runs in which a quantity rose and fell (significant after Holm): "
    sentences = [head + "; ".join(counted) + "."] if counted else []
    verdicts = data["verdict"]
    if verdicts.isin([Levelling.DOWN, Levelling.HINT]).any():
        down, hints = (int(verdicts.eq(v).sum()) for v in (Levelling.DOWN, Levelling.HINT))
        sentences.append(f"Levelled down: {plural(down, 'gap')}, and {hints} suggestive only.")
    return " ".join(sentences)


def _count(name: str, data: pd.DataFrame, alpha: float) -> str:
    known = data[data["change"].notna()]
    if known.empty:
        return ""
    shown = known["p_adjusted"] <= alpha
    rose, fell = known["change"] > 0, known["change"] < 0
    return (
        f"{name.removesuffix(f' ({CLIP_NIH})')} rose in {rose.sum()} ({(rose & shown).sum()}) and "
        f"fell in {fell.sum()} ({(fell & shown).sum()}) of {len(known)}"
    )
