"""What adaptation changes: performance and gaps of each method minus its starting point's."""

from collections.abc import Iterator
from enum import StrEnum

import numpy as np
import pandas as pd

from medaudit.audit.dialects.catalogue import CLIP_NIH, F1_DELTA, TEXTBOOK, VAR_F1
from medaudit.report.studies.differences import compare_paired
from medaudit.report.studies.evidence import RUN, Evidence, direction, overall
from medaudit.report.studies.extras import Extras
from medaudit.report.studies.multiple_testing import adjust_families
from medaudit.report.wording import terms

MEASURES = ("accuracy", "f1")


class Levelling(StrEnum):
    """How the gap between the best and the worst group changed."""

    DOWN = "levelled down"
    """It shrank because the best group lost more than the worst group gained."""

    HINT = "levelled down (suggestive only)"
    """The same by the values, but the intervals of the changes do not both exclude 0."""

    UP = "levelled up"
    """It shrank otherwise."""

    WIDER = "not smaller"
    """It did not shrink."""

    UNKNOWN = "not estimable"
    """One of the changes is undefined."""


def starting_points(evidence: Evidence, extras: Extras) -> dict[tuple[str, str], str]:
    """Return the method that the others are compared with, by (cohort, model).

    It is the first zero-shot method in the study's order (declared, not selected by results), else
    ``linear``. A model with neither, or with no other method, is left out.
    """
    found: dict[tuple[str, str], str] = {}
    for (cohort, model), runs in evidence.runs.groupby(["cohort", "model"], sort=False):
        methods = runs["method"].tolist()
        first = next((name for name in methods if extras.kind(name) == "zero_shot"), None)
        first = first or ("linear" if "linear" in methods else None)
        if first and len(methods) > 1:
            found[str(cohort), str(model)] = first
    return found


def find_changes(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> pd.DataFrame:
    """Return every change from a model's starting point to its other methods.

    Quantities: accuracy, macro-F1 and the headline measure; the gap (``max_min``) in each; and, if
    the study has them, the fairness measures of the CLIP study on NIH 6x200 and of the textbook.

    Returns
    -------
    pandas.DataFrame
        One row per cohort, model, method and quantity: ``start`` (method), ``before``, ``after``;
        the paired ``change`` with ``change_low``, ``change_high`` and ``change_status``;
        ``p_value`` and ``p_adjusted`` (Holm, over all models and methods of one quantity on a
        cohort); for a gap also ``verdict``, ``best_group``, ``best_change``, ``worst_group`` and
        ``worst_change`` (see `judge_levelling`).
    """
    starts = starting_points(evidence, extras)
    measures = [m for m in dict.fromkeys((*MEASURES, evidence.headline)) if m in evidence.measures]
    rows = [*_from_facts(evidence, facts, starts, measures), *_from_dialects(starts, extras)]
    frame = pd.DataFrame([row for row in rows if extras.kind(row["method"]) != "zero_shot"])
    if frame.empty:
        return frame
    return adjust_families(frame, ["cohort", "quantity"]).drop(columns="family_size")


def judge_levelling(
    change: tuple[float, float], best: tuple[float, float], worst: float
) -> Levelling:
    """Return how a gap changed.

    Parameters
    ----------
    change : tuple of float
        Change of the gap, and the upper end of its interval.
    best : tuple of float
        Change of the group that was best before (positive: it improved), and the upper end of its
        interval.
    worst : float
        Change of the group that was worst before (positive: it improved).
    """
    if not np.isfinite([change[0], best[0], worst]).all():
        return Levelling.UNKNOWN
    if change[0] >= 0:
        return Levelling.WIDER
    if best[0] >= 0 or -best[0] <= worst:
        return Levelling.UP
    return Levelling.DOWN if change[1] < 0 and best[1] < 0 else Levelling.HINT


def _from_facts(
    evidence: Evidence,
    facts: pd.DataFrame,
    starts: dict[tuple[str, str], str],
    measures: list[str],
) -> Iterator[dict]:
    kinds = {"performance_difference": "performance", "gap_difference": "gap"}
    rows = facts[facts["kind"].isin(kinds) & facts["measure"].isin(measures)]
    rows = rows[rows["model"].eq(rows["against_model"])]
    groups = Groups(evidence)
    for row in rows.to_dict("records"):
        start = starts.get((row["cohort"], row["model"]))
        if start not in (row["method"], row["against_method"]):
            continue
        # The facts hold each pair once, in the study's order: the start may be either side.
        turned = row["method"] == start
        method = row["against_method"] if turned else row["method"]
        low, high = (-row["high"], -row["low"]) if turned else (row["low"], row["high"])
        head = {"cohort": row["cohort"], "model": row["model"], "method": method, "start": start}
        gap = kinds[row["kind"]] == "gap"
        name = terms.measure(row["measure"])
        by = f" gap by {terms.attribute(row['attribute'])}"
        change = -row["value"] if turned else row["value"]
        found = {
            **head,
            "quantity": f"{name}{by if gap else ''}",
            "attribute": row["attribute"],
            **_ends(facts, row, head, gap),
            "change": change,
            "change_low": low,
            "change_high": high,
            "change_status": row["status"],
            "p_value": row["p_value"],
        }
        yield {**found, **(groups.level(row, head, change, high) if gap else {})}


def _ends(facts: pd.DataFrame, row: dict, head: dict, gap: bool) -> dict:
    same = facts["cohort"].eq(head["cohort"]) & facts["model"].eq(head["model"])
    same &= facts["kind"].eq("gap" if gap else "performance")
    same &= facts["measure"].eq(row["measure"]) & facts["attribute"].eq(row["attribute"])
    same &= facts["task"].eq(row["task"]) & facts["gap"].eq("max_min" if gap else "none")
    values = facts[same].set_index("method")["value"]
    return {
        "before": values.get(head["start"], np.nan),
        "after": values.get(head["method"], np.nan),
    }


class Groups:
    """Values and replicates of single groups, by run, measure and attribute."""

    def __init__(self, evidence: Evidence) -> None:
        rows = overall(evidence.metrics)
        rows = rows[~rows["group"].isin(["all", "missing"])]
        self._evidence = evidence
        self._rows = dict(list(rows.groupby([*RUN, "measure", "attribute"], sort=False)))

    def level(self, row: dict, head: dict, change: float, high: float) -> dict:
        """Return the verdict of `judge_levelling` on a gap, and the changes that it rests on."""
        key = (row["measure"], row["attribute"])
        run = (head["cohort"], head["model"])
        before, after = (
            self._rows.get((*run, method, *key)) for method in (head["start"], head["method"])
        )
        if before is None or after is None:
            return {"verdict": Levelling.UNKNOWN}
        both = before.merge(after, on="group", suffixes=("_before", "_after"))
        both = both[both["status_before"].eq("ok") & both["status_after"].eq("ok")]
        if len(both) < 2:
            return {"verdict": Levelling.UNKNOWN}
        sign = direction(row["measure"])
        place = (sign * both["value_before"].to_numpy(float)).argsort(kind="stable")
        worst, best = (both.iloc[place[k]] for k in (0, -1))
        fall, rise = (sign * (part["value_after"] - part["value_before"]) for part in (best, worst))
        top = self._upper(best, sign)
        return {
            "verdict": judge_levelling((change, high), (fall, top), rise),
            "best_group": best["group"],
            "best_change": sign * fall,
            "worst_group": worst["group"],
            "worst_change": sign * rise,
        }

    def _upper(self, row: pd.Series, sign: int) -> float:
        draws = [
            self._evidence.replicates(
                pd.DataFrame({"file": [row[f"file_{when}"]], "row": [row[f"row_{when}"]]})
            )[0]
            for when in ("after", "before")
        ]
        return compare_paired(sign * draws[0], sign * draws[1], self._evidence.level)[1]


def _from_dialects(starts: dict[tuple[str, str], str], extras: Extras) -> Iterator[dict]:
    rows = extras.dialects
    rows = rows[rows["seed"].eq("mean") & rows["dialect"].isin([CLIP_NIH, TEXTBOOK])]
    rows = rows[rows["attribute"].ne("all") | rows["measure"].eq(VAR_F1)]
    for (cohort, model), part in rows.groupby(["cohort", "model"], sort=False):
        start = starts.get((cohort, model))
        for _, same in part.groupby(["dialect", "measure", "attribute"], sort=False):
            before = same[same["method"] == start]
            for _, after in same[same["method"] != start].iterrows() if len(before) else ():
                yield _changed(before.iloc[0], after, extras)


def _changed(before: pd.Series, after: pd.Series, extras: Extras) -> dict:
    known = before["status"] == "ok" and after["status"] == "ok"
    interval = (np.nan,) * 3
    if known:
        interval = compare_paired(extras.replicates(after), extras.replicates(before), extras.level)
    names_attribute = after["measure"].startswith(f"{F1_DELTA} ")
    whole = after["attribute"] == "all" or names_attribute
    by = "" if whole else f" by {terms.attribute(after['attribute'])}"
    status = next((row["status"] for row in (before, after) if row["status"] != "ok"), "ok")
    return {
        **{name: after[name] for name in ("cohort", "model", "method", "attribute")},
        "start": before["method"],
        "quantity": f"{after['measure']}{by} ({after['dialect']})",
        "before": before["value"],
        "after": after["value"],
        "change": after["value"] - before["value"],
        **dict(zip(("change_low", "change_high", "p_value"), interval, strict=True)),
        "change_status": status,
    }
