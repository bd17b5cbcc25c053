"""What `medaudit score` prints: how the files were read, lint findings, groups and gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medaudit.metrics.group_metrics import ALL
from medaudit.metrics.thresholds import describe_rule
from medaudit.report.tables.conditional_gaps import in_words, side_by_side
from medaudit.report.wording import number_format
from medaudit.report.wording.phrases import plural

if TYPE_CHECKING:  # `medaudit.score` imports nothing that prints
    from medaudit.score import Result

SHOWN = ("auc", "tpr", "fpr", "ece")
COLOURS = {"error": "red", "warning": "yellow", "info": "dim"}


def show(result: Result, console: Console) -> None:
    """Print an audit: detected columns, lint findings, metrics by group, gaps."""
    show_detected(result.study.detected, console)
    show_lint(result.lint, console)
    for model, method in result.study.predictions:
        several = len(result.study.predictions) > 1
        title = f"{model} / {method}" if several else ""
        console.print(group_table(result, model, method, title))
        console.print(gap_table(result, model, method))
        show_conditional(result, model, method, console)
    show_decisions(result, console)


def show_conditional(result: Result, model: str, method: str, console: Console) -> None:
    """Print a sentence on each gap at equal values of what is controlled for."""
    rows = result.conditional
    rows = rows[(rows["model"] == model) & (rows["method"] == method)]
    if rows.empty:
        return
    level = result.evaluation["bootstrap"]["level"]
    found = side_by_side(rows)
    for row in found[found["metric"].isin(SHOWN)].to_dict("records"):
        console.print(escape(in_words(row, round(1 - level, 9), f"{level * 100:g} %")))


def show_detected(detected: list[tuple[str, str]], console: Console) -> None:
    """Print the role that was found for each column."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for what, taken in detected:
        table.add_row(f"[bold]{escape(what)}[/bold]", escape(taken))
    console.print(table)


def show_lint(lint: pd.DataFrame, console: Console) -> None:
    """Print errors and warnings, and the number of remarks."""
    serious = lint[lint["severity"] != "info"]
    for row in serious.itertuples():
        colour = COLOURS[row.severity]
        console.print(
            f"[{colour}]{row.severity}[/{colour}] {escape(row.message)} "
            f"[dim]({escape(row.where)})[/dim]"
        )
    if len(lint) > len(serious):
        remarks = plural(len(lint) - len(serious), "remark")
        console.print(f"[dim]{remarks} in the lint[/dim]")


def show_decisions(result: Result, console: Console) -> None:
    """Print how scores become decisions: a threshold, or the most probable class."""
    threshold = result.evaluation["threshold"]
    if result.study.task_type == "multiclass":
        text = "Decisions are the most probable class."
    elif threshold["rule"] == "fixed":
        why = (
            "" if result.study.has_validation else ", as there are no validation rows to choose on"
        )
        text = (
            f"TPR and FPR use a threshold {describe_rule(threshold)}{why}. "
            "AUC does not depend on it."
        )
    else:
        text = _chosen(result)
    console.print(text)


def _chosen(result: Result) -> str:
    """Write how thresholds were chosen on validation, and for which tasks they could not be."""
    rule = describe_rule(result.evaluation["threshold"])
    rows = result.metrics[(result.metrics["metric"] == "threshold")]
    rows = rows[(rows["seed"] == "mean") & (rows["model"] == rows["model"].iloc[0])]
    lost = rows[rows["status"] != "ok"]
    text = (
        f"Thresholds were chosen on the validation rows ({rule}). Intervals of TPR and FPR are for "
        "these thresholds as chosen; procedure_low and procedure_high in the tables also cover "
        "their choice."
    )
    why = "the validation rows have one class only, so TPR and FPR have no value"
    if len(lost) == len(rows):
        return f"No threshold could be chosen ({rule}): {why}."
    if len(lost):
        return f"{text} None could be chosen for {', '.join(lost['task'])}: {why} there."
    return text


def group_table(result: Result, model: str, method: str, title: str) -> Table:
    """Return the table of groups: counts and metrics with intervals, averaged over tasks."""
    rows = _summary_rows(result.metrics, model, method)
    metrics = [m for m in SHOWN if (rows["metric"] == m).any()]
    table = Table(title=title or None, title_justify="left")
    for name in ("attribute", "group"):
        table.add_column(name)
    for name in ("n", "positive", "patients", *metrics):
        table.add_column(name.upper() if name in SHOWN else name, justify="right")
    last = ""
    for (attribute, group), part in rows.groupby(["attribute", "group"], sort=False):
        if group == ALL and attribute != ALL:
            continue
        if last not in ("", attribute):
            table.add_section()
        by_metric = part.set_index("metric")
        counts = part.iloc[0]
        table.add_row(
            "" if attribute == last else escape(attribute),
            escape(group),
            *(_count(counts[name]) for name in ("n", "n_pos", "n_patients")),
            *(_interval(by_metric.loc[m]) for m in metrics),
        )
        last = attribute
    return table


def gap_table(result: Result, model: str, method: str) -> Table:
    """Return the table of the gaps between groups, next to the gap that a fair model would show."""
    rows = _summary_rows(result.gaps, model, method)
    rows = rows[(rows["gap"] == "max_min") & rows["metric"].isin(SHOWN)]
    table = Table()
    for name in ("attribute", "gap in"):
        table.add_column(name)
    for name in ("max - min", "if fair (95 %)", "p"):
        table.add_column(name, justify="right")
    table.add_column("worst")
    for row in rows.itertuples():
        table.add_row(
            escape(row.attribute),
            row.metric.upper(),
            _interval(row._asdict()),
            _number(row.null_q95),
            "" if pd.isna(row.p_value) else f"{row.p_value:.3f}",
            "" if pd.isna(row.worst) else escape(row.worst),
        )
    return table


def _summary_rows(table: pd.DataFrame, model: str, method: str) -> pd.DataFrame:
    """Return the rows of the mean over seeds and, with several tasks, of the mean over tasks."""
    own = (table["model"] == model) & (table["method"] == method) & (table["seed"] == "mean")
    rows = table[own]
    several = (rows["task"] == "mean").any()
    return rows[rows["task"] == "mean"] if several else rows[rows["task"] != "all"]


def _interval(row: pd.Series | dict) -> str:
    if row["status"] != "ok":
        return f"[dim]{number_format.reason(row['status'])}[/dim]"
    return f"{_number(row['value'])} [dim]{_number(row['low'])} to {_number(row['high'])}[/dim]"


def _number(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.3f}"


def _count(value: float) -> str:
    return "" if pd.isna(value) else f"{int(value):,}"
