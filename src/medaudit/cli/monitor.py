"""``medaudit monitor``: metrics and gaps by month, with limits that hold over all looks."""

import argparse
from pathlib import Path

from medaudit.cli.options import Commands, add_parser, make_console
from medaudit.cli.reading_options import add_files, add_roles, columns_of
from medaudit.core.errors import MedauditError

EXAMPLES = """\
  medaudit monitor predictions.csv --date study_date --baseline 6 --attributes sex
  medaudit monitor predictions.csv --date date --by quarter --baseline 2024-Q2 --looks 12 --gate

The baseline, the number of looks and the metrics are a plan: fix them before the first look. Run the
same command again with each new month; earlier verdicts do not change.
"""


def add(commands: Commands) -> None:
    """Add the subcommand."""
    text = "watch metrics and gaps by month after deployment"
    parser = add_parser(commands, "monitor", text, run, EXAMPLES)
    parser.add_argument("predictions", type=Path, help="a file as for medaudit score, with dates")
    parser.add_argument("--groups", type=Path, metavar="FILE", help="one row per image or patient")
    parser.add_argument(
        "--output", type=Path, default=Path("medaudit-monitor"), metavar="FOLDER",
        help="for table and figure (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--gate", action="store_true", help="exit with code 3 if there is an alarm")
    plan = parser.add_argument_group("plan, fixed before the first look")
    plan.add_argument("--date", required=True, metavar="COLUMN", help="date of each image")
    plan.add_argument("--date-format", metavar="FORMAT", help="e.g. %%d/%%m/%%Y (default: found)")
    plan.add_argument("--by", default="month", help="month (default), quarter, week or year")
    plan.add_argument(
        "--baseline",
        required=True,
        metavar="N",
        help="what later periods are compared with: the number of first periods, or the name of the "
        "last of them, e.g. 2024-06",
    )
    plan.add_argument("--looks", type=int, default=24, help="planned looks (default: %(default)s)")
    plan.add_argument(
        "--false-alarms",
        type=float,
        default=0.05,
        metavar="P",
        help="probability of any false alarm in all looks and series (default: %(default)s)",
    )
    plan.add_argument(
        "--metrics", nargs="+", default=["tpr", "fpr"], metavar="NAME",
        help="tpr fpr (default), tnr ppv npv accuracy selection_rate auc; each costs sensitivity",
    )  # fmt: skip
    plan.add_argument("--threshold", type=float, default=0.5, help="in use (default: %(default)s)")
    _add_columns(parser)


def _add_columns(parser: argparse.ArgumentParser) -> None:
    columns = parser.add_argument_group("columns", "detected by name and content if not given")
    add_roles(columns)
    columns.add_argument("--attributes", nargs="+", metavar="NAME", help="groups to compare")
    reading = parser.add_argument_group("reading")
    add_files(reading)
    reading.add_argument("--age-threshold", type=float, nargs="+", default=[60], metavar="YEARS")
    reading.add_argument("--scores", choices=["auto", "probabilities", "logits"], default="auto")
    reading.add_argument("--positive", metavar="VALUE", help="the label that is the positive class")


def run(options: dict) -> None:
    """Watch, write, print, and fail the gate if it was asked for."""
    from medaudit.score.monitor import Plan, monitor

    if not 0 <= options["threshold"] <= 1:
        raise MedauditError(f"--threshold {options['threshold']}: give a number from 0 to 1")
    found = monitor(
        options["predictions"],
        Plan(
            date=options["date"],
            baseline=options["baseline"],
            length=options["by"],
            looks=options["looks"],
            false_alarms=options["false_alarms"],
            metrics=options["metrics"],
            date_format=options["date_format"],
        ),
        options["groups"],
        labels=options["labels"],
        columns=columns_of({**options, "weights": None}),
        yes=options["yes"],
        attributes=options["attributes"],
        age_threshold=options["age_threshold"],
        scores=options["scores"],
        positive=options["positive"],
        threshold={"rule": "fixed", "value": options["threshold"]},
    )
    console = make_console()
    for line in found.sentences():
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"Written to {found.write(options['output'])}", markup=False, soft_wrap=True)
    if options["gate"]:
        found.check_gate()
