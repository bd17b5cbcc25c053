"""Pictures that share a file: slices of an HDF5 table or a volume, arrays of a NumPy archive.

A row's ``path`` names such a picture as ``<file>#<member>``:

========================= ==========================================================
``l3_slices.h5#12``       the dataset ``12`` of an HDF5 file
``x_gfc.hdr#coronal=88``  a slice of an Analyze volume (``sagittal``, ``coronal``, ``axial``)
``data_0001.npz#rnflt``   an array of a NumPy archive
========================= ==========================================================

The file is opened once for all the members asked for.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from medaudit.data.readers.limits import MAX_PIXELS, BrokenPicture, check_regular, check_size
from medaudit.data.readers.object_arrays import read_key

PLANES = ("sagittal", "coronal", "axial")
BRIGHTEST = 99.5  # percentile of a volume's non-zero voxels that counts as 1


def part_address(path: str) -> tuple[str, str | None]:
    """Return the file and the member that a row's path names; no member: the file is a picture."""
    file, mark, member = path.rpartition("#")
    if mark and Path(file).suffix.lower() in READERS:
        return file, member
    return path, None


def companions(file: Path) -> list[Path]:
    """Return the files that hold a container: an Analyze volume has its voxels beside it."""
    return [file, file.with_suffix(".img")] if file.suffix.lower() == ".hdr" else [file]


def read_members(file: Path, members: list[str]) -> Iterator[np.ndarray | Exception]:
    """Read members of a container.

    Parameters
    ----------
    file : Path
        HDF5, Analyze 7.5 or NumPy archive, told by its suffix.
    members : list of str
        See the module.

    Yields
    ------
    numpy.ndarray or Exception
        For each member, in order, float32 ``[h, w]`` in the file's own unit (Hounsfield units,
        micrometres); of a volume, intensities of which 1 is the `BRIGHTEST` percentile of its
        non-zero voxels, superior up. Or why this member cannot be read.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    BrokenPicture
        The file as a whole cannot be read.
    """
    for part in companions(file):
        check_regular(part)
    yield from READERS[file.suffix.lower()](file, members)


def to_grey(values: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    """Return values as uint8: the window's low end and below is 0, its high end and above 255.

    Raises
    ------
    BrokenPicture
        A value is not finite.
    """
    if not np.isfinite(values).all():
        raise BrokenPicture(f"{(~np.isfinite(values)).sum()} pixels are not finite")
    low, high = window
    return np.clip((values - low) * (255 / (high - low)) + 0.5, 0, 255).astype(np.uint8)


def count_slices(file: Path, plane: str) -> int:
    """Return how many slices of a plane an Analyze volume has, by its header alone.

    Raises
    ------
    BrokenPicture
        It is no Analyze volume of three axes.
    """
    return _volume_shape(_open_volume(file))[PLANES.index(plane)]


def _check_slice(shape: tuple[int, ...], dtype: np.dtype, kinds: str, name: str) -> None:
    if len(shape) != 2:
        raise BrokenPicture(f"an array of shape {shape} is no picture")
    if dtype.kind not in kinds:
        raise BrokenPicture(f"{name!r} holds {dtype}, no numbers")
    check_size(*shape, dtype.itemsize)


def _read_hdf5(file: Path, members: list[str]) -> Iterator[np.ndarray | Exception]:
    import h5py

    try:
        table = h5py.File(file, "r")
    except OSError as error:
        raise BrokenPicture(f"not an HDF5 file that can be read: {error}") from error
    with table:
        for member in members:
            yield _guard(lambda name: _read_dataset(table, name, h5py), member)


def _read_dataset(table, name: str, h5py) -> np.ndarray:
    """Read a dataset whose name and values lie in this file: a link could lead to any other."""
    parts = name.split("/")
    for end in range(1, len(parts) + 1):
        place = "/".join(parts[:end])
        link = table.get(place, getlink=True) if parts[end - 1] else None
        if link is None:
            raise FileNotFoundError(f"there is no dataset {name!r} in it")
        if not isinstance(link, h5py.HardLink):
            raise BrokenPicture(f"{place!r} is no dataset of this file but a link")
    data = table[name]
    if not isinstance(data, h5py.Dataset) or data.is_virtual or data.external:
        raise BrokenPicture(f"{name!r} is no dataset whose values are in this file")
    _check_slice(data.shape, data.dtype, "iuf", name)
    if data.chunks:
        check_size(*data.chunks, data.dtype.itemsize)
    return data[()].astype(np.float32)


def _read_archive(file: Path, members: list[str]) -> Iterator[np.ndarray | Exception]:
    for member in members:
        yield _guard(lambda name: _read_array(file, name), member)


def _read_array(file: Path, name: str) -> np.ndarray:
    try:
        array = read_key(file, name)
    except KeyError:
        raise FileNotFoundError(f"there is no array {name!r} in it") from None
    except ValueError as error:
        raise BrokenPicture(str(error)) from error
    _check_slice(array.shape, array.dtype, "biuf", name)
    return array.astype(np.float32)


def _open_volume(file: Path):
    import nibabel

    try:
        return nibabel.load(file)
    except Exception as error:  # nibabel raises errors of many kinds on damaged headers
        raise BrokenPicture(f"not an Analyze volume that can be read: {error}") from error


def _volume_shape(volume) -> tuple[int, ...]:
    shape = volume.shape
    if len(shape) not in (3, 4) or shape[3:] not in ((), (1,)):
        raise BrokenPicture(f"a volume of shape {shape}; three axes are wanted")
    if not 0 < np.prod(shape, dtype=np.int64) <= MAX_PIXELS:
        raise BrokenPicture(f"a volume of shape {shape}; the limit is {MAX_PIXELS:,} voxels")
    return shape[:3]


def _read_volume(file: Path, members: list[str]) -> Iterator[np.ndarray | Exception]:
    volume = _open_volume(file)
    shape = _volume_shape(volume)
    try:
        voxels = np.asanyarray(volume.dataobj).reshape(shape)
    except (OSError, ValueError) as error:
        raise BrokenPicture(f"the voxels are truncated or corrupt: {error}") from error
    if voxels.dtype.kind not in "iuf":
        raise BrokenPicture(f"the voxels are {voxels.dtype}, no numbers")
    sample = voxels[::2, ::2, ::2]
    lit = sample[(sample != 0) & np.isfinite(sample)]
    if not lit.size or not (scale := float(np.percentile(lit, BRIGHTEST))) > 0:
        raise BrokenPicture("the volume is empty: no finite voxel is brighter than 0")
    for member in members:
        yield _guard(lambda name: _cut(voxels, name) / np.float32(scale), member)


def _cut(voxels: np.ndarray, member: str) -> np.ndarray:
    plane, _, number = member.partition("=")
    if plane not in PLANES or not number.isdecimal():
        raise BrokenPicture(f"{member!r} names no slice; one is named e.g. coronal=88")
    axis = PLANES.index(plane)
    if int(number) >= voxels.shape[axis]:
        raise FileNotFoundError(f"it has {voxels.shape[axis]} {plane} slices, none {number}")
    cut = voxels[(*[slice(None)] * axis, int(number))]  # np.take would copy the volume
    return cut.T[::-1].astype(np.float32)


def _guard(read, member: str) -> np.ndarray | Exception:
    """Return what `read` returns, or the error that concerns this member alone."""
    try:
        return read(member)
    except MemoryError:
        raise
    except Exception as error:
        return error


READERS = {
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
    ".hdr": _read_volume,
    ".npz": _read_archive,
}
