"""``medaudit crate``: pack a finished study as an RO-Crate, for a data repository."""

from pathlib import Path
from tempfile import TemporaryDirectory

from medaudit.cli.options import Commands, add_parser, make_console
from medaudit.core.errors import MedauditError

EXAMPLES = """\
  medaudit crate all --output audit.zip --license https://creativecommons.org/licenses/by/4.0/
  medaudit crate clip_nih --output clip_nih.zip

The crate has the report, run.json, tables, figures, cohort cards, the configuration, hashed splits,
the workflow and all versions. It never has images, embeddings, predictions or tables of patients.
"""
UNSTATED = "Not stated. The terms of the audited datasets and models apply."


def add(commands: Commands) -> None:
    """Add the subcommand."""
    text = "pack a finished study as an RO-Crate"
    parser = add_parser(commands, "crate", text, run, EXAMPLES)
    parser.add_argument("study", help="a study of the run, or all")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.zip")
    parser.add_argument(
        "--license",
        default=UNSTATED,
        metavar="ADDRESS",
        help="licence of your results: a web address, or a sentence",
    )


def run(options: dict) -> None:
    """Write the crate and print what was left out."""
    from importlib.util import find_spec

    from medaudit.cli.dry_run import checkout
    from medaudit.cli.rocrate import pack

    if find_spec("rocrate") is None:
        raise MedauditError(
            "the package rocrate is not installed: pip install 'medaudit[workflow]'"
        )
    output = options["output"]
    if output.suffix != ".zip":
        raise MedauditError(f"--output {output} does not end in .zip: give a file name that does")
    with TemporaryDirectory() as made:
        packed = pack(
            options["study"], output, Path("results"), checkout(), Path(made), options["license"]
        )
    console = make_console()
    for line in packed["remarks"]:
        console.print(line, markup=False, soft_wrap=True)
    console.print(f"Written to {output}: {packed['files']} files", markup=False, soft_wrap=True)
