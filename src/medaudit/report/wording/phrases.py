"""Parts of sentences: runs, intervals, p-values, counts."""

import pandas as pd

from medaudit.report.wording import number_format


def alpha(head: dict) -> float:
    """Return the level of significance that goes with the intervals."""
    return round(1 - head["level"], 9)


def interval(row: pd.Series, head: dict) -> str:
    """Write an interval with its level, or that there is none."""
    if number_format.missing(row["low"]) or number_format.missing(row["high"]):
        return "no interval"
    level = f"{head['level'] * 100:g}\N{NARROW NO-BREAK SPACE}% interval"
    return f"{level} {number_format.number(row['low'])} to {number_format.number(row['high'])}"


def p_text(row: pd.Series) -> str:
    """Write a p-value and the adjusted one."""
    plain, adjusted = (
        number_format.p_value(row["p_value"]),
        number_format.p_value(row["p_adjusted"]),
    )
    both = [text if text.startswith("<") else f"= {text}" for text in (plain, adjusted)]
    return f"p {both[0]}, adjusted {both[1]}"


def estimable(gap: pd.Series) -> str:
    """Write how many groups a gap speaks of."""
    return f"{gap['n_estimable']} of {gap['n_groups']} groups"


def plural(number: int, noun: str) -> str:
    """Write a number with its noun."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def run_name(row: pd.Series) -> str:
    """Write a run's name."""
    return f"{row['model']} with {row['method']}"
