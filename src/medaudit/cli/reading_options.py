"""Options of ``medaudit score``: how the files are read."""

import argparse
from pathlib import Path
from typing import Any

ROLES = ("id", "patient", "split", "model", "method", "task", "seed", "decision", "age")
SEVERAL = ("label", "not_a_role", "ignore", "classes", "missing")
ONE = ("sheet", "event", "time", "horizon")


def add_roles(group: argparse._ArgumentGroup) -> None:
    """Add the roles of columns, and ways to refuse a role that was detected."""
    for role in ROLES:
        group.add_argument(f"--{role}", metavar="COLUMN")
    group.add_argument("--label", nargs="+", metavar="COLUMN", help="several: one per task")
    group.add_argument(
        "--score",
        nargs="+",
        metavar="COLUMN",
        dest="score_column",
        help="several: one per task; with a single label, one per class or per model",
    )
    group.add_argument(
        "--not-a-role",
        nargs="+",
        metavar="COLUMN",
        help="columns that are attributes, whatever their name",
    )
    group.add_argument("--ignore", nargs="+", metavar="COLUMN", help="columns to leave out")
    group.add_argument(
        "--groups-columns",
        nargs="+",
        metavar="COLUMN",
        help="the only columns that may be groups; --attributes also takes intersections",
    )
    group.add_argument(
        "--columns",
        type=Path,
        metavar="FILE",
        help="columns.yaml of an earlier audit: read the file in the same way",
    )


def add_files(group: argparse._ArgumentGroup) -> None:
    """Add labels of a second file, sheets, codes, and times to an event."""
    group.add_argument("--labels", type=Path, metavar="FILE", help="labels in a file of their own")
    group.add_argument("--sheet", metavar="NAME", help="sheet of a spreadsheet")
    group.add_argument(
        "--missing", nargs="+", metavar="VALUE", help="values that mean that there is no label"
    )
    group.add_argument(
        "--classes", nargs="+", metavar="NAME", help="of the label's codes 0, 1, 2 ..."
    )
    group.add_argument("--event", metavar="COLUMN", help="time-to-event labels: 1 if it was seen")
    group.add_argument("--time", metavar="COLUMN", help="of the event, or of the end of follow-up")
    group.add_argument(
        "--horizon",
        type=float,
        metavar="T",
        help="the label is the event by T; rows censored before it are left out and counted",
    )
    group.add_argument(
        "--yes",
        action="store_true",
        help="also audit labels and scores that look wrong, such as an AUC of 1",
    )


def columns_of(options: dict[str, Any]) -> dict[str, Any]:
    """Return what the user said of the columns: options, over those of a saved file."""
    from medaudit.score.reading import load_columns

    saved = load_columns(options["columns"]) if options["columns"] else {}
    found = {key: options[key] for key in (*ROLES, *SEVERAL, *ONE) if options[key] is not None}
    found |= {"score": options["score_column"]} if options["score_column"] else {}
    found |= {"weight": options["weights"]} if options["weights"] else {}
    found |= {"groups": options["groups_columns"]} if options["groups_columns"] else {}
    return saved | found
