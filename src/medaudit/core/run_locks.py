"""Who works in a folder: a lock for its runs, and one for their jobs.

The kernel lets go of a lock when its process dies, however it dies. So a run that finds itself
alone knows that what a killed one left behind is stale. On a file system without locks nothing is
done, and Snakemake's own lock is as strict as ever.
"""

import fcntl
import logging
import os
import platform
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TextIO

RUNS, JOBS = "medaudit.config.runs", "medaudit.jobs"
UNKNOWN = "an-unknown-machine"
VARIABLE = "MEDAUDIT_JOBS_LOCK"
log = logging.getLogger(__name__)
_held: list[TextIO] = []
"""Kept open, so locked, until this process ends."""


def export(folder: Path) -> None:
    """Tell the jobs of this process where their lock is."""
    os.environ[VARIABLE] = str(folder.absolute() / JOBS)


def join_jobs() -> None:
    """Count among the jobs of a run until this process ends; nothing where no run has started it."""
    if path := os.environ.get(VARIABLE):
        with suppress(OSError):
            _hold(Path(path).open("a"))  # noqa: SIM115 -- open until this process ends


@cache
def join_runs(folder: Path) -> None:
    """Count among the runs of a folder until this process ends.

    If no other run of it lives, first wait for jobs that a killed run has left, so that nobody
    writes while this one looks at what is there, and then remove that run's locks. Locks left by a
    run of another machine stay, since not every network file system tells machines of each
    other's locks.

    Parameters
    ----------
    folder : Path
        Where Snakemake keeps its records, ``.snakemake``.
    """
    with suppress(OSError):
        folder.mkdir(exist_ok=True)
        stream = (folder / RUNS).open("a+")
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass
        else:
            _await_jobs(folder / JOBS)
            _remove_locks(folder / "locks", stream)
        print(platform.node(), file=stream, flush=True)
        _hold(stream)


def _hold(stream: TextIO) -> None:
    fcntl.flock(stream, fcntl.LOCK_SH)
    _held.append(stream)


def _await_jobs(path: Path) -> None:
    with path.open("a") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.warning("a run that was killed has left jobs that still work: waiting for them")
            fcntl.flock(stream, fcntl.LOCK_EX)


def _remove_locks(folder: Path, runs: TextIO) -> None:
    """Remove what runs left that were all of this machine, as `runs` says."""
    left = list(folder.glob("*.lock"))
    runs.seek(0)
    machines = set(runs.read().split()) or {UNKNOWN}
    if left and machines != {platform.node()}:
        log.warning(
            "there is a lock of a run on %s: if none works there, snakemake --unlock",
            " or ".join(sorted(machines)),
        )
        print(*machines, file=runs)
        return
    for path in left:
        path.unlink()
    runs.truncate(0)
