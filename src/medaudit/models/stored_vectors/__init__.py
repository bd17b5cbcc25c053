"""Files of vectors that somebody else computed: one per image, or a grid of them.

Each format has a module with ``open_<format>(path, entry) -> Opened``. Opening reads no more than is
needed to know the shape, so that a wrong file is found before any job starts; nothing is unpickled.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from medaudit.core.errors import MedauditError
from medaudit.core.files import data_root
from medaudit.models.stored_vectors.opened import Opened

Opener = Callable[[Path, Mapping[str, Any]], Opened]
TFRECORDS = (".tfrecord", ".tfrecords", ".tfrecord.gz")
FORMATS = (".npy", ".npz", ".parquet", ".h5", ".hdf5", *TFRECORDS)
"""Formats by the end of the file's name. A folder is one of TFRecord files."""


def open_vectors(entry: Mapping[str, Any]) -> Opened:
    """Open the file of a catalogue entry of kind ``embeddings``.

    Parameters
    ----------
    entry : mapping
        ``file``, absolute or below the data root; ``array`` and ``ids``, the names of the array (column, dataset,
        feature) of vectors and of ids, null to detect them; ``shape`` of one image's vectors where
        the file has it flat.

    Raises
    ------
    MedauditError
        There is no such file, its format is unknown, or it does not hold vectors and ids.
    """
    path = data_root() / entry["file"]
    who = f"model {entry.get('name', '?')}"
    if not path.exists():
        raise MedauditError(f"{who}: there is no file {path}; put the embeddings there")
    end = ".tfrecord" if path.is_dir() else next((e for e in FORMATS if path.name.endswith(e)), "")
    if not end:
        raise MedauditError(
            f"{who}: {path} has a name that says no format; readable are {', '.join(FORMATS)} and a "
            "folder of .tfrecord files. Convert it, e.g. with numpy.savez(file, ids=..., "
            "embeddings=...)"
        )
    try:
        opened = _opener(end)(path, entry)
    except MedauditError as error:
        raise MedauditError(f"{who}: {error}") from error
    _check_shape(opened, entry, f"{who}: {path}")
    return opened


def _opener(end: str) -> Opener:
    """Return the function that opens a format; its libraries are imported only here."""
    if end in (".npy", ".npz"):
        from medaudit.models.stored_vectors.arrays import open_npy, open_npz

        return open_npy if end == ".npy" else open_npz
    if end == ".parquet":
        from medaudit.models.stored_vectors.parquet import open_parquet

        return open_parquet
    if end in (".h5", ".hdf5"):
        from medaudit.models.stored_vectors.hdf5 import open_hdf5

        return open_hdf5
    from medaudit.models.stored_vectors.tfrecord import open_tfrecord

    return open_tfrecord


def _check_shape(opened: Opened, entry: Mapping[str, Any], where: str) -> None:
    """Check that the vectors are numbers, and that a grid of several has a pooling."""
    if opened.dtype.kind not in "fiub":
        raise MedauditError(f"{where}: {opened.array} has the type {opened.dtype}, not numbers")
    if 0 in opened.shape:
        raise MedauditError(
            f"{where}: {opened.array} has the shape {list(opened.shape)}: it is empty"
        )
    if len(opened.shape) < 2 or (len(opened.shape) > 2 and not entry.get("pooling")):
        what = "one number" if len(opened.shape) < 2 else "several vectors"
        raise MedauditError(
            f"{where}: {opened.array} has the shape {list(opened.shape)}, which is {what} per image; "
            + (
                "name the array of vectors in `array`"
                if len(opened.shape) < 2
                else "set `pooling` to mean, max, first or flatten"
            )
        )


def check_vectors(models: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield what is wrong with the files of the models of kind ``embeddings``."""
    for name, entry in models.items():
        if entry["kind"] == "embeddings":
            try:
                open_vectors({"name": name, **entry})
            except MedauditError as error:
                yield str(error)
