"""``medaudit check``: which data and weights are there, and what a run would do and cost."""

import os
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from medaudit.cli.options import Commands, add_configuration, add_parser, make_console
from medaudit.config.time_left import spell_time
from medaudit.core.entry_types import Config, ModelEntry
from medaudit.core.errors import MedauditError

if TYPE_CHECKING:
    from rich.console import Console

    from medaudit.cli.dry_run import Job

EXAMPLES = """\
  medaudit check
  medaudit check --configfile config/paper.yaml mine.yaml

The exit status is 0 if everything that the run needs is there, 1 if something is missing or wrong.
"""
RESULTS = Path("results")
EXPLAINED = {
    "measured": "an earlier run of the same job, perhaps with other settings",
    "similar": "median of earlier jobs of the same rule",
    "arithmetic": "images to process / images per second (docs/commands.md), not measured",
    "guess": "no job of this rule was measured here",
}


def add(commands: Commands) -> None:
    """Add the subcommand."""
    text = "show which data and weights are there, and what a run would do and cost"
    add_configuration(add_parser(commands, "check", text, run, EXAMPLES))


def run(options: dict) -> None:
    """Print the findings; exit with status 1 if something is missing."""
    from medaudit.cli.dry_run import planned_jobs, read_config
    from medaudit.config.selection import selected

    console = make_console()
    overlays = options["configfile"]
    config = read_config(overlays)
    used = selected(config)
    _show_data(console, config, used)
    missing = find_missing(config)
    _show_studies(console, config, used)
    if missing:
        console.print("[bold]Missing[/bold]")
        for problem in missing:
            console.print(f"- {problem}", markup=False, soft_wrap=True)
        sys.exit("medaudit: add what is missing, then run medaudit check again")
    with TemporaryDirectory() as folder:
        problems = _show_cohorts(console, config, used["cohorts"], Path(folder))
        jobs = planned_jobs(overlays)
        if jobs:
            with console.status("counting images"):
                sizes = count_images(config, jobs, Path(folder))
    if jobs:
        _show_jobs(console, config, jobs, sizes)
        _show_disk(console, config, jobs, sizes)
    if problems:
        raise MedauditError("the run would stop:", problems)
    if not jobs:
        console.print("Everything is there and finished: a run has nothing to do.")
        return
    console.print("Everything that the run needs is there.")


def _show_cohorts(
    console: "Console", config: Config, cohorts: list[str], folder: Path
) -> list[str]:
    """Print the cohorts of real images, and return what would stop a run."""
    from medaudit.cli.cohort_overview import check_pictures, picture_problems, show_cohort
    from medaudit.cli.rebuild import rebuild
    from medaudit.core.files import data_root

    problems: list[str] = []
    for name in cohorts:
        place = config["datasets"][config["cohorts"][name]["dataset"]]["folder"]
        if place is None:
            continue
        with console.status(f"reading the tables of cohort {name}"):
            table, card = rebuild(config, name, folder)
            pictures = check_pictures(config, name, table)
        show_cohort(console, config, name, card, pictures)
        on_error = config["cohorts"][name]["on_error"]
        problems += picture_problems(name, pictures, data_root() / place, on_error)
    return problems


def find_missing(config: Config) -> list[str]:
    """Return one sentence per folder or file that the run needs and that is not there."""
    from medaudit.config.validation import check_files, check_writable

    problems: list[str] = []
    for check in (lambda: check_files(config), lambda: check_writable(RESULTS)):
        try:
            check()
        except MedauditError as error:
            problems += error.problems or [str(error)]
    return problems


def count_images(config: Config, jobs: "list[Job]", folder: Path) -> dict[str, dict[str, int]]:
    """Return the number of images by split of each cohort that the estimates need.

    The numbers are those of the cohort's card. A cohort that the run would build, or build again,
    is built in `folder`, unless it is there.
    """
    from medaudit.cli.estimate import cohorts_of_jobs, sizes_in_card, stored_sizes
    from medaudit.cli.rebuild import rebuild

    stale = {names["cohort"] for rule, names in jobs if rule == "cohort"}
    sizes: dict[str, dict[str, int]] = {}
    for name in cohorts_of_jobs(config, jobs):
        stored = None if name in stale else stored_sizes(RESULTS, name)
        sizes[name] = stored or sizes_in_card(rebuild(config, name, folder)[1])
    return sizes


def _show_data(console: "Console", config: Config, used: dict[str, list[str]]) -> None:
    from rich.markup import escape

    from medaudit.config.selection import with_members
    from medaudit.core.files import data_root
    from medaudit.models.weights.files import weights_path

    console.print(f"[bold]Data[/bold] (relative paths are below {escape(str(data_root()))})")
    for name in used["datasets"]:
        folder = config["datasets"][name]["folder"]
        place = f"{data_root() / folder}" if folder else "no folder: phantom images"
        path = data_root() / folder if folder else None
        console.print(f"  {name}: {escape(place)}{_state(path, Path.is_dir)}")
    console.print("[bold]Weights[/bold]")
    for name in with_members(used["models"], config["models"]):
        entry = config["models"][name]
        file = entry.get("weights") or entry.get("file")
        path = weights_path({**entry, "weights": file}) if file else None
        if entry["kind"] != "ensemble":
            text = escape(_weights_text(entry, file))
            console.print(f"  {name}: {text}{_state(path, Path.is_file)}")


def _weights_text(entry: ModelEntry, file: str | None) -> str:
    if entry.get("pretrained"):
        return f"made by the run (pretraining {entry['pretrained']})"
    return file or "none needed (random)"


def _state(path: Path | None, exists: Callable[[Path], bool]) -> str:
    if path is None:
        return ""
    return " [green]there[/green]" if exists(path) else " [red]missing[/red]"


def _show_studies(console: "Console", config: Config, used: dict[str, list[str]]) -> None:
    from rich.markup import escape

    from medaudit.config.jobs import runs

    console.print("[bold]A run would audit[/bold]")
    for name in used["studies"]:
        found = runs(config, name)
        console.print(f"  [bold]{escape(name)}[/bold], {len(found)} runs", soft_wrap=True)
        for axis in ("cohort", "model", "method"):
            each = dict.fromkeys(run[axis] for run in found)
            console.print(f"    {axis}s: {escape(', '.join(each))}", soft_wrap=True)


def _show_jobs(
    console: "Console", config: Config, jobs: "list[Job]", sizes: dict[str, dict[str, int]]
) -> None:
    from rich.table import Table

    from medaudit.cli.estimate import BASES, estimate_jobs

    estimates = estimate_jobs(config, jobs, sizes, RESULTS)
    table = Table(title=f"{len(jobs)} jobs", title_justify="left", box=None, padding=(0, 2, 0, 0))
    for column in ("rule", "jobs", "time", "based on"):
        table.add_column(column, justify="right" if column in ("jobs", "time") else "left")
    for rule in dict.fromkeys(rule for rule, _ in jobs):
        part = [estimate for estimate in estimates if estimate.rule == rule]
        bases = Counter(estimate.basis for estimate in part)
        based_on = ", ".join(f"{basis} {bases[basis]}" for basis in BASES if bases[basis])
        table.add_row(rule, str(len(part)), spell_time(sum(e.seconds for e in part)), based_on)
    console.print(table)
    total = sum(estimate.seconds for estimate in estimates)
    cores = len(os.sched_getaffinity(0))
    console.print(
        f"About {spell_time(total / cores)} on the {cores} cores of this machine if they are free, "
        f"{spell_time(total)} if the jobs ran one after the other."
    )
    for basis in BASES:
        if any(estimate.basis == basis for estimate in estimates):
            console.print(f"  [dim]{basis}: {EXPLAINED[basis]}[/dim]")


def _show_disk(
    console: "Console", config: Config, jobs: "list[Job]", sizes: dict[str, dict[str, int]]
) -> None:
    from shutil import disk_usage

    from medaudit.cli.estimate import bytes_of_embeddings, disk_of_stores

    stores = disk_of_stores(config, jobs, sizes)
    where = next(path for path in RESULTS.absolute().parents if path.exists())
    free = disk_usage(RESULTS if RESULTS.exists() else where).free
    console.print(
        "[bold]Disk[/bold] for the pixels of the image stores (images x side² x channels)"
    )
    for name, size in stores.items():
        images = sizes[name]["all"]
        console.print(f"  {name}: {images} images, {size} bytes ({spell_size(size)})")
    total, vectors = sum(stores.values()), bytes_of_embeddings(jobs, sizes)
    console.print(f"  {spell_size(total)} in all, {spell_size(free)} free")
    console.print(
        f"  embeddings: about {spell_size(vectors)}; everything else is small in comparison"
    )
    if total > free:
        raise MedauditError(
            f"the image stores need {spell_size(total)}, but {where} has only {spell_size(free)} "
            "free: free disk space, or run from a folder on another disk"
        )


def spell_size(size: int) -> str:
    """Return e.g. ``4.7 MiB``."""
    value, units = float(size), ["B", "KiB", "MiB", "GiB", "TiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        units.pop(0)
    return f"{value:.0f} B" if units[0] == "B" else f"{value:.1f} {units[0]}"
