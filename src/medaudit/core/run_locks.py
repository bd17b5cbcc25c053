"""Two locks per folder, one held by its runs and one by their jobs, to recognise a killed run.

The kernel releases a lock when its process dies, however it dies. So a run that finds no other
holder of the run lock knows that what a killed run left behind is stale. On a file system without
locks nothing is done here, and Snakemake's own lock works as usual.
"""

import fcntl
import logging
import os
import platform
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TextIO

RUNS, JOBS = "medaudit.runs", "medaudit.jobs"
"""Names of the two lock files, in Snakemake's folder."""

UNKNOWN = "an-unknown-machine"
VARIABLE = "MEDAUDIT_JOBS_LOCK"
"""Environment variable that tells a job where the jobs' lock file is."""

log = logging.getLogger(__name__)
_held: list[TextIO] = []
"""Open files, and so held locks: the kernel releases them when this process ends."""


def export_job_lock(folder: Path) -> None:
    """Tell the jobs that this process starts where their lock file is."""
    os.environ[VARIABLE] = str(folder.absolute() / JOBS)


def hold_job_lock() -> None:
    """Hold the jobs' lock until this process ends; do nothing outside a workflow run."""
    if path := os.environ.get(VARIABLE):
        with suppress(OSError):
            _hold(Path(path).open("a"))  # noqa: SIM115 -- open until this process ends


@cache
def hold_run_lock(folder: Path) -> None:
    """Hold the folder's run lock until this process ends, and clean up after a killed run.

    If no other run of the folder is alive, first wait for jobs that a killed run has left, so that
    nobody writes while this run looks at the files, and then remove that run's Snakemake locks.
    Locks left by a run on another machine stay, because not every network file system passes locks
    on to other machines.

    Parameters
    ----------
    folder : Path
        Snakemake's folder, ``.snakemake``.
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
    """Remove Snakemake's locks if every run that `runs` lists was on this machine."""
    left = list(folder.glob("*.lock"))
    runs.seek(0)
    machines = set(runs.read().split()) or {UNKNOWN}
    if left and machines != {platform.node()}:
        log.warning(
            "there is a lock of a run on %s: if no run is active there, snakemake --unlock",
            " or ".join(sorted(machines)),
        )
        print(*machines, file=runs)
        return
    for path in left:
        path.unlink()
    runs.truncate(0)
