"""Answers to a study's questions in sentences: how well, how fair, how certain.

Every sentence is made from the facts of `medaudit.report.compare`. It says when an interval
includes 0, which hypothesis a gap was tested against, and when something is not estimable. Sentences
on gaps are in `medaudit.report.page.gap_answers`.
"""

import pandas as pd

from medaudit.core.documents import StudyHead
from medaudit.report.page.answer import Answer
from medaudit.report.page.gap_answers import (
    all_runs,
    how_fair,
    other_measures,
    primary_questions,
    short_gap,
)
from medaudit.report.page.rivals import (
    count_rivals,
    differences_from,
    explain_difference,
    indistinguishable,
)
from medaudit.report.studies import facts as study_facts
from medaudit.report.studies.evidence import direction
from medaudit.report.wording import number_format, terms
from medaudit.report.wording.phrases import alpha, interval, p_text, run_name


def answer(facts: pd.DataFrame, head: StudyHead, cohort: str) -> list[Answer]:
    """Return the answers to a study's questions on one cohort.

    Parameters
    ----------
    facts : pandas.DataFrame
        Rows of `COMPARISON` with ``measure``.
    head : StudyHead
        ``headline``, ``gap``, ``level`` and ``draws`` are used.
    cohort : str
        Name.
    """
    whole = facts[facts["cohort"] == cohort]
    rows = whole[whole["measure"].eq(head["headline"])]
    best = study_facts.best_run(rows, head["headline"], cohort)
    primary = primary_questions(whole, head)
    if best is None:
        return _not_estimable(rows, head, primary)
    gaps = study_facts.headline_gaps(rows, head["headline"], head["gap"])
    of_best = gaps_of(best, rows, head)
    others = other_measures(best, whole, head)
    short = [*in_short(best, rows, of_best, head), *others, *primary]
    return [
        Answer("In short", short, summary=True),
        Answer("How well?", how_well(best, rows, head)),
        *(how_fair(gap, best, head) for _, gap in of_best.iterrows()),
        *([Answer("In other measures?", others)] if others else []),
        *([Answer("Primary questions?", primary)] if primary else []),
        Answer("Across all runs?", all_runs(gaps, head)),
        Answer("How certain?", how_certain(best, of_best, head)),
    ]


def _not_estimable(rows: pd.DataFrame, head: StudyHead, primary: list[str]) -> list[Answer]:
    runs = rows[rows["kind"] == "performance"]
    reason = ", ".join(dict.fromkeys(runs["status"].map(number_format.reason)))
    sentences = [f"{terms.measure(head['headline'])} is not estimable for any run: {reason}."]
    short = [*sentences, *primary]
    return [Answer("In short", short, summary=True), Answer("How well?", sentences)]


def gaps_of(run: pd.Series, rows: pd.DataFrame, head: StudyHead) -> pd.DataFrame:
    """Return the headline gaps of one run, one row per attribute."""
    gaps = study_facts.headline_gaps(rows, head["headline"], head["gap"])
    return gaps[gaps["model"].eq(run["model"]) & gaps["method"].eq(run["method"])]


def in_short(
    best: pd.Series,
    rows: pd.DataFrame,
    gaps: pd.DataFrame,
    head: StudyHead,
) -> list[str]:
    """Return the short answer: the best run, its rivals and its gaps."""
    name = terms.measure(head["headline"])
    sentences = [
        f"{run_name(best)} has the {_best_word(head)} {name}: "
        f"{number_format.number(best['value'])} ({interval(best, head)})."
    ]
    rivals = differences_from(best, rows[rows["kind"] == "performance_difference"])
    alike = int((~(rivals["p_adjusted"] <= alpha(head))).sum())
    if alike:
        sentences.append(indistinguishable(alike, len(rivals)))
    found = [short_gap(gap, head) for _, gap in gaps.iterrows()]
    sentences.append(
        f"Its gaps between groups: {'; '.join(found)}." if found else "It has no audited groups."
    )
    return sentences


def _best_word(head: StudyHead) -> str:
    return "highest" if direction(head["headline"]) > 0 else "lowest"


def how_well(best: pd.Series, rows: pd.DataFrame, head: StudyHead) -> list[str]:
    """Return sentences that name the best run and compare the others with it."""
    sentences = [
        f"{run_name(best)} has the {_best_word(head)} {terms.measure(head['headline'], long=True)}:"
        f" {number_format.number(best['value'])} ({interval(best, head)})."
    ]
    rivals = differences_from(best, rows[rows["kind"] == "performance_difference"])
    if rivals.empty:
        return sentences
    margin = rivals["value"] * direction(head["headline"])
    closest = rivals.loc[margin.sort_values(kind="stable").index[0]]
    sentences.append(
        f"Over the same patients, its difference from the closest run, {closest['rival']}, is "
        f"{number_format.number(closest['value'], signed=True)} ({interval(closest, head)}; "
        f"{p_text(closest)}): {explain_difference(closest, head)}"
    )
    if len(rivals) > 1:
        sentences.append(count_rivals(rivals, head))
    sentences.append(
        "The best run was selected on these test results, so its value is slightly optimistic."
    )
    return sentences


def how_certain(best: pd.Series, gaps: pd.DataFrame, head: StudyHead) -> list[str]:
    """Return the size of the test set, what the intervals leave out, and what could be detected."""
    sentences = [
        f"The test set has {number_format.count(best['n'])} images of "
        f"{number_format.count(best['n_patients'])} patients; intervals count patients, so several "
        "images of one patient do not make them narrower than they are worth."
    ]
    if not number_format.missing(best["seed_sd"]):
        sentences.append(
            f"Training with another seed changes {terms.measure(head['headline'])} by about "
            f"{number_format.number(best['seed_sd'])} (standard deviation); the intervals do not "
            "include this."
        )
    least = gaps["smallest_detectable"].dropna()
    if len(least):
        ends = list(dict.fromkeys(number_format.number(end) for end in (least.min(), least.max())))
        by = ", depending on the attribute" if len(ends) > 1 else ""
        sentences.append(
            f"The smallest gap that this cohort finds in 80 of 100 samples is {' to '.join(ends)}{by}."
        )
    return sentences
