"""The command `medaudit`: one module per subcommand.

In:  the command line.
Out: `main`; each subcommand module adds its own parser. Nothing heavy is imported before one runs.
May import: `medaudit.core`, `medaudit.config`, `medaudit.data`, `medaudit.models`,
     `medaudit.report`, `medaudit.score`.
"""

import argparse
import os
import sys
from importlib.metadata import version
from pathlib import Path

from medaudit.cli import check, crate, init, split
from medaudit.core.errors import MedauditError

SCORE = """\
Audits the predictions of one or many models by group of patients: metrics with intervals, gaps
with what a fair model of this size would show, warnings where a number would mislead.

  medaudit score predictions.csv --groups patients.csv
  medaudit score predictions.csv --attributes sex "sex & age_group"
  medaudit score wide.tsv --label y_edema y_mass --score s_edema s_mass
"""


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; an error that the user can mend ends it with 1 and one message."""
    options = vars(_parser().parse_args(arguments))
    run = options.pop("run")
    try:
        run(options)
    except MedauditError as error:
        sys.exit(f"medaudit: {error}")
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="medaudit", description="Fairness audit of medical-imaging foundation models."
    )
    parser.add_argument("--version", action="version", version=f"medaudit {version('medaudit')}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_score(commands)
    for command in (init, check, split, crate):
        command.add(commands)
    return parser


def _add_score(commands) -> None:
    parser = commands.add_parser(
        "score",
        help="audit a file of predictions",
        description=SCORE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=_score)
    parser.add_argument("predictions", type=Path, help="CSV, TSV or Parquet")
    parser.add_argument("--groups", type=Path, metavar="FILE", help="one row an image or patient")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("medaudit-results"),
        metavar="FOLDER",
        help="tables, figures, report (default: %(default)s)",
    )
    columns = parser.add_argument_group("columns", "detected by name where not given")
    for role in ("id", "patient", "split", "model", "method", "task", "seed"):
        columns.add_argument(f"--{role}", metavar="COLUMN")
    columns.add_argument("--label", nargs="+", metavar="COLUMN", help="several: one a task")
    columns.add_argument(
        "--score",
        nargs="+",
        metavar="COLUMN",
        dest="score_column",
        help="several: one a task; with one label, one a class or model",
    )
    columns.add_argument(
        "--attributes",
        nargs="+",
        metavar="NAME",
        help='groups to compare; intersections as "sex & age_group"',
    )
    _add_reading(parser.add_argument_group("reading"))
    _add_statistics(parser.add_argument_group("statistics"))


def _add_reading(group) -> None:
    group.add_argument("--age-threshold", type=float, default=60, metavar="YEARS")
    group.add_argument("--scores", choices=["auto", "probabilities", "logits"], default="auto")
    group.add_argument(
        "--task-type",
        choices=["auto", "multilabel", "multiclass"],
        default="auto",
        help="of several tasks",
    )
    group.add_argument("--positive", metavar="VALUE", help="the label that counts as 1")


def _add_statistics(group) -> None:
    group.add_argument(
        "--threshold-rule",
        choices=["best_f1", "youden", "fpr", "fixed"],
        help="chosen on validation rows (default: best_f1 with them, fixed at 0.5 without)",
    )
    group.add_argument(
        "--threshold", type=float, metavar="X", help="of the rules fixed (score) and fpr (rate)"
    )
    group.add_argument("--draws", type=int, default=1000, help="bootstrap draws, permutations")
    group.add_argument(
        "--minimum", type=int, default=10, metavar="N", help="images of a group that is estimated"
    )
    group.add_argument("--threads", type=int, default=os.cpu_count(), help="changes no number")


def _score(options: dict) -> None:
    from rich.console import Console

    from medaudit.score import score
    from medaudit.score.summary import show

    result = score(
        options["predictions"],
        options["groups"],
        columns=_columns(options),
        threshold=_threshold(options),
        minimum={"n": options["minimum"]},
        **{
            name: options[name]
            for name in (
                "attributes",
                "age_threshold",
                "scores",
                "task_type",
                "positive",
                "draws",
                "threads",
            )
        },
    )
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    show(result, console)
    try:
        written = result.write(options["output"])
    except OSError as error:
        raise MedauditError(f"cannot write below {options['output']}: {error}") from error
    console.print(f"Written to {written}", soft_wrap=True, markup=False)


def _columns(options: dict) -> dict:
    names = ("id", "patient", "split", "model", "method", "task", "seed", "label")
    found = {name: options[name] for name in names if options[name]}
    return found | ({"score": options["score_column"]} if options["score_column"] else {})


def _threshold(options: dict) -> dict | None:
    rule, value = options["threshold_rule"], options["threshold"]
    if rule is None and value is None:
        return None
    rule = rule or "fixed"
    if rule in ("fixed", "fpr") and value is None:
        if rule == "fpr":
            raise MedauditError("--threshold-rule fpr needs --threshold, e.g. 0.05")
        value = 0.5
    if value is not None and not 0 <= value <= 1:
        raise MedauditError(f"--threshold {value:g} is not in [0, 1]")
    return {"rule": rule, **({} if value is None else {"value": value})}
