"""Read tensors from torch's pickle files without running any code that the pickles name.

A pickle is a program: unpickling can import any module and call any function in it. torch's own
``weights_only=True`` refuses many published checkpoints, because they also contain training state
(Lightning callbacks, OmegaConf trees, ``argparse.Namespace``). Only tensors and plain containers
are needed here. So unknown classes become inert stand-ins, nothing is imported, and a name that is
not a class (``os.system``, ``builtins.eval``) is refused.
"""

import math
import pickle
import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import OrderedDict, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from medaudit.core.errors import MedauditError
from medaudit.core.pickle_limits import Budget, check_opcodes

LARGEST_PICKLE = 256 * 2**20
_MOST_INSTRUCTIONS = 2_000_000
# Classes of the standard library that training scripts leave in checkpoints; replaced by stand-ins.
_STANDARD = {
    ("argparse", "Namespace"),
    ("typing", "Any"),
    ("datetime", "timedelta"),
    ("datetime", "datetime"),
    *(("pathlib", f"{flavour}Path") for flavour in ("", "Posix", "Windows")),
    *(("pathlib", f"Pure{flavour}Path") for flavour in ("", "Posix", "Windows")),
    *(("pathlib._local", f"{flavour}Path") for flavour in ("", "Posix", "Windows")),
}
# Functions that make NumPy scalars or byte strings. They are never called; their results are not
# needed, so a stand-in takes their place as well.
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
    """Replaces an object whose class is not imported: keeps its state and does nothing."""

    def __init__(self, *arguments: object, **options: object) -> None:
        pass

    def __new__(cls, *arguments: object, **options: object) -> "StandIn":
        """Accept the arguments of any class."""
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        """Keep the state of an instance, if it is a dictionary."""
        if isinstance(state, dict):
            self.__dict__.update({str(key): value for key, value in state.items()})

    def __setitem__(self, key: object, value: object) -> None:
        """Ignore items."""

    def append(self, value: object) -> None:
        """Ignore list items."""

    def extend(self, values: object) -> None:
        """Ignore list items."""


def unpickle(stream: BinaryIO, path: Path, storage: Callable[[tuple], torch.Tensor]) -> Any:
    """Return the object of a pickle at the start of `stream`, unknown objects as `StandIn`.

    Parameters
    ----------
    stream : file
        Seekable, at the start of a pickle.
    path : Path
        Its file, for errors.
    storage : callable
        Returns the flat tensor of a storage, given its persistent identity.

    Raises
    ------
    MedauditError
        The pickle would run code.
    """
    check_opcodes(stream, _MOST_INSTRUCTIONS)
    return _Unpickler(stream, path, storage).load()


class _Unpickler(pickle.Unpickler):
    """Knows a short list of names; any other name becomes a stand-in or is refused."""

    def __init__(self, stream: BinaryIO, path: Path, storage: Callable[[tuple], torch.Tensor]):
        super().__init__(stream, encoding="utf-8")
        self._path, self._storage = path, storage
        self._known = _known_names()
        self._stand_ins: list[type] = []

    def persistent_load(self, identity: Any) -> torch.Tensor | type:
        """Return the flat tensor of a storage, or the stand-in of a module's class."""
        known = isinstance(identity, tuple) and len(identity) > 1
        if known and identity[0] == "module" and identity[1] in self._stand_ins:
            return identity[1]  # torch before 1.6 stored the source text of a module's class
        if not known or identity[0] != "storage":
            raise MedauditError(
                f"{self._path} refers to {identity!r}, which is not a tensor storage: refused"
            )
        return self._storage(identity)

    def find_class(self, module: str, name: str) -> Any:
        """Return a harmless replacement of ``module.name``, or refuse it."""
        # Pickles of protocol 2 name Python 2's modules, as pickle itself maps them: without this
        # ``__builtin__.eval`` would pass as a class of an unknown module.
        module, name = NAME_MAPPING.get((module, name), (module, name))
        module = IMPORT_MAPPING.get(module, module)
        known = self._known.get((module, name))
        if known is not None:
            return known
        dtype = _dtype(module, name)
        if dtype is not None:
            return dtype
        if (module, name) in _DROPPED or _may_stand_in(module, name):
            made = type(name.rpartition(".")[2], (StandIn,), {"__module__": "stand-in"})
            self._stand_ins.append(made)
            return made
        raise MedauditError(
            f"{self._path} asks for {module}.{name} while loading, which could run code: refused. "
            "It is not a plain weights file; do not open it with other tools. Get the owner's "
            "original, or a .safetensors copy"
        )


def _known_names() -> dict[tuple[str, str], Any]:
    """Return the names that a pickle may use, with their replacements.

    They are made again for every pickle: a pickle can set attributes of what it is given.
    """
    budget = Budget(LARGEST_PICKLE)

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
    # as_strided checks none of this: a wrong stride would read memory outside the storage.
    whole = (offset, *size, *stride)
    if len(size) != len(stride) or any(not isinstance(n, int) or n < 0 for n in whole):
        raise ValueError(f"a tensor has offset {offset}, size {size}, stride {stride}")
    if 0 not in size:
        last = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True))
        if last >= flat.numel() or math.prod(size) > flat.numel():
            raise ValueError(f"a tensor of size {tuple(size)} is larger than its storage")


def _may_stand_in(module: str, name: str) -> bool:
    """Return whether a name looks like a class (a capital letter) outside the standard library."""
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
