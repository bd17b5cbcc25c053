"""Which files list what exists, and their content: the user's own catalogues or the workflow's."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from medaudit.config.entries import merge
from medaudit.config.yaml_file import read_settings
from medaudit.core.errors import MedauditError

CATALOGUES = {
    "datasets": "loader",
    "cohorts": "builder",
    "pretrainings": "algorithm",
    "models": "kind",
    "methods": "kind",
    "studies": None,
}
"""Each catalogue with the key by which an entry picks its schema; None if all have the same."""

_MODELS = ("vision", "vision_medical", "vision_language", "from_this_run", "small", "ensembles")
PARTS = {name: (f"config/{name}.yaml",) for name in CATALOGUES if name != "models"} | {
    "models": tuple(f"config/models/{part}.yaml" for part in _MODELS)
}
"""The workflow's own files of each catalogue. They are named, not searched for: a workflow that is
used from its repository is fetched file by file."""


def read_catalogues(shipped: Callable[[str], Path]) -> dict[str, Any]:
    """Return the entries of all catalogues.

    A catalogue in the working folder replaces the workflow's: the file ``config/<name>.yaml`` and all
    files ``config/<name>/*.yaml``.

    Parameters
    ----------
    shipped : callable
        Returns the path of one of the workflow's files (`PARTS`).

    Raises
    ------
    MedauditError
        A file cannot be read, does not hold a mapping, or two of them have the same entry.
    """
    content: dict[str, Any] = {}
    for name in CATALOGUES:
        place: dict[str, Path] = {}
        for path in _own(name) or [shipped(part) for part in PARTS[name]]:
            part = read_settings(path)
            for entry in _entries(part):
                if entry in place:
                    raise MedauditError(
                        f"{entry} is in {place[entry]} and in {path}: delete or rename one of them"
                    )
                place[entry] = path
            content = merge(content, part)
    return content


def _own(name: str) -> list[Path]:
    file = Path("config", f"{name}.yaml")
    return [*filter(Path.is_file, [file]), *sorted(Path("config", name).glob("*.yaml"))]


def _entries(part: dict[str, Any]) -> Iterator[str]:
    for key, entries in part.items():
        yield from (f"{key}.{entry}" for entry in entries if isinstance(entries, dict))
