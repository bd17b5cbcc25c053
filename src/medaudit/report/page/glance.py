"""One small picture for a cohort's answers: how well, how fair, how sure, at a glance."""

import pandas as pd

from medaudit.report.page.answers import best_run, gaps_of, judge
from medaudit.report.wording import number_format, terms
from medaudit.report.wording.phrases import run_name

LEAST_AUC = 0.5


def glance(facts: pd.DataFrame, head: dict, cohort: str) -> dict | None:
    """Return the rows of the picture; None where no run could be estimated.

    Parameters
    ----------
    facts : pandas.DataFrame
        Rows of `COMPARISON` with ``measure``.
    head : dict
        The head of the study's index.
    cohort : str
        Name.

    Returns
    -------
    dict
        ``run`` (the best), ``level`` (of the intervals, per cent), and ``rows``: ``label``, ``value`` (text),
        ``interval`` (text), ``verdict`` (of a gap), ``at``, ``low``, ``high``, ``chance`` (the end
        of what 95 of 100 fair models show) and ``others`` (other runs), all in per cent of the
        axis or None, ``ends`` (text of both ends of the axis).
    """
    rows = facts[(facts["cohort"] == cohort) & facts["measure"].eq(head["headline"])]
    best = best_run(rows, head)
    if best is None:
        return None
    gaps = gaps_of(best, rows, head)
    runs = rows.loc[rows["kind"] == "performance", "value"].dropna()
    first = {"label": terms.measure(head["headline"]), "verdict": None, "chance": None}
    first |= _place(best, *_axis(best, runs, head), list(runs.drop(best.name)))
    top = max([0.0, *gaps[["value", "high", "null_q95"]].max().dropna()]) * 1.05 or 1.0
    return {
        "run": run_name(best),
        "level": f"{head['level'] * 100:g}",
        "rows": [first, *(_gap_row(gap, top, head) for _, gap in gaps.iterrows())],
    }


def _axis(best: pd.Series, runs: pd.Series, head: dict) -> tuple[float, float]:
    seen = [*runs, *best[["low", "high"]].dropna()]
    floor = LEAST_AUC if head["headline"] == "auc" else 0.0
    return (floor if min(seen) >= floor else 0.0), max([1.0, *seen])


def _gap_row(gap: pd.Series, top: float, head: dict) -> dict:
    known = not number_format.missing(gap["value"]) and head["gap"] == "max_min"
    chance = gap["null_q95"] if known and not number_format.missing(gap["null_q95"]) else None
    return {
        "label": f"gap by {terms.attribute(gap['attribute'])}",
        "verdict": None if number_format.missing(gap["value"]) else judge(gap, head)[0],
        "chance": None if chance is None else round(100 * chance / top, 1),
        **_place(gap, min(0.0, *_numbers(gap)), top, []),
    }


def _numbers(row: pd.Series) -> list[float]:
    return [
        0.0,
        *(row[name] for name in ("value", "low", "high") if not number_format.missing(row[name])),
    ]


def _interval(row: pd.Series) -> str:
    if number_format.missing(row["low"]) or number_format.missing(row["high"]):
        return "(no interval)"
    return f"({number_format.number(row['low'])} to {number_format.number(row['high'])})"


def _place(row: pd.Series, start: float, end: float, others: list) -> dict:
    def share(value: float) -> float | None:
        return (
            None
            if number_format.missing(value)
            else round(100 * (value - start) / (end - start), 1)
        )

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
