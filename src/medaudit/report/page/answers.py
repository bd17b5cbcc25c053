"""Answers to a study's questions in sentences: how well, how fair, how certain.

Every sentence is made from the facts of `medaudit.report.compare`. It says when an interval
includes 0, when a gap is compatible with chance, and when something is not estimable.
"""

from dataclasses import dataclass

import pandas as pd

from medaudit.core.documents import StudyHead
from medaudit.report.page.rivals import (
    count_rivals,
    differences_from,
    explain_difference,
    indistinguishable,
)
from medaudit.report.studies import facts as study_facts
from medaudit.report.studies.evidence import direction
from medaudit.report.verdicts import Verdict, judge_gap
from medaudit.report.wording import number_format, terms
from medaudit.report.wording.phrases import (
    alpha,
    estimable,
    interval,
    p_text,
    plural,
    run_name,
)


@dataclass(frozen=True)
class Answer:
    """A question and its answer.

    Parameters
    ----------
    question : str
        Heading.
    sentences : list of str
        The answer.
    verdict : Verdict or None
        What the test shows, where the question is about one gap.
    summary : bool
        True for the short answer at the top of the page, which is not repeated below.
    """

    question: str
    sentences: list[str]
    verdict: Verdict | None = None
    summary: bool = False


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
    rows = facts[(facts["cohort"] == cohort) & facts["measure"].eq(head["headline"])]
    best = study_facts.best_run(rows, head["headline"], cohort)
    if best is None:
        return _not_estimable(rows, head)
    gaps = study_facts.headline_gaps(rows, head["headline"], head["gap"])
    of_best = gaps_of(best, rows, head)
    fair = [how_fair(gap, best, head) for _, gap in of_best.iterrows()]
    return [
        Answer("In short", in_short(best, rows, of_best, fair, head), summary=True),
        Answer("How well?", how_well(best, rows, head)),
        *fair,
        Answer("Across all runs?", all_runs(gaps, head)),
        Answer("How certain?", how_certain(best, of_best, head)),
    ]


def _not_estimable(rows: pd.DataFrame, head: StudyHead) -> list[Answer]:
    runs = rows[rows["kind"] == "performance"]
    reason = ", ".join(dict.fromkeys(runs["status"].map(number_format.reason)))
    sentences = [f"{terms.measure(head['headline'])} is not estimable for any run: {reason}."]
    return [Answer("In short", sentences, summary=True), Answer("How well?", sentences)]


def gaps_of(run: pd.Series, rows: pd.DataFrame, head: StudyHead) -> pd.DataFrame:
    """Return the headline gaps of one run, one row per attribute."""
    gaps = study_facts.headline_gaps(rows, head["headline"], head["gap"])
    return gaps[gaps["model"].eq(run["model"]) & gaps["method"].eq(run["method"])]


def in_short(
    best: pd.Series,
    rows: pd.DataFrame,
    gaps: pd.DataFrame,
    fair: list[Answer],
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
    pairs = zip(gaps.iterrows(), fair, strict=True)
    found = [short_gap(gap, item.verdict) for (_, gap), item in pairs]
    sentences.append(
        f"Its gaps between groups: {'; '.join(found)}." if found else "It has no audited groups."
    )
    return sentences


def _best_word(head: StudyHead) -> str:
    return "highest" if direction(head["headline"]) > 0 else "lowest"


def short_gap(gap: pd.Series, verdict: Verdict | None) -> str:
    """Return a gap in a few words."""
    by = f"by {terms.attribute(gap['attribute'])}"
    if number_format.missing(gap["value"]):
        return f"{by} not estimable"
    value = number_format.number(gap["value"])
    if verdict == Verdict.NOT_SHOWN:
        return f"{by} {value} ({Verdict.NOT_SHOWN}, compatible with chance)"
    tested = verdict in (Verdict.SHOWN, Verdict.HINT)
    known = tested and not number_format.missing(gap["worst"])
    worst = f", worst in {terms.group(gap['worst'])}" if known else ""
    return f"{by} {value} ({verdict}{worst})"


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


def how_fair(gap: pd.Series, best: pd.Series, head: StudyHead) -> Answer:
    """Return how large a run's gap by one attribute is, and what it shows."""
    question = f"How fair by {terms.attribute(gap['attribute'])}?"
    if number_format.missing(gap["value"]):
        reason = number_format.reason(gap["status"])
        text = f"Not estimable for {run_name(best)}: {reason} ({estimable(gap)})."
        return Answer(question, [text], Verdict.UNKNOWN)
    groups = ""
    if head["gap"] == "max_min":
        groups = f"; worst in {terms.group(gap['worst'])}, best in {terms.group(gap['best'])}"
    verdict, reason = explain_gap(gap, head)
    sentences = [
        f"{terms.first_upper(terms.gap(head['gap']))} in {terms.measure(head['headline'])} for "
        f"{run_name(best)}: {number_format.number(gap['value'])} ({interval(gap, head)}){groups}.",
        reason,
    ]
    if verdict in (Verdict.SHOWN, Verdict.HINT) and gap["low"] <= 0:
        sentences.append("Its interval reaches 0, so its size is very uncertain.")
    if gap["n_estimable"] < gap["n_groups"]:
        sentences.append(f"This covers only {estimable(gap)}.")
    return Answer(question, sentences, verdict)


def explain_gap(gap: pd.Series, head: StudyHead) -> tuple[Verdict, str]:
    """Return the verdict on a gap, and a sentence that gives the reason."""
    verdict = judge_gap(gap, alpha(head))
    if verdict == Verdict.UNKNOWN:
        return verdict, "There is no permutation test, so this gap cannot be compared with chance."
    fair = _fair_model(gap, head)
    if verdict == Verdict.SHOWN:
        return verdict, f"{fair}This gap is larger than chance explains ({p_text(gap)})."
    if verdict == Verdict.HINT:
        return verdict, (
            f"{fair}On its own, this gap is larger than chance would explain ({p_text(gap)}), but "
            f"not after adjusting for the {number_format.count(gap['family_size'])} gaps tested: "
            f"{Verdict.HINT}."
        )
    detectable = gap["smallest_detectable"]
    limit = ""
    if not number_format.missing(detectable):
        below = number_format.number(detectable)
        limit = f"; this test set would probably miss true gaps below about {below}"
    return verdict, (
        f"{fair}{terms.first_upper(Verdict.NOT_SHOWN)}: this gap is compatible with chance "
        f"({p_text(gap)}). That is no proof of fairness{limit}."
    )


def _fair_model(gap: pd.Series, head: StudyHead) -> str:
    """Return the sentence on the gap that chance alone gives; empty if it is not known."""
    if number_format.missing(gap["null_q95"]) or head["gap"] != "max_min":
        return ""
    mean, most = (number_format.number(gap[name]) for name in ("null_mean", "null_q95"))
    return (
        f"A model that treats all groups alike would show a gap of {mean} on average on this test "
        f"set, and less than {most} in 95 of 100 cases. "
    )


def all_runs(gaps: pd.DataFrame, head: StudyHead) -> list[str]:
    """Return sentences that count the gaps of all runs that are larger than chance explains."""
    tested = gaps[gaps["p_adjusted"].notna()]
    lost = int(gaps["value"].isna().sum())
    clear = tested[tested["p_adjusted"] <= alpha(head)]
    runs = len(gaps[["model", "method"]].drop_duplicates())
    size = f"{plural(runs, 'run')} by {plural(gaps['attribute'].nunique(), 'attribute')}"
    sentences = [
        f"{len(clear) or 'None'} of {plural(len(tested), 'gap')} in "
        f"{terms.measure(head['headline'])} ({size}) {'are' if len(clear) > 1 else 'is'} larger "
        "than chance explains, after adjusting for all of them."
    ]
    if len(clear) and head["gap"] == "max_min":
        worst = clear["worst"].value_counts()
        ties = sorted(worst[worst == worst.max()].index)
        sentences.append(
            f"Most often the worst group in these: {' and '.join(map(terms.group, ties))} "
            f"({worst.max()} of {len(clear)})."
        )
    if lost:
        are = "is" if lost == 1 else "are"
        sentences.append(f"{plural(lost, 'gap')} {are} not estimable and not counted.")
    return sentences


def how_certain(best: pd.Series, gaps: pd.DataFrame, head: StudyHead) -> list[str]:
    """Return the size of the test set, what the intervals leave out, and what could be detected."""
    draws = head.get("draws")
    resampled = f", {number_format.count(draws)} draws" if draws else ""
    sentences = [
        f"The test set has {number_format.count(best['n'])} images of "
        f"{number_format.count(best['n_patients'])} patients; intervals come from a bootstrap over "
        f"patients{resampled}."
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
            f"The smallest gaps that this test set can detect are about {' to '.join(ends)}{by}."
        )
    return sentences
