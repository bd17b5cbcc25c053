"""What `medaudit score` prints: how the files were read, findings, and a table of groups."""

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medaudit.metrics.group_metrics import ALL
from medaudit.report.wording.phrases import plural

SHOWN = ("auc", "tpr", "fpr", "ece")
COLOURS = {"error": "red", "warning": "yellow", "info": "dim"}


def show(result, console: Console) -> None:
    """Print a `medaudit.score.Result`: columns detected, lint, metrics of groups, gaps."""
    show_detected(result.study.detected, console)
    show_lint(result.lint, console)
    for model, method in result.study.predictions:
        several = len(result.study.predictions) > 1
        title = f"{model} / {method}" if several else ""
        console.print(group_table(result, model, method, title))
        console.print(gap_table(result, model, method))
    show_decisions(result, console)


def show_detected(detected: list[tuple[str, str]], console: Console) -> None:
    """Print which column was taken as what."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for what, taken in detected:
        table.add_row(f"[bold]{escape(what)}[/bold]", escape(taken))
    console.print(table)


def show_lint(lint: pd.DataFrame, console: Console) -> None:
    """Print errors and warnings, and how many remarks there are."""
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


def show_decisions(result, console: Console) -> None:
    """Print where decisions come from."""
    rule = result.evaluation["threshold"]
    if result.study.task_type == "multiclass":
        text = "Decisions are the most probable class."
    elif rule["rule"] == "fixed":
        text = (
            f"TPR and FPR are at a threshold fixed at {rule['value']:g}"
            + (
                ""
                if result.study.has_validation
                else ": there are no validation rows to choose one"
            )
            + ". AUC does not depend on it."
        )
    else:
        text = f"Thresholds were chosen on the validation rows ({rule['rule']})."
    console.print(text)


def group_table(result, model: str, method: str, title: str) -> Table:
    """Return the table of groups: counts and metrics with intervals, averaged over tasks."""
    rows = _summed(result.metrics, model, method)
    metrics = [m for m in SHOWN if (rows["metric"] == m).any()]
    table = Table(title=title or None, title_justify="left")
    for name in ("attribute", "group"):
        table.add_column(name)
    for name in ("n", "positive", "patients", *metrics):
        table.add_column(name.upper() if name in SHOWN else name, justify="right")
    last = None
    for (attribute, group), part in rows.groupby(["attribute", "group"], sort=False):
        if group == ALL and attribute != ALL:
            continue
        if last not in (None, attribute):
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


def gap_table(result, model: str, method: str) -> Table:
    """Return the table of the largest differences, with what a fair model would show."""
    rows = _summed(result.gaps, model, method)
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


def _summed(table: pd.DataFrame, model: str, method: str) -> pd.DataFrame:
    """Keep the mean over seeds, and of several tasks the mean over tasks."""
    own = (table["model"] == model) & (table["method"] == method) & (table["seed"] == "mean")
    rows = table[own]
    several = (rows["task"] == "mean").any()
    return rows[rows["task"] == "mean"] if several else rows[~rows["task"].isin(["all"])]


def _interval(row) -> str:
    if row["status"] != "ok":
        return f"[dim]{row['status']}[/dim]"
    return f"{_number(row['value'])} [dim]{_number(row['low'])} to {_number(row['high'])}[/dim]"


def _number(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.3f}"


def _count(value: float) -> str:
    return "" if pd.isna(value) else f"{int(value):,}"
