"""Atomic writes: a file is complete or not there, even if the process that writes it is killed."""

import errno
import fcntl
import os
import platform
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from medaudit.core.errors import MedauditError

DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
FULL = 1 << 16
"""Free bytes below which a failed write is blamed on a full disk."""


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Context that gives a temporary path next to `path`; on success, flush and rename it.

    On an exception the temporary file is removed and `path` stays as it was. A temporary file that
    a killed process left is reused by the next write of the same path on that machine.

    Raises
    ------
    MedauditError
        The folder cannot be written, or the disk is full.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = _open_temporary(path)
    except OSError as error:
        raise MedauditError(
            f"cannot write {path}: {error.strerror}; choose a folder that you may write to"
        ) from error
    try:
        yield temporary
        _flush(temporary)
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except BaseException as error:
        full = _is_disk_at_fault(error, path.parent)
        temporary.unlink(missing_ok=True)
        if full:
            raise MedauditError(
                f"cannot write {path}: {error}; free disk space or repair the disk, then run the "
                "same command again: finished results are kept"
            ) from error
        raise
    finally:
        os.close(handle)


def _open_temporary(path: Path) -> tuple[int, Path]:
    """Open and lock this machine's temporary file of `path`, or a new one if it is in use."""
    machine = zlib.crc32(platform.node().encode())
    temporary = path.with_name(f".{path.name}.{machine:08x}{path.suffix}")
    with suppress(OSError):  # another writer or user, or a file system without locks
        handle = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another writer may have renamed the file between our open and our lock.
            if os.path.samestat(os.fstat(handle), temporary.stat()):
                os.ftruncate(handle, 0)
                return handle, temporary
        except OSError:
            os.close(handle)
            raise
        os.close(handle)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    return handle, Path(name)


def _is_disk_at_fault(error: BaseException, folder: Path) -> bool:
    """Return whether the disk made a write fail; some libraries wrap that in their own errors."""
    if isinstance(error, MedauditError) or not isinstance(error, Exception):
        return False
    said = any(os.strerror(code) in str(error) for code in DISK_ERRORS)
    return said or shutil.disk_usage(folder).free < FULL


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _umask() -> int:
    # It can only be read by setting it.
    mask = os.umask(0)
    os.umask(mask)
    return mask
