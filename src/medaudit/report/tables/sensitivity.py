"""Tables: what would have to be true for a gap to vanish, and values in the target population."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from medaudit.report.studies.context import Context
from medaudit.report.studies.evidence import RUN
from medaudit.report.tables.columns import run_columns
from medaudit.report.tables.table import Column, Table
from medaudit.report.wording import number_format, terms

Row = Mapping[str, Any]
QUESTIONS = {
    "missing_attribute": "Images of unknown group",
    "label_noise": "Errors of the reference label",
    "prevalence": "Prevalence of the target population",
    "threshold": "Choice of threshold",
}
GAP = "max_min"
NAMES = {"net_benefit": "net benefit"}


def sensitivity(context: Context) -> Table | None:
    """What would have to be true for each difference to vanish, one sentence per row."""
    rows = context.extras.sensitivity
    rows = rows[rows["group"] == GAP] if len(rows) else rows
    if rows.empty:
        return None
    data = _largest(rows).assign(
        attribute_shown=lambda d: d["attribute"].map(terms.attribute),
        question_shown=lambda d: d["question"].map(QUESTIONS),
        metric_shown=lambda d: d["metric"].map(_metric),
    )
    data["words"] = [in_words(row) for row in data.to_dict("records")]
    return Table(
        "sensitivity",
        "What would have to be true for a gap to vanish",
        "The largest difference between two groups in each measure; with several tasks, of the "
        "task with the largest one. Each question is put alone, with all else as it is in the test "
        "set; sampling error comes on top. Assumptions are in evaluation.sensitivity of the "
        "configuration.",
        data.drop(columns=["group", "dialect"], errors="ignore"),
        (
            *run_columns(context.evidence),
            Column("attribute_shown", "Attribute"),
            Column("task", "Task"),
            Column("question_shown", "Question"),
            Column("metric_shown", "Measure"),
            Column("value", "Gap", "number"),
            Column("words", "In words"),
        ),
    )


def target_population(context: Context) -> Table | None:
    """PPV, NPV and net benefit of every group at the prevalence of the target population."""
    rows = context.extras.sensitivity
    rows = rows[(rows["question"] == "prevalence") & (rows["group"] != GAP)] if len(rows) else rows
    if rows.empty:
        return None
    key = [*RUN, "task", "attribute", "group"]
    data = rows[[*key, "present", "assumed", "n"]].drop_duplicates(key).reset_index(drop=True)
    for metric in rows["metric"].unique():
        own = rows.loc[rows["metric"] == metric, [*key, "value", "adjusted"]]
        names = {"value": f"{metric}_own", "adjusted": metric}
        data = data.merge(own.rename(columns=names), on=key, how="left", validate="one_to_one")
    data["attribute_shown"] = data["attribute"].map(terms.attribute)
    return Table(
        "target_population",
        "Groups at the prevalence of the target population",
        "PPV, NPV and net benefit by Bayes' rule from each group's TPR and FPR in the test set. "
        "Own: at the prevalence that the group has there. Net benefit is per person, in units of "
        "the benefit of a true positive.",
        data,
        (
            *run_columns(context.evidence),
            Column("task", "Task"),
            Column("attribute_shown", "Attribute"),
            Column("group", "Group"),
            Column("present", "Own prevalence", "number"),
            Column("assumed", "Target prevalence", "number"),
            Column("ppv_own", "PPV, own", "number"),
            Column("ppv", "PPV, target", "number"),
            Column("npv_own", "NPV, own", "number"),
            Column("npv", "NPV, target", "number"),
            Column("net_benefit", "Net benefit, target", "number"),
            Column("n", "Images", "count"),
        ),
    )


def _metric(name: str) -> str:
    return NAMES.get(name) or terms.measure(name)


def _largest(rows: pd.DataFrame) -> pd.DataFrame:
    """Return, for each question and measure, the row of the task with the largest difference."""
    key = [*RUN, "attribute", "question", "metric"]
    size = rows["value"].abs().fillna(-1)
    best = size.groupby([rows[name] for name in key], sort=False).idxmax()
    return rows.loc[sorted(best)].reset_index(drop=True)


def in_words(row: Row) -> str:
    """Return one plain sentence on a row of `medaudit.core.audit_tables.SENSITIVITY`."""
    if row["status"] != "ok":
        return f"Not estimable: {number_format.reason(row['status'])}."
    if row["value"] == 0 and row["question"] != "prevalence":
        return f"The two groups do not differ in {_metric(row['metric'])}."
    return _WORDS[row["question"]](row)


def _who(row: Row) -> str:
    best, worst = _group(row["best"]), _group(row["worst"])
    return f"the difference in {_metric(row['metric'])} between {best} and {worst}"


def _group(name: str) -> str:
    """Return the name of a group; of an intersection in brackets, since it holds a comma."""
    shown = terms.group(name)
    return f"({shown})" if "," in shown else shown


def _n(value: float) -> str:
    return number_format.number(value)


def _share(value: float) -> str:
    percent = 100 * value
    return f"{percent:.0f} %" if percent >= 1 or percent == 0 else f"{percent:.1g} %"


def _missing(row: Row) -> str:
    if not row["n_unknown"]:
        return "The group of every image that counts here is known."
    images = f"the {number_format.count(row['n_unknown'])} images of unknown group"
    images += f" ({_share(row['present'])} of all that count here)"
    ends = f"{_n(row['low'])} and {_n(row['high'])}"
    if row["vanishes"] == "no":
        return (
            f"No assignment of {images} to groups removes {_who(row)}: it would be between {ends}."
        )
    return (
        f"It would take {_share(row['tipping'])} of {images}, all of them placed against it, for "
        f"{_who(row)} to vanish; over all assignments it is between {ends}."
    )


def _label_noise(row: Row) -> str:
    worst, best = _group(row["worst"]), _group(row["best"])
    if row["vanishes"] == "no":
        return f"No error of the reference label in {worst} alone can explain {_who(row)}."
    side, kind, quantity = "negative", "missed the finding", "sensitivity"
    if row["metric"] == "tpr":
        side, kind, quantity = "positive", "were false", "specificity"
    return (
        f"If the model were equally good in both groups, {_who(row)} would mean that "
        f"{_share(row['share'])} of the {side} labels in {worst} {kind}: a {quantity} of the label "
        f"of {_n(row['tipping'])} there, against {_n(row['present'])} in {best}."
    )


def _prevalence(row: Row) -> str:
    at = f"At a prevalence of {_n(row['assumed'])} in both groups {_who(row)} is "
    at += number_format.number(row["adjusted"], signed=True)
    if row["metric"] == "net_benefit":
        equal = f"they are equal at a prevalence of {_n(row['tipping'])}"
        return f"{at}; {equal if row['vanishes'] == 'yes' else 'it is never 0'}."
    at += f", and {number_format.number(row['value'], signed=True)} at their own prevalences"
    if row["vanishes"] == "no":
        return f"{at}."
    worst = _group(row["worst"])
    return (
        f"{at}; it would vanish if the prevalence in {worst} were {_n(row['tipping'])} "
        f"instead of {_n(row['present'])}."
    )


def _threshold(row: Row) -> str:
    text = (
        f"Over thresholds from {_n(row['threshold_low'])} to {_n(row['threshold_high'])}, which "
        f"flag {_share(row['range_low'])} to {_share(row['range_high'])} of the images, "
        f"{_who(row)} is between {_n(row['low'])} and {_n(row['high'])}"
    )
    text += " and keeps its sign" if row["vanishes"] == "no" else " and does not keep its sign"
    if number_format.missing(row["tipping"]):
        return f"{text}; it vanishes at no threshold."
    return (
        f"{text}; nearest to the chosen threshold, it vanishes at {_n(row['threshold_tipping'])}, "
        f"which flags {_share(row['tipping'])}."
    )


_WORDS: dict[str, Callable[[Row], str]] = {
    "missing_attribute": _missing,
    "label_noise": _label_noise,
    "prevalence": _prevalence,
    "threshold": _threshold,
}
