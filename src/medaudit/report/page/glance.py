"""The small figure next to a cohort's short answer: best run, its gaps, and their intervals."""

from typing import Any

import pandas as pd

from medaudit.core.documents import StudyHead
from medaudit.report.answers.severity import rank
from medaudit.report.page.answers import leading_gaps
from medaudit.report.page.gap_answers import verdict_on
from medaudit.report.studies.facts import best_run
from medaudit.report.wording import number_format, terms
from medaudit.report.wording.names import Names
from medaudit.report.wording.nulls import untested
from medaudit.report.wording.phrases import run_name

LEAST_AUC = 0.5


def glance(
    facts: pd.DataFrame, head: StudyHead, cohort: str, names: Names | None = None
) -> dict[str, Any] | None:
    """Return the rows of the figure; None if no run is estimable.

    Parameters
    ----------
    facts : pandas.DataFrame
        Rows of `COMPARISON` with ``measure``.
    head : StudyHead
        Head of the study's index.
    cohort : str
        Name.
    names : Names, optional
        Display names.

    Returns
    -------
    dict
        ``run`` (the best), ``level`` (of the intervals, per cent) and ``rows``, each with:
        ``label``; ``value`` and ``interval`` (texts); ``verdict`` (of a gap); ``at``, ``low``,
        ``high``, ``chance`` (the gap that 95 of 100 permutations of the groups stay below),
        ``margin`` and ``others`` (other runs), all in per cent of the axis or None; ``ends`` (texts
        of both ends of the axis).
    """
    whole = facts[facts["cohort"] == cohort]
    rows = whole[whole["measure"].eq(head["headline"])]
    best = best_run(rows, head["headline"], cohort, head.get("entry"))
    if best is None:
        return None
    gaps = worst_gaps(best, whole, head)
    runs = rows.loc[rows["kind"] == "performance", "value"].dropna()
    first = {"label": terms.measure(head["headline"]), "verdict": None}
    first |= {"chance": None, "margin": None}
    first |= _place(best, *_axis(best, runs, head), list(runs.drop(best.name)))
    ends = gaps.reindex(columns=["value", "high", "null_q95", "margin"]).max().dropna()
    top = max([0.0, *ends]) * 1.05 or 1.0
    return {
        "run": run_name(best, names),
        "level": f"{head['level'] * 100:g}",
        "rows": [first, *(_gap_row(gap, top, head) for _, gap in gaps.iterrows())],
    }


def worst_gaps(run: pd.Series, facts: pd.DataFrame, head: StudyHead) -> pd.DataFrame:
    """Return the gap of a run with the worst verdict of its leading measures, by attribute."""
    gaps = leading_gaps(facts, head)
    gaps = gaps[gaps["model"].eq(run["model"]) & gaps["method"].eq(run["method"])]
    places = [rank(verdict_on(gap, head)) for _, gap in gaps.iterrows()]
    lead = head.get("lead") or [head["headline"]]
    order = gaps.assign(place=places, order=gaps["measure"].map(lead.index))
    worst = order.sort_values(["place", "order"], kind="stable").drop_duplicates("attribute")
    return gaps.loc[worst.index.sort_values()]


def _axis(best: pd.Series, runs: pd.Series, head: StudyHead) -> tuple[float, float]:
    seen = [*runs, *best[["low", "high"]].dropna()]
    floor = LEAST_AUC if head["headline"] == "auc" else 0.0
    return (floor if min(seen) >= floor else 0.0), max([1.0, *seen])


def _gap_row(gap: pd.Series, top: float, head: StudyHead) -> dict[str, Any]:
    lost = number_format.missing(gap["value"])
    tested = not lost and head["gap"] == "max_min" and not number_format.missing(gap["null_q95"])
    margin = None if number_format.missing(gap.get("margin")) else gap["margin"]
    return {
        "label": f"{terms.plain(gap['measure'])} gap by {terms.attribute(gap['attribute'])}",
        "verdict": None if lost else verdict_on(gap, head),
        "chance": round(100 * gap["null_q95"] / top, 1) if tested and not untested(gap) else None,
        "margin": None if margin is None else round(100 * margin / top, 1),
        **_place(gap, min(0.0, *_numbers(gap)), top, []),
    }


def _numbers(row: pd.Series) -> list[float]:
    known = (row[name] for name in ("value", "low", "high"))
    return [0.0, *(value for value in known if not number_format.missing(value))]


def _interval(row: pd.Series) -> str:
    if number_format.missing(row["low"]) or number_format.missing(row["high"]):
        return "(no interval)"
    return f"({number_format.number(row['low'])} to {number_format.number(row['high'])})"


def _place(row: pd.Series, start: float, end: float, others: list[float]) -> dict[str, Any]:
    def share(value: float) -> float | None:
        if number_format.missing(value):
            return None
        return round(100 * (value - start) / (end - start), 1)

    known, reason = not number_format.missing(row["value"]), number_format.reason(row["status"])
    return {
        "value": number_format.number(row["value"]) if known else f"not estimable: {reason}",
        "interval": _interval(row) if known else "",
        "at": share(row["value"]),
        "low": share(row["low"]),
        "high": share(row["high"]),
        "others": [share(value) for value in others],
        "ends": (f"{start:.2g}", f"{end:.2g}"),
    }
