"""Table: what each way of adapting a model changes, how well and how fair."""

import pandas as pd

from medaudit.audit.dialects.catalogue import CLIP_NIH
from medaudit.report.studies.evidence import RUN, Evidence
from medaudit.report.studies.extras import Extras
from medaudit.report.studies.levelling import DOWN, HINT, find_changes
from medaudit.report.tables.standard import interval_text, run_columns
from medaudit.report.tables.table import Column, Table

TEXTS = ("verdict", "best_group", "worst_group")


def changes(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> Table | None:
    """Every change from zero-shot (else the linear probe) to each other method."""
    data = find_changes(evidence, facts, extras)
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
        f"{answer(data, 1 - evidence.level)} Each method less where its model started (its first "
        "zero-shot prompt format in the study's order, else the linear probe), over the same "
        f"patients; {interval_text(evidence)}; seeds averaged. Holm: adjusted for all models and "
        "methods of the same quantity on the cohort. Levelled down: the gap shrank since the "
        "group that was best lost more than the worst one gained; a hint, where the intervals "
        "of the two changes do not both exclude 0.",
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
    """Say in how many cases accuracy and each of the paper's gaps rose and fell, and what is shown.

    Gaps of single measures stand in where the study has no scores in the paper's dialect.
    """
    names = list(data["quantity"].unique())
    own = [name for name in names if name.endswith(f"({CLIP_NIH})")]
    own = own or [name for name in names if " gap by " in name]
    told = [_count(name, data[data["quantity"] == name], alpha) for name in ("accuracy", *own)]
    told = [text for text in told if text]
    head = "In how many of the runs a quantity rose and fell (shown, after Holm's adjustment): "
    sentences = [head + "; ".join(told) + "."] if told else []
    verdicts = data["verdict"]
    if verdicts.isin([DOWN, HINT]).any():
        down, hints = (int(verdicts.eq(kind).sum()) for kind in (DOWN, HINT))
        gaps = "gap" if down == 1 else "gaps"
        sentences.append(f"Levelled down: {down} {gaps}, and {hints} as a hint.")
    return " ".join(sentences)


def _count(name: str, data: pd.DataFrame, alpha: float) -> str:
    known = data[data["change"].notna()]
    if known.empty:
        return ""
    shown = known["p_adjusted"] <= alpha
    rose, fell = known["change"] > 0, known["change"] < 0
    return (
        f"{name.removesuffix(f' ({CLIP_NIH})')} {rose.sum()} ({(rose & shown).sum()}) and "
        f"{fell.sum()} ({(fell & shown).sum()}) of {len(known)}"
    )
