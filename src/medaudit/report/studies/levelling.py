"""What adapting a model changes: how well and how fair it is, against where it started."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from medaudit.audit.dialects.catalogue import CLIP_NIH, F1_DELTA, TEXTBOOK, VAR_F1
from medaudit.report.studies.differences import paired
from medaudit.report.studies.evidence import RUN, Evidence, direction, overall
from medaudit.report.studies.extras import Extras
from medaudit.report.studies.multiple_testing import holm
from medaudit.report.wording import terms

MEASURES = ("accuracy", "f1")
DOWN, HINT, UP, WIDER = "levelled down", "levelled down, a hint", "levelled up", "not smaller"
UNKNOWN = "not estimable"


def starting_points(evidence: Evidence, extras: Extras) -> dict[tuple[str, str], str]:
    """Return for each (cohort, model) the method that the others are compared with.

    That is the first zero-shot method in the study's order (none is picked by its results), or
    ``linear`` where there is none; a model with neither, or with it alone, is left out.
    """
    found = {}
    for (cohort, model), runs in evidence.runs.groupby(["cohort", "model"], sort=False):
        methods = runs["method"].tolist()
        first = next((name for name in methods if extras.kind(name) == "zero_shot"), None)
        first = first or ("linear" if "linear" in methods else None)
        if first and len(methods) > 1:
            found[cohort, model] = first
    return found


def find_changes(evidence: Evidence, facts: pd.DataFrame, extras: Extras) -> pd.DataFrame:
    """Return every change from a model's starting point to its trained methods.

    Quantities: accuracy, macro-F1 and the headline measure; the largest difference of each
    between groups; and where the study has them, the fairness measures of the CLIP study on NIH
    6x200 in its dialect and the textbook's.

    Returns
    -------
    pandas.DataFrame
        One row a cohort, model, method and quantity: ``start`` (method), ``before``, ``after``,
        ``change`` with ``change_low``, ``change_high``, ``change_status`` (paired over patients),
        ``p_value``, ``p_adjusted`` (Holm over all models and methods of one quantity on a
        cohort), and for a gap ``verdict``, ``best_group``, ``best_change``, ``worst_group``,
        ``worst_change`` (see `judge_levelling`).
    """
    starts = starting_points(evidence, extras)
    measures = [m for m in dict.fromkeys((*MEASURES, evidence.headline)) if m in evidence.measures]
    rows = [*_from_facts(evidence, facts, starts, measures), *_from_dialects(starts, extras)]
    frame = pd.DataFrame([row for row in rows if extras.kind(row["method"]) != "zero_shot"])
    if frame.empty:
        return frame
    frame["p_adjusted"] = np.nan
    for _, part in frame[frame["p_value"].notna()].groupby(["cohort", "quantity"]):
        frame.loc[part.index, "p_adjusted"] = holm(part["p_value"].to_numpy(float))
    return frame


def judge_levelling(change: tuple[float, float], best: tuple[float, float], worst: float) -> str:
    """Say how a gap shrank.

    Parameters
    ----------
    change : tuple of float
        Change of the gap and the upper end of its interval.
    best : tuple of float
        Change of what was the best group, positive if it got better, and the upper end of its
        interval.
    worst : float
        Change of what was the worst group, positive if it got better.

    Returns
    -------
    str
        `DOWN`: the gap shrank since the best group lost more than the worst one gained, and both
        intervals, of the gap's and of the best group's change, lie below 0. `HINT`: the same by the
        values alone. `UP`: it shrank otherwise. `WIDER`: it did not shrink.
    """
    if not np.isfinite([change[0], best[0], worst]).all():
        return UNKNOWN
    if change[0] >= 0:
        return WIDER
    if best[0] >= 0 or -best[0] <= worst:
        return UP
    return DOWN if change[1] < 0 and best[1] < 0 else HINT


def _from_facts(evidence, facts, starts: dict, measures: list[str]) -> Iterator[dict]:
    kinds = {"performance_difference": "performance", "gap_difference": "gap"}
    rows = facts[facts["kind"].isin(kinds) & facts["measure"].isin(measures)]
    rows = rows[rows["model"].eq(rows["against_model"])]
    groups = Groups(evidence)
    for row in rows.to_dict("records"):
        start = starts.get((row["cohort"], row["model"]))
        if start not in (row["method"], row["against_method"]):
            continue
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
    """The groups' values and replicates of a study's runs, for questions about single groups."""

    def __init__(self, evidence: Evidence) -> None:
        rows = overall(evidence.metrics)
        rows = rows[~rows["group"].isin(["all", "missing"])]
        self._evidence = evidence
        self._rows = dict(list(rows.groupby([*RUN, "measure", "attribute"], sort=False)))

    def level(self, row: dict, head: dict, change: float, high: float) -> dict:
        """Return the verdict of `judge_levelling` on the change of a gap, and its parts."""
        key = (row["measure"], row["attribute"])
        run = (head["cohort"], head["model"])
        before, after = (
            self._rows.get((*run, method, *key)) for method in (head["start"], head["method"])
        )
        if before is None or after is None:
            return {"verdict": UNKNOWN}
        both = before.merge(after, on="group", suffixes=("_before", "_after"))
        both = both[both["status_before"].eq("ok") & both["status_after"].eq("ok")]
        if len(both) < 2:
            return {"verdict": UNKNOWN}
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
        return paired(sign * draws[0], sign * draws[1], self._evidence.level)[1]


def _from_dialects(starts: dict, extras: Extras) -> Iterator[dict]:
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
        interval = paired(*(extras.replicates(row) for row in (after, before)), extras.level)
    named = after["attribute"] == "all" or after["measure"].startswith(f"{F1_DELTA} ")
    by = "" if named else f" by {terms.attribute(after['attribute'])}"
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
