"""One measure by one attribute: its groups, its gap, and what they show."""

from typing import Any

import pandas as pd

from medaudit.core.statuses import Status
from medaudit.metrics.definitions import METRICS
from medaudit.report.answers.reasons import explain
from medaudit.report.answers.sentences import Setting, describe
from medaudit.report.answers.severity import Given
from medaudit.report.answers.structure import GroupValue, MeasureAnswer
from medaudit.report.equivalence import Equivalence
from medaudit.report.verdicts import judge_gap
from medaudit.report.wording import number_format, terms
from medaudit.report.wording.nulls import untested
from medaudit.report.wording.people import people


def verdict_of(gap: Any, alpha: float) -> Given:
    """Return what the margin of a gap shows, or what its test shows where it has no margin."""
    found = gap.get("equivalence")
    return judge_gap(gap, alpha) if number_format.missing(found) else Equivalence(str(found))


def answer_measure(
    gap: dict[str, Any], rows: pd.DataFrame, setting: Setting, noun: str
) -> tuple[Given, MeasureAnswer]:
    """Return the answer on one gap, and its verdict.

    Parameters
    ----------
    gap : dict
        A row of gaps with ``p_adjusted``, ``family_size`` and ``equivalence``.
    rows : pandas.DataFrame
        The metrics of its run, measure, task and attribute: one row per group.
    setting : Setting
        The audit.
    noun : str
        What is counted (`medaudit.report.wording.people.people`).
    """
    verdict = verdict_of(gap, round(1 - setting.level, 9))
    groups = [_group(row, noun) for row in rows.to_dict("records")]
    ranked = _worst_first(groups, gap["measure"], _text(gap["worst"]))
    lost = [f"{one.people} ({_why(one)})" for one in groups if one.value is None]
    return verdict, MeasureAnswer(
        metric=gap["measure"],
        label=terms.plain(gap["measure"]),
        task=gap["task"],
        attribute=gap["attribute"],
        groups=tuple(groups),
        gap=_real(gap["value"]),
        low=_real(gap["low"]),
        high=_real(gap["high"]),
        p_value=_real(gap["p_value"]),
        p_adjusted=_real(gap["p_adjusted"]),
        family_size=_whole(gap.get("family_size")),
        smallest_detectable=_real(gap["smallest_detectable"]),
        chance=None if untested(gap) else _real(gap["null_q95"]),
        margin=_real(gap.get("margin")),
        worst=_text(gap["worst"]),
        best=_text(gap["best"]),
        verdict=str(verdict),
        kind=verdict.name,
        sentence=describe(gap["measure"], gap["task"], ranked, setting),
        evidence=explain(gap, verdict, lost, setting),
    )


def _group(row: dict[str, Any], noun: str) -> GroupValue:
    ok = row["status"] == Status.OK
    return GroupValue(
        group=row["group"],
        people=people(row["attribute"], row["group"], noun),
        value=_real(row["value"]) if ok else None,
        low=_real(row["low"]) if ok else None,
        high=_real(row["high"]) if ok else None,
        n=_whole(row["n"]),
        n_positive=_whole(row["n_pos"]),
        n_patients=_whole(row["n_patients"]),
        status=row["status"],
    )


def _worst_first(groups: list[GroupValue], measure: str, worst: str | None) -> list[GroupValue]:
    """Sort by harm; the group that the gap calls worst comes first."""
    metric = METRICS.get(measure)
    sign = -1 if metric is not None and metric.target == 0 else 1
    known = [group for group in groups if group.value is not None]
    return sorted(known, key=lambda one: (one.group != worst, sign * (one.value or 0.0)))


def _why(group: GroupValue) -> str:
    reason = number_format.reason(group.status)
    if group.status != Status.TOO_FEW or group.n is None:
        return reason
    positive = "" if group.n_positive is None else f", {group.n_positive} positive"
    return f"{reason}: {group.n} images{positive}"


def _real(value: Any) -> float | None:
    return None if number_format.missing(value) else float(value)


def _whole(value: Any) -> int | None:
    return None if number_format.missing(value) else int(value)


def _text(value: Any) -> str | None:
    return None if number_format.missing(value) else str(value)
