"""The command `medaudit`: one module per subcommand.

In:  the command line.
Out: `main`; each subcommand module adds its own parser. Nothing heavy is imported before one runs.
May import: `medaudit.core`, `medaudit.config`, `medaudit.data`, `medaudit.models`,
     `medaudit.report`, `medaudit.score`, `medaudit.plan`.
"""

import argparse
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from medaudit.cli import check, crate, dossier, findings, init, model, monitor, plan, split
from medaudit.cli.options import Commands
from medaudit.cli.reading_options import add_files, add_roles, columns_of
from medaudit.cli.score_options import (
    add_margins,
    add_mitigation,
    add_outcomes,
    add_statistics,
    measures_cases,
    outcomes_of,
    statistics_of,
)
from medaudit.core.errors import MedauditError, exit_with

if TYPE_CHECKING:
    from rich.console import Console

    from medaudit.score import Result

SCORE = """\
Audits the predictions of one or several models by group of patients: metrics with intervals, gaps
next to the gaps that chance alone produces, and warnings about misleading numbers.

  medaudit score predictions.csv --groups patients.csv
  medaudit score predictions.csv --attributes sex "sex & age_group"
  medaudit score predictions.csv --metrics auc sensitivity ppv --reference-group sex=male
  medaudit score predictions.csv --margin sensitivity=0.1 --gate
  medaudit score answers.csv --answers reply --refusal "I cannot tell"
  medaudit score cases.csv --measures dice hd95
  medaudit score wide.tsv --label y_edema y_mass --score s_edema s_mass
"""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; an error that the user can fix prints one message and exits with 1.

    A gate that fails (``score --gate``) exits with 3.
    """
    options = vars(_parser().parse_args(arguments))
    run = options.pop("run")
    try:
        run(options)
    except MedauditError as error:
        raise exit_with(f"medaudit: {error}", error) from None
    except (
        BrokenPipeError
    ):  # `medaudit ... | head`: without this Python complains once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="medaudit", description="Fairness audit of medical-imaging foundation models."
    )
    parser.add_argument("--version", action="version", version=f"medaudit {version('medaudit')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_score(commands)
    for command in (init, check, model, findings, split, crate, dossier, monitor, plan):
        command.add(commands)
    return parser


def _add_score(commands: Commands) -> None:
    parser = commands.add_parser(
        "score",
        help="audit a file of predictions",
        description=SCORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=_score)
    parser.add_argument(
        "predictions",
        type=Path,
        nargs="+",
        help="CSV, TSV, Parquet, JSON or a spreadsheet; several files, or a pattern: models of the "
        "same images, or parts of one test set",
    )
    parser.add_argument("--groups", type=Path, metavar="FILE", help="one row per image or patient")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("medaudit-results"),
        metavar="FOLDER",
        help="for tables, figures and report (default: %(default)s)",
    )
    parser.add_argument(
        "--card", type=Path, metavar="FILE", help="an audit card, which the report shows"
    )
    parser.add_argument(
        "--against",
        type=Path,
        metavar="RESULT",
        help="an earlier result: what changed beyond chance",
    )
    columns = parser.add_argument_group("columns", "detected by name and content if not given")
    add_roles(columns)
    columns.add_argument(
        "--attributes",
        nargs="+",
        metavar="NAME",
        help='attributes whose groups are compared; an intersection as "sex & age_group"',
    )
    columns.add_argument(
        "--control",
        type=lambda text: [name.strip() for name in text.split(",") if name.strip()],
        metavar="NAMES",
        help="also compare groups at equal values of these, e.g. age_group,view",
    )
    _add_reading(parser.add_argument_group("reading"))
    add_outcomes(parser.add_argument_group("without scores"))
    add_statistics(parser.add_argument_group("statistics"))
    add_margins(parser.add_argument_group("margins"))
    add_mitigation(parser.add_argument_group("what helps"))


def _add_reading(group: argparse._ArgumentGroup) -> None:
    add_files(group)
    group.add_argument(
        "--age-threshold",
        type=float,
        nargs="+",
        default=[60],
        metavar="YEARS",
        help="where age_group is cut (default: 60); several make bands",
    )
    group.add_argument(
        "--scores", choices=["auto", "probabilities", "logits", "percentages"], default="auto"
    )
    group.add_argument(
        "--task-type",
        choices=["auto", "multilabel", "multiclass"],
        default="auto",
        help="how several tasks relate: each its own label, or one class of many",
    )
    group.add_argument(
        "--positive", metavar="VALUE", help="the label value that is the positive class"
    )


def _score(options: dict) -> None:
    from rich.console import Console

    from medaudit.cli.against import check_earlier, show_changes
    from medaudit.config.audit_card import read_card

    if options["against"]:
        check_earlier(options["against"], options["output"])
    if options["card"]:  # a mistake in it must not cost an audit
        read_card(options["card"])
    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False)
    result = _measure(options, console)
    from medaudit.report.gate import check_gate
    from medaudit.score.summary import show

    show(result, console, options["interval"])
    try:
        written = result.write(options["output"], options["card"])
    except OSError as error:
        raise MedauditError(
            f"cannot write to {options['output']}: {error}; give another --output"
        ) from error
    console.print(f"Written to {written}", soft_wrap=True, markup=False)
    if options["against"]:
        show_changes(result, options, console)
    if options["gate"]:
        check_gate(result.equivalence, options["gate"], result.study.name)


def _measure(options: dict, console: "Console") -> "Result":
    """Audit the file: outcomes of cases, or labels and scores."""
    predictions, groups = options["predictions"], options["groups"]
    if measures_cases(options):
        from medaudit.score.outcome_audit import score_outcomes

        if len(predictions) > 1:
            raise MedauditError(f"--measures: {len(predictions)} files; audit one at a time")
        return score_outcomes(predictions[0], groups, **outcomes_of(options))
    from medaudit.score import score
    from medaudit.score.detected_table import show_choices

    reading = ("attributes", "control", "age_threshold", "scores", "task_type", "positive")
    return score(
        predictions,
        groups,
        labels=options["labels"],
        columns=columns_of(options),
        yes=options["yes"],
        announce=lambda choices: show_choices(choices, console),
        answers=options["answers"],
        refusals=options["refusal"],
        **statistics_of(options),
        **{name: options[name] for name in reading},
    )
