"""Leases: each worker of a search touches a small file regularly for as long as it lives.

A worker is lost if its lease is gone, was not touched for `lost_seconds`, or names a process of this
machine that no longer runs. Times are those of the shared file system, so the clocks of the machines
need not agree.
"""

import json
import os
import socket
import threading
import uuid
from contextlib import suppress
from pathlib import Path

from medaudit.core.table_io import read_json, write_json

BEATS = 12
"""Number of touches within `lost_seconds`: a few may come late without the worker being lost."""


def lost_seconds() -> float:
    """Return the age at which a lease expires: ``$MEDAUDIT_LOST_SECONDS``, or 180 s."""
    return float(os.environ.get("MEDAUDIT_LOST_SECONDS", 180))


class Leases:
    """The leases of one search; as a context manager, this process holds one of them.

    Parameters
    ----------
    folder : Path
        Next to the journal.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.token = folder, uuid.uuid4().hex[:12]
        self._ended = threading.Event()

    def __enter__(self) -> "Leases":
        write_json({"machine": _machine(), "process": os.getpid()}, self._path(self.token))
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._path(self.token).unlink(missing_ok=True)

    def alive(self, token: str) -> bool:
        """Return whether the worker with this token is alive."""
        own, other = self._path(self.token), self._path(token)
        try:
            lease, touched = read_json(other), other.stat().st_mtime
        except (FileNotFoundError, json.JSONDecodeError):
            return False
        if lease["machine"] == _machine() and not _runs(lease["process"]):
            return False
        # Touch the own lease to ask the file system for its current time.
        os.utime(own)
        return own.stat().st_mtime - touched < lost_seconds()

    def _beat(self) -> None:
        while not self._ended.wait(lost_seconds() / BEATS):
            with suppress(FileNotFoundError):
                os.utime(self._path(self.token))

    def _path(self, token: str) -> Path:
        return self.folder / f"{token}.json"


def _machine() -> str:
    """Return the name of the machine and of the container: process ids are unique within both."""
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = ""
    return f"{socket.gethostname()} {namespace}"


def _runs(process: int) -> bool:
    """Return whether a process of this id runs; signal 0 only asks."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
