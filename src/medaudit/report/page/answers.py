"""The questions of a study answered in words: how well, how fair, how sure.

Every sentence is made from the facts of `medaudit.report.compare`; it says when an interval includes
zero, when a gap lies within what chance gives a fair model, and when nothing can be said.
"""

from dataclasses import dataclass

import pandas as pd

from medaudit.report.studies.evidence import direction
from medaudit.report.wording import number_format, terms
from medaudit.report.wording.phrases import alpha, estimable, interval, p_text, plural, run_name

BEYOND, HINT, WITHIN, UNKNOWN = "beyond chance", "a hint", "within chance", "not known"


@dataclass(frozen=True)
class Answer:
    """A question, its answer in sentences, and a verdict (one of the constants) or None."""

    question: str
    sentences: list[str]
    verdict: str | None = None


def answer(facts: pd.DataFrame, head: dict, cohort: str) -> list[Answer]:
    """Answer a study's questions on one cohort.

    Parameters
    ----------
    facts : pandas.DataFrame
        Rows of `COMPARISON` with ``measure``.
    head : dict
        The head of the study's index: ``headline``, ``gap``, ``level``, ``draws``.
    cohort : str
        Name.
    """
    rows = facts[(facts["cohort"] == cohort) & facts["measure"].eq(head["headline"])]
    best = best_run(rows, head)
    if best is None:
        runs = rows[rows["kind"] == "performance"]
        reason = ", ".join(dict.fromkeys(runs["status"].map(number_format.reason)))
        name = terms.measure(head["headline"])
        return [Answer("How well?", [f"{name} is not estimable for any run: {reason}."])]
    gaps = headline_gaps(rows, head)
    of_best = gaps_of(best, rows, head)
    fair = [how_fair(gap, best, head) for _, gap in of_best.iterrows()]
    return [
        Answer("In short", in_short(best, rows, of_best, fair, head)),
        Answer("How well?", how_well(best, rows, head)),
        *fair,
        Answer("All runs together?", all_runs(gaps, head)),
        Answer("How sure?", how_sure(best, of_best, head)),
    ]


def best_run(rows: pd.DataFrame, head: dict) -> pd.Series | None:
    """Return the performance of the best run of one cohort; None where none is estimable."""
    known = rows[(rows["kind"] == "performance") & rows["value"].notna()]
    if known.empty:
        return None
    order = known["value"] * direction(head["headline"])
    return known.loc[order.sort_values(ascending=False, kind="stable").index[0]]


def headline_gaps(rows: pd.DataFrame, head: dict) -> pd.DataFrame:
    """Return the gaps that the answers speak of: of means over tasks."""
    gaps = rows[(rows["kind"] == "gap") & rows["gap"].eq(head["gap"])]
    return gaps[gaps["task"] != "mean_of_gaps"]


def gaps_of(run: pd.Series, rows: pd.DataFrame, head: dict) -> pd.DataFrame:
    """Return the gaps of one run, one row an attribute."""
    gaps = headline_gaps(rows, head)
    return gaps[gaps["model"].eq(run["model"]) & gaps["method"].eq(run["method"])]


def in_short(
    best: pd.Series, rows: pd.DataFrame, gaps: pd.DataFrame, fair: list[Answer], head: dict
) -> list[str]:
    """Answer the study's question in two sentences."""
    rivals = against(best, rows[rows["kind"] == "performance_difference"])
    alike = int((~(rivals["p_adjusted"] <= alpha(head))).sum())
    others = f"; {alike} of {len(rivals)} other runs cannot be told apart from it" if alike else ""
    name = terms.measure(head["headline"])
    pairs = zip(gaps.iterrows(), fair, strict=True)
    found = [short_gap(gap, item.verdict) for (_, gap), item in pairs]
    return [
        f"{run_name(best)} scores best: {name} {number_format.number(best['value'])} "
        f"({interval(best, head)}){others}.",
        f"Its gaps between groups: {'; '.join(found)}." if found else "It has no audited groups.",
    ]


def short_gap(gap: pd.Series, verdict: str | None) -> str:
    """Write a gap in a few words."""
    by = f"by {terms.attribute(gap['attribute'])}"
    if number_format.missing(gap["value"]):
        return f"{by} not estimable"
    known = verdict in (BEYOND, HINT) and not number_format.missing(gap["worst"])
    worst = f", lowest in {gap['worst']}" if known else ""
    return f"{by} {number_format.number(gap['value'])} ({verdict}{worst})"


def how_well(best: pd.Series, rows: pd.DataFrame, head: dict) -> list[str]:
    """Name the best run and say whether the others differ from it."""
    shown = number_format.number(best["value"])
    sentences = [
        f"{run_name(best)} scores best: {terms.measure(head['headline'], long=True)} {shown} "
        f"({interval(best, head)})."
    ]
    rivals = against(best, rows[rows["kind"] == "performance_difference"])
    if rivals.empty:
        return sentences
    margin = rivals["value"] * direction(head["headline"])
    first = rivals.loc[margin.sort_values(kind="stable").index[0]]
    sentences.append(
        f"Over the same patients it differs from the next, {first['rival']}, by "
        f"{number_format.number(first['value'], signed=True)} ({interval(first, head)}; "
        f"{p_text(first)}): {apart(first, head)}"
    )
    if len(rivals) > 1:
        sentences.append(rivals_text(rivals, head))
    sentences.append("It was picked by these very test results, which flatters it a little.")
    return sentences


def rivals_text(rivals: pd.DataFrame, head: dict) -> str:
    """Count the runs that are shown to be worse than the best."""
    clear = int((rivals["p_adjusted"] <= alpha(head)).sum())
    if clear == len(rivals):
        return f"All {clear} other runs are shown to be worse after adjusting for all comparisons."
    if not clear:
        return f"None of the {len(rivals)} other runs is shown to be worse."
    return (
        f"Of the {len(rivals)} other runs, {clear} {'is' if clear == 1 else 'are'} shown to be "
        f"worse after adjusting for all comparisons; {len(rivals) - clear} cannot be told apart from it."
    )


def apart(difference: pd.Series, head: dict) -> str:
    """Say whether a paired difference is shown."""
    if number_format.missing(difference["low"]) or number_format.missing(difference["high"]):
        return "there is no interval, so nothing is shown."
    if difference["low"] <= 0 <= difference["high"]:
        return "the interval includes zero, so this test set does not tell the two apart."
    if not difference["p_adjusted"] <= alpha(head):
        return (
            "the interval excludes zero, but not after adjusting for the "
            f"{difference['family_size']} comparisons made, so it is a hint at most."
        )
    return "the interval excludes zero, also after adjusting for all comparisons made."


def how_fair(gap: pd.Series, best: pd.Series, head: dict) -> Answer:
    """Say how large a run's gap by one attribute is and what it can be held to mean."""
    by = terms.attribute(gap["attribute"])
    question = f"How fair by {by}?"
    name = terms.measure(head["headline"])
    if number_format.missing(gap["value"]):
        reason = number_format.reason(gap["status"])
        text = f"Not estimable for {run_name(best)}: {reason} ({estimable(gap)})."
        return Answer(question, [text], UNKNOWN)
    sentences = [
        f"{terms.first_upper(terms.gap(head['gap']))} in {name} for {run_name(best)}: "
        f"{number_format.number(gap['value'])} ({interval(gap, head)}); lowest value in "
        f"{gap['worst']}, highest in {gap['best']}."
        if head["gap"] == "max_min"
        else f"{terms.first_upper(terms.gap(head['gap']))} in {name} for {run_name(best)}: "
        f"{number_format.number(gap['value'])} ({interval(gap, head)})."
    ]
    verdict, text = judge(gap, head)
    sentences.append(text)
    if verdict in (BEYOND, HINT) and gap["low"] <= 0:
        sentences.append("Its interval reaches zero, so its size is very uncertain.")
    if gap["n_estimable"] < gap["n_groups"]:
        sentences.append(f"This speaks of {estimable(gap)} only.")
    return Answer(question, sentences, verdict)


def judge(gap: pd.Series, head: dict) -> tuple[str, str]:
    """Return the verdict on a gap and the sentence that gives its reason."""
    if number_format.missing(gap["p_value"]):
        return UNKNOWN, "There is no null reference, so it cannot be told from chance."
    chance = ""
    if not number_format.missing(gap["null_q95"]) and head["gap"] == "max_min":
        chance = (
            f"A model that treats the groups alike would show {number_format.number(gap['null_mean'])} on "
            f"average here, and less than {number_format.number(gap['null_q95'])} in 95 of 100 cases. "
        )
    if gap["p_adjusted"] <= alpha(head):
        return BEYOND, f"{chance}This gap is larger than chance explains ({p_text(gap)})."
    if gap["p_value"] <= alpha(head):
        return HINT, (
            f"{chance}Taken alone it is larger than chance would explain ({p_text(gap)}), but not "
            f"after adjusting for the {gap['family_size']} gaps tested: a hint, no finding."
        )
    limit = ""
    if not number_format.missing(gap["smallest_detectable"]):
        limit = (
            f"; true gaps below about {number_format.number(gap['smallest_detectable'])} would probably "
            "go unseen with this test set"
        )
    return WITHIN, (
        f"{chance}This gap is within what chance gives a fair model ({p_text(gap)}). That is no "
        f"proof of fairness{limit}."
    )


def all_runs(gaps: pd.DataFrame, head: dict) -> list[str]:
    """Count over all runs and attributes how many gaps are beyond chance."""
    tested = gaps[gaps["p_adjusted"].notna()]
    lost = int(gaps["value"].isna().sum())
    clear = tested[tested["p_adjusted"] <= alpha(head)]
    runs = len(gaps[["model", "method"]].drop_duplicates())
    size = f"{plural(runs, 'run')} by {plural(gaps['attribute'].nunique(), 'attribute')}"
    sentences = [
        f"{len(clear)} of {plural(len(tested), 'gap')} in {terms.measure(head['headline'])} "
        f"({size}) {'is' if len(clear) == 1 else 'are'} larger than chance explains after "
        "adjusting for all of them."
    ]
    if len(clear) and head["gap"] == "max_min":
        worst = clear["worst"].value_counts()
        ties = sorted(worst[worst == worst.max()].index)
        sentences.append(
            f"Lowest most often in those: {' and '.join(ties)} ({worst.max()} of {len(clear)})."
        )
    if lost:
        sentences.append(f"{plural(lost, 'gap')} not estimable: counted neither way.")
    return sentences


def how_sure(best: pd.Series, gaps: pd.DataFrame, head: dict) -> list[str]:
    """Say how much data the answers rest on and what the intervals leave out."""
    draws = f", {head['draws']} draws" if head.get("draws") else ""
    text = (
        f"The test set has {number_format.count(best['n'])} images of {number_format.count(best['n_patients'])} "
        f"patients; intervals come from resampling patients{draws}."
    )
    if not number_format.missing(best["seed_sd"]):
        text += (
            f" Training again with another seed moves {terms.measure(head['headline'])} by about "
            f"{number_format.number(best['seed_sd'])} (standard deviation), which the intervals do not "
            "hold."
        )
    least = gaps["smallest_detectable"].dropna()
    if len(least):
        ends = list(
            dict.fromkeys(number_format.number(value) for value in (least.min(), least.max()))
        )
        text += (
            f" Gaps can be found here from about {' to '.join(ends)} upward"
            f"{', depending on the attribute' if len(ends) > 1 else ''}."
        )
    return [text]


def against(best: pd.Series, differences: pd.DataFrame) -> pd.DataFrame:
    """Return the differences of `best` from every other run, best less the other."""
    names = ["model", "method"]
    first = (differences[names] == best[names]).all(axis=1)
    second = differences[["against_model", "against_method"]].to_numpy() == best[names].to_numpy()
    second = pd.Series(second.all(axis=1), index=differences.index)
    here = differences[first | second].copy()
    turned = second[here.index]
    there = here["model"] + " with " + here["method"]
    here["rival"] = there.where(turned, here["against_model"] + " with " + here["against_method"])
    low, high = here["low"].copy(), here["high"].copy()
    here["value"] = here["value"].where(~turned, -here["value"])
    here["low"], here["high"] = low.where(~turned, -high), high.where(~turned, -low)
    return here[here["value"].notna()]
