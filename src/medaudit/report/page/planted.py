"""Planted and found: on phantoms, what was planted in whom, and whether the audit found it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from medaudit.core.documents import CohortCard, PlantedRule
from medaudit.core.intersections import split_name
from medaudit.report.answers.structure import (
    SUBJECT,
    AttributeAnswer,
    MeasureAnswer,
    RunAnswer,
    StudyAnswers,
)
from medaudit.report.verdicts import Verdict
from medaudit.report.wording import number_format, people, terms

WHOLE, ALIKE = 0.99, 0.1
"""Share of a group from which a rule applies to all of it; largest spread of shares that counts as none."""

LOWER = ("tpr", "auc")
"""Leading measures that a fainter finding lowers in the planted group."""

FOUND, HINT, MISSED = "found", "suggestive only", "not found"
CALLED, NOT_CALLED = "called different", "not called different"


@dataclass(frozen=True)
class PlantedRow:
    """One planted difference, or one attribute without any, as one run sees it.

    Parameters
    ----------
    study, cohort, run, attribute : str
        Names for a reader: title of the study, cohort, model and method, attribute.
    planted : bool
        Whether there is a planted difference by this attribute.
    outcome : str
        `FOUND`, `HINT` or `MISSED`; without a planted difference `CALLED` or `NOT_CALLED`.
    evidence : tuple of str
        The measures behind the outcome with gap, interval and adjusted p-value.
    whom, what, expected : str
        Who is affected, what was drawn, and in which measures it should show; empty if nothing is
        planted.
    """

    study: str
    cohort: str
    run: str
    attribute: str
    planted: bool
    outcome: str
    evidence: tuple[str, ...]
    whom: str = ""
    what: str = ""
    expected: str = ""


def planted_rows(cards: Iterable[CohortCard], studies: Iterable[StudyAnswers]) -> list[PlantedRow]:
    """Return what was planted and what was found, for the runs that answer each study.

    A rule counts by the attribute that describes it with the fewest parts: race, and not sex and
    race. Attributes that a rule concerns only in part are left out: of women of 60 and older, half
    of all women are affected, and their difference from men is neither planted nor absent.

    Parameters
    ----------
    cards : iterable of CohortCard
        Cards with ``planted`` (`medaudit.data.groups.planted`); others have no rows.
    studies : iterable of StudyAnswers
        The studies' answers.
    """
    known = {card["name"]: card for card in cards if card.get("planted")}
    rows = [
        row
        for study in studies
        for cohort, card in known.items()
        for run in _answering(study, cohort)
        for attribute in run.attributes
        for row in _rows(study, card, run, attribute)
    ]
    # A run that answers two studies is one comparison.
    first: dict[tuple[str, ...], PlantedRow] = {}
    for row in rows:
        first.setdefault((row.cohort, row.run, row.attribute, row.whom, row.what), row)
    return list(first.values())


def _answering(study: StudyAnswers, cohort: str) -> list[RunAnswer]:
    """Return the best run of each subject."""
    return [run for run in study.on(cohort) if run.role == SUBJECT and run.first]


def _rows(
    study: StudyAnswers, card: CohortCard, run: RunAnswer, answer: AttributeAnswer
) -> list[PlantedRow]:
    head: dict[str, Any] = {"study": study.title, "cohort": card["name"], "run": run.name}
    head["attribute"] = answer.label
    rules = [(rule, planted_groups(rule, answer.attribute)) for rule in card["planted"]]
    direct = [(rule, groups) for rule, groups in rules if answer.attribute == _direct(rule)]
    measures = [one for one in answer.measures if one.metric in study.lead]
    if all(groups == [] for _, groups in rules):
        # A single finding can call the attribute different, too.
        every = (*measures, *answer.findings)
        shown = [one for one in every if one.kind == Verdict.SHOWN.name]
        outcome = CALLED if shown else NOT_CALLED
        texts = tuple(map(_evidence, shown or measures))
        return [PlantedRow(**head, planted=False, outcome=outcome, evidence=texts)]
    return [
        PlantedRow(
            **head,
            planted=True,
            whom=", ".join(people.people(answer.attribute, group) for group in groups or []),
            what=_what(rule),
            expected=_expected(study),
            **_outcome(measures, groups or []),
        )
        for rule, groups in direct
    ]


def planted_groups(rule: PlantedRule, attribute: str) -> list[str] | None:
    """Return the groups to which a rule applies wholly; empty if to all alike, None if in part."""
    shares = {
        part["group"]: part["n_planted"] / part["n_images"]
        for part in rule["groups"]
        if part["attribute"] == attribute
    }
    if not shares or max(shares.values()) - min(shares.values()) <= ALIKE:
        return []
    whole = [group for group, share in shares.items() if share >= WHOLE]
    return whole if whole and min(shares.values()) <= 1 - WHOLE else None


def _direct(rule: PlantedRule) -> str | None:
    """Return the attribute with the fewest parts of which a rule applies to whole groups."""
    names = dict.fromkeys(part["attribute"] for part in rule["groups"])
    whole = [name for name in names if planted_groups(rule, name)]
    return min(whole, key=lambda name: len(split_name(name)), default=None)


def _what(rule: PlantedRule) -> str:
    findings = rule["findings"]
    names = "all findings" if findings == "all" else ", ".join(map(people.finding, findings))
    return f"{names} drawn at {rule['visibility']:g} of their contrast"


def _expected(study: StudyAnswers) -> str:
    lower = [terms.plain(name) for name in study.lead if name in LOWER]
    other = [terms.plain(name) for name in study.lead if name not in LOWER]
    text = f"lower {' and '.join(lower)} in them" if lower else ""
    return "; possibly ".join(filter(None, [text, ", ".join(other)]))


def _outcome(measures: list[MeasureAnswer], groups: list[str]) -> dict[str, Any]:
    """Return whether a measure shows the difference; where a direction is known, in the right group."""
    right = [one for one in measures if one.metric not in LOWER or one.worst in groups]
    for kind, name in ((Verdict.SHOWN, FOUND), (Verdict.HINT, HINT)):
        seen = [one for one in right if one.kind == kind.name]
        if seen:
            return {"outcome": name, "evidence": tuple(map(_evidence, seen))}
    return {"outcome": MISSED, "evidence": tuple(map(_evidence, measures))}


def _evidence(one: MeasureAnswer) -> str:
    label = one.label
    if one.task not in ("mean", "all"):
        label += f" for {people.finding(one.task)}"
    if one.gap is None:
        return f"{label}: {one.verdict}"
    gap = number_format.number(one.gap, 3)
    if one.low is not None and one.high is not None:
        low, high = (number_format.number(end, 3) for end in (one.low, one.high))
        gap += f" ({low} to {high})"
    p = "" if one.p_adjusted is None else f", adjusted p {number_format.p_value(one.p_adjusted)}"
    return f"{label}: difference {gap}{p}"
