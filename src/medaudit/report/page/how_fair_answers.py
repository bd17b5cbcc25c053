"""The claims of a paper in sentences, from the table that tests them (`medaudit.report.tables.claims`)."""

from collections.abc import Callable

import pandas as pd

from medaudit.report.page.answers import Answer
from medaudit.report.studies.how_fair_claims import (
    BALANCE,
    DOMAIN,
    HINT,
    NOT_SHOWN,
    OBJECTIVE,
    POOLED,
    SEX,
    SHOWN,
    UNKNOWN,
)
from medaudit.report.wording import number_format, terms
from medaudit.report.wording.phrases import alpha, p_text

QUESTIONS = {
    DOMAIN: "Pretrained on medical or on {second} images?",
    OBJECTIVE: "Masked or contrastive pretraining?",
    BALANCE: "Does balanced fine-tuning help?",
    SEX: "Women and men alike?",
}
WITH = {
    DOMAIN: "with medical images",
    OBJECTIVE: "with masking",
    BALANCE: "with balance",
    SEX: "in women",
}
OF_STUDY = "claims tested in this study (means over pairs)"
FEW = 4
"""Claims with more single pairs than this have them counted, not listed."""


def answer_claims(claims: pd.DataFrame, head: dict, cohort: str) -> list[Answer]:
    """Answer the claims of a study on one cohort, one answer a claim.

    Parameters
    ----------
    claims : pandas.DataFrame
        Rows of the table ``claims``.
    head : dict
        The head of the study's index: ``level``.
    cohort : str
        Name.
    """
    rows = claims[claims["cohort"] == cohort]
    return [
        Answer(QUESTIONS[claim].format(second=part["second"].iloc[0]), _sentences(part, head))
        for claim, part in rows.groupby("claim", sort=False)
    ]


def _sentences(rows: pd.DataFrame, head: dict) -> list[str]:
    pooled, single = (rows[rows["family"].eq(POOLED) == kept] for kept in (True, False))
    parts = [_of_part(part, head, difference) for _, part in pooled.groupby("part", sort=False)]
    if 0 < single["part"].nunique() <= FEW:
        parts += [_of_part(part, head, briefly) for _, part in single.groupby("part", sort=False)]
    elif len(single):
        parts += [_count(part) for _, part in single.groupby("quantity", sort=False)]
    return parts + holm_note(pooled["family_size"].max(), head)


def holm_note(size: float, head: dict, what: str = OF_STUDY) -> list[str]:
    """Say what is adjusted for, and where the draws are too few for any claim to stand."""
    if number_format.missing(size):
        return []
    text = f"Holm is over the {number_format.count(size)} {what}."
    draws = head.get("draws")
    if draws and 2 * size / (draws + 1) > alpha(head):
        text += (
            f" With {draws} draws none can stand: raise evaluation.bootstrap.draws to settle it."
        )
    return [text]


def _of_part(rows: pd.DataFrame, head: dict, write: Callable[[pd.Series, dict], str]) -> str:
    """Say what one comparison shows in each quantity."""
    first = rows.iloc[0]
    name = f"{terms.first_upper(first['first'])} less {first['second']} ({first['part']})"
    told = [write(row, head) for _, row in rows.iterrows()]
    return f"{name}: {'; '.join(told)}."


def difference(row: pd.Series, head: dict) -> str:
    """Write a difference with its interval, and what it shows."""
    if number_format.missing(row["difference"]):
        return f"{row['quantity']} not estimable: {number_format.reason(row['difference_status'])}"
    value = number_format.number(row["difference"], 2, signed=True)
    if row["verdict"] == UNKNOWN:
        return f"{row['quantity']} {value} points, no interval, so nothing is shown"
    ends = " to ".join(number_format.number(row[f"difference_{end}"], 2) for end in ("low", "high"))
    level = f"{head['level'] * 100:g}\N{NARROW NO-BREAK SPACE}% interval"
    return f"{row['quantity']} {value} points ({level} {ends}; {p_text(row)}): {meaning(row)}"


def briefly(row: pd.Series, head: dict) -> str:
    """Write a difference of one pair with its interval and verdict."""
    if number_format.missing(row["difference"]) or row["verdict"] == UNKNOWN:
        return difference(row, head)
    ends = [row[name] for name in ("difference", "difference_low", "difference_high")]
    shown = number_format.estimate(*ends, "ok", signed=True, digits=2)
    return f"{row['quantity']} {shown}, {row['verdict']}"


def meaning(row: pd.Series) -> str:
    """Say what a difference shows: nothing where its interval includes zero."""
    if row["verdict"] == NOT_SHOWN:
        return "no difference shown, as the interval includes zero"
    gap = row["quantity"].startswith("gap")
    more = ("larger gap, less fair", "smaller gap, fairer") if gap else ("higher", "lower")
    text = f"{more[0] if row['difference'] > 0 else more[1]} {WITH[row['claim']]}"
    return text if row["verdict"] == SHOWN else f"{text}; {HINT} at most, as not after adjusting"


def _count(rows: pd.DataFrame) -> str:
    """Count the single pairs of one quantity."""
    up, down = rows["difference"] > 0, rows["difference"] < 0
    shown = rows["verdict"].eq(SHOWN)
    hints = int(rows["verdict"].eq(HINT).sum())
    return (
        f"Model by model, {rows['quantity'].iloc[0]} is higher in {up.sum()} of {len(rows)} "
        f"({(up & shown).sum()} shown) and lower in {down.sum()} ({(down & shown).sum()} shown; "
        f"{hints} more as a hint)."
    )
