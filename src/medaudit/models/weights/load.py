"""Load weights from their owner's file: safely, strictly, offline.

`read_state` turns any published container into one flat dictionary of tensors without running
foreign code; `load_strict` puts it into a module and shows a readable difference where keys or
shapes do not fit.
"""

import os
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch

from medaudit.core.errors import MedauditError
from medaudit.models.weights.files import check_sha256, resolve_weights
from medaudit.models.weights.pickles import StandIn, read_torch

__all__ = ["check_golden", "golden", "load_strict", "read_state", "resolve_weights", "strip_prefix"]

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")

CONTAINERS = ("state_dict", "model", "model_state_dict", "module")
_ARCHIVE_ERRORS = (zipfile.BadZipFile, zlib.error, ValueError, TypeError, OSError)
_ARCHIVE_ERRORS += (EOFError, RuntimeError, SyntaxError)
_SHOWN = 6
_LARGEST_EXPANSION = 20
_DEEPEST = 50


def read_state(path: Path, sha256: str | None = None) -> dict[str, torch.Tensor]:
    """Read the tensors of a weights file.

    Parameters
    ----------
    path : Path
        ``.safetensors``; a torch file of any age or a TorchScript archive (``.pt``, ``.pth``,
        ``.bin``, ``.ckpt``, ``.tar``); ``.npz``; ``variables.index`` of a TensorFlow SavedModel.
    sha256 : str, optional
        What the file must hash to.

    Returns
    -------
    dict of str to torch.Tensor
        On the CPU, with the types of the file. Of a training checkpoint, what stands under
        ``state_dict``, ``model``, ``model_state_dict`` or ``module`` (the first there is).

    Raises
    ------
    MedauditError
        The file is another than `sha256` says, is damaged, holds no tensors, or is a pickle that
        would run code.
    """
    path = Path(path)
    if not path.is_file():
        raise MedauditError(f"there is no weights file {path}")
    check_sha256(path, sha256)
    readers = {".safetensors": _read_safetensors, ".npz": _read_npz, ".index": _read_bundle}
    return readers.get(path.suffix, _read_torch_state)(path)


def strip_prefix(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Return the entries whose key starts with `prefix`, without it."""
    return {
        key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)
    }


def load_strict(
    module: torch.nn.Module,
    state: dict[str, torch.Tensor],
    what: str,
    allow_missing: Iterable[str] = (),
    allow_extra: Iterable[str] = (),
) -> None:
    """Load `state` into `module`; every key and shape must fit.

    Parameters
    ----------
    module : torch.nn.Module
        Its own types are kept: float16 weights become float32 where the module is float32.
    state : dict of str to torch.Tensor
        Weights by the module's names.
    what : str
        Named in the error, e.g. ``"gloria (data/chexpert_resnet50.ckpt): image tower"``.
    allow_missing, allow_extra : iterable of str
        Regular expressions; a key that one matches from its start to its end may be absent from
        (be superfluous in) `state`.

    Raises
    ------
    MedauditError
        A key is missing or superfluous, a shape differs, or a weight is not finite. The module is
        unchanged then.
    """
    expected = module.state_dict()
    missing = _unmatched(expected.keys() - state.keys(), allow_missing)
    extra = _unmatched(state.keys() - expected.keys(), allow_extra)
    shared = sorted(expected.keys() & state.keys())
    problems = [
        *_listed("lacks", missing),
        *_listed("has unexpected", extra),
        *_listed("has other shapes", _other_shapes(state, expected, shared)),
        *_listed("has values that are not finite", _not_finite(state, expected, shared)),
    ]
    if problems:
        raise MedauditError(
            f"{what}: the file does not fit ({len(shared)} of {len(expected)} keys agree). It "
            + "; it ".join(problems)
            + ". Is it the file of another model, or of another size?"
        )
    module.load_state_dict({key: state[key] for key in shared}, strict=False)


def golden(images: torch.Tensor | np.ndarray, count: int = 8) -> list[float]:
    """Return the first `count` values of the first embedding, rounded as a catalogue holds them."""
    first = np.asarray(images, dtype=np.float64).reshape(len(images), -1)[0, :count]
    return [float(f"{value:.5g}") for value in first]


def golden_image(size: int = 224) -> np.ndarray:
    """Return the fixed synthetic image of the golden check: uint8, [1, size, size].

    Rings and a ramp, so that orientation, resizing and normalisation all leave a trace.
    """
    y, x = np.mgrid[0:size, 0:size] / size
    rings = 0.5 + 0.5 * np.sin(40 * np.hypot(x - 0.3, y - 0.6))
    return np.round(255 * (0.6 * rings + 0.4 * x * y))[None].astype(np.uint8)


def check_golden(encoder, entry: dict, tolerance: float = 1e-3) -> None:
    """Compare the embedding of `golden_image` with the numbers in the entry's ``golden`` field.

    Parameters
    ----------
    encoder : object
        With ``encode_images``.
    entry : dict
        ``golden: [first values of the embedding]``; without it nothing is checked.
    tolerance : float
        Largest difference, relative to the largest expected value.

    Raises
    ------
    MedauditError
        They differ: another activation, preprocessing or file than the catalogue means. Shapes
        cannot tell these apart.
    """
    expected = entry.get("golden")
    if not expected:
        return
    found = golden(encoder.encode_images(golden_image()), len(expected))
    scale = max(abs(value) for value in expected)
    worst = max(abs(a - b) for a, b in zip(found, expected, strict=True))
    if not worst <= tolerance * scale:
        raise MedauditError(
            f"model {entry.get('name', entry.get('kind'))}: the golden image gives {found}, the "
            f"catalogue says {expected}: the weights fit in shape, but the activation, the "
            "preprocessing or the file is another. Correct the entry, or replace `golden`"
        )


def _read_torch_state(path: Path) -> dict[str, torch.Tensor]:
    content = read_torch(path)
    if isinstance(content, StandIn):
        content = dict(_module_tensors(content, "")) or content
    inner = content
    if isinstance(content, dict):
        inside = [content[key] for key in CONTAINERS if isinstance(content.get(key), dict)]
        inner = inside[0] if inside else content
    tensors = isinstance(inner, dict) and inner and all(map(torch.is_tensor, inner.values()))
    if not tensors or not all(isinstance(key, str) for key in inner):
        raise MedauditError(f"{path} holds no dictionary of tensors; it holds {_shape_of(content)}")
    return dict(inner)


def _module_tensors(module: StandIn, prefix: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Walk the module tree of a TorchScript archive; its attributes are in `__dict__`."""
    if prefix.count(".") > _DEEPEST:
        raise MedauditError(f"modules nest without end at {prefix[:60]}...: not a weights file")
    for name, value in vars(module).items():
        if torch.is_tensor(value):
            yield prefix + name, value
        elif isinstance(value, StandIn):
            yield from _module_tensors(value, f"{prefix}{name}.")


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, ValueError, OSError) as error:
        raise MedauditError(
            f"{path} is no sound safetensors file ({error}): fetch it again"
        ) from error


def _read_npz(path: Path) -> dict[str, torch.Tensor]:
    try:
        with zipfile.ZipFile(path) as archive:
            _check_members(archive, path)
            for info in archive.infolist():
                _check_npz_member(archive, info)
        with np.load(path, allow_pickle=False) as arrays:
            return {key: torch.from_numpy(arrays[key]) for key in arrays.files}
    except _ARCHIVE_ERRORS as error:
        raise MedauditError(f"{path} is no sound .npz of plain arrays: {error}") from error


def _read_bundle(path: Path) -> dict[str, torch.Tensor]:
    from medaudit.models.weights.tensor_bundle import read_bundle

    return read_bundle(path)


def _check_members(archive: zipfile.ZipFile, path: Path) -> None:
    names, total = archive.namelist(), sum(info.file_size for info in archive.infolist())
    if total > max(2**30, _LARGEST_EXPANSION * path.stat().st_size):
        raise ValueError(f"it expands {path.stat().st_size:,} to {total:,} bytes: refused")
    if len(set(names)) < len(names):
        raise ValueError("a name stands twice in it")


def _check_npz_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
    with archive.open(info) as stream:
        version = np.lib.format.read_magic(stream)
        header = np.lib.format.read_array_header_1_0
        read = header if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
    if dtype.hasobject:
        raise ValueError(f"{info.filename} holds pickled objects, which could run code: refused")
    if int(np.prod(shape, dtype=object)) * dtype.itemsize > info.file_size:
        raise ValueError(f"{info.filename} announces {shape} {dtype}, more than it holds")


def _unmatched(keys: Iterable[str], patterns: Iterable[str]) -> list[str]:
    compiled = [re.compile(pattern) for pattern in patterns]
    return sorted(key for key in keys if not any(p.fullmatch(key) for p in compiled))


def _other_shapes(state: dict, expected: dict, keys: list[str]) -> list[str]:
    different = [key for key in keys if state[key].shape != expected[key].shape]
    return [
        f"{key} {list(state[key].shape)} for {list(expected[key].shape)}"
        + (" (transposed)" if state[key].shape == expected[key].shape[::-1] else "")
        for key in different
    ]


def _not_finite(state: dict, expected: dict, keys: list[str]) -> list[str]:
    return [
        key
        for key in keys
        if state[key].is_floating_point()
        and state[key].shape == expected[key].shape
        and not torch.isfinite(state[key]).all()
    ]


def _listed(verb: str, items: list[str]) -> list[str]:
    shown = ", ".join(items[:_SHOWN]) + (" ..." if len(items) > _SHOWN else "")
    return [f"{verb} {len(items)}: {shown}"] if items else []


def _shape_of(content: object) -> str:
    if isinstance(content, dict):
        keys = ", ".join(f"{key!s}: {type(value).__name__}" for key, value in content.items())
        return "{" + keys[:300] + "}"
    if isinstance(content, StandIn):
        return "a pickled object: save its state_dict() instead"
    return type(content).__name__
