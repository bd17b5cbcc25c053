"""``medaudit init``: write a commented configuration for the data and weights in a folder."""

from pathlib import Path

from medaudit.cli.options import Commands, add_parser, make_console

EXAMPLES = """\
  medaudit init /your/data
  medaudit init /your/data --output config/mine.yaml

Recognises datasets in the layout of their owners, and the weights that config/models names.
For any other tables and pictures it drafts an entry (docs/your-data.md): check what it writes.
"""


def add(commands: Commands) -> None:
    """Add the subcommand."""
    parser = add_parser(
        commands, "init", "write a commented configuration for the data in a folder", run, EXAMPLES
    )
    parser.add_argument("folder", type=Path, help="where your data and weights are")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("medaudit.yaml"),
        metavar="FILE",
        help="(default: %(default)s)",
    )
    parser.add_argument("--force", action="store_true", help="overwrite the output")


def run(options: dict) -> None:
    """Search the folder, write the configuration, and print what was found."""
    from medaudit.cli.discover import discover, write_overlay
    from medaudit.cli.dry_run import read_config

    console = make_console()
    config = read_config([])
    with console.status("searching"):
        found = discover(options["folder"], config)
    write_overlay(found, config, options["output"], read_config, options["force"])
    lines = [
        f"dataset {one.name}: {one.folder}, {one.images} images in its table, "
        f"{one.seen} of {one.sampled} sampled images are there"
        for one in found.datasets
    ]
    if draft := found.draft:
        lines += [
            f"dataset {draft.name}: a draft from {draft.entry['table']}, {draft.images} pictures, "
            f"{draft.seen} of {draft.sampled} sampled ones are there; tasks "
            f"{', '.join(draft.cohort['tasks'])}; groups {', '.join(draft.entry['groups'])}"
        ]
        lines += [f"to decide: {line}" for line in draft.unsure]
    lines += [f"model {one.name}: {one.weights} (recognised by {one.how})" for one in found.models]
    lines += [f"not used: {problem}" for problem in found.problems]
    lines += [
        f"Written to {options['output']}. Next: medaudit check --configfile {options['output']}"
    ]
    for line in lines:
        console.print(line, markup=False, soft_wrap=True)
