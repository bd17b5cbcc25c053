"""Signs of life: each worker of a search keeps a small file fresh for as long as it lives.

A worker is lost if its file is gone, or has not been touched for `lost_seconds`, or names a process
of this machine that no longer runs. Times are those of the shared file system, so clocks of
machines need not agree.
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
"""Touches within the time after which a worker counts as lost."""


def lost_seconds() -> float:
    """Return after how many silent seconds a worker is lost: ``$MEDAUDIT_LOST_SECONDS`` or 180."""
    return float(os.environ.get("MEDAUDIT_LOST_SECONDS", 180))


class Leases:
    """The leases of one search; as a context manager, this process holds one of them.

    Parameters
    ----------
    folder : Path
        Beside the journal.
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
        """Return whether the worker of this token lives."""
        own, other = self._path(self.token), self._path(token)
        try:
            lease, touched = read_json(other), other.stat().st_mtime
        except (FileNotFoundError, json.JSONDecodeError):
            return False
        if lease["machine"] == _machine() and not _runs(lease["process"]):
            return False
        os.utime(own)
        return own.stat().st_mtime - touched < lost_seconds()

    def _beat(self) -> None:
        while not self._ended.wait(lost_seconds() / BEATS):
            with suppress(FileNotFoundError):
                os.utime(self._path(self.token))

    def _path(self, token: str) -> Path:
        return self.folder / f"{token}.json"


def _machine() -> str:
    """Name what numbers processes: the machine, and the container if there is one."""
    try:
        space = Path("/proc/self/ns/pid").readlink()
    except OSError:
        space = ""
    return f"{socket.gethostname()} {space}"


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
