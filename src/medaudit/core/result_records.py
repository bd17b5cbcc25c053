"""A record next to each result of what it was made from: settings, code and inputs.

Snakemake keeps such records in ``.snakemake``. These stay with the results when that folder is lost
or left behind, so that a result made with other settings or code is not taken for a current one.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from medaudit.core.files import sha256
from medaudit.core.table_io import read_json, write_json

LARGE = 1 << 27
"""Bytes above which a file is identified by its size instead of its hash."""


@contextmanager
def recorded(settings: dict[str, Any], code: str | None, options: dict[str, Any]) -> Iterator[None]:
    """Context in which a stage runs: the old record is deleted first, the new one written last.

    A stage that fails or is killed in between leaves no record, so its output is not current.

    Parameters
    ----------
    settings : dict
        The stage's settings.
    code : str or None
        Hash of its code (`medaudit.config.jobs.code`); without it no record is written.
    options : dict
        Its other arguments by name. The paths among them that the stage does not write are its
        inputs; the record is stored next to ``output``.
    """
    output = options.get("output")
    before = {file: _identity(file) for file in _paths(options)}
    if output:
        record_path(output).unlink(missing_ok=True)
    yield
    if output and code:
        inputs = [str(file) for file, was in before.items() if was and was == _identity(file)]
        write_json(_record(json.dumps(settings), code, inputs), record_path(output))


def is_current(outputs: list[Path], settings: str, code: str) -> bool:
    """Return whether a job's outputs were made from the present settings, code and inputs.

    Parameters
    ----------
    outputs : list of Path
        Files that the job writes. The record is next to its ``--output``, which may be one of
        these files or their folder.
    settings, code : str
        See `medaudit.config.jobs.settings` and `medaudit.config.jobs.code`.

    Returns
    -------
    bool
        False where there is no record.
    """
    places = [*outputs, *(path.parent for path in outputs)]
    found = [path for path in map(record_path, places) if path.exists()]
    try:
        record = read_json(found[0])
        return record == _record(settings, code, list(record["inputs"]))
    except (OSError, ValueError, LookupError, TypeError):
        return False


def record_path(output: Path) -> Path:
    """Return where the record of a stage's ``output`` is."""
    return output.parent / f".{output.name}.made.json"


@cache
def clamp_future_mtimes(folder: Path) -> None:
    """Reset modification times below `folder` that are in the future to now, once per process.

    A clock that was ahead leaves such files, and Snakemake would treat whatever is made from them
    as outdated until that time has come. They were written before now, so resetting them makes no
    file look older than it is.
    """
    now = time.time()
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            if path.lstat().st_mtime > now:
                os.utime(path, (now, now), follow_symlinks=False)


def _record(settings: str, code: str, inputs: list[str]) -> dict[str, Any]:
    text = json.dumps(json.loads(settings), sort_keys=True)
    return {
        "settings": hashlib.sha256(text.encode()).hexdigest(),
        "code": code,
        "inputs": {name: _contents(Path(name)) for name in inputs},
    }


def _contents(path: Path) -> str | int:
    """Return the hash of a file, or its size if it is large; for a folder, that of its card."""
    file = path / "card.json" if path.is_dir() else path
    if not file.exists() and path.is_dir():
        return len(list(path.iterdir()))
    size = file.stat().st_size
    return sha256(file) if size <= LARGE else size


def _paths(options: dict[str, Any]) -> list[Path]:
    listed = [value if isinstance(value, list) else [value] for value in options.values()]
    return [value for values in listed for value in values if isinstance(value, Path)]


def _identity(path: Path) -> tuple[int, int] | None:
    """Return what changes when a file is written again; None if it is not there."""
    if not path.exists():
        return None
    # Of the link itself: runs that share a cache may touch the cached file it points to.
    status = path.lstat()
    return status.st_ino, status.st_mtime_ns
