"""Read arrays from NumPy's .npz files, also pickled ones, without running code from the file.

Some owners save dictionaries of arrays as pickled object arrays. To read these, NumPy must trust
the file (its ``allow_pickle``), because a pickle can call any function. Here a pickle can only
make arrays and scalars of numbers and text, and Python's plain containers; any other name is
refused. NumPy's own ``__setstate__`` is not used either: given a wrong state, it would read foreign
memory.
"""

import io
import math
import pickle
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal

import numpy as np

from medaudit.core.pickle_limits import Budget, check_opcodes

LARGEST_MEMBER = 1 << 28  # bytes
MOST_INSTRUCTIONS = 100_000
_KINDS = "biufSU"  # NumPy's kinds of types that are numbers or text
_CORE = ("numpy.core.multiarray", "numpy._core.multiarray")


def read_key(path: Path, key: str) -> np.ndarray:
    """Return one array of an ``.npz`` file.

    Parameters
    ----------
    path : Path
        An ``.npz`` archive that has the array as a member, or whose only member is a pickled
        dictionary (an object array of shape ``()`` or ``(1,)``) that has it.
    key : str
        Name of the array.

    Raises
    ------
    KeyError
        There is no such array.
    ValueError
        The file is damaged, too large to be read safely, or contains more than plain arrays.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if f"{key}.npy" in names:
                return _read_member(archive, f"{key}.npy")
            if len(names) == 1:
                return _read_member(archive, names[0], key)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, SyntaxError) as error:
        raise ValueError(f"not a readable NumPy archive: {error}") from error
    raise KeyError(key)


def load_dictionary(stream: IO[bytes]) -> dict:
    """Return the dictionary in a pickled object array of one element.

    Its values are not arrays yet; `finish` makes an array of one.

    Raises
    ------
    ValueError
        The pickle is damaged, names anything but arrays, or contains no dictionary.
    """
    try:
        content = io.BytesIO(stream.read(LARGEST_MEMBER))
        check_opcodes(content, MOST_INSTRUCTIONS)
        _, _, kind, _, data = _Unpickler(content).load().state
        held = list(data) if _dtype(kind).hasobject else []
    except ValueError:
        raise
    except Exception as error:  # a damaged pickle raises errors of any kind
        raise ValueError(f"the pickle is damaged ({type(error).__name__}: {error})") from error
    if len(held) != 1 or not isinstance(held[0], dict):
        raise ValueError("the pickle does not contain exactly one dictionary")
    return held[0]


def finish(value: Any, key: str) -> np.ndarray:
    """Return a value of `load_dictionary` as an array.

    Raises
    ------
    ValueError
        It is not an array of numbers or text.
    """
    if isinstance(value, _Stub) and isinstance(value.state, tuple) and len(value.state) == 5:
        # What NumPy pickles of an array: version, shape, type, whether in Fortran order, bytes.
        _, shape, kind, fortran, data = value.state
        return _shape(_bytes(data), _dtype(kind), tuple(shape), bool(fortran))
    if isinstance(value, np.generic | int | float | str):
        return np.asarray(value)
    raise ValueError(f"{key!r} is a {type(value).__name__}, not an array of numbers or text")


def _read_member(archive: zipfile.ZipFile, name: str, key: str | None = None) -> np.ndarray:
    """Return a member that is an array, or with `key` an array of the dictionary in it."""
    if archive.getinfo(name).file_size > LARGEST_MEMBER:
        raise ValueError(f"{name} claims {archive.getinfo(name).file_size:,} bytes: refused")
    with archive.open(name) as stream:
        shape, dtype, fortran = _read_header(stream)
        if dtype.hasobject and key is not None:
            return finish(load_dictionary(stream)[key], key)
        if key is not None:
            raise KeyError(key)
        return _shape(stream.read(), dtype, shape, fortran)


def _read_header(stream: IO[bytes]) -> tuple[tuple[int, ...], np.dtype, bool]:
    version = np.lib.format.read_magic(stream)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"NumPy format {version} is not supported")
    shape, fortran, dtype = readers[version](stream)
    return shape, dtype, fortran


def _shape(data: bytes, dtype: np.dtype, shape: tuple, fortran: bool) -> np.ndarray:
    if any(not isinstance(n, int) or n < 0 for n in shape) or math.prod(shape) > LARGEST_MEMBER:
        raise ValueError(f"an array of shape {shape} is refused")
    if dtype.kind not in _KINDS or len(data) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{len(data)} bytes do not make an array of shape {shape}, type {dtype}")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")


class _Stub:
    """Stand-in of an array or a type: keeps its state until the pickle has been read."""

    def __init__(self, text: str | None = None) -> None:
        self.text = text
        self.state: Any = None

    def __setstate__(self, state: object) -> None:
        self.state = state


class _Unpickler(pickle.Unpickler):
    """Knows the names by which NumPy pickles arrays, scalars and types, and refuses all others."""

    def __init__(self, stream: BinaryIO) -> None:
        super().__init__(stream, encoding="latin1")
        self._known = _known_names()

    def find_class(self, module: str, name: str) -> Any:
        """Return a stand-in, never what the pickle names."""
        if (module, name) not in self._known:
            raise ValueError(
                f"the pickle asks for {module}.{name}, which could run code: refused; save a "
                "dictionary of plain arrays, numbers and text"
            )
        return self._known[module, name]


def _known_names() -> dict[tuple[str, str], Callable]:
    """Return the names that a pickle may use, with their stand-ins.

    They are made again for every pickle: a pickle can set attributes of what it is given.
    """
    budget = Budget(LARGEST_MEMBER)

    class Stub(_Stub):
        pass

    def reconstruct(*_: object) -> _Stub:
        return Stub()

    def describe(text: object = None, *_: object) -> _Stub:
        return Stub(str(text))

    def scalar(kind: _Stub, data: object = b"") -> Any:
        return _shape(_bytes(data), _dtype(kind), (), False)[()]

    def encode(text: str, coding: str = "latin1") -> bytes:
        return text.encode("latin1")

    return {
        **{(core, "_reconstruct"): reconstruct for core in _CORE},
        **{(core, "scalar"): scalar for core in _CORE},
        ("numpy", "ndarray"): Stub,
        ("numpy", "dtype"): describe,
        ("_codecs", "encode"): budget.limit(encode),
    }


def _bytes(data: object) -> bytes:
    if not isinstance(data, bytes | bytearray | str):
        raise ValueError(f"an array's values are a {type(data).__name__}, not bytes")
    return data.encode("latin1") if isinstance(data, str) else bytes(data)


def _dtype(stub: _Stub) -> np.dtype:
    # The state of a pickled type is (version, byte order, ...).
    given = stub.state[1] if isinstance(stub.state, tuple) and len(stub.state) > 1 else "|"
    order: Literal["<", ">", "|"] = "<" if given == "<" else ">" if given == ">" else "|"
    dtype = np.dtype(stub.text).newbyteorder(order)
    if dtype.kind not in _KINDS + "O":
        raise ValueError(f"arrays of type {dtype} are not supported")
    return dtype
