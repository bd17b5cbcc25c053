"""``medaudit init``: a commented configuration for what is found in a folder."""

from pathlib import Path

from medaudit.cli.options import add_parser, make_console

EXAMPLES = """\
  medaudit init /where/your/data/lie
  medaudit init /where/your/data/lie --output config/mine.yaml

Recognises datasets as their owners ship them, and the weights that config/models.yaml names.
"""


def add(commands) -> None:
    """Add the subcommand."""
    parser = add_parser(
        commands, "init", "write a commented configuration for what is in a folder", run, EXAMPLES
    )
    parser.add_argument("folder", type=Path, help="where data and weights lie")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("medaudit.yaml"),
        metavar="FILE",
        help="(default: %(default)s)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite the output")


def run(options: dict) -> None:
    """Look, write, and say what was found."""
    from medaudit.cli.discover import discover, write_overlay
    from medaudit.cli.dry_run import read_config

    console = make_console()
    config = read_config([])
    with console.status("looking"):
        found = discover(options["folder"], config)
    write_overlay(found, config, options["output"], read_config, options["force"])
    lines = [
        f"dataset {one.name}: {one.folder}, {one.images} images in its table, "
        f"{one.seen} of {one.sampled} sampled pictures are there"
        for one in found.datasets
    ]
    lines += [f"model {one.name}: {one.weights} (by {one.how})" for one in found.models]
    lines += [f"not used: {problem}" for problem in found.problems]
    lines += [
        f"Written to {options['output']}. Next: medaudit check --configfile {options['output']}"
    ]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
