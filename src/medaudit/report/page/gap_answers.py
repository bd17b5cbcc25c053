"""Sentences on gaps: how large, against which hypothesis, within which margin, how many in all."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from medaudit.core.documents import StudyHead
from medaudit.metrics.definitions import METRICS
from medaudit.report.equivalence import Equivalence, upper_limit
from medaudit.report.page.answer import Answer
from medaudit.report.studies.evidence import has_best_end
from medaudit.report.studies.multiple_testing import PRIMARY
from medaudit.report.verdicts import Verdict, judge_gap
from medaudit.report.wording import nulls, number_format, terms
from medaudit.report.wording.phrases import (
    alpha,
    estimable,
    interval,
    level_of,
    p_text,
    plural,
    run_name,
)

MOST = 6
"""Gaps that a sentence lists; more are counted."""


def verdict_on(gap: Mapping[str, Any], head: StudyHead) -> Verdict | Equivalence:
    """Return what the margin of a gap shows, or what its test shows where it has no margin."""
    found = gap.get("equivalence")
    return judge_gap(gap, alpha(head)) if number_format.missing(found) else Equivalence(str(found))


def short_gap(gap: Mapping[str, Any], head: StudyHead) -> str:
    """Return a gap in a few words."""
    by = f"by {terms.attribute(gap['attribute'])}"
    if number_format.missing(gap["value"]):
        return f"{by} not estimable"
    verdict = verdict_on(gap, head)
    told = verdict in (Verdict.SHOWN, Verdict.HINT, Equivalence.UNFAIR)
    worst = "" if not told else _worst(gap)
    margin = "" if isinstance(verdict, Verdict) else f", margin {_number(gap['margin'])}"
    shown = str(verdict).replace("the margin", f"the margin of {_number(gap.get('margin'))}")
    margin = "" if verdict == Equivalence.FAIR else margin
    return f"{by} {_number(gap['value'])} ({shown}{margin}{worst})"


def _worst(gap: Mapping[str, Any]) -> str:
    name, word = gap.get("worst"), "worst"
    if not has_best_end(str(gap.get("measure"))):
        name, word = gap.get("lowest"), "lowest"
    return "" if number_format.missing(name) else f", {word} in {terms.group(str(name))}"


def how_fair(gap: pd.Series, best: pd.Series, head: StudyHead) -> Answer:
    """Return how large a run's gap by one attribute is, and what it shows."""
    question = f"How fair by {terms.attribute(gap['attribute'])}?"
    verdict = verdict_on(gap, head)
    if number_format.missing(gap["value"]):
        reason = number_format.reason(gap["status"])
        text = f"Not estimable for {run_name(best)}: {reason} ({estimable(gap)})."
        return Answer(question, [text], verdict)
    sentences = [
        f"{terms.first_upper(terms.gap(head['gap']))} in {terms.measure(head['headline'])} for "
        f"{run_name(best)}: {_number(gap['value'])} ({interval(gap, head)})"
        f"{_between(gap, head)}."
    ]
    if isinstance(verdict, Equivalence):
        sentences.append(explain_margin(gap, head))
    tested, reason = explain_gap(gap, head)
    sentences.append(reason)
    if tested in (Verdict.SHOWN, Verdict.HINT) and gap["low"] <= 0:
        sentences.append("Its interval reaches 0, so its size is very uncertain.")
    if gap["n_estimable"] < gap["n_groups"]:
        sentences.append(f"This covers only {estimable(gap)}.")
    return Answer(question, sentences, verdict)


def _between(gap: pd.Series, head: StudyHead) -> str:
    """Write the groups with the lowest and the highest value, and which end is better."""
    if head["gap"] != "max_min" or number_format.missing(gap.get("lowest")):
        return ""
    low, high = (
        f"{terms.group(gap[name])} ({_number(gap[f'{name}_value'])})"
        for name in ("lowest", "highest")
    )
    return f": lowest in {low}, highest in {high}{better(head['headline'])}"


def better(measure: str) -> str:
    """Write that lower values of a measure are better; empty where higher ones are, or neither."""
    metric = METRICS.get(measure.partition(" (")[0])
    return "; lower is better" if metric is not None and metric.target == 0 else ""


def explain_margin(gap: Mapping[str, Any], head: StudyHead) -> str:
    """Return a sentence that gives the reason for the verdict against the margin."""
    verdict, margin = Equivalence(str(gap["equivalence"])), _number(gap["margin"])
    upper = _number(upper_limit(gap))
    said = f"{terms.first_upper(str(verdict))} of {margin}"
    if verdict == Equivalence.FAIR:
        limit = f"the gap is below {upper} (one-sided {level_of(head)} limit)"
        return f"{said}, which was declared before the run: {limit}."
    if verdict == Equivalence.UNFAIR:
        low = _number(gap["low"])
        return f"Unfair: the lower limit of the gap, {low}, exceeds the margin of {margin}."
    if verdict == Equivalence.NOT_ESTIMABLE:
        return f"Against the margin of {margin} nothing can be said, because there is no interval."
    if upper_limit(gap) < gap["margin"]:
        return (
            f"Undecided: the groups that could be estimated keep the margin of {margin} (one-sided "
            f"{level_of(head)} limit {upper}), but a group that is left out may not."
        )
    return (
        f"Undecided: gaps below and above the margin of {margin} are both compatible with the data "
        f"(one-sided {level_of(head)} limit {upper})."
    )


def explain_gap(gap: pd.Series, head: StudyHead) -> tuple[Verdict, str]:
    """Return what the test of a gap shows, and sentences that give the reason."""
    verdict = judge_gap(gap, alpha(head))
    if verdict == Verdict.UNKNOWN:
        return verdict, "It is not estimable, so nothing was tested."
    if verdict == Verdict.UNTESTED:
        return verdict, nulls.no_test(gap)
    expected = nulls.reference(gap) if head["gap"] == "max_min" else ""
    this = "this" if expected else f"the hypothesis that {nulls.hypothesis(gap)}"
    tested = number_format.count(gap["family_size"])
    if verdict == Verdict.SHOWN:
        return verdict, f"{expected}The data contradict {this} ({p_text(gap)})."
    if verdict == Verdict.HINT:
        return verdict, (
            f"{expected}On its own, this gap contradicts {this} ({p_text(gap)}), but not after "
            f"adjusting for the {tested} gaps tested: {Verdict.HINT}."
        )
    least = nulls.detectable(gap)
    return verdict, (
        f"{expected}{terms.first_upper(Verdict.NOT_SHOWN)}: the data are compatible with {this} "
        f"({p_text(gap)}). That is no proof of fairness{'; ' if least else ''}{least}."
    )


def all_runs(gaps: pd.DataFrame, head: StudyHead) -> list[str]:
    """Return sentences that count what was shown of the gaps of all runs."""
    tested = gaps[gaps["p_adjusted"].notna()]
    clear = tested[tested["p_adjusted"] <= alpha(head)]
    runs = len(gaps[["model", "method"]].drop_duplicates())
    size = f"{plural(runs, 'run')} by {plural(gaps['attribute'].nunique(), 'attribute')}"
    sentences = [
        f"{len(clear) or 'None'} of {plural(len(tested), 'tested gap')} in "
        f"{terms.measure(head['headline'])} ({size}) {'are' if len(clear) > 1 else 'is'} "
        "significant after adjusting for multiple testing."
    ]
    if len(clear) and head["gap"] == "max_min":
        worst = clear["worst"].value_counts()
        ties = sorted(worst[worst == worst.max()].index)
        sentences.append(
            f"Most often the worst group in these: {' and '.join(map(terms.group, ties))} "
            f"({worst.max()} of {len(clear)})."
        )
    lost, untested = gaps["value"].isna(), gaps["value"].notna() & gaps["p_value"].isna()
    for found, what in ((lost, "not estimable"), (untested, "not tested")):
        if count := int(found.sum()):
            are = "is" if count == 1 else "are"
            sentences.append(f"{plural(count, 'gap')} {are} {what} and not counted.")
    return [*sentences, *count_verdicts(gaps)]


def count_verdicts(gaps: pd.DataFrame) -> list[str]:
    """Return a sentence that counts the verdicts against margins; none where there is no margin."""
    judged = gaps["equivalence"].dropna() if "equivalence" in gaps else pd.Series(dtype=object)
    if judged.empty:
        return []
    counted = [f"{n} {verdict}" for verdict in Equivalence if (n := int((judged == verdict).sum()))]
    return [f"Against their margins: {', '.join(counted)}."]


def primary_questions(facts: pd.DataFrame, head: StudyHead) -> list[str]:
    """Return the primary questions of a study on one cohort with their answers, in brief."""
    if "role" not in facts:
        return []
    asked = facts[facts["kind"].eq("gap") & facts["role"].eq(PRIMARY)]
    if asked.empty:
        return []
    listed = [_primary(gap, head) for _, gap in asked.head(MOST).iterrows()]
    more = f"; and {len(asked) - MOST} more in the table 'All gaps'" if len(asked) > MOST else ""
    size = asked["family_size"].max()
    together = f", adjusted together over {number_format.count(size)} tests" if size > 1 else ""
    return [f"Primary questions{together}: {'; '.join(listed)}{more}."]


def _primary(gap: pd.Series, head: StudyHead) -> str:
    return f"{terms.measure(gap['measure'])} of {run_name(gap)} {short_gap(gap, head)}"


def other_measures(best: pd.Series, facts: pd.DataFrame, head: StudyHead) -> list[str]:
    """Return the gaps of a run in other measures that are shown, or exceed their margin."""
    gaps = facts[
        facts["kind"].eq("gap") & facts["gap"].eq(head["gap"]) & facts["task"].ne("mean_of_gaps")
    ]
    gaps = gaps[gaps["model"].eq(best["model"]) & gaps["method"].eq(best["method"])]
    gaps = gaps[gaps["measure"].ne(head["headline"])]
    told = [
        f"{terms.measure(gap['measure'])} {short_gap(gap, head)}"
        for _, gap in gaps.iterrows()
        if verdict_on(gap, head) in (Verdict.SHOWN, Equivalence.UNFAIR)
    ]
    if not told:
        return []
    more = f"; and {len(told) - MOST} more in the table 'All gaps'" if len(told) > MOST else ""
    return [f"In other measures: {'; '.join(told[:MOST])}{more}."]


def _number(value: Any) -> str:
    return number_format.number(value)
