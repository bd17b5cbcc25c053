"""Find datasets and weights below a folder and write a commented configuration for them."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from medaudit.cli.discover.draft import Draft, draft_dataset
from medaudit.cli.discover.find_datasets import FoundDataset, find_datasets
from medaudit.cli.discover.find_weights import FoundModel, find_models
from medaudit.cli.discover.overlay import render
from medaudit.config.validation import check_files
from medaudit.core.entry_types import Config
from medaudit.core.errors import MedauditError

DEPTH = 4
"""Depth of folders in which tables and weights are searched for."""

MANY = 20_000
"""A folder with at least this many files is a folder of images and is not searched."""


@dataclass(frozen=True)
class Discovery:
    """What was found below ``root``.

    ``problems`` are sentences on what cannot be used, ``draft`` an entry for tables that no loader
    knows.
    """

    root: Path
    datasets: list[FoundDataset]
    models: list[FoundModel]
    problems: list[str]
    draft: Draft | None = None


def discover(root: Path, config: Config) -> Discovery:
    """Search a folder for the catalogue's datasets and weights, or draft an entry for its tables.

    Parameters
    ----------
    root : Path
        Searched `DEPTH` folders deep; hidden folders and links to folders are skipped.
    config : dict
        The checked configuration.

    Raises
    ------
    MedauditError
        The folder does not exist, or nothing known is in it.
    """
    if not root.is_dir():
        raise MedauditError(f"there is no folder {root}: give the folder where your data are")
    root = root.absolute()
    files = list_files(root)
    data, problems = find_datasets(config["datasets"], root, files)
    models, more = find_models(config["models"], files)
    draft, left = (None, []) if data else draft_dataset(root, files, config)
    problems = [*problems, *more, *left]
    if not data and not models and draft is None:
        raise MedauditError(
            f"found no dataset, no table that names pictures, and no weights of the catalogue below "
            f"{root}; known datasets: {', '.join(config['datasets'])}; config/models names the "
            "weights; docs/your-data.md says how to describe a table of your own",
            problems,
        )
    return Discovery(root, data, models, problems, draft)


def list_files(root: Path) -> list[Path]:
    """Return the files below `root`, sorted, at most `DEPTH` folders deep."""
    found: list[Path] = []
    for place, folders, names in os.walk(root):
        depth = len(Path(place).relative_to(root).parts)
        kept = sorted(name for name in folders if not name.startswith("."))
        folders[:] = kept if depth < DEPTH and len(kept) < MANY else []
        if len(names) < MANY:
            found += [Path(place, name) for name in sorted(names)]
    return found


def write_overlay(
    found: Discovery,
    config: Config,
    output: Path,
    read: Callable[[list[Path]], Config],
    force: bool = False,
) -> None:
    """Write the configuration for a discovery, after checking that it is valid and its files exist.

    Parameters
    ----------
    found : Discovery
        See `discover`.
    config : dict
        The checked configuration.
    output : Path
        The YAML file.
    read : callable
        Returns the checked configuration with a list of overlays.
    force : bool
        Overwrite `output` if it exists.

    Raises
    ------
    MedauditError
        `output` exists, or cannot be written.
    """
    from medaudit.core.table_io import atomic

    if output.exists() and not force:
        raise MedauditError(
            f"{output} exists already: give another --output, or --force to overwrite it"
        )
    with atomic(output) as temporary:
        temporary.write_text(render(found, config, output), encoding="utf-8")
        check_files(read([temporary]))
