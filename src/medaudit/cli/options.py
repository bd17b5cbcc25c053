"""Options and console that the subcommands share."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

Commands = argparse._SubParsersAction  # the type has no public name


def add_parser(
    commands: Commands, name: str, text: str, run: Callable[[dict], None], examples: str = ""
) -> argparse.ArgumentParser:
    """Add the subcommand `name`, which calls `run` with its options, and return its parser."""
    parser = commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.\n\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_configuration(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--configfile``, which works like Snakemake's."""
    parser.add_argument(
        "--configfile",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="settings that are merged over the configuration, as for snakemake",
    )


def make_console() -> "Console":
    """Return a console as wide as the terminal; 120 columns if the output goes to a file."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 120, highlight=False)
