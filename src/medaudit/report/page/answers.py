"""Answers to a study's questions in sentences: how well, how fair, how certain.

How fair each subject is comes from `medaudit.report.answers`; the rest is made from the facts of
`medaudit.report.compare`. Sentences on gaps are in `medaudit.report.page.gap_answers`.
"""

import pandas as pd

from medaudit.core.documents import StudyHead
from medaudit.report.answers.severity import named
from medaudit.report.answers.structure import AttributeAnswer, RunAnswer, StudyAnswers
from medaudit.report.page.answer import Answer
from medaudit.report.page.gap_answers import all_runs, other_measures, primary_questions
from medaudit.report.page.rivals import (
    count_rivals,
    differences_from,
    explain_difference,
    indistinguishable,
)
from medaudit.report.studies import facts as study_facts
from medaudit.report.studies.evidence import direction
from medaudit.report.wording import number_format, terms
from medaudit.report.wording.names import Names
from medaudit.report.wording.phrases import alpha, interval, p_text, plural, run_name


def answer(
    facts: pd.DataFrame,
    head: StudyHead,
    cohort: str,
    answered: StudyAnswers,
    names: Names | None = None,
) -> list[Answer]:
    """Return the answers to a study's questions on one cohort.

    Parameters
    ----------
    facts : pandas.DataFrame
        Rows of `COMPARISON` with ``measure``.
    head : StudyHead
        ``entry``, ``headline``, ``lead``, ``gap``, ``level`` and ``draws`` are used.
    cohort : str
        Name.
    answered : StudyAnswers
        What is said about each run.
    names : Names, optional
        Display names.
    """
    names = names or Names()
    whole = facts[facts["cohort"] == cohort]
    rows = whole[whole["measure"].eq(head["headline"])]
    best = study_facts.best_run(rows, head["headline"], cohort, head.get("entry"))
    primary = primary_questions(whole, head, names)
    first = [run for run in answered.on(cohort) if run.first]
    fair = [found for run in first for found in how_fair(run, several=len(first) > 1)]
    short = [sentence for run in first for sentence in in_short(run)]
    if best is None:
        lost = _not_estimable(rows, head)
        short = [*lost, *short, *primary]
        return [Answer("In short", short, summary=True), Answer("How well?", lost), *fair]
    others = other_measures(best, whole, head, [m.metric for run in first for m in run.overall])
    return [
        Answer("In short", [*short, *compared(best, rows, head, names), *primary], summary=True),
        Answer("How well?", how_well(best, rows, head, names)),
        *fair,
        *([Answer(f"In other measures? ({run_name(best, names)})", others)] if others else []),
        *([Answer("Primary questions?", primary)] if primary else []),
        Answer("Across all runs?", all_runs(leading_gaps(whole, head), head)),
        Answer("How certain?", how_certain(best, head)),
    ]


def _not_estimable(rows: pd.DataFrame, head: StudyHead) -> list[str]:
    runs = rows[rows["kind"] == "performance"]
    reason = ", ".join(dict.fromkeys(runs["status"].map(number_format.reason)))
    return [f"{terms.measure(head['headline'])} is not estimable for any run: {reason}."]


def leading_gaps(rows: pd.DataFrame, head: StudyHead) -> pd.DataFrame:
    """Return the gaps in the leading measures; of means over tasks, not means of tasks' gaps."""
    kept = rows["kind"].eq("gap") & rows["gap"].eq(head["gap"])
    kept &= rows["measure"].isin(head.get("lead") or [head["headline"]])
    return rows[kept & rows["task"].ne("mean_of_gaps")]


def in_short(run: RunAnswer) -> list[str]:
    """Return a run's answers in short: how well, and the verdict on each attribute."""
    found = [f"By {one.label}: {one.verdict}. {one.sentence}" for one in run.attributes]
    return [f"{run.name}. {run.sentence}", *(found or ["It has no audited groups."])]


def how_fair(run: RunAnswer, several: bool) -> list[Answer]:
    """Return one answer per attribute of a run: every measure, and findings that are worse."""
    whose = f" ({run.name})" if several else ""
    return [
        Answer(f"How fair by {one.label}?{whose}", _in_full(one), named(one.kind))
        for one in run.attributes
    ]


def _in_full(one: AttributeAnswer) -> list[str]:
    sentences = []
    for measure in (*one.measures, *one.findings):
        sentences.append(f"{measure.sentence} {measure.evidence}".strip())
    return sentences


def compared(best: pd.Series, rows: pd.DataFrame, head: StudyHead, names: Names) -> list[str]:
    """Return how many runs cannot be told apart from the best, where there are several."""
    rivals = differences_from(best, rows[rows["kind"] == "performance_difference"], names)
    alike = int((~(rivals["p_adjusted"] <= alpha(head))).sum())
    if not alike:
        return []
    name = f"{run_name(best, names)} has the {_best_word(head)} {terms.measure(head['headline'])}. "
    return [name + indistinguishable(alike, len(rivals))]


def _best_word(head: StudyHead) -> str:
    return "highest" if direction(head["headline"]) > 0 else "lowest"


def how_well(best: pd.Series, rows: pd.DataFrame, head: StudyHead, names: Names) -> list[str]:
    """Return sentences that name the best run and compare the others with it."""
    sentences = [
        f"{run_name(best, names)} has the {_best_word(head)} {terms.measure(head['headline'], long=True)}"
        f"{_among(head)}: {number_format.number(best['value'])} ({interval(best, head)})."
    ]
    rivals = differences_from(best, rows[rows["kind"] == "performance_difference"], names)
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


def _among(head: StudyHead) -> str:
    """Write among which runs the best one was sought."""
    entry = head.get("entry") or {}
    if entry.get("subjects"):
        return " of the models that the study is about"
    return ", controls apart" if entry.get("controls") else ""


def how_certain(best: pd.Series, head: StudyHead) -> list[str]:
    """Return the size of the test set, and what the intervals leave out."""
    images, patients = best["n"], best["n_patients"]
    size = f"The test set has {number_format.count(images)} images"
    if images == patients:
        sentences = [f"{size}, one per patient."]
    else:
        sentences = [
            f"{size} of {plural(int(patients), 'patient')}; intervals count patients, so several "
            "images of one patient do not make them narrower than they are worth."
        ]
    if not number_format.missing(best["seed_sd"]):
        sentences.append(
            f"Training with another seed changes {terms.measure(head['headline'])} by about "
            f"{number_format.number(best['seed_sd'])} (standard deviation); the intervals do not "
            "include this."
        )
    return sentences
