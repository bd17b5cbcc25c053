"""``medaudit check``: what is there, what is missing, what a run would do and what it costs."""

import sys
from collections import Counter
from pathlib import Path

from medaudit.cli.options import add_configuration, add_parser, make_console
from medaudit.core.errors import MedauditError

EXAMPLES = """\
  medaudit check
  medaudit check --configfile config/paper.yaml mine.yaml

Ends with 0 if everything that the run needs is there, with 1 if something is missing or wrong.
"""
RESULTS = Path("results")
SAID = {
    "measured": "an earlier run of the same job (perhaps with other settings)",
    "similar": "the median of the rule's earlier jobs",
    "arithmetic": "images seen / images a second (docs/commands.md), not measured",
    "guess": "a guess: nothing of this rule was measured here",
}


def add(commands) -> None:
    """Add the subcommand."""
    text = "say what is there, what is missing, what a run would do and what it costs"
    add_configuration(add_parser(commands, "check", text, run, EXAMPLES))


def run(options: dict) -> None:
    """Print the findings; exit with 1 if something is missing."""
    from medaudit.cli.dry_run import planned_jobs, read_config
    from medaudit.config.validation import selected

    console = make_console()
    overlays = options["configfile"]
    config = read_config(overlays)
    used = selected(config)
    _show_data(console, config, used)
    missing = find_missing(config)
    _show_studies(console, config, used)
    if missing:
        console.print("[bold]Missing[/bold]")
        for line in missing:
            console.print(f"- {line.removeprefix('- ')}", markup=False, soft_wrap=True)
        sys.exit("medaudit: what a run would do and cost is said once these are there")
    jobs = planned_jobs(overlays)
    if not jobs:
        console.print("Everything is there and done: a run would do nothing.")
        return
    with console.status("counting images"):
        sizes = count_images(config, jobs)
    _show_jobs(console, config, jobs, sizes)
    _show_disk(console, config, jobs, sizes)
    console.print("Everything that the run needs is there.")


def find_missing(config: dict) -> list[str]:
    """Return a line for each folder or file that the run needs and that is not there."""
    from medaudit.config.validation import check_files, check_writable

    lines = []
    for what, argument in ((check_files, config), (check_writable, RESULTS)):
        try:
            what(argument)
        except MedauditError as error:
            lines += [line for line in str(error).splitlines() if not line.endswith(":")]
    return lines


def count_images(config: dict, jobs: list[tuple[str, dict[str, str]]]) -> dict[str, dict]:
    """Return the images by split of each cohort that matters: those of its card, else built now.

    A cohort that the run would build again is built here, outside the results.
    """
    from tempfile import TemporaryDirectory

    from medaudit.cli.estimate import cohorts_of_jobs, sizes_in_card, stored_sizes
    from medaudit.cli.rebuild import rebuild

    stale = {names["cohort"] for rule, names in jobs if rule == "cohort"}
    sizes = {}
    with TemporaryDirectory() as folder:
        for name in cohorts_of_jobs(config, jobs):
            stored = None if name in stale else stored_sizes(RESULTS, name)
            sizes[name] = stored or sizes_in_card(rebuild(config, name, Path(folder))[1])
    return sizes


def _show_data(console, config: dict, used: dict) -> None:
    from rich.markup import escape

    from medaudit.config.validation import with_members
    from medaudit.core.files import data_root

    console.print(f"[bold]Data[/bold] (relative paths are below {escape(str(data_root()))})")
    for name in used["datasets"]:
        folder = config["datasets"][name]["folder"]
        says = f"{data_root() / folder}" if folder else "no folder: phantom images"
        console.print(f"  {name}: {escape(says)}{_state(folder, Path.is_dir)}")
    console.print("[bold]Weights[/bold]")
    for name in with_members(used["models"], config["models"]):
        entry = config["models"][name]
        file = entry.get("weights") or entry.get("file")
        if entry["kind"] != "ensemble":
            console.print(f"  {name}: {escape(_origin(entry, file))}{_state(file, Path.is_file)}")


def _origin(entry: dict, file: str | None) -> str:
    if entry.get("pretrained"):
        return f"made by the run (pretraining {entry['pretrained']})"
    return file or "none needed (random)"


def _state(name: str | None, there) -> str:
    from medaudit.core.files import data_root

    if not name:
        return ""
    return " [green]there[/green]" if there(data_root() / name) else " [red]missing[/red]"


def _show_studies(console, config: dict, used: dict) -> None:
    from rich.markup import escape

    from medaudit.config.jobs import runs

    console.print("[bold]A run would audit[/bold]")
    for name in used["studies"]:
        done = runs(config, name)
        console.print(f"  [bold]{escape(name)}[/bold], {len(done)} runs", soft_wrap=True)
        for axis in ("cohort", "model", "method"):
            each = dict.fromkeys(run[axis] for run in done)
            console.print(f"    {axis}s: {escape(', '.join(each))}", soft_wrap=True)


def _show_jobs(console, config: dict, jobs: list, sizes: dict) -> None:
    from rich.table import Table

    from medaudit.cli.estimate import BASES, estimate_jobs

    estimates = estimate_jobs(config, jobs, sizes, RESULTS)
    table = Table(title=f"{len(jobs)} jobs", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("rule", "jobs", "time", "rests on"):
        table.add_column(column, justify="right" if column in ("jobs", "time") else "left")
    for rule in dict.fromkeys(rule for rule, _ in jobs):
        part = [estimate for estimate in estimates if estimate.rule == rule]
        bases = Counter(estimate.basis for estimate in part)
        rests = ", ".join(f"{basis} {bases[basis]}" for basis in BASES if bases[basis])
        table.add_row(rule, str(len(part)), spell_time(sum(e.seconds for e in part)), rests)
    console.print(table)
    total = sum(estimate.seconds for estimate in estimates)
    console.print(f"About {spell_time(total)} if the jobs ran one after the other.")
    for basis in BASES:
        if any(estimate.basis == basis for estimate in estimates):
            console.print(f"  [dim]{basis}: {SAID[basis]}[/dim]")


def _show_disk(console, config: dict, jobs: list, sizes: dict) -> None:
    from shutil import disk_usage

    from medaudit.cli.estimate import bytes_of_embeddings, disk_of_stores

    stores = disk_of_stores(config, jobs, sizes)
    where = next(path for path in RESULTS.absolute().parents if path.exists())
    free = disk_usage(RESULTS if RESULTS.exists() else where).free
    console.print("[bold]Disk[/bold], pixels of the image stores (images x side² x channels)")
    for name, size in stores.items():
        images = sizes[name]["all"]
        console.print(f"  {name}: {images} images, {size} bytes ({spell_size(size)})")
    total, vectors = sum(stores.values()), bytes_of_embeddings(jobs, sizes)
    console.print(f"  {spell_size(total)} in all, {spell_size(free)} free")
    console.print(f"  embeddings: about {spell_size(vectors)}; all else is small beside these")
    if total > free:
        raise MedauditError(
            f"the image stores need {spell_size(total)}, and {where} has {spell_size(free)} free"
        )


def spell_time(seconds: float) -> str:
    """Return e.g. ``40 s``, ``12 min``, ``3.5 h``, ``4.2 days``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.1f} days"


def spell_size(size: int) -> str:
    """Return e.g. ``4.7 MiB``."""
    value, units = float(size), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{value:.0f} B" if units[0] == "B" else f"{value:.1f} {units[0]}"
