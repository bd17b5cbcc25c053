"""What `medaudit check` says about cohorts of real images: counts by group, pictures, small groups."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from medaudit.config import jobs
from medaudit.core.documents import CohortCard, GroupCount
from medaudit.core.entry_types import Config
from medaudit.core.table_io import COHORT, read_table
from medaudit.data.images.pixel_sources import describe_files, read_files

if TYPE_CHECKING:
    from rich.console import Console

LOOKED_FOR = 200
OPENED = 20
"""Numbers of pictures that are looked for, and opened, spread evenly over a cohort."""

MOST_TASKS = 6
"""Tasks with a column of their own."""


@dataclass(frozen=True)
class PictureCheck:
    """Pictures of a cohort that were looked for and opened; the first problem of each kind."""

    looked_for: int
    there: int
    opened: int
    broken: int
    first_missing: str | None = None
    first_broken: str | None = None


def check_pictures(config: Config, name: str, table: Path) -> PictureCheck:
    """Look for a sample of a cohort's pictures, and open some of those that are there.

    Parameters
    ----------
    config : dict
        The checked configuration.
    name : str
        The cohort; its dataset has a folder.
    table : Path
        The cohort's table.
    """
    settings: dict[str, Any] = json.loads(jobs.settings(config, "images", cohort=name))
    rows = _spread(read_table(table, COHORT), LOOKED_FOR)
    there = np.array([state is not None for state in describe_files(rows, settings)])
    present = _spread(rows[there], OPENED)
    chunk = read_files(present, settings, threads=1)
    broken = [
        f"{path}: {error}"
        for path, status, error in zip(present["path"], chunk.status, chunk.errors, strict=True)
        if status != "ok"
    ]
    return PictureCheck(
        looked_for=len(rows),
        there=int(there.sum()),
        opened=len(present),
        broken=len(broken),
        first_missing=None if there.all() else str(rows["path"][~there].iloc[0]),
        first_broken=broken[0] if broken else None,
    )


def _spread(rows: pd.DataFrame, count: int) -> pd.DataFrame:
    return rows.iloc[np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int))]


def picture_problems(name: str, found: PictureCheck, folder: Path, on_error: str) -> Iterator[str]:
    """Yield what stops a run: pictures that are missing or broken."""
    absent = found.looked_for - found.there
    if absent and (on_error == "fail" or not found.there):
        yield (
            f"cohort {name}: {absent} of {found.looked_for} sampled pictures are not below {folder}, "
            f"e.g. {found.first_missing}; correct `columns.path`, set `locate: anywhere` (loader "
            f"columns), or put them there; `cohorts.{name}.on_error: exclude` leaves them out"
        )
    if found.broken and (on_error == "fail" or found.broken == found.opened):
        yield (
            f"cohort {name}: {found.broken} of {found.opened} opened pictures cannot be read, e.g. "
            f"{found.first_broken}; replace them, or set `cohorts.{name}.on_error: exclude`"
        )


def too_small(config: Config, card: CohortCard) -> list[str]:
    """Return one sentence per test group and task that will have no value.

    A group has one if it has at least ``evaluation.minimum`` images, positives and negatives.
    """
    minimum = config["evaluation"]["minimum"]
    found = []
    for count in card["counts"]:
        if count["split"] != "test":
            continue
        what = f"{count['attribute']} {count['group']}"
        if count["n_images"] < minimum["n"]:
            found.append(f"{what} has {count['n_images']} test images (at least {minimum['n']})")
            continue
        for task, positive in count["positive"].items():
            negative = count["known"][task] - positive
            for kind, number, least in (
                ("positive", positive, minimum["n_pos"]),
                ("negative", negative, minimum["n_neg"]),
            ):
                if number < least:
                    found.append(
                        f"{what} has {number} {kind} test images of {task} (at least {least})"
                    )
    return found


def show_cohort(
    console: "Console", config: Config, name: str, card: CohortCard, pictures: PictureCheck
) -> None:
    """Print a cohort's test groups with their counts, its notes, and its pictures."""
    from rich.table import Table

    splits = {c["split"]: c["n_images"] for c in card["counts"] if c["attribute"] == "all"}
    parts = ", ".join(f"{split} {splits.get(split, 0)}" for split in ("train", "val", "test"))
    console.print(
        f"Cohort {name}: {card['n_images']} images of {card['n_patients']} patients ({parts})",
        markup=False,
        soft_wrap=True,
    )
    tasks = list(card["tasks"])[:MOST_TASKS]
    table = Table(box=None, padding=(0, 2, 0, 2))
    for column in ("test group", "images", "patients", *(f"{task} +" for task in tasks)):
        table.add_column(column, justify="left" if column == "test group" else "right")
    for count in card["counts"]:
        if count["split"] == "test":
            table.add_row(*_cells(count, tasks))
    console.print(table)
    for attribute, missing in card["missing"].items():
        if missing:
            console.print(f"  {attribute} is unknown for {missing} images, which are in no group")
    for sentence in too_small(config, card):
        console.print(f"  [yellow]too small[/yellow]: {sentence}", soft_wrap=True)
    for line in [*(f"{e['reason']}: {e['count']}" for e in card["exclusions"] if e["count"]), *card["notes"]]:  # fmt: skip
        console.print(f"  {line}", markup=False, soft_wrap=True)
    console.print(
        f"  {pictures.there} of {pictures.looked_for} sampled pictures are there; {pictures.opened} "
        f"were opened, {pictures.broken} of them cannot be read",
        soft_wrap=True,
    )


def _cells(count: GroupCount, tasks: list[str]) -> list[str]:
    group = "all" if count["attribute"] == "all" else f"{count['attribute']}: {count['group']}"
    numbers = [count["n_images"], count["n_patients"], *(count["positive"][t] for t in tasks)]
    return [group, *map(str, numbers)]
