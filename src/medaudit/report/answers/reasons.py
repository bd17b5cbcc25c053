"""Why a gap has its verdict: its size, interval, test and margin, or what is missing."""

from collections.abc import Mapping
from typing import Any

from medaudit.report.answers.sentences import Setting
from medaudit.report.equivalence import Equivalence, upper_limit
from medaudit.report.verdicts import Verdict
from medaudit.report.wording import nulls, number_format, terms

Row = Mapping[str, Any]


def explain(row: Row, verdict: Verdict | Equivalence, lost: list[str], setting: Setting) -> str:
    """Write why a gap has its verdict.

    Parameters
    ----------
    row : mapping
        A gap with ``p_adjusted`` and ``family_size``.
    verdict : Verdict or Equivalence
        What it shows.
    lost : list of str
        Groups without a value, each with the reason.
    setting : Setting
        The audit.
    """
    left = f" Not estimable: {'; '.join(lost)}." if lost else ""
    if number_format.missing(row["value"]):
        return f"No difference could be estimated: {number_format.reason(row['status'])}.{left}"
    size = f"Difference {number_format.number(row['value'])}"
    if isinstance(verdict, Equivalence):
        said = f"{size} ({_interval(row, setting)}). {explain_margin(row, setting)}"
    elif verdict == Verdict.UNTESTED:
        said = f"{size} ({_interval(row, setting)}). {nulls.no_test(row)}"
    else:
        said = f"{size} ({_interval(row, setting)}{_test(row)}): {_meaning(row, verdict)}."
    return said + left


def _interval(row: Row, setting: Setting) -> str:
    if number_format.missing(row["low"]) or number_format.missing(row["high"]):
        return "no interval"
    ends = (number_format.number(row[end]) for end in ("low", "high"))
    return f"{setting.interval} {' to '.join(ends)}"


def _test(row: Row) -> str:
    chance = ""
    if not number_format.missing(row["null_q95"]):
        some = nulls.exchangeable(row)
        moved = f" of {some}" if some else ""
        limit = number_format.number(row["null_q95"])
        chance = f"; below {limit} in 95 of 100 permutations{moved}"
    p = [number_format.p_value(row[name]) for name in ("p_value", "p_adjusted")]
    size = row.get("family_size")
    over = "" if number_format.missing(size) else f" over {number_format.count(size)} tests"
    said = nulls.hypothesis(row)
    return f"{chance}; test that {said}: p {_sign(p[0])}, adjusted{over} {_sign(p[1])}"


def _sign(p: str) -> str:
    return p if p.startswith("<") else f"= {p}"


def _meaning(row: Row, verdict: Verdict) -> str:
    if verdict == Verdict.SHOWN:
        far = " Its interval reaches 0, so its size is very uncertain" if _reaches(row) else ""
        return f"{verdict}{'.' if far else ''}{far}"
    if verdict == Verdict.HINT:
        return f"{verdict}, not significant after adjusting"
    least = nulls.detectable(row)
    return f"{verdict}, which is no proof of fairness{'; ' if least else ''}{least}"


def _reaches(row: Row) -> bool:
    return not number_format.missing(row["low"]) and row["low"] <= 0


def explain_margin(gap: Row, setting: Setting) -> str:
    """Write the reason for the verdict against the margin."""
    verdict, margin = Equivalence(str(gap["equivalence"])), number_format.number(gap["margin"])
    upper, level = number_format.number(upper_limit(gap)), f"{setting.level * 100:g} %"
    said = f"{terms.first_upper(str(verdict))} of {margin}"
    if verdict == Equivalence.FAIR:
        limit = f"the gap is below {upper} (one-sided {level} limit)"
        return f"{said}, which was declared before the run: {limit}."
    if verdict == Equivalence.UNFAIR:
        low = number_format.number(gap["low"])
        return f"Unfair: the lower limit of the gap, {low}, exceeds the margin of {margin}."
    if verdict == Equivalence.NOT_ESTIMABLE:
        return f"Against the margin of {margin} nothing can be said, because there is no interval."
    if upper_limit(gap) < gap["margin"]:
        return (
            f"Undecided: the groups that could be estimated keep the margin of {margin} (one-sided "
            f"{level} limit {upper}), but a group that is left out may not."
        )
    return (
        f"Undecided: gaps below and above the margin of {margin} are both compatible with the data "
        f"(one-sided {level} limit {upper})."
    )
