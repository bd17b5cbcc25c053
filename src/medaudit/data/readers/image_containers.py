"""Files of many images: datasets of an HDF5 file, slices of a volume, arrays of a NumPy archive.

The ``path`` of a row names such an image as ``<file>#<member>``:

========================= ==========================================================
``l3_slices.h5#12``       the dataset ``12`` of an HDF5 file
``x_gfc.hdr#coronal=88``  a slice of an Analyze volume (``sagittal``, ``coronal``, ``axial``)
``data_0001.npz#rnflt``   an array of a NumPy archive
========================= ==========================================================

A file is opened once for all its members.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from medaudit.data.readers.limits import MAX_PIXELS, UnreadableImage, check_regular, check_size
from medaudit.data.readers.npz_arrays import read_key

PLANES = ("sagittal", "coronal", "axial")
BRIGHTEST = 99.5  # percentile of a volume's non-zero voxels that becomes 1


def split_address(path: str) -> tuple[str, str | None]:
    """Return the file and the member that a ``path`` names; None: the file itself is the image."""
    file, mark, member = path.rpartition("#")
    if mark and Path(file).suffix.lower() in READERS:
        return file, member
    return path, None


def container_files(file: Path) -> list[Path]:
    """Return all files of a container: an Analyze volume has its voxels in an .img file."""
    return [file, file.with_suffix(".img")] if file.suffix.lower() == ".hdr" else [file]


def read_members(file: Path, members: list[str]) -> Iterator[np.ndarray | Exception]:
    """Read members of a container.

    Parameters
    ----------
    file : Path
        HDF5, Analyze 7.5 or NumPy archive, recognised by its suffix.
    members : list of str
        Names of the members, see the module.

    Yields
    ------
    numpy.ndarray or Exception
        For each member, in order, float32 ``[h, w]`` in the unit of the file (Hounsfield units,
        micrometres). A slice of a volume has superior at the top, and intensities scaled so that 1
        is the `BRIGHTEST` percentile of the volume's non-zero voxels. If a member cannot be read,
        its error is yielded instead.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    UnreadableImage
        The file as a whole cannot be read.
    """
    for part in container_files(file):
        check_regular(part)
    yield from READERS[file.suffix.lower()](file, members)


def to_grey(values: np.ndarray, window: Sequence[float]) -> np.ndarray:
    """Return values as uint8: 0 at the window's low end and below, 255 at its high end and above.

    Raises
    ------
    UnreadableImage
        A value is not finite.
    """
    if not np.isfinite(values).all():
        raise UnreadableImage(f"{(~np.isfinite(values)).sum()} pixels are not finite")
    low, high = window
    return np.clip((values - low) * (255 / (high - low)) + 0.5, 0, 255).astype(np.uint8)


def count_slices(file: Path, plane: str) -> int:
    """Return the number of slices of an Analyze volume in a plane; only its header is read.

    Raises
    ------
    UnreadableImage
        It is not an Analyze volume with three axes.
    """
    return _volume_shape(_open_volume(file))[PLANES.index(plane)]


def _check_slice(shape: tuple[int, ...], dtype: np.dtype, kinds: str, name: str) -> None:
    if len(shape) != 2:
        raise UnreadableImage(f"an array of shape {shape} is not an image")
    if dtype.kind not in kinds:
        raise UnreadableImage(f"{name!r} contains {dtype}, not numbers")
    check_size(shape[0], shape[1], dtype.itemsize)


def _read_hdf5(file: Path, members: list[str]) -> Iterator[np.ndarray | Exception]:
    import h5py

    try:
        table = h5py.File(file, "r")
    except OSError as error:
        raise UnreadableImage(f"not a readable HDF5 file: {error}") from error
    with table:
        for member in members:
            yield _guard(lambda name: _read_dataset(table, name, h5py), member)


def _read_dataset(table, name: str, h5py) -> np.ndarray:
    """Return a dataset of this file.

    Links and external or virtual data are refused: they could name any file of this machine, whose
    content would then be shown in the report.
    """
    parts = name.split("/")
    for end in range(1, len(parts) + 1):
        place = "/".join(parts[:end])
        link = table.get(place, getlink=True) if parts[end - 1] else None
        if link is None:
            raise FileNotFoundError(f"there is no dataset {name!r} in it")
        if not isinstance(link, h5py.HardLink):
            raise UnreadableImage(f"{place!r} is a link, not a dataset of this file")
    data = table[name]
    if not isinstance(data, h5py.Dataset) or data.is_virtual or data.external:
        raise UnreadableImage(f"{name!r} is not a dataset whose values are in this file")
    _check_slice(data.shape, data.dtype, "iuf", name)
    if data.chunks:  # HDF5 decompresses whole chunks, which can be larger than the dataset
        check_size(data.chunks[0], data.chunks[1], data.dtype.itemsize)
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
        raise UnreadableImage(str(error)) from error
    _check_slice(array.shape, array.dtype, "biuf", name)
    return array.astype(np.float32)


def _open_volume(file: Path):
    import nibabel

    try:
        return nibabel.load(file)
    except Exception as error:  # nibabel raises errors of any kind on damaged headers
        raise UnreadableImage(f"not a readable Analyze volume: {error}") from error


def _volume_shape(volume) -> tuple[int, ...]:
    shape = volume.shape
    if len(shape) not in (3, 4) or shape[3:] not in ((), (1,)):
        raise UnreadableImage(f"a volume of shape {shape}; it must have three axes")
    if not 0 < np.prod(shape, dtype=np.int64) <= MAX_PIXELS:
        raise UnreadableImage(f"a volume of shape {shape}; the limit is {MAX_PIXELS:,} voxels")
    return shape[:3]


def _read_volume(file: Path, members: list[str]) -> Iterator[np.ndarray | Exception]:
    volume = _open_volume(file)
    shape = _volume_shape(volume)
    try:
        voxels = np.asanyarray(volume.dataobj).reshape(shape)
    except (OSError, ValueError) as error:
        raise UnreadableImage(f"the voxels are truncated or corrupt: {error}") from error
    if voxels.dtype.kind not in "iuf":
        raise UnreadableImage(f"the voxels are {voxels.dtype}, not numbers")
    # Every second voxel per axis: an eighth of the volume gives nearly the same percentile.
    sample = voxels[::2, ::2, ::2]
    lit = sample[(sample != 0) & np.isfinite(sample)]
    if not lit.size or not (scale := float(np.percentile(lit, BRIGHTEST))) > 0:
        raise UnreadableImage("the volume is empty: no finite voxel is brighter than 0")
    for member in members:
        yield _guard(lambda name: _cut(voxels, name) / np.float32(scale), member)


def _cut(voxels: np.ndarray, member: str) -> np.ndarray:
    plane, _, number = member.partition("=")
    if plane not in PLANES or not number.isdecimal():
        raise UnreadableImage(f"{member!r} does not name a slice; write e.g. coronal=88")
    axis = PLANES.index(plane)
    if int(number) >= voxels.shape[axis]:
        raise FileNotFoundError(f"it has {voxels.shape[axis]} {plane} slices, but no {number}")
    cut = np.moveaxis(voxels, axis, 0)[int(number)]  # a view; np.take would copy the volume
    return cut.T[::-1].astype(np.float32)


def _guard(read: Callable[[str], np.ndarray], member: str) -> np.ndarray | Exception:
    """Return the member, or its error: the other members of the file can still be read."""
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
