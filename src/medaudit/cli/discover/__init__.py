"""Write a commented configuration for the data and weights found below a folder."""

import os
from dataclasses import dataclass
from pathlib import Path

from medaudit.cli.discover.find_datasets import FoundDataset, find_datasets
from medaudit.cli.discover.find_weights import FoundModel, find_models
from medaudit.cli.discover.overlay import render
from medaudit.config.validation import check_files
from medaudit.core.errors import MedauditError

DEPTH = 4
"""How many folders deep tables and weights are looked for."""

MANY = 20_000
"""Files of a folder from which on it is a folder of pictures: those below it are not looked at."""


@dataclass(frozen=True)
class Discovery:
    """What was found below ``root``, and sentences on what looked like it and cannot be used."""

    root: Path
    datasets: list[FoundDataset]
    models: list[FoundModel]
    problems: list[str]


def discover(root: Path, config: dict) -> Discovery:
    """Look for the catalogue's datasets and weights below a folder.

    Parameters
    ----------
    root : Path
        Looked through `DEPTH` folders deep; hidden folders and links to folders are left out.
    config : dict
        The checked configuration.

    Raises
    ------
    MedauditError
        There is no such folder, or nothing known is in it.
    """
    if not root.is_dir():
        raise MedauditError(f"there is no folder {root}")
    root = root.absolute()
    files = list_files(root)
    data, problems = find_datasets(config["datasets"], root, files)
    models, more = find_models(config["models"], files)
    if not data and not models:
        reasons = "".join(f"\n- {problem}" for problem in [*problems, *more])
        raise MedauditError(
            f"found no dataset and no weights of the catalogue below {root}; known datasets: "
            f"{', '.join(config['datasets'])}; config/models.yaml names the weights{reasons}"
        )
    return Discovery(root, data, models, [*problems, *more])


def list_files(root: Path) -> list[Path]:
    """Return the files below `root`, sorted, at most `DEPTH` folders deep."""
    found = []
    for place, folders, names in os.walk(root):
        depth = len(Path(place).relative_to(root).parts)
        kept = sorted(name for name in folders if not name.startswith("."))
        folders[:] = kept if depth < DEPTH and len(kept) < MANY else []
        if len(names) < MANY:
            found += [Path(place, name) for name in sorted(names)]
    return found


def write_overlay(found: Discovery, config: dict, output: Path, read, force: bool = False) -> None:
    """Write the overlay, once it is known to be valid and its files to be there.

    Parameters
    ----------
    found : Discovery
        See `discover`.
    config : dict
        The checked configuration.
    output : Path
        The YAML file.
    read : callable
        Takes a list of overlays, returns the checked configuration with them.
    force : bool
        Overwrite what stands at `output`.

    Raises
    ------
    MedauditError
        `output` exists, or cannot be written.
    """
    from medaudit.core.table_io import atomic

    if output.exists() and not force:
        raise MedauditError(f"{output} exists: give another --output, or --force to overwrite it")
    with atomic(output) as temporary:
        temporary.write_text(render(found, config, output), encoding="utf-8")
        check_files(read([temporary]))
