"""Phrases that several sentences share: runs, intervals, p-values, counts, differences."""

from collections.abc import Mapping
from typing import Any

from medaudit.core.documents import StudyHead
from medaudit.report.verdicts import Verdict
from medaudit.report.wording import number_format
from medaudit.report.wording.names import Names

COMPATIBLE = f"{Verdict.NOT_SHOWN} (compatible with chance)"


def alpha(head: StudyHead) -> float:
    """Return the level of significance that belongs to the intervals, e.g. 0.05."""
    return round(1 - head["level"], 9)


def level_of(head: StudyHead) -> str:
    """Write the level of the intervals, e.g. ``95 %`` with a space that does not break."""
    return f"{head['level'] * 100:g}\N{NARROW NO-BREAK SPACE}%"


def interval(row: Mapping[str, Any], head: StudyHead) -> str:
    """Write an interval with its level, or that there is none."""
    if number_format.missing(row["low"]) or number_format.missing(row["high"]):
        return "no interval"
    ends = " to ".join(number_format.number(row[end]) for end in ("low", "high"))
    return f"{level_of(head)} CI {ends}"


def p_text(row: Mapping[str, Any]) -> str:
    """Write a p-value and the adjusted one."""
    plain, adjusted = (number_format.p_value(row[name]) for name in ("p_value", "p_adjusted"))
    both = [text if text.startswith("<") else f"= {text}" for text in (plain, adjusted)]
    return f"p {both[0]}, adjusted p {both[1]}"


def estimable(gap: Mapping[str, Any]) -> str:
    """Write how many groups a gap covers."""
    return f"{gap['n_estimable']} of {gap['n_groups']} groups"


def plural(number: int, noun: str) -> str:
    """Write a number with its noun."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def run_name(row: Mapping[str, Any], names: Names | None = None) -> str:
    """Write the display name of a run: ``run_shown`` where the row has it."""
    return row.get("run_shown") or (names or Names()).run(row)


def difference_in_points(row: Mapping[str, Any], head: StudyHead, meaning: tuple[str, str]) -> str:
    """Write a difference in percentage points with its interval, and what it shows.

    Parameters
    ----------
    row : mapping
        ``quantity``, ``difference``, ``difference_low``, ``difference_high``,
        ``difference_status``, ``p_value``, ``p_adjusted`` and ``verdict``.
    head : StudyHead
        ``level``.
    meaning : tuple of str
        What a difference above 0 means, and what one below 0 means.
    """
    if number_format.missing(row["difference"]):
        return f"{row['quantity']} not estimable: {number_format.reason(row['difference_status'])}"
    value = f"{row['quantity']} {number_format.number(row['difference'], 2, signed=True)} points"
    if row["verdict"] == Verdict.UNKNOWN:
        return f"{value}, no interval, so nothing is shown"
    ends = " to ".join(number_format.number(row[f"difference_{end}"], 2) for end in ("low", "high"))
    return f"{value} ({level_of(head)} CI {ends}; {p_text(row)}): {_conclusion(row, meaning)}"


def difference_in_brief(row: Mapping[str, Any]) -> str:
    """Write a difference in percentage points with its interval and verdict, in few words."""
    shown = number_format.estimate(
        row["difference"],
        row["difference_low"],
        row["difference_high"],
        "ok",
        signed=True,
        digits=2,
    )
    return f"{shown}, {row['verdict']}"


def _conclusion(row: Mapping[str, Any], meaning: tuple[str, str]) -> str:
    if row["verdict"] == Verdict.NOT_SHOWN:
        return f"{Verdict.NOT_SHOWN}, because the interval includes 0"
    text = meaning[0] if row["difference"] > 0 else meaning[1]
    if row["verdict"] == Verdict.SHOWN:
        return text
    return f"{text}; {Verdict.HINT}, not significant after adjusting"
