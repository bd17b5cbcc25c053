"""Sentences on gaps: how large, against which hypothesis, within which margin, how many in all."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from medaudit.core.documents import StudyHead
from medaudit.report.equivalence import Equivalence
from medaudit.report.studies.evidence import has_best_end
from medaudit.report.studies.multiple_testing import PRIMARY
from medaudit.report.verdicts import Verdict, judge_gap
from medaudit.report.wording import number_format, terms
from medaudit.report.wording.names import Names
from medaudit.report.wording.phrases import (
    alpha,
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


def all_runs(gaps: pd.DataFrame, head: StudyHead) -> list[str]:
    """Return sentences that count what was shown of the gaps of all runs."""
    tested = gaps[gaps["p_adjusted"].notna()]
    clear = tested[tested["p_adjusted"] <= alpha(head)]
    runs = len(gaps[["model", "method"]].drop_duplicates())
    size = f"{plural(runs, 'run')} by {plural(gaps['attribute'].nunique(), 'attribute')}"
    sentences = [
        f"{_share(clear, tested)} ({size}) {'are' if len(clear) > 1 else 'is'} significant after "
        f"adjusting for all tests of the run{_by_measure(clear, tested)}."
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


def _share(clear: pd.DataFrame, tested: pd.DataFrame) -> str:
    names = ", ".join(map(terms.measure, tested["measure"].unique()))
    return (
        f"{len(clear) or 'None'} of {plural(len(tested), 'tested gap')} in {names or 'any measure'}"
    )


def _by_measure(clear: pd.DataFrame, tested: pd.DataFrame) -> str:
    """Count measure by measure, where there are several."""
    sizes = tested["measure"].value_counts(sort=False)
    if len(sizes) < 2 or clear.empty:
        return ""
    found = [
        f"{int(clear['measure'].eq(name).sum())} of {size} in {terms.measure(str(name))}"
        for name, size in sizes.items()
    ]
    return f": {', '.join(found)}"


def count_verdicts(gaps: pd.DataFrame) -> list[str]:
    """Return a sentence that counts the verdicts against margins; none where there is no margin."""
    judged = gaps["equivalence"].dropna() if "equivalence" in gaps else pd.Series(dtype=object)
    if judged.empty:
        return []
    counted = [f"{n} {verdict}" for verdict in Equivalence if (n := int((judged == verdict).sum()))]
    return [f"Against their margins: {', '.join(counted)}."]


def primary_questions(
    facts: pd.DataFrame, head: StudyHead, names: Names | None = None
) -> list[str]:
    """Return the primary questions of a study on one cohort with their answers, in brief."""
    if "role" not in facts or not (head.get("entry") or {}).get("questions"):
        return []
    asked = facts[facts["kind"].eq("gap") & facts["role"].eq(PRIMARY)]
    if asked.empty:
        return []
    listed = [_primary(gap, head, names) for _, gap in asked.head(MOST).iterrows()]
    more = f"; and {len(asked) - MOST} more in the table 'All gaps'" if len(asked) > MOST else ""
    size = asked["family_size"].max()
    together = f", adjusted together over {number_format.count(size)} tests" if size > 1 else ""
    return [f"Primary questions{together}: {'; '.join(listed)}{more}."]


def _primary(gap: pd.Series, head: StudyHead, names: Names | None) -> str:
    return f"{terms.measure(gap['measure'])} of {run_name(gap, names)} {short_gap(gap, head)}"


def other_measures(
    best: pd.Series, facts: pd.DataFrame, head: StudyHead, told_of: list[str]
) -> list[str]:
    """Return the gaps of a run that are shown, or exceed their margin, in measures not `told_of`."""
    gaps = facts[
        facts["kind"].eq("gap") & facts["gap"].eq(head["gap"]) & facts["task"].ne("mean_of_gaps")
    ]
    gaps = gaps[gaps["model"].eq(best["model"]) & gaps["method"].eq(best["method"])]
    gaps = gaps[~gaps["measure"].isin(told_of)]
    told = [
        f"{terms.measure(gap['measure'])} {short_gap(gap, head)}"
        for _, gap in gaps.iterrows()
        if verdict_on(gap, head) in (Verdict.SHOWN, Equivalence.UNFAIR)
    ]
    if not told:
        return []
    more = f"; and {len(told) - MOST} more in the table 'All gaps'" if len(told) > MOST else ""
    return [f"{'; '.join(told[:MOST])}{more}."]


def _number(value: Any) -> str:
    return number_format.number(value)
