"""One Optuna journal file for all workers of a search, on a file system that they share.

Each write appends whole lines while a lock file is held. A worker that is killed leaves its lock
behind; others break it after `GRACE_SECONDS`. If the kill cut a line short, the next holder removes
it: otherwise its own line would be appended to the fragment, and Optuna could read neither.
"""

import logging
import os
from pathlib import Path

from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock, JournalStorage

from medaudit.training.preemption import requeue_and_exit

GRACE_SECONDS = 30
"""Seconds without a sign of life from its holder after which a lock is broken."""

SAVED = "the running trial is returned to the search"
"""Message of the log after SIGTERM."""


class JournalLock(JournalFileOpenLock):
    """The lock of a journal, for one thread; its holder may take it again.

    Optuna locks each write by itself. The workers need several reads and writes to be one step
    (requeue lost trials, count, ask for the next point), so they hold the lock around all of them,
    and Optuna's own locking inside only counts the depth.

    If SIGTERM arrives while the lock is held, the process exits when it is released: exiting within
    a write would leave the lock and half a line behind.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), grace_period=GRACE_SECONDS)
        self.path, self.depth, self.preempted = path, 0, False

    def acquire(self) -> bool:
        """Wait for the lock, then remove a line that a killed holder left incomplete."""
        if self.depth == 0:
            super().acquire()
            _remove_incomplete_line(self.path)
        self.depth += 1
        return True

    def release(self) -> None:
        """Release the lock; Optuna also calls this at depth 0, to break a lock it waits for."""
        if self.depth <= 1:
            super().release()
        self.depth = max(self.depth - 1, 0)
        if self.depth == 0 and self.preempted:
            requeue_and_exit(SAVED)

    def __enter__(self) -> "JournalLock":
        self.acquire()
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def handle_sigterm(self, *_: object) -> None:
        """Exit at once, or when the lock is released; a signal handler."""
        again, self.preempted = self.preempted, True
        if self.depth == 0 and not again:
            requeue_and_exit(SAVED)


def open_journal(path: Path) -> tuple[JournalStorage, JournalLock]:
    """Open a journal or create it; return the storage and the lock of its writes."""
    logging.getLogger("optuna").setLevel(logging.WARNING)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = JournalLock(path)
    with lock:
        return JournalStorage(JournalFileBackend(str(path), lock_obj=lock)), lock


def _remove_incomplete_line(path: Path) -> None:
    if not path.exists() or not (size := path.stat().st_size):
        return
    with path.open("rb+") as stream:
        stream.seek(-1, os.SEEK_END)
        if stream.read(1) != b"\n":
            stream.seek(0)
            kept = stream.read(size).rfind(b"\n") + 1
            stream.truncate(kept)
