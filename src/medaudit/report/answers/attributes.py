"""One run by one attribute: the worst of its measures and findings decides."""

from dataclasses import dataclass

import pandas as pd

from medaudit.core.statuses import Status
from medaudit.report.answers.measures import answer_measure
from medaudit.report.answers.sentences import Setting
from medaudit.report.answers.severity import FOUND, Given, worst
from medaudit.report.answers.structure import AttributeAnswer, MeasureAnswer
from medaudit.report.equivalence import Equivalence
from medaudit.report.verdicts import Verdict
from medaudit.report.wording import number_format, terms

MOST_FINDINGS = 3
"""Single findings that an answer names; all are in the tables."""

Answered = tuple[Given, MeasureAnswer]


@dataclass(frozen=True)
class RunTables:
    """The rows of one run.

    Parameters
    ----------
    metrics : pandas.DataFrame
        Of the mean over seeds, by group.
    gaps, findings : pandas.DataFrame
        Gaps of all tasks together, and of single tasks, with adjusted p-values.
    lead, answered : list of str
        Leading measures, and those with calibration.
    noun : str
        What is counted.
    """

    metrics: pd.DataFrame
    gaps: pd.DataFrame
    findings: pd.DataFrame
    lead: list[str]
    answered: list[str]
    noun: str


def answer_attribute(attribute: str, tables: RunTables, setting: Setting) -> AttributeAnswer:
    """Return the answer on one attribute."""
    together = _answers(tables.gaps, attribute, tables.answered, tables, setting)
    every = _answers(tables.findings, attribute, tables.lead, tables, setting)
    single = _worse_findings(every, together)
    decided = [*_deciding(together, tables.lead), *single]
    verdict, first = worst([(verdict, answer) for verdict, answer in decided])
    return AttributeAnswer(
        attribute=attribute,
        label=terms.attribute(attribute),
        verdict=str(verdict),
        kind=verdict.name,
        sentence=_sentence(verdict, first, together, single) + _one_by_one(verdict, every),
        measures=tuple(answer for _, answer in together),
        findings=tuple(answer for _, answer in single),
        decides=next(k for k, (_, one) in enumerate([*together, *single]) if one is first),
    )


def _answers(
    gaps: pd.DataFrame, attribute: str, measures: list[str], tables: RunTables, setting: Setting
) -> list[Answered]:
    own = gaps[gaps["attribute"] == attribute]
    order = own["measure"].map({name: k for k, name in enumerate(measures)})
    own = own.assign(place=order)[order.notna()].sort_values("place", kind="stable")
    rows = tables.metrics[tables.metrics["attribute"] == attribute]
    return [
        answer_measure(
            gap,
            rows[rows["measure"].eq(gap["measure"]) & rows["task"].eq(gap["task"])],
            setting,
            tables.noun,
        )
        for gap in own.to_dict("records")
    ]


def _deciding(together: list[Answered], lead: list[str]) -> list[Answered]:
    """Return the measures that decide: calibration only where it shows a difference.

    A measure that no group can have, since there is no decision, does not decide either.
    """
    leading = [pair for pair in together if pair[1].metric in lead and not undecidable(pair[1])]
    then = [pair for pair in together if pair[1].metric not in lead and pair[0] in FOUND]
    return [*leading, *then] or together


def undecidable(answer: MeasureAnswer) -> bool:
    """Return whether no group has a value because there are no decisions."""
    return bool(answer.groups) and all(
        group.status == Status.NO_DECISION for group in answer.groups
    )


def _worse_findings(single: list[Answered], together: list[Answered]) -> list[Answered]:
    """Return the findings that are shown to be worse than the mean over findings shows."""
    means = {answer.metric: (verdict, answer.gap or 0.0) for verdict, answer in together}
    kept = []
    for verdict, answer in single:
        mean, gap = means.get(answer.metric, (Verdict.UNKNOWN, 0.0))
        shown = verdict in (Verdict.SHOWN, Equivalence.UNFAIR)
        if shown and (verdict is not mean or (answer.gap or 0.0) > gap):
            kept.append((verdict, answer))
    return sorted(kept, key=lambda pair: -(pair[1].gap or 0.0))[:MOST_FINDINGS]


def _sentence(
    verdict: Given, first: MeasureAnswer, together: list[Answered], single: list[Answered]
) -> str:
    """Write the answer: the measure that decides, and the worst finding or what was not seen."""
    said = [first.sentence] if first.sentence else []
    if verdict in FOUND:
        said += _others(first, together)
        if single and single[0][1] is not first:
            said.insert(0, single[0][1].sentence)
    lost = [answer.label for _, answer in together if answer.gap is None]
    if lost:
        said.append(_lost(lost, together))
    if verdict is Verdict.NOT_SHOWN:
        said.append(_unseen(together))
    elif verdict in (Verdict.UNTESTED, Verdict.HINT) or first.margin is not None:
        said.append(first.evidence)
    return " ".join(said)


def _others(first: MeasureAnswer, together: list[Answered]) -> list[str]:
    """Write in which other measures there are differences, and in which they are only suggested."""
    means = "the mean of " if all(first is not answer for _, answer in together) else ""
    known = [(v, means + a.label) for v, a in together if v in FOUND and a is not first]
    shown = [label for v, label in known if v is not Verdict.HINT]
    hints = [label for v, label in known if v is Verdict.HINT]
    said = [f"Differences also in: {', '.join(shown)}."] if shown else []
    return said + ([f"Suggestive only, not shown, in: {', '.join(hints)}."] if hints else [])


def _one_by_one(verdict: Given, every: list[Answered]) -> str:
    """Write what single findings show where their mean is not estimable; else nothing."""
    if verdict.name not in ("UNKNOWN", "NOT_ESTIMABLE") or not every:
        return ""
    known = [verdict for verdict, answer in every if answer.gap is not None]
    hints = sum(verdict is Verdict.HINT for verdict in known)
    found = f"{hints} suggestive only" if hints else "none is shown"
    return f" Finding by finding, {len(known)} of {len(every)} differences could be estimated: {found}."


def _lost(labels: list[str], together: list[Answered]) -> str:
    if any(undecidable(answer) for _, answer in together):
        return f"Without decisions, nothing is known about: {', '.join(labels)}."
    reasons = dict.fromkeys(
        number_format.reason(group.status)
        for _, answer in together
        if answer.gap is None
        for group in answer.groups
        if group.status != Status.OK
    )
    return f"Not estimable: {', '.join(labels)} ({'; '.join(reasons) or 'no value'})."


def _unseen(together: list[Answered]) -> str:
    seen = [answer.label for verdict, answer in together if verdict is Verdict.NOT_SHOWN]
    least = [
        f"{number_format.least(answer.smallest_detectable)} in {answer.label}"
        for verdict, answer in together
        if verdict is Verdict.NOT_SHOWN and answer.smallest_detectable is not None
    ]
    text = f"No difference is shown in {', '.join(seen)}, which is no proof of fairness"
    unseen = f": in 80 of 100 samples, this test set finds one of {', '.join(least)}"
    return f"{text}{unseen if least else ''}."
