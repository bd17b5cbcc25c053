"""A record beside each result of what made it: settings, code and inputs.

Snakemake keeps records of its own in ``.snakemake``. These stay with the results when that folder is
lost or left behind, so that a result made otherwise is not taken for a current one.
"""

import hashlib
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

from medaudit.core.files import sha256
from medaudit.core.table_io import read_json, write_json

LARGE = 1 << 27
"""Bytes above which a file is known by its size alone."""


@contextmanager
def recorded(settings: dict, code: str | None, options: dict) -> Iterator[None]:
    """Run a stage in this context: the record of its ``output`` goes first and is made last.

    Parameters
    ----------
    settings : dict
        The stage's.
    code : str or None
        Hash of its code (`medaudit.config.jobs.code`); without it there will be no record.
    options : dict
        Its other arguments; paths that it has not written are its inputs.
    """
    output = options.get("output")
    before = {file: _identity(file) for file in _files(options)}
    if output:
        record_path(output).unlink(missing_ok=True)
    yield
    if output and code:
        inputs = [str(file) for file, was in before.items() if was and was == _identity(file)]
        write_json(_record(json.dumps(settings), code, inputs), record_path(output))


def is_current(outputs: list[Path], settings: str, code: str) -> bool:
    """Return whether a job's outputs were made from its settings, code and inputs as they are.

    Parameters
    ----------
    outputs : list of Path
        What it writes; its ``output`` has the record, which can be the folder of these.
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
def pull_back(folder: Path) -> None:
    """Give files below `folder` that are dated in the future the time of now, once a process.

    A clock that was ahead leaves them; Snakemake would refuse whatever is made from them until
    that time has come. They were written before now, so nothing is dated older than it is.
    """
    now = time.time()
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            if path.lstat().st_mtime > now:
                os.utime(path, (now, now), follow_symlinks=False)


def _record(settings: str, code: str, inputs: list[str]) -> dict:
    text = json.dumps(json.loads(settings), sort_keys=True)
    return {
        "settings": hashlib.sha256(text.encode()).hexdigest(),
        "code": code,
        "inputs": {name: _contents(Path(name)) for name in inputs},
    }


def _contents(path: Path) -> str | int:
    """Return the hash of a file, or its size; a folder is known by its card."""
    file = path / "card.json" if path.is_dir() else path
    if not file.exists() and path.is_dir():
        return len(list(path.iterdir()))
    size = file.stat().st_size
    return sha256(file) if size <= LARGE else size


def _files(options: dict) -> list[Path]:
    listed = [value if isinstance(value, list) else [value] for value in options.values()]
    return [value for values in listed for value in values if isinstance(value, Path)]


def _identity(path: Path) -> tuple[int, int] | None:
    if not path.exists():
        return None
    status = path.lstat()  # of a link into a shared cache, not of what other runs may touch there
    return status.st_ino, status.st_mtime_ns
