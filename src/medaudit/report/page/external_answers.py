"""Does a model stay fair elsewhere? Answers in sentences, from the tables of external cohorts."""

from typing import Any

import pandas as pd

from medaudit.core.documents import StudyHead
from medaudit.report.page.answer import Answer
from medaudit.report.verdicts import Verdict
from medaudit.report.wording import number_format, terms
from medaudit.report.wording.names import Names
from medaudit.report.wording.phrases import level_of, plural

ELSEWHERE = "home and elsewhere"
QUESTION = "Do the models stay fair elsewhere?"
WHY, ORDER, LOCAL = (
    "Why?",
    "Is the fairest model at home the fairest elsewhere?",
    "How many local patients would make sensitivity equal again?",
)
LEAD = "tpr"
ENOUGH = 0.8
"""Share of samples of local patients that must be equal."""


def answer_external(tables: dict[str, pd.DataFrame], head: StudyHead, names: Names) -> list[Answer]:
    """Return the answers of a study with external cohorts; empty without the table of gaps.

    Parameters
    ----------
    tables : dict of str to pandas.DataFrame
        Tables ``external_gaps``, ``external_parts``, ``external_order``, ``external_selection`` and
        ``external_local``, as far as the study has them.
    head : StudyHead
        Head of the study's index.
    names : Names
        Display names.
    """
    gaps = tables.get("external_gaps")
    if gaps is None:
        return []
    gaps = gaps.assign(where=[names.cohort(name) for name in gaps["cohort"]])
    gaps = gaps.assign(run=[names.run(row) for row in gaps.to_dict("records")])
    pairs = list(gaps.groupby("cohort", sort=False))
    found = [Answer("In short", [_in_short(part, head) for _, part in pairs], summary=True)]
    found.append(Answer(QUESTION, [text for _, part in pairs for text in _each(part, head)]))
    if why := _why(gaps, tables.get("external_parts"), head):
        found.append(Answer(WHY, why))
    order = _order(tables.get("external_order"), head)
    if chosen := [*order, *_selection(tables.get("external_selection"))]:
        found.append(Answer(ORDER, chosen))
    if local := _local(tables.get("external_local"), names):
        found.append(Answer(LOCAL, local))
    return found


def _in_short(rows: pd.DataFrame, head: StudyHead) -> str:
    """Return whether any gap of the leading measures changed elsewhere, and whom it harms most."""
    own = rows[
        rows["kind"].eq("gap") & rows["measure"].isin(head.get("lead") or [head["headline"]])
    ]
    where, runs = own["where"].iloc[0] if len(own) else rows["where"].iloc[0], own["run"].nunique()
    known = own[own["change"].notna()]
    if known.empty:
        return f"{where}: no difference between groups is estimable in both places."
    wider = known[known["verdict"].eq(Verdict.SHOWN) & known["change"].gt(0)]
    narrower = known[known["verdict"].eq(Verdict.SHOWN) & known["change"].lt(0)]
    if wider.empty and narrower.empty:
        return (
            f"{where}: no change of a difference between groups is shown for "
            f"{plural(runs, 'run')} (compatible with chance, which does not prove that they stay "
            "as fair)."
        )
    text = f"{where}: a difference between groups is larger elsewhere in {_count(wider, runs)}"
    if len(narrower):
        text += f" and smaller in {_count(narrower, runs)}"
    if wider.empty:
        return f"{where}: a difference between groups is smaller elsewhere in {_count(narrower, runs)}."
    worst = wider.loc[wider["change"].idxmax()]
    return f"{text}. Most: {_sentence(worst, head)}"


def _count(rows: pd.DataFrame, runs: int) -> str:
    return f"{rows['run'].nunique()} of {plural(runs, 'run')}"


def _sentence(row: Any, head: StudyHead) -> str:
    measure, by = terms.plain(row["measure"]), terms.attribute(row["attribute"])
    ends = " to ".join(number_format.number(row[f"change_{end}"]) for end in ("low", "high"))
    harmed = terms.group(row["harmed"])
    return (
        f"{row['run']}, {measure} by {by}: {number_format.number(row['home'])} at home, "
        f"{number_format.number(row['away'])} elsewhere (change "
        f"{number_format.number(row['change'], signed=True)}, {level_of(head)} CI {ends}); the worst "
        f"group elsewhere: {harmed}."
    )


def _each(rows: pd.DataFrame, head: StudyHead) -> list[str]:
    """Return one sentence per run and attribute: the change in each leading measure."""
    own = rows[
        rows["kind"].eq("gap") & rows["measure"].isin(head.get("lead") or [head["headline"]])
    ]
    sentences = []
    for (run, attribute), part in own.groupby(["run", "attribute"], sort=False):
        texts = []
        for row in part.to_dict("records"):
            name = terms.plain(row["measure"])
            if number_format.missing(row["change"]):
                texts.append(f"{name} not estimable")
                continue
            change = number_format.number(row["change"], signed=True)
            texts.append(f"{name} {change} ({row['verdict']})")
        label = terms.attribute(attribute)
        sentences.append(f"{run}, change of the difference by {label}: {'; '.join(texts)}.")
    return sentences


def _why(gaps: pd.DataFrame, parts: pd.DataFrame | None, head: StudyHead) -> list[str]:
    """Name the part that explains each shown change in sensitivity."""
    if parts is None:
        return []
    shown = gaps[gaps["kind"].eq("difference") & gaps["verdict"].eq(Verdict.SHOWN)]
    sentences = []
    for row in shown[shown["measure"] == LEAD].to_dict("records"):
        own = parts[parts["metric"].eq(LEAD) & parts["group"].eq(row["harmed"])]
        for key in ("cohort", "model", "method", "attribute"):
            own = own[own[key] == row[key]]
        own = own[own["part"].ne("change") & own["gap"].notna()]
        if own.empty:
            continue
        sure = own[own["gap_high"] < 0]
        group = terms.group(row["harmed"])
        if sure.empty:
            sentences.append(
                f"{row['run']}, sensitivity of {group} patients: no part of the change is shown "
                "apart from the others."
            )
            continue
        main = sure.loc[sure["gap"].idxmin()]
        value = number_format.number(main["gap"], signed=True)
        ends = " to ".join(number_format.number(main[f"gap_{end}"]) for end in ("low", "high"))
        others = [
            terms.first_upper(p).lower() for p in sure["part_shown"] if p != main["part_shown"]
        ]
        more = f"; also {' and '.join(others)}" if others else ""
        sentences.append(
            f"{row['run']}, sensitivity of {group} patients against all others: mostly "
            f"{main['part_shown']} ({value}, {level_of(head)} CI {ends}){more}."
        )
    return sentences


def _order(orders: pd.DataFrame | None, head: StudyHead) -> list[str]:
    if orders is None or not (orders["status"] == "ok").any():
        return []
    sentences = []
    for row in orders[orders["status"] == "ok"].to_dict("records"):
        ends = " to ".join(number_format.number(row[f"tau_{end}"], 2) for end in ("low", "high"))
        sentences.append(
            f"Gaps in {row['measure_shown']} by {row['attribute_shown']}: rank correlation "
            f"{number_format.number(row['tau'], 2)} over {plural(int(row['n_runs']), 'run')} "
            f"({level_of(head)} CI {ends})."
        )
    return sentences


def _selection(rows: pd.DataFrame | None) -> list[str]:
    if rows is None or rows.empty:
        return []
    own = rows[rows["measure"].eq(LEAD)]
    own = own if len(own) else rows
    sentences = []
    for (_, measure, attribute), part in own.groupby(
        ["cohort", "measure_shown", "attribute_shown"], sort=False
    ):
        texts = [_regret(row) for row in part.to_dict("records")]
        sentences.append(
            f"A model selected at home, and its gap elsewhere in {measure} by {attribute}: "
            f"{'; '.join(texts)}."
        )
    return sentences


def _regret(row: Any) -> str:
    """Write what one rule selects and how far it is from the fairest model elsewhere."""
    chosen = f"by the {row['rule']}, {row['run']}"
    if not row["regret"] > 0:
        return f"{chosen}, which has the smallest"
    ends = " to ".join(number_format.number(row[f"regret_{end}"]) for end in ("low", "high"))
    return f"{chosen}, {number_format.number(row['regret'])} above the smallest ({ends})"


def _local(rows: pd.DataFrame | None, names: Names) -> list[str]:
    if rows is None:
        return []
    known = rows[rows["status"] == "ok"]
    sentences = []
    for _, part in known.groupby(["cohort", "model", "method", "attribute"], sort=False):
        start = part[part["action"] == "carried"].iloc[0]
        head = f"{names.run(start)}, by {start['attribute_shown']}: "
        if start["share_within"] == 1:
            sentences.append(f"{head}equal enough at the threshold of home.")
            continue
        found = []
        for action, own in part[part["action"] != "carried"].groupby("repair", sort=False):
            enough = own[own["share_within"] >= ENOUGH]["patients"]
            most = int(own["patients"].max())
            found.append(
                f"{action}: {number_format.count(enough.min())} patients"
                if len(enough)
                else f"{action}: not with {number_format.count(most)} patients"
            )
        if found:
            sentences.append(f"{head}{'; '.join(found)}.")
    return sentences
