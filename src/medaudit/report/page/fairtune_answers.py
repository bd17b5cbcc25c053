"""The value of a search on test in sentences, from the table ``search_claims``."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from medaudit.core.documents import StudyHead
from medaudit.report.page.answer import Answer
from medaudit.report.page.how_fair_answers import holm_note
from medaudit.report.studies.fairtune_claims import ALL, AUC, GAP, MIN
from medaudit.report.studies.fairtune_comparisons import FULL, RANDOM, TITLES
from medaudit.report.wording import number_format, terms
from medaudit.report.wording.phrases import difference_in_brief, difference_in_points, plural

TOGETHER = "all datasets together"
HELPS, CHANCE, OTHERS = (
    "Does the searched mask help the worst-performing group?",
    "Is it better than random masks with the same budget?",
    "Is it better than the other methods?",
)
MEANINGS = {
    MIN: ("the worst group does better", "the worst group does worse"),
    GAP: ("larger gap, less fair", "smaller gap, fairer"),
    AUC: ("higher", "lower"),
}
"""Quantity to what a difference above 0 and one below 0 mean."""


def answer_searches(claims: pd.DataFrame, head: StudyHead) -> dict[str, list[Answer]]:
    """Return answers on the value of searching, over all cohorts (`TOGETHER`) and on each.

    Parameters
    ----------
    claims : pandas.DataFrame
        The table ``search_claims``.
    head : StudyHead
        Head of the study's index.
    """
    if claims.empty:
        return {}
    main = claims[claims["comparison"] == claims["comparison"].iloc[0]]
    pooled = main[main["cohort"] == ALL]
    found = {TOGETHER: [_in_short(pooled, head), *_questions(pooled, head)]}
    rest = claims[claims["comparison"].ne(main["comparison"].iloc[0]) & claims["cohort"].eq(ALL)]
    for name, part in rest.groupby("comparison", sort=False):
        differences = _list(part[part["quantity"] == MIN])
        question = f"{TITLES[str(name)].partition(':')[0]}?"
        found[TOGETHER].append(Answer(question, [f"In the worst group's AUC: {differences}."]))
    note = holm_note(pooled["family_size"].max(), head, "other methods, for each quantity")
    found[TOGETHER][1].sentences.extend(note)
    single = claims[claims["cohort"] != ALL]
    for cohort, part in single.groupby("cohort", sort=False):
        own = part[part["comparison"] == part["comparison"].iloc[0]]
        found[str(cohort)] = _questions(own[own["against"].isin([FULL, RANDOM])], head)
    return found


def _questions(rows: pd.DataFrame, head: StudyHead) -> list[Answer]:
    found = []
    for against, question in ((FULL, HELPS), (RANDOM, CHANCE)):
        own = rows[rows["against"] == against]
        if len(own):
            differences = "; ".join(difference(row, head) for row in own.to_dict("records"))
            found.append(Answer(question, [f"{_pair(own.iloc[0])}: {differences}."]))
    others = rows[~rows["against"].isin([FULL, RANDOM]) & rows["quantity"].eq(MIN)]
    if len(others):
        found.append(Answer(OTHERS, [f"In the worst group's AUC: {_list(others)}."]))
    return found or [Answer(HELPS, ["Full fine-tuning was not run for comparison."])]


def _in_short(pooled: pd.DataFrame, head: StudyHead) -> Answer:
    own = pooled[pooled["quantity"] == MIN]
    row = own.loc[own["against"].map({FULL: 0, RANDOM: 1}).fillna(2).idxmin()]
    return Answer("In short", [f"{_pair(row)}: {difference(row, head)}."], summary=True)


def difference(row: Mapping[str, Any], head: StudyHead) -> str:
    """Return a difference with its interval, and what it shows."""
    return difference_in_points(row, head, MEANINGS[row["quantity"]])


def _list(rows: pd.DataFrame) -> str:
    return "; ".join(_in_brief(row) for row in rows.to_dict("records"))


def _in_brief(row: Mapping[str, Any]) -> str:
    if number_format.missing(row["difference"]):
        return f"{_pair(row)} not estimable"
    return f"{_pair(row)} {difference_in_brief(row)}"


def _pair(row: Mapping[str, Any]) -> str:
    several = int(row["n_cohorts"]) > 1
    datasets = plural(int(row["n_datasets"]), "dataset")
    over = f" (mean over {row['n_cohorts']} cohorts of {datasets})"
    return f"{terms.first_upper(row['compared'])}{over if several else ''}"
