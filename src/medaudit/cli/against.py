"""``medaudit score --against``: print and write what changed since an earlier result."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from medaudit.core.errors import MedauditError

if TYPE_CHECKING:
    from rich.console import Console

    from medaudit.score import Result

MOST = 16
"""Sentences that are printed."""


def check_earlier(folder: Path, output: Path) -> None:
    """Raise before the audit if the earlier result is not there, or would be overwritten."""
    if not (folder / "run.json").is_file():
        raise MedauditError(
            f"--against {folder}: there is no run.json; name the folder that an earlier "
            "`medaudit score --output` wrote"
        )
    if folder.resolve() == output.resolve():
        raise MedauditError(
            f"--against {folder} is also where this audit is written: give another --output"
        )


def show_changes(result: Result, options: dict, console: Console) -> None:
    """Compare with the earlier result, print sentences, and write ``changes`` next to the report."""
    from medaudit.score.changes import compare_with

    folder = Path(options["output"])
    found = compare_with(result, options["against"], options["threads"] or 1)
    for number, changes in enumerate(found, start=1):
        lines = changes.sentences()
        for line in lines[:MOST]:
            console.print(line, soft_wrap=True, markup=False)
        if len(lines) > MOST:
            console.print(f"... and {len(lines) - MOST} more in changes.json", markup=False)
        where = folder / "changes" / str(number) if len(found) > 1 else folder
        console.print(f"Written to {changes.write(where)}", soft_wrap=True, markup=False)
