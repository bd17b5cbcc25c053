"""Read NumPy archives of plain arrays; pickled objects and zip bombs are refused."""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from medaudit.core.errors import MedauditError

_ARCHIVE_ERRORS: tuple[type[Exception], ...] = (
    *(zipfile.BadZipFile, zlib.error, ValueError, TypeError, OSError),
    *(EOFError, RuntimeError, SyntaxError),
)
_LARGEST_EXPANSION = 20


def npz_headers(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Return shape and type of each array of an archive; no array is read.

    Raises
    ------
    MedauditError
        The archive is damaged, contains pickled objects, or announces more than it contains.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive, path)
            return {
                info.filename.removesuffix(".npy"): _header(archive, info)
                for info in archive.infolist()
            }
    except _ARCHIVE_ERRORS as error:
        raise _invalid(path, error) from error


def read_npz(path: Path, names: list[str] | None = None) -> dict[str, np.ndarray]:
    """Return the arrays of an archive, or those called `names`, see `npz_headers`."""
    found = npz_headers(path)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in (found if names is None else names)}
    except _ARCHIVE_ERRORS as error:
        raise _invalid(path, error) from error


def _invalid(path: Path, error: Exception) -> MedauditError:
    return MedauditError(
        f"{path} is not a valid .npz file of plain arrays: {error}; download it again, or save it "
        "with numpy.savez and arrays of numbers and text (text: numpy.array(ids, dtype=str))"
    )


def _check_members(archive: zipfile.ZipFile, path: Path) -> None:
    # A zip bomb: members can be compressed a thousandfold, or overlap.
    names, total = archive.namelist(), sum(info.file_size for info in archive.infolist())
    if total > max(2**30, _LARGEST_EXPANSION * path.stat().st_size):
        raise ValueError(f"it expands {path.stat().st_size:,} to {total:,} bytes: refused")
    if len(set(names)) < len(names):
        raise ValueError("it has a duplicate name")


def _header(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> tuple[tuple[int, ...], np.dtype]:
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        header = np.lib.format.read_array_header_1_0
        read = header if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
    if dtype.hasobject:
        raise ValueError(f"{info.filename} contains pickled objects, which could run code: refused")
    # NumPy would reserve the announced size; dtype=object so that the product cannot overflow.
    if int(np.prod(np.array(shape, dtype=object))) * dtype.itemsize > info.file_size:
        raise ValueError(f"{info.filename} announces {shape} {dtype}, more than it contains")
    return shape, dtype
