"""``medaudit split``: write which images are in which split, to share it, or verify such a file."""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from medaudit.cli.options import Commands, add_configuration, add_parser, make_console

EXAMPLES = """\
  medaudit split export nih_6x200
  medaudit split verify nih_6x200.split.json

The file has hashes of image names, settings and counts; no image, label, attribute or patient.
verify builds the cohort from your own data; the exit status is 0 if it is equal, 1 if not.
"""
SHOWN = 20
"""Differences that are printed without ``--all``."""


def add(commands: Commands) -> None:
    """Add the subcommand with its own subcommands ``export`` and ``verify``."""
    text = "write or verify a file that lists which images are in which split"
    parser = add_parser(commands, "split", text, run_export, EXAMPLES)
    several = parser.add_subparsers(required=True, metavar="export | verify")
    export = add_parser(several, "export", "write the split of a cohort", run_export)
    export.add_argument("cohort", help="its name in the catalogue")
    export.add_argument(
        "--output", type=Path, metavar="FILE", help="(default: <cohort>.split.json)"
    )
    verify = add_parser(several, "verify", "compare a split with your own data", run_verify)
    verify.add_argument("file", type=Path, help="a file that `medaudit split export` wrote")
    verify.add_argument(
        "--all", action="store_true", help=f"print every difference, not only the first {SHOWN}"
    )
    for each in (export, verify):
        add_configuration(each)


def run_export(options: dict) -> None:
    """Write the split of a cohort to a file."""
    from medaudit.cli.dry_run import read_config
    from medaudit.cli.shared_split import export
    from medaudit.core.table_io import write_json

    config = read_config(options["configfile"])
    with TemporaryDirectory() as folder:
        content = export(config, options["cohort"], Path(folder), Path("results"))
    output = options["output"] or Path(f"{options['cohort']}.split.json")
    write_json(content, output)
    counts = ", ".join(f"{split} {n}" for split, n in content["n_images"].items())
    make_console().print(f"Written to {output}: images {counts}", markup=False, soft_wrap=True)


def run_verify(options: dict) -> None:
    """Print that a split is equal, or print the differences and exit with status 1."""
    from medaudit.cli.dry_run import read_config
    from medaudit.cli.shared_split import read_split, verify

    shared = read_split(options["file"])
    config = read_config(options["configfile"])
    with TemporaryDirectory() as folder:
        findings = verify(config, shared, Path(folder))
    console = make_console()
    if not findings:
        counts = ", ".join(f"{split} {n}" for split, n in shared["n_images"].items())
        console.print(f"Equal: {shared['cohort']}, {counts}", markup=False)
        return
    shown = findings if options["all"] else findings[:SHOWN]
    for line in shown:
        console.print(line, markup=False, soft_wrap=True)
    if len(shown) < len(findings):
        console.print(f"... and {len(findings) - len(shown)} more (--all)", markup=False)
    sys.exit(f"medaudit: {options['file']} and the cohort built here differ")
