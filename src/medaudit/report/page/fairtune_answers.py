"""What a search is worth on test, in sentences, from the table ``search_claims``."""

import pandas as pd

from medaudit.report.page.answers import Answer
from medaudit.report.page.how_fair_answers import holm_note
from medaudit.report.studies.fairtune_claims import ALL, AUC, GAP, MIN
from medaudit.report.studies.fairtune_comparisons import FULL, RANDOM, TITLES
from medaudit.report.studies.how_fair_claims import HINT, NOT_SHOWN, SHOWN, UNKNOWN
from medaudit.report.wording import number_format, terms
from medaudit.report.wording.phrases import p_text, plural

TOGETHER = "all datasets together"
HELPS, CHANCE, OTHERS = (
    "Does the searched mask help the worst group?",
    "Is it better than random masks on the same budget?",
    "Is it better than the other methods?",
)
MEANS = {
    MIN: ("the worst group fares better", "the worst group fares worse"),
    GAP: ("larger gap, less fair", "smaller gap, fairer"),
    AUC: ("higher", "lower"),
}
"""What a difference above 0 and one below 0 mean."""


def answer_searches(claims: pd.DataFrame, head: dict) -> dict[str, list[Answer]]:
    """Answer what searching was worth, over all cohorts (`TOGETHER`) and on each.

    Parameters
    ----------
    claims : pandas.DataFrame
        The table ``search_claims``.
    head : dict
        The head of the study's index: ``level``, ``draws``.
    """
    if claims.empty:
        return {}
    main = claims[claims["comparison"] == claims["comparison"].iloc[0]]
    pooled = main[main["cohort"] == ALL]
    found = {TOGETHER: [_in_short(pooled, head), *_questions(pooled, head)]}
    rest = claims[claims["comparison"].ne(main["comparison"].iloc[0]) & claims["cohort"].eq(ALL)]
    for name, part in rest.groupby("comparison", sort=False):
        told = [_briefly(row) for row in part[part["quantity"] == MIN].to_dict("records")]
        question = f"{TITLES[name].partition(':')[0]}?"
        found[TOGETHER].append(Answer(question, [f"In the worst group's AUC {'; '.join(told)}."]))
    note = holm_note(pooled["family_size"].max(), head, "other methods, for each quantity")
    found[TOGETHER][1].sentences.extend(note)
    single = claims[claims["cohort"] != ALL]
    for cohort, part in single.groupby("cohort", sort=False):
        own = part[part["comparison"] == part["comparison"].iloc[0]]
        found[cohort] = _questions(own[own["against"].isin([FULL, RANDOM])], head)
    return found


def _questions(rows: pd.DataFrame, head: dict) -> list[Answer]:
    found = []
    for against, question in ((FULL, HELPS), (RANDOM, CHANCE)):
        own = rows[rows["against"] == against]
        if len(own):
            told = "; ".join(difference(row, head) for row in own.to_dict("records"))
            found.append(Answer(question, [f"{_pair(own.iloc[0])}: {told}."]))
    others = rows[~rows["against"].isin([FULL, RANDOM]) & rows["quantity"].eq(MIN)]
    if len(others):
        told = "; ".join(_briefly(row) for row in others.to_dict("records"))
        found.append(Answer(OTHERS, [f"In the worst group's AUC {told}."]))
    return found or [Answer(HELPS, ["Full fine-tuning did not run beside it."])]


def _in_short(pooled: pd.DataFrame, head: dict) -> Answer:
    own = pooled[pooled["quantity"] == MIN]
    row = own.loc[own["against"].map({FULL: 0, RANDOM: 1}).fillna(2).idxmin()]
    return Answer("In short", [f"{_pair(row)}: {difference(row, head)}."])


def difference(row: dict, head: dict) -> str:
    """Write a difference with its interval, and what it shows: nothing where that includes zero."""
    if number_format.missing(row["difference"]):
        return f"{row['quantity']} not estimable: {number_format.reason(row['difference_status'])}"
    value = number_format.number(row["difference"], 2, signed=True)
    if row["verdict"] == UNKNOWN:
        return f"{row['quantity']} {value} points, no interval, so nothing is shown"
    ends = " to ".join(number_format.number(row[f"difference_{end}"], 2) for end in ("low", "high"))
    level = f"{head['level'] * 100:g}\N{NARROW NO-BREAK SPACE}% interval"
    return f"{row['quantity']} {value} points ({level} {ends}; {p_text(row)}): {_meaning(row)}"


def _meaning(row: dict) -> str:
    if row["verdict"] == NOT_SHOWN:
        return "no difference shown, as the interval includes zero"
    text = MEANS[row["quantity"]][0 if row["difference"] > 0 else 1]
    return text if row["verdict"] == SHOWN else f"{text}; {HINT} at most, as not after adjusting"


def _briefly(row: dict) -> str:
    if number_format.missing(row["difference"]):
        return f"{_pair(row)} not estimable"
    ends = [row[name] for name in ("difference", "difference_low", "difference_high")]
    shown = number_format.estimate(*ends, "ok", signed=True, digits=2)
    return f"{_pair(row)} {shown}, {row['verdict']}"


def _pair(row: dict) -> str:
    several = int(row["n_cohorts"]) > 1
    datasets = plural(int(row["n_datasets"]), "dataset")
    over = f" (mean over {row['n_cohorts']} cohorts of {datasets})"
    return f"{terms.first_upper(row['compared'])}{over if several else ''}"
