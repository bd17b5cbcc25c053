"""Tables of groups, gaps, findings and verdicts for a terminal of 100 columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pandas as pd
from rich import box
from rich.markup import escape
from rich.table import Table

from medaudit.metrics.gaps import SIGNED, parse_gap
from medaudit.metrics.group_metrics import ALL
from medaudit.report.equivalence import Equivalence, upper_limit
from medaudit.report.wording import number_format, terms
from medaudit.report.wording.nulls import untested
from medaudit.score.settings import DEFAULT_GAPS, DEFAULT_METRICS

if TYPE_CHECKING:  # `medaudit.score` imports nothing that prints
    from medaudit.score import Result

SHOWN = ("auc", "tpr", "fpr", "ece")
"""Metrics that are printed if the user asks for none."""
ACROSS = 4
"""Metrics next to each other."""
FEW_TASKS = 3
"""Up to so many findings have a table of groups each."""
ENDS = {
    "value": ("value", "low", "high"),
    "procedure": ("value", "procedure_low", "procedure_high"),
    "shrunk": ("shrunk", "shrunk_low", "shrunk_high"),
}
"""What is printed (``--interval``) to the columns of an estimate and its limits."""
VERDICT_COLOURS = {Equivalence.FAIR: "green", Equivalence.UNFAIR: "red"}


def shown_metrics(result: Result) -> list[str]:
    """Return the metrics to print: those that the user asked for, or the most common."""
    metrics = measured(result)
    asked = not set(DEFAULT_METRICS) <= set(metrics)
    return [m for m in metrics if asked or m in SHOWN or m not in DEFAULT_METRICS]


def measured(result: Result) -> list[str]:
    """Return all metrics of a result: those asked for, and after them rates of refusals."""
    asked = list(result.evaluation["metrics"])
    found = [m for m in result.metrics["metric"].unique() if m not in (*asked, "threshold")]
    return [*asked, *found]


def shown_gaps(result: Result) -> list[str]:
    """Return the kinds of gaps over all groups to print."""
    kinds = [kind for kind in result.evaluation["gaps"] if kind not in SIGNED]
    return ["max_min"] if kinds == list(DEFAULT_GAPS) else kinds


def summary_rows(table: pd.DataFrame, model: str, method: str) -> pd.DataFrame:
    """Return the rows of the mean over seeds and, with several tasks, of the mean over tasks."""
    own = (table["model"] == model) & (table["method"] == method) & (table["seed"] == "mean")
    rows = table[own]
    several = (rows["task"] == "mean").any()
    return rows[rows["task"] == "mean"] if several else rows[rows["task"] != "all"]


def group_tables(result: Result, model: str, method: str, interval: str) -> Iterator[Table]:
    """Yield the tables of groups: of the mean over findings, and of each if there are few."""
    names = list(dict.fromkeys(result.study.tasks))
    rows = summary_rows(result.metrics, model, method)
    run = f"{model} / {method}" if len(result.study.predictions) > 1 else ""
    several = len(names) > 1
    yield from _groups(result, rows, _title(run, "mean over findings" if several else ""), interval)
    if not 1 < len(names) <= FEW_TASKS:
        return
    table = result.metrics
    own = (table["model"] == model) & (table["method"] == method) & (table["seed"] == "mean")
    for task in names:
        part = table[own & (table["task"] == task)]
        yield from _groups(result, part, _title(run, task), interval)


def _title(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def _groups(result: Result, rows: pd.DataFrame, title: str, interval: str) -> Iterator[Table]:
    metrics = [m for m in shown_metrics(result) if (rows["metric"] == m).any()]
    counts = rows.groupby("metric", sort=False)["n"].max()
    part: list[str] = []
    for name in metrics:
        # The counts of a table are those of its metrics: of other images there is another table.
        if len(part) == ACROSS or (part and counts[part[0]] != counts[name]):
            yield _group_table(rows, part, title, interval)
            part = []
        part.append(name)
    yield _group_table(rows, part, title, interval)


def _group_table(rows: pd.DataFrame, metrics: list[str], title: str, interval: str) -> Table:
    table = make_table(("group",), ("n", "positive", "patients"), title)
    for name in metrics:
        table.add_column(terms.measure(name), justify="right", no_wrap=True)
    last = ""
    for (attribute, group), part in rows.groupby(["attribute", "group"], sort=False):
        if group == ALL and attribute != ALL:
            continue
        if attribute not in (last, ALL):
            table.add_row(f"[bold]{escape(attribute)}[/bold]")
        by_metric = part.set_index("metric")
        first = by_metric.loc[metrics[0]]
        table.add_row(
            escape(group) if attribute == ALL else f"  {escape(group)}",
            *(_count(first[name]) for name in ("n", "n_pos", "n_patients")),
            *(estimate(by_metric.loc[m], ENDS[interval], "\n") for m in metrics),
        )
        last = attribute
    return table


def gap_table(result: Result, gaps: pd.DataFrame, model: str, method: str) -> Table:
    """Return the table of the gaps over all groups, each next to its null distribution.

    Parameters
    ----------
    result : Result
        The audit.
    gaps : pandas.DataFrame
        Of `medaudit.score.gap_view.adjusted_gaps`.
    model, method : str
        The run.
    """
    kinds, metrics = shown_gaps(result), shown_metrics(result)
    rows = gaps[(gaps["model"] == model) & (gaps["method"] == method)]
    rows = rows[rows["gap"].isin(kinds) & rows["metric"].isin(metrics)]
    rows = rows[rows["task"] != "mean_of_gaps"]
    table = make_table(
        ("attribute", "gap in"),
        ("gap", "null 95 %", "p", "adj. p", "80 % find", "groups"),
        "Gaps between groups",
    )
    table.add_column("worst")
    last = ""
    for row in rows.to_dict("records"):
        kind = f"\n{terms.gap(row['gap'])}" if len(kinds) > 1 else ""
        table.add_row(
            "" if row["attribute"] == last else escape(row["attribute"]),
            terms.measure(row["metric"]) + kind,
            estimate(row),
            "" if untested(row) else _number(row["null_q95"]),
            _p_value(row, "p_value"),
            _p_value(row, "p_adjusted"),
            _number(row["smallest_detectable"]),
            f"{row['n_estimable']} of {row['n_groups']}",
            escape(str(row["worst"])) if _found(row, "p_adjusted", result) else "",
        )
        last = row["attribute"]
    return table


def signed_table(result: Result, gaps: pd.DataFrame, model: str, method: str) -> Table | None:
    """Return the table of each group against a reference group, or against all others."""
    kinds = [parse_gap(name).kind for name in gaps["gap"]]
    rows = gaps[pd.Series(kinds, gaps.index, dtype=object).isin(SIGNED)]
    rows = rows[(rows["model"] == model) & (rows["method"] == method)]
    rows = rows[rows["metric"].isin(shown_metrics(result))]
    if rows.empty:
        return None
    table = make_table(
        ("attribute", "group", "in"), ("difference", "p", "80 % find"), "Each group compared"
    )
    references = result.evaluation["reference"]
    for row in rows.to_dict("records"):
        kind, group = parse_gap(row["gap"])
        other = references[row["attribute"]] if kind == "reference" else "all others"
        table.add_row(
            escape(row["attribute"]),
            escape(f"{group} − {other}"),
            terms.measure(row["metric"]),
            estimate(row),
            _p_value(row, "p_value"),
            _number(row["smallest_detectable"]),
        )
    return table


def finding_tables(result: Result, gaps: pd.DataFrame, model: str, method: str) -> Iterator[Table]:
    """Yield one table per attribute: the gap in each finding, whatever their mean hides.

    Parameters
    ----------
    result : Result
        The audit.
    gaps : pandas.DataFrame
        Of `medaudit.score.gap_view.finding_gaps`.
    model, method : str
        The run.
    """
    rows = gaps[(gaps["model"] == model) & (gaps["method"] == method) & (gaps["gap"] == "max_min")]
    metrics = [m for m in shown_metrics(result) if (rows["metric"] == m).any()][:ACROSS]
    for attribute, own in rows[rows["metric"].isin(metrics)].groupby("attribute", sort=False):
        title = f"Gaps by {attribute}, finding by finding (* adj. p ≤ {_alpha(result):g})"
        table = make_table(("finding",), ("groups",), title)
        for name in metrics:
            table.add_column(terms.measure(name), justify="right", no_wrap=True)
        for task, part in own.groupby("task", sort=False):
            by = {row["metric"]: row for row in part.to_dict("records")}
            known = [f"{row['n_estimable']} of {row['n_groups']}" for row in by.values()]
            cells = [_finding(by.get(metric), result) for metric in metrics]
            table.add_row(escape(str(task)), min(known), *cells)
        yield table


def _finding(row: dict | None, result: Result) -> str:
    if row is None:
        return ""
    if row["status"] != "ok":
        return f"[dim]{number_format.reason(row['status'])}[/dim]"
    mark = "*" if _found(row, "p_adjusted", result) else ""
    p = "no test" if pd.isna(row["p_value"]) else f"p {number_format.p_value(row['p_value'])}"
    return f"{_number(row['value'])}{mark}\n[dim]{p}[/dim]"


def verdict_table(result: Result, model: str, method: str) -> Table:
    """Return the table of the gaps that have a margin, with the verdicts."""
    table = make_table(
        ("attribute", "gap in", "kind"), ("gap", "upper limit", "margin"), "Against the margins"
    )
    table.add_column("verdict")
    for row in summary_rows(result.equivalence, model, method).to_dict("records"):
        colour = VERDICT_COLOURS.get(row["equivalence"], "dim")
        table.add_row(
            escape(row["attribute"]),
            terms.measure(row["metric"]),
            terms.gap(row["gap"]),
            estimate(row),
            _number(upper_limit(row)),
            f"{row['margin']:g}",
            f"[{colour}]{row['equivalence']}[/{colour}]",
        )
    return table


def make_table(texts: Sequence[str], numbers: Sequence[str], title: str = "") -> Table:
    """Return an empty table with columns of text, which may wrap, and of numbers."""
    table = Table(
        box=box.SIMPLE_HEAD,
        title=title or None,
        title_justify="left",
        pad_edge=False,
        padding=(0, 0, 0, 1),
    )
    for name in texts:
        table.add_column(name, overflow="fold")
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=name != "80 % find")
    return table


def estimate(
    row: pd.Series | dict, columns: tuple[str, str, str] = ENDS["value"], between: str = " "
) -> str:
    """Write a value with its interval, or why there is none.

    Where the estimate that `columns` name does not exist, it is the value itself.
    """
    if row["status"] != "ok":
        return f"[dim]{number_format.reason(row['status'])}[/dim]"
    given = columns if pd.notna(row[columns[0]]) and pd.notna(row[columns[1]]) else ENDS["value"]
    value, low, high = (row[name] for name in given)
    if pd.isna(low) or pd.isna(high):
        return f"{_number(value)}{between}[dim]no interval[/dim]"
    return f"{_number(value)}{between}[dim]{_number(low)}–{_number(high)}[/dim]"


def _alpha(result: Result) -> float:
    return round(1 - result.evaluation["bootstrap"]["level"], 9)


def _found(row: dict, column: str, result: Result) -> bool:
    return bool(row["status"] == "ok" and row[column] <= _alpha(result))


def _p_value(row: dict, column: str) -> str:
    if row["status"] != "ok":
        return ""
    return "no test" if pd.isna(row[column]) else number_format.p_value(row[column])


def _number(value: float) -> str:
    return "" if pd.isna(value) else number_format.number(value)


def _count(value: float) -> str:
    return "" if pd.isna(value) else f"{int(value):,}"
