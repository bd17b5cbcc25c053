"""The claims of Khan et al. (2023) in sentences, from the table `medaudit.report.tables.claims`."""

from collections.abc import Callable

import pandas as pd

from medaudit.core.documents import StudyHead
from medaudit.report.page.answer import Answer
from medaudit.report.studies.how_fair_claims import BALANCE, DOMAIN, OBJECTIVE, POOLED, SEX
from medaudit.report.verdicts import Verdict
from medaudit.report.wording import number_format, terms
from medaudit.report.wording.names import Names
from medaudit.report.wording.phrases import alpha, difference_in_brief, difference_in_points

QUESTIONS = {
    DOMAIN: "Pretrained on medical or on {second} images?",
    OBJECTIVE: "Masked or contrastive pretraining?",
    BALANCE: "Does balanced fine-tuning help?",
    SEX: "Does the model perform equally well in women and men?",
}
WITH = {
    DOMAIN: "with medical images",
    OBJECTIVE: "with masking",
    BALANCE: "with balance",
    SEX: "in women",
}
TESTS_OF_STUDY = "claims tested in this study (means over pairs)"
NAMELESS = Names()
FEW = 4
"""Up to this number of single pairs are listed; more are counted."""


def answer_claims(
    claims: pd.DataFrame, head: StudyHead, cohort: str, names: Names = NAMELESS
) -> list[Answer]:
    """Return one answer per claim of a study on one cohort.

    Parameters
    ----------
    claims : pandas.DataFrame
        Rows of the table ``claims``.
    head : StudyHead
        Head of the study's index.
    cohort : str
        Name.
    names : Names
        Display names; a single pair is named for its model.
    """
    rows = claims[claims["cohort"] == cohort]
    rows = rows.assign(part=rows["part"].map(names.model))
    return [
        Answer(QUESTIONS[claim].format(second=part["second"].iloc[0]), _sentences(part, head))
        for claim, part in rows.groupby("claim", sort=False)
    ]


def _sentences(rows: pd.DataFrame, head: StudyHead) -> list[str]:
    pooled, single = (rows[rows["family"].eq(POOLED) == kept] for kept in (True, False))
    parts = [_compare(part, head, difference) for _, part in pooled.groupby("part", sort=False)]
    if 0 < single["part"].nunique() <= FEW:
        parts += [_compare(part, head, _in_brief) for _, part in single.groupby("part", sort=False)]
    elif len(single):
        parts += [_count(part) for _, part in single.groupby("quantity", sort=False)]
    return parts + holm_note(pooled["family_size"].max(), head)


def holm_note(size: float, head: StudyHead, tests: str = TESTS_OF_STUDY) -> list[str]:
    """Return the correction for multiple testing, and whether the draws suffice for it."""
    if number_format.missing(size):
        return []
    text = f"Holm's correction is over the {number_format.count(size)} {tests}."
    draws = head.get("draws")
    # The smallest p-value is 2 / (draws + 1); Holm multiplies the smallest by the number of tests.
    if draws and 2 * size / (draws + 1) > alpha(head):
        text += (
            f" With {number_format.count(draws)} draws no difference can be significant: raise "
            "evaluation.bootstrap.draws."
        )
    return [text]


def _compare(
    rows: pd.DataFrame, head: StudyHead, write: Callable[[pd.Series, StudyHead], str]
) -> str:
    """Return one comparison in a sentence, with the difference in each quantity."""
    first = rows.iloc[0]
    name = f"{terms.first_upper(first['first'])} minus {first['second']} ({first['part']})"
    differences = [write(row, head) for _, row in rows.iterrows()]
    return f"{name}: {'; '.join(differences)}."


def difference(row: pd.Series, head: StudyHead) -> str:
    """Return a difference with its interval, and what it shows."""
    gap = row["quantity"].startswith("gap")
    more = ("larger gap, less fair", "smaller gap, fairer") if gap else ("higher", "lower")
    where = WITH[row["claim"]]
    return difference_in_points(row, head, (f"{more[0]} {where}", f"{more[1]} {where}"))


def _in_brief(row: pd.Series, head: StudyHead) -> str:
    if number_format.missing(row["difference"]) or row["verdict"] == Verdict.UNKNOWN:
        return difference(row, head)
    return f"{row['quantity']} {difference_in_brief(row)}"


def _count(rows: pd.DataFrame) -> str:
    """Return the number of single pairs that are higher and lower in one quantity."""
    up, down = rows["difference"] > 0, rows["difference"] < 0
    shown = rows["verdict"].eq(Verdict.SHOWN)
    hints = int(rows["verdict"].eq(Verdict.HINT).sum())
    return (
        f"Model by model, {rows['quantity'].iloc[0]} is higher in {up.sum()} of {len(rows)} "
        f"({(up & shown).sum()} significant) and lower in {down.sum()} "
        f"({(down & shown).sum()} significant); {hints} more are {Verdict.HINT}."
    )
