"""Options and output that subcommands share."""

import argparse
import sys
from pathlib import Path


def add_parser(commands, name: str, text: str, run, examples: str = "") -> argparse.ArgumentParser:
    """Add a subcommand: its help, longer description, and what it runs."""
    parser = commands.add_parser(
        name,
        help=text,
        description=f"{text[0].upper()}{text[1:]}.\n\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    return parser


def add_configuration(parser: argparse.ArgumentParser) -> None:
    """Add ``--configfile``, as Snakemake has it."""
    parser.add_argument(
        "--configfile",
        nargs="+",
        type=Path,
        default=[],
        metavar="FILE",
        help="overlays over the configuration, as for snakemake",
    )


def make_console():
    """Return where a command prints: as wide as the terminal, 120 columns without one."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 120, highlight=False)
