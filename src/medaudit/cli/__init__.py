"""The command `medaudit`: one module per subcommand.

In:  the command line.
Out: `main`; each subcommand module adds its own parser. Nothing heavy is imported before one runs.
May import: `medaudit.core`, `medaudit.config`, `medaudit.data`, `medaudit.models`,
     `medaudit.report`, `medaudit.score`, `medaudit.plan`.
"""

import argparse
import math
import os
import sys
from importlib.metadata import version
from pathlib import Path

from medaudit.cli import check, crate, init, plan, split
from medaudit.cli.options import Commands
from medaudit.cli.reading_options import add_files, add_roles, columns_of
from medaudit.core.entry_types.evaluation import EvaluationThreshold
from medaudit.core.errors import MedauditError, exit_with

SCORE = """\
Audits the predictions of one or several models by group of patients: metrics with intervals, gaps
next to the gaps that chance alone produces, and warnings about misleading numbers.

  medaudit score predictions.csv --groups patients.csv
  medaudit score predictions.csv --attributes sex "sex & age_group"
  medaudit score predictions.csv --margin tpr=0.1 --gate
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
    for command in (init, check, split, crate, plan):
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
    _add_statistics(parser.add_argument_group("statistics"))
    _add_margins(parser.add_argument_group("margins"))


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
    group.add_argument("--scores", choices=["auto", "probabilities", "logits"], default="auto")
    group.add_argument(
        "--task-type",
        choices=["auto", "multilabel", "multiclass"],
        default="auto",
        help="how several tasks relate: each its own label, or one class of many",
    )
    group.add_argument(
        "--positive", metavar="VALUE", help="the label value that is the positive class"
    )


def _add_statistics(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--threshold-rule",
        choices=["best_f1", "youden", "sensitivity", "specificity", "fpr", "fixed"],
        help="chosen on validation rows (default: best_f1 with them, fixed at 0.5 without)",
    )
    group.add_argument(
        "--threshold",
        action="append",
        metavar="[TASK=]X",
        help="value of the rule: a score (fixed), or the sensitivity, specificity or false "
        "positive rate (fpr) to reach; for one task as Edema=0.3, repeated for others",
    )
    group.add_argument(
        "--draws", type=int, default=1000, help="number of bootstrap draws and of permutations"
    )
    group.add_argument(
        "--minimum",
        type=int,
        default=10,
        metavar="N",
        help="smaller groups (in images) are not estimated",
    )
    group.add_argument(
        "--threads", type=int, default=os.cpu_count(), help="does not change any number"
    )


def _add_margins(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--margin",
        action="append",
        default=[],
        metavar="METRIC=X",
        help="largest gap that is still acceptable, declared before you look: tpr=0.1, or by "
        'attribute tpr:sex=0.05; give it again for more. Each gap is then "fair within the '
        'margin", "unfair", "undecided" or "not estimable"',
    )
    group.add_argument(
        "--gate",
        nargs="?",
        const=True,
        choices=["undecided", "unfair"],
        metavar="LEVEL",
        help="exit with code 3 and a list, after the report is written, unless every gap with a "
        "margin is shown to be fair within it; undecided: gaps that are not estimable pass; "
        "unfair: only gaps shown to be unfair fail",
    )


def _margins(options: dict) -> dict:
    from medaudit.score.margins import parse_margins

    if options["gate"] and not options["margin"]:
        raise MedauditError("--gate needs a margin: add e.g. --margin tpr=0.1")
    return parse_margins(options["margin"])


def _score(options: dict) -> None:
    from rich.console import Console

    from medaudit.score import score
    from medaudit.score.detected_table import show_choices

    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    result = score(
        options["predictions"],
        options["groups"],
        labels=options["labels"],
        columns=columns_of(options),
        yes=options["yes"],
        announce=lambda choices: show_choices(choices, console),
        threshold=_threshold(options),
        minimum={"n": options["minimum"]},
        margins=_margins(options),
        **{
            name: options[name]
            for name in (
                "attributes",
                "control",
                "age_threshold",
                "scores",
                "task_type",
                "positive",
                "draws",
                "threads",
            )
        },
    )
    from medaudit.report.gate import check_gate
    from medaudit.score.summary import show

    show(result, console)
    try:
        written = result.write(options["output"])
    except OSError as error:
        raise MedauditError(
            f"cannot write to {options['output']}: {error}; give another --output"
        ) from error
    console.print(f"Written to {written}", soft_wrap=True, markup=False)
    if options["gate"]:
        check_gate(result.equivalence, options["gate"], result.study.name)


def _threshold(options: dict) -> EvaluationThreshold | None:
    rule, given = options["threshold_rule"], options["threshold"]
    if rule is None and given is None:
        return None
    rule = rule or "fixed"
    if rule in ("fpr", "sensitivity", "specificity") and given is None:
        example = "0.05" if rule == "fpr" else "0.95"
        raise MedauditError(f"--threshold-rule {rule} needs --threshold, e.g. {example}")
    if rule in ("best_f1", "youden"):
        if given is not None:
            raise MedauditError(
                f"--threshold-rule {rule} has no value: leave out --threshold, or use "
                "--threshold-rule fixed"
            )
        return {"rule": rule}
    values = dict(_threshold_value(text) for text in given or ["0.5"])
    if None in values and len(values) == 1:
        return {"rule": rule, "value": values[None]}
    if None in values or len(values) < len(given):
        raise MedauditError(
            f"--threshold {' '.join(given)}: give one number for all tasks, or TASK=X once for "
            "each task"
        )
    return {"rule": rule, "value": {str(task): value for task, value in values.items()}}


def _threshold_value(text: str) -> tuple[str | None, float]:
    """Read ``0.3`` or ``Edema=0.3``."""
    task, equals, number = text.rpartition("=")
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 1:
        raise MedauditError(
            f"--threshold {text} is not between 0 and 1: give a number in that range, or "
            "TASK=NUMBER (logits are compared after the sigmoid)"
        )
    return (task if equals else None), value
