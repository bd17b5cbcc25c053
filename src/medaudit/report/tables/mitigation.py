"""Tables of a study of remedies: effects, every group, the rules of selection, and ranks."""

import numpy as np
import pandas as pd

from medaudit.core.audit_tables import WORST
from medaudit.core.mitigation import CONTROL, PLAIN
from medaudit.report.studies.context import Context
from medaudit.report.studies.rank_tests import rank_test
from medaudit.report.studies.remedy_effects import CASE, Judged, cases, first_rule
from medaudit.report.tables.table import Column, Table
from medaudit.report.verdicts import Verdict
from medaudit.report.wording import terms
from medaudit.report.wording.remedies import LAWFUL, RULES, remedy, selected_by

POINTS = 100.0
METRICS = {"tpr": "sensitivity", "fpr": "false alarms", "auc": "AUC", "ece": "calibration error"}
ENDS = ("change", "low", "high")


def remedies(context: Context) -> Table | None:
    """Every remedy: what it does to the worst group and to the others, its price and its cost."""
    rows = context.extras.remedies
    if rows.empty:
        return None
    rule = first_rule(rows)
    return Table(
        "remedies",
        "What does each remedy change?",
        f"Against plain training, {selected_by(rule)}, on the same test patients; changes in "
        "percentage points. " + _interval_text(context) + " Worst group: the one with the lowest "
        "sensitivity under plain training. Largest fall, largest rise: of the other groups, and of "
        "all groups. On the front: share of bootstrap draws in which no other remedy has a higher "
        "AUC overall and in the worst group. Controls are plain training again: what they change is "
        f"luck. {LAWFUL}",
        _shown(summarise(rows)),
        (
            *_case_columns(context),
            Column("remedy_shown", "Remedy"),
            Column("kind", "Acts on"),
            Column("needs_group", "Needs the group"),
            Column("effect", "Effect on sensitivity"),
            Column("worst_shown", "Worst group"),
            Column("worst_tpr", "Its sensitivity", "difference", 1),
            Column("fall_tpr", "Largest fall elsewhere", "difference", 1),
            Column("rise_fpr", "Largest rise in false alarms", "difference", 1),
            Column("auc", "AUC", "difference", 1),
            Column("worst_auc", "Worst group's AUC", "difference", 1),
            Column("worst_ece", "Worst calibration error", "difference", 1),
            Column("front", "On the front, %", "number", 0),
            Column("processor_seconds", "CPU s", "number", 1),
        ),
    )


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """Return one row per case, remedy and control: its effect, its gain and its price, in points.

    Parameters
    ----------
    rows : pandas.DataFrame
        Of `medaudit.core.audit_tables.REMEDIES`; the first rule is shown.
    """
    judged = cases(rows, first_rule(rows))
    return pd.DataFrame([{**names, **_summary(one)} for names, part in judged for one in part])


def _summary(one: Judged) -> dict:
    changes = {
        "worst_tpr": one.change("tpr", one.worst),
        "fall_tpr": one.extreme("tpr", False, one.worst),
        "rise_fpr": one.extreme("fpr", True),
        "auc": one.change("auc", "all"),
        "worst_auc": one.change("auc", WORST),
        "worst_ece": one.change("ece", WORST),
    }
    first = one.rows.iloc[0]
    return {
        "remedy": one.remedy,
        "kind": one.kind,
        "needs_group": "yes" if one.needs_group else "no",
        "effect": str(one.effect),
        "worst_group": one.worst,
        "rise_fpr_group": changes["rise_fpr"]["group"],
        "fall_tpr_group": changes["fall_tpr"]["group"],
        **{k: v for key, row in changes.items() for k, v in _points(key, row).items()},
        "front": POINTS * first["front"],
        "processor_seconds": first["processor_seconds"],
    }


def _points(key: str, row: dict) -> dict:
    names = {"change": key, "low": f"{key}_low", "high": f"{key}_high"}
    return {names[end]: POINTS * row[end] for end in ENDS} | {f"{key}_status": row["status"]}


def remedy_groups(context: Context) -> Table | None:
    """Every remedy and every group: changes of sensitivity, false alarms, AUC and calibration."""
    rows = context.extras.remedies
    if rows.empty:
        return None
    rule = first_rule(rows)
    kept = rows[(rows["rule"] == rule) & rows["remedy"].ne(PLAIN)]
    key = [*CASE, "remedy", "kind", "group"]
    data = kept[key].drop_duplicates().reset_index(drop=True)
    for metric in METRICS:
        own = kept[kept["metric"] == metric]
        part = own[key].assign(**{f"{metric}_plain": POINTS * own["plain"]})
        part[metric] = POINTS * own["change"]
        for end in ("low", "high"):
            part[f"{metric}_{end}"] = POINTS * own[end]
        part[f"{metric}_p_adjusted"], part[f"{metric}_status"] = own["p_adjusted"], own["status"]
        data = data.merge(part, on=key, how="left", validate="one_to_one")
    data["group_shown"] = data["group"].map(terms.group)
    counts = kept[kept["metric"] == "tpr"][[*key, "n", "n_pos"]]
    return Table(
        "remedy_groups",
        "Every remedy and every group",
        f"Changes against plain training in percentage points, {selected_by(rule)}. "
        + _interval_text(context),
        _shown(data.merge(counts, on=key, how="left", validate="one_to_one")),
        (
            *_case_columns(context),
            Column("remedy_shown", "Remedy"),
            Column("group_shown", "Group"),
            Column("tpr_plain", "Sensitivity, plain", "number", 1),
            *(Column(m, terms.first_upper(label), "difference", 1) for m, label in METRICS.items()),
            Column("n", "Images", "count"),
            Column("n_pos", "Positives", "count"),
        ),
    )


def remedy_rules(context: Context) -> Table | None:
    """Which remedy each rule of selection makes the best, and whether it beats plain training."""
    rows = context.extras.remedies
    if rows.empty:
        return None
    kept = rows[rows["metric"].eq("auc") & rows["group"].isin(["all", WORST])]
    kept = kept[kept["kind"].ne(CONTROL) | kept["remedy"].eq(PLAIN)]
    found = [
        {**dict(zip(CASE, names[:-2], strict=True)), **_winner(part, *names[-2:])}
        for names, part in kept.groupby([*CASE, "rule", "group"], sort=False)
    ]
    return Table(
        "remedy_rules",
        "Does the rule of selection change the winner?",
        "The remedy with the highest AUC on test, overall and in the worst group, among those that "
        "each rule selected on validation. The winner was found on the test images, so its value is "
        "optimistic; the change against plain training has the interval of the whole family. "
        "Better, worse: remedies whose change is shown. " + _interval_text(context),
        pd.DataFrame(found).assign(attribute_shown=lambda d: d["attribute"].map(terms.attribute)),
        (
            *_case_columns(context),
            Column("rule_shown", "Selected by"),
            Column("quantity", "Quantity"),
            Column("plain", "Plain", "number", 1),
            Column("winner", "Highest"),
            Column("value", "Its value", "number", 1),
            Column("change", "Change", "difference", 1),
            Column("better", "Shown better", "count"),
            Column("worse", "Shown worse", "count"),
            Column("remedies", "Remedies", "count"),
        ),
    )


def _winner(part: pd.DataFrame, rule: str, group: str) -> dict:
    known = part[part["value"].notna()]
    tried = part[part["remedy"] != PLAIN]
    head = {
        "rule": rule,
        "rule_shown": RULES[rule].removesuffix(" on validation"),
        "quantity": "AUC" if group == "all" else "worst group's AUC",
        "better": int((tried["low"] > 0).sum()),
        "worse": int((tried["high"] < 0).sum()),
        "remedies": len(tried),
    }
    if known.empty:
        empty = dict.fromkeys(("plain", "value", "change", "change_low", "change_high"), np.nan)
        return {**head, "winner": None, **empty, "change_status": part["status"].iloc[0]}
    best = known.loc[known["value"].idxmax()]
    numbers = {"plain": best["plain"], "value": best["value"], "change": best["change"]}
    numbers |= {"change_low": best["low"], "change_high": best["high"]}
    numbers = {name: POINTS * number for name, number in numbers.items()}
    return {**head, "winner": remedy(best["remedy"]), **numbers, "change_status": best["status"]}


def remedy_ranks(context: Context) -> Table | None:
    """Mean ranks of the remedies over datasets, with Friedman's and Nemenyi's tests against plain."""
    rows = context.extras.remedies
    if rows.empty:
        return None
    rule = first_rule(rows)
    kept = rows[(rows["rule"] == rule) & (rows["kind"].ne(CONTROL) | rows["remedy"].eq(PLAIN))]
    wanted = {("auc", "all"): "AUC", ("auc", WORST): "worst group's AUC"}
    wanted[("tpr", WORST)] = "worst group's sensitivity"
    datasets = {name: card.get("dataset", name) for name, card in context.evidence.cards.items()}
    found = []
    for (metric, group), quantity in wanted.items():
        own = kept[kept["metric"].eq(metric) & kept["group"].eq(group)]
        blocks = own.assign(dataset=own["cohort"].map(datasets) + ", " + own["model"])
        wide = blocks.pivot_table("value", "dataset", "remedy", sort=False, dropna=False)
        found += _rank_rows(quantity, wide, context.evidence.level)
    return Table(
        "remedy_ranks",
        "Do the remedies differ over datasets?",
        f"Ranks of plain training and of the remedies, {selected_by(rule)}; 1 is best. The "
        "blocks are pairs of dataset and model, whose attributes and tasks are averaged first; "
        "models on one dataset share patients, so the tests are somewhat too sure of themselves. "
        "Friedman's test needs at least 5 blocks; Nemenyi's test of a remedy against plain training "
        "counts only if Friedman's test shows that the remedies differ (Demsar 2006).",
        pd.DataFrame(found).assign(
            remedy_shown=lambda d: [remedy(name) if name else None for name in d["remedy"]]
        ),
        (
            Column("quantity", "Quantity"),
            Column("remedy_shown", "Remedy"),
            Column("rank", "Mean rank", "number", 2),
            Column("blocks", "Blocks", "count"),
            Column("friedman_p", "p, Friedman", "p"),
            Column("critical", "Critical difference", "number", 2),
            Column("nemenyi_p", "p against plain, Nemenyi", "p"),
            Column("verdict", "Verdict"),
        ),
    )


def _rank_rows(quantity: str, wide: pd.DataFrame, level: float) -> list[dict]:
    test = rank_test(wide.dropna(axis=1, how="all"), 1, level)
    shared = {"quantity": quantity, "blocks": len(test.blocks), "friedman_p": test.p_value}
    shared["critical"] = test.critical
    if test.reason:
        return [
            {**shared, "remedy": None, "rank": np.nan, "nemenyi_p": np.nan, "verdict": test.reason}
        ]
    rows = []
    for name, rank in test.ranks.sort_values(kind="stable").items():
        p = float(test.pairs.loc[name, PLAIN]) if name != PLAIN else np.nan
        shown = test.p_value <= 1 - level and p <= 1 - level
        verdict = "" if name == PLAIN else str(Verdict.SHOWN if shown else Verdict.NOT_SHOWN)
        rows.append({**shared, "remedy": name, "rank": rank, "nemenyi_p": p, "verdict": verdict})
    return rows


def _interval_text(context: Context) -> str:
    return (
        f"{context.level} intervals hold for all remedies and groups of a measure together; they "
        "include the variation between test patients and between seeds, and take the validation "
        "patients, on whom thresholds and settings were chosen, as given."
    )


def _case_columns(context: Context) -> tuple[Column, ...]:
    rows = context.extras.remedies
    several = [name for name in ("cohort", "model", "task") if rows[name].nunique() > 1]
    labels = {"cohort": "Cohort", "model": "Model", "task": "Task"}
    return (*(Column(n, labels[n]) for n in several), Column("attribute_shown", "Attribute"))


def _shown(data: pd.DataFrame) -> pd.DataFrame:
    data = data.assign(
        remedy_shown=data["remedy"].map(remedy),
        attribute_shown=data["attribute"].map(terms.attribute),
    )
    if "worst_group" in data:
        data["worst_shown"] = data["worst_group"].map(terms.group)
    return data
