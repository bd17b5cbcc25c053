"""Read tensors out of pickles without running what the pickles ask for.

Weights are published as pickles that also hold training state: Lightning callbacks, OmegaConf
trees, ``argparse.Namespace``. Only tensors and plain containers are wanted, so unknown classes
become inert stand-ins, nothing foreign is imported, and a name that is not a class (``os.system``,
``builtins.eval``) is refused. Layouts: torch's zip, torch's legacy stream, TorchScript archives.
"""

import io
import math
import pickle
import sys
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from medaudit.core.errors import MedauditError
from medaudit.core.pickle_limits import Budget, check_opcodes

_LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_LARGEST_PICKLE = 256 * 2**20
_MOST_INSTRUCTIONS = 2_000_000
# Harmless classes of the standard library that training scripts leave in checkpoints.
_STANDARD = {
    ("argparse", "Namespace"),
    ("typing", "Any"),
    ("datetime", "timedelta"),
    ("datetime", "datetime"),
    *(("pathlib", f"{flavour}Path") for flavour in ("", "Posix", "Windows")),
    *(("pathlib", f"Pure{flavour}Path") for flavour in ("", "Posix", "Windows")),
    *(("pathlib._local", f"{flavour}Path") for flavour in ("", "Posix", "Windows")),
}
# Functions, not classes, whose results (NumPy scalars, byte strings) may be dropped.
_DROPPED = {
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy", "dtype"),
    ("numpy", "ndarray"),
    ("_codecs", "encode"),
    ("builtins", "bytearray"),
    ("builtins", "bytes"),
    ("builtins", "str"),
}
_STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64,
    "ComplexDoubleStorage": torch.complex128,
    "UntypedStorage": torch.uint8,
}
_BUILTINS = (bool, complex, dict, float, frozenset, int, list, set, tuple)


class StandIn:
    """Takes the place of an object whose class is not imported; holds its state, does nothing."""

    def __init__(self, *arguments: object, **options: object) -> None:
        pass

    def __new__(cls, *arguments: object, **options: object) -> "StandIn":
        """Accept the arguments of any class."""
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        """Keep the state of an instance where it is a dictionary."""
        if isinstance(state, dict):
            self.__dict__.update({str(key): value for key, value in state.items()})

    def __setitem__(self, key: object, value: object) -> None:
        """Ignore items."""

    def append(self, value: object) -> None:
        """Ignore list items."""

    def extend(self, values: object) -> None:
        """Ignore list items."""


def read_torch(path: Path) -> object:
    """Return what a torch or TorchScript file holds, foreign objects replaced by `StandIn`.

    Raises
    ------
    MedauditError
        The file is no torch file, is damaged, or asks for code to be run.
    """
    try:
        if zipfile.is_zipfile(path):
            return _read_zip(path)
        with path.open("rb") as stream:
            return _read_legacy(stream, path)
    except MedauditError:
        raise
    except Exception as error:
        raise MedauditError(
            f"{path} cannot be read as a torch file ({type(error).__name__}: {error}); "
            "it is damaged or of another format: fetch it again"
        ) from error


class _Unpickler(pickle.Unpickler):
    """Resolves names against a short list; everything else is a stand-in or refused."""

    def __init__(self, stream: BinaryIO, path: Path, storage: Callable[[tuple], torch.Tensor]):
        super().__init__(stream, encoding="utf-8")
        self._path, self._storage = path, storage
        self._known = _known_names()

    def persistent_load(self, identity: Any) -> torch.Tensor:
        """Return the flat tensor of a storage."""
        if not isinstance(identity, tuple) or not identity or identity[0] != "storage":
            raise MedauditError(f"{self._path} refers to {identity!r}, which is no tensor storage")
        return self._storage(identity)

    def find_class(self, module: str, name: str) -> Any:
        """Return a harmless stand for ``module.name`` (Python 2's names too), or refuse it."""
        module, name = NAME_MAPPING.get((module, name), (module, name))
        module = IMPORT_MAPPING.get(module, module)
        known = self._known.get((module, name))
        if known is not None:
            return known
        dtype = _dtype(module, name)
        if dtype is not None:
            return dtype
        if (module, name) in _DROPPED or _may_stand_in(module, name):
            return type(name.rpartition(".")[2], (StandIn,), {"__module__": "stand-in"})
        raise MedauditError(
            f"{self._path} asks for {module}.{name} while loading, which could run code: refused. "
            "It is not a plain weights file; do not open it with other tools, get the owner's "
            "original, or a .safetensors copy"
        )


def _known_names() -> dict[tuple[str, str], Any]:
    """Return fresh functions at each call, so that a pickle cannot alter those of the next."""
    budget = Budget(_LARGEST_PICKLE)

    def rebuild(flat, offset, size, stride, *_):
        _check_view(flat, offset, size, stride)
        return torch.as_strided(flat, size, stride, offset)

    return {
        ("torch._utils", "_rebuild_tensor_v2"): rebuild,
        ("torch._utils", "_rebuild_tensor"): rebuild,
        ("torch._utils", "_rebuild_parameter"): lambda tensor, *_: tensor,
        ("torch._utils", "_rebuild_parameter_with_state"): lambda tensor, *_: tensor,
        ("torch.jit._pickle", "restore_type_tag"): lambda value, _: value,
        **{
            ("torch.jit._pickle", f"build_{kind}list"): lambda items: list(items)
            for kind in ("int", "tensor", "double", "bool")
        },
        ("torch", "Size"): torch.Size,
        ("torch", "device"): lambda *_: "cpu",
        ("collections", "OrderedDict"): budget.limit(OrderedDict),
        ("collections", "defaultdict"): lambda *_: defaultdict(),
        **{("builtins", kind.__name__): budget.limit(kind) for kind in _BUILTINS},
    }


def _check_view(flat: torch.Tensor, offset: int, size: tuple, stride: tuple) -> None:
    whole = (offset, *size, *stride)
    if len(size) != len(stride) or any(not isinstance(n, int) or n < 0 for n in whole):
        raise ValueError(f"a tensor has offset {offset}, size {size}, stride {stride}")
    if 0 not in size:
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if last >= flat.numel() or math.prod(size) > flat.numel():
            raise ValueError(f"a tensor of size {tuple(size)} is larger than its storage")


def _may_stand_in(module: str, name: str) -> bool:
    """Say whether a name is that of a class outside the standard library (by its capital)."""
    if module.split(".")[0] == "__torch__" or (module, name) in _STANDARD:
        return True
    if module.split(".")[0] in sys.stdlib_module_names:
        return False
    return name.isidentifier() and name.lstrip("_")[:1].isupper()


def _dtype(module: str, name: str) -> torch.dtype | None:
    if module == "torch" and name in _STORAGES:
        return _STORAGES[name]
    if (module, name) == ("torch.storage", "UntypedStorage"):
        return torch.uint8
    found = vars(torch).get(name) if module == "torch" else None
    return found if isinstance(found, torch.dtype) else None


def _read_zip(path: Path) -> object:
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: info for info in archive.infolist()}
        pickles = [name for name in members if name.count("/") == 1 and name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise MedauditError(
                f"{path} is a zip archive but no torch file (it holds "
                f"{', '.join(sorted(members)[:5])} ...): if it packs a weights file, unpack it"
            )
        folder = pickles[0].removesuffix("data.pkl")
        order = members.get(f"{folder}byteorder")
        if order is not None and (order.file_size > 16 or archive.read(order) != b"little"):
            raise MedauditError(f"{path} was written on a big-endian machine: convert it")
        storages: dict[str, torch.Tensor] = {}
        budget = Budget(path.stat().st_size)

        def storage(identity: tuple) -> torch.Tensor:
            _, dtype, key, _, count = identity
            if key not in storages:
                info = members[f"{folder}data/{key}"]
                content = _stored(archive, info, path)
                budget.spend(len(content))  # members may overlap in a file that lies
                storages[key] = _flat(content, dtype, count)
            return storages[key]

        info = members[pickles[0]]
        if info.file_size > min(_LARGEST_PICKLE, path.stat().st_size):
            raise MedauditError(f"{path}: its pickle claims {info.file_size} bytes: refused")
        return _load(io.BytesIO(archive.read(info)), path, storage)


def _load(stream: BinaryIO, path: Path, storage: Callable[[tuple], torch.Tensor]) -> Any:
    check_opcodes(stream, _MOST_INSTRUCTIONS)
    return _Unpickler(stream, path, storage).load()


def _stored(archive: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> bytes:
    """Return a member that is not compressed, as torch writes them; so it cannot be a bomb."""
    if info.compress_type != zipfile.ZIP_STORED or info.file_size > path.stat().st_size:
        raise MedauditError(f"{path}: {info.filename} is compressed or larger than the file")
    return archive.read(info)


def _flat(content: bytes, dtype: torch.dtype, count: int) -> torch.Tensor:
    if len(content) < count * dtype.itemsize:
        raise ValueError(f"a storage holds {len(content)} bytes, {count} x {dtype} are announced")
    if count == 0:
        return torch.empty(0, dtype=dtype)
    return torch.frombuffer(bytearray(content), dtype=dtype, count=count)


def _read_legacy(stream: BinaryIO, path: Path) -> object:
    """Read torch's format before 1.6: four pickles, a list of keys, then the storages."""

    def refuse(identity: tuple) -> torch.Tensor:
        raise ValueError(f"{identity} stands before the tensors")

    def plain() -> Any:
        return _load(stream, path, refuse)

    if plain() != _LEGACY_MAGIC or plain() != _LEGACY_PROTOCOL:
        raise MedauditError(f"{path} is no torch file: its magic number is another")
    if not plain().get("little_endian", True):
        raise MedauditError(f"{path} was written on a big-endian machine: convert it")
    largest, flats = path.stat().st_size, {}

    def storage(identity: tuple) -> torch.Tensor:
        _, dtype, key, _, count, view = identity
        if view is not None:
            raise ValueError("storage views are not supported")
        if key not in flats:
            if not 0 <= count * dtype.itemsize <= largest:
                raise ValueError(f"storage {key} claims {count} x {dtype}")
            flats[key] = torch.empty(count, dtype=dtype)
        return flats[key]

    result = _load(stream, path, storage)
    for key in plain():
        _fill(stream, flats[key])
    return result


def _fill(stream: BinaryIO, flat: torch.Tensor) -> None:
    count = int.from_bytes(stream.read(8), "little")
    content = stream.read(count * flat.dtype.itemsize) if count == flat.numel() else b""
    if count != flat.numel() or len(content) != count * flat.dtype.itemsize:
        raise ValueError(f"a storage of {flat.numel()} values is cut short or lies")
    if count:
        flat.copy_(_flat(content, flat.dtype, count))
