"""What `medaudit score` prints: how the files were read, lint findings, groups and gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from medaudit.metrics.thresholds import describe_rule
from medaudit.report.equivalence import Equivalence
from medaudit.report.page.mitigation_answers import answer_remedies
from medaudit.report.tables.conditional_gaps import in_words, side_by_side
from medaudit.report.tables.mitigation import summarise
from medaudit.report.wording.nulls import explain
from medaudit.report.wording.phrases import plural
from medaudit.score.assemble import OUTCOMES
from medaudit.score.gap_view import adjusted_gaps, finding_gaps
from medaudit.score.terminal_tables import (
    finding_tables,
    gap_table,
    group_tables,
    shown_gaps,
    shown_metrics,
    signed_table,
    verdict_table,
)

if TYPE_CHECKING:  # `medaudit.score` imports nothing that prints
    from medaudit.score import Result

ANSWER_COLOURS = {"SHOWN": "red", "UNFAIR": "red", "HINT": "yellow", "FAIR": "green"}
COLOURS = {"error": "red", "warning": "yellow", "info": "dim"}


def show(result: Result, console: Console, interval: str = "value") -> None:
    """Print an audit: detected columns, lint findings, metrics by group, gaps.

    Parameters
    ----------
    result : Result
        The audit.
    console : rich.console.Console
        Where to print.
    interval : {"value", "procedure", "shrunk"}
        Which estimate of the groups is printed.
    """
    show_detected(result.study.detected, console)
    show_lint(result.lint, console)
    gaps, findings = adjusted_gaps(result), finding_gaps(result)
    for run in result.study.predictions:
        for table in group_tables(result, *run, interval):
            console.print(table)
        console.print(gap_table(result, gaps, *run))
        for table in finding_tables(result, findings, *run):
            console.print(table)
        signed = signed_table(result, gaps, *run)
        if signed is not None:
            console.print(signed)
        if len(result.equivalence):
            console.print(verdict_table(result, *run))
        show_conditional(result, *run, console)
    if len(result.equivalence):
        show_verdicts(result, console)
    show_tests(result, gaps, findings, console)
    show_interval(result, interval, console)
    if result.study.task_type != OUTCOMES:
        show_decisions(result, console)
        show_answers(result, console)
        show_remedies(result, console)


def show_remedies(result: Result, console: Console) -> None:
    """Print what helps, in sentences, where remedies were tried."""
    if result.remedies.empty:
        return
    level = result.evaluation["bootstrap"]["level"]
    said = answer_remedies(summarise(result.remedies), {"level": level})
    for answers in said.values():
        console.print(f"\n[bold]{escape(answers[-1].question)}[/bold]")
        for sentence in answers[-1].sentences:
            console.print(f"  {escape(sentence)}")


def show_answers(result: Result, console: Console) -> None:
    """Print what the report says first: each model in people, with verdicts and warnings."""
    for run in result.answers.runs:
        console.print(f"\n[bold]{escape(run.name)}[/bold] {escape(run.sentence)}")
        for one in run.attributes:
            colour = ANSWER_COLOURS.get(one.kind, "default")
            verdict = f"[{colour}]{escape(one.verdict)}[/{colour}]"
            console.print(f"  By {escape(one.label)}: {verdict}. {escape(one.sentence)}")
        for caution in run.cautions:
            console.print(f"  [yellow]warning[/yellow] {escape(caution.text)}")


def show_conditional(result: Result, model: str, method: str, console: Console) -> None:
    """Print a sentence on each gap at equal values of what is controlled for."""
    rows = result.conditional
    rows = rows[(rows["model"] == model) & (rows["method"] == method)]
    if rows.empty:
        return
    level = result.evaluation["bootstrap"]["level"]
    found = side_by_side(rows)
    for row in found[found["metric"].isin(shown_metrics(result))].to_dict("records"):
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
    if not result.study.scored:
        text = "Decisions are the answers; there are no scores."
    elif result.study.task_type == "multiclass":
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


def show_tests(
    result: Result, gaps: pd.DataFrame, findings: pd.DataFrame, console: Console
) -> None:
    """Print what the columns of the gaps mean, as far as it depends on this audit."""
    shown = gaps[gaps["metric"].isin(shown_metrics(result)) & gaps["gap"].isin(shown_gaps(result))]
    said = explain(shown["null"]) or "group membership does not matter"
    level = result.evaluation["bootstrap"]["level"]
    console.print(
        f"Intervals: {level * 100:g} %. null 95 %: 95 of 100 gaps are below this if patients exchange "
        f"groups under the hypothesis ({said}); p: from the same permutations. adj. p: adjusted, in "
        "the leading metrics over all of them and all attributes of the model, in others over all "
        "gaps of one metric. 80 % find: the gap that this cohort finds in 80 of "
        "100 samples. groups: how many could be estimated. A large p does not show that a model is "
        "fair."
    )
    if len(findings):
        console.print(
            "Finding by finding, p is adjusted over the findings: in the leading metrics over all of "
            "them and all attributes together, in others for each attribute and metric (Holm)."
        )
    if not result.evaluation.get("margins"):
        console.print("No margin was declared (--margin), so no gap is called fair.")


def show_interval(result: Result, interval: str, console: Console) -> None:
    """Print what the groups' estimates are, where they are not the values themselves."""
    if interval == "shrunk":
        console.print(
            "Groups: shrunken estimates, which borrow strength from the other groups of the "
            "attribute; of all patients, the values themselves, which gaps and tests use too."
        )
    elif interval == "procedure":
        console.print(
            "Groups: intervals that also cover the choice of the threshold on other validation "
            "patients; metrics that need no threshold have their own."
        )


def show_verdicts(result: Result, console: Console) -> None:
    """Print how many gaps have which verdict, over all models, tasks and kinds of gaps."""
    counts = result.equivalence["equivalence"].value_counts()
    shown = [f"{counts[verdict]} {verdict}" for verdict in Equivalence if verdict in counts]
    console.print(
        f"Gaps with a margin, over all tasks and models: {', '.join(shown)}. Fair within the margin: "
        "the one-sided upper limit is below it and no group is left out. The table "
        "'Is each gap within its margin?' of the report lists all."
    )
