"""Load weights from their owner's file, safely and strictly.

`read_state` reads any published file format into a flat dictionary of tensors without running code
from the file. `load_strict` loads the dictionary into a module; if keys or shapes do not fit, the
error lists the differences.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from medaudit.core.errors import MedauditError
from medaudit.models.interface import Encoder
from medaudit.models.weights.containers import state_in
from medaudit.models.weights.files import check_sha256, resolve_weights
from medaudit.models.weights.npz import read_npz
from medaudit.models.weights.pickles import StandIn
from medaudit.models.weights.safetensors_files import is_safetensors, read_safetensors
from medaudit.models.weights.torch_files import read_torch

__all__ = ["check_golden", "golden", "load_strict", "read_state", "resolve_weights", "strip_prefix"]

_SHOWN = 6
_DEEPEST = 50


def read_state(path: Path, sha256: str | None = None) -> dict[str, torch.Tensor]:
    """Read the tensors of a weights file.

    Parameters
    ----------
    path : Path
        ``.safetensors``; a torch file of any age or a TorchScript archive (``.pt``, ``.pth``,
        ``.bin``, ``.ckpt``, ``.tar``); ``.npz``; ``variables.index`` of a TensorFlow SavedModel.
    sha256 : str, optional
        Expected SHA-256 of the file.

    Returns
    -------
    dict of str to torch.Tensor
        On the CPU, with the number types of the file. From a training checkpoint, the content of
        ``state_dict``, ``model``, ``model_state_dict``, ``module`` or ``teacher`` (the first that
        exists), or of the only dictionary of tensors; from a pickled module, its parameters and
        buffers. Of several (a network and its moving average, student and
        teacher) each key begins with the name of its own.

    Raises
    ------
    MedauditError
        The file differs from `sha256`, is damaged, contains no tensors, or is a pickle that would
        run code.
    """
    path = Path(path)
    if not path.is_file():
        raise MedauditError(f"there is no weights file {path}: put the owner's file there")
    check_sha256(path, sha256)
    readers = {".safetensors": read_safetensors, ".npz": _read_npz, ".index": _read_bundle}
    read = readers.get(path.suffix, _read_torch_state)
    # MedImageInsight's file is called .pt and is safetensors.
    return (read_safetensors if is_safetensors(path) else read)(path)


def strip_prefix(state: dict[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Return the entries whose key starts with `prefix`, with the prefix removed."""
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
    """Load `state` into `module`; every key and every shape must fit.

    Parameters
    ----------
    module : torch.nn.Module
        Keeps its number types: float16 weights become float32 in a float32 module.
    state : dict of str to torch.Tensor
        Weights, keyed as in the module.
    what : str
        Model and file for the error, e.g. ``"gloria (data/chexpert_resnet50.ckpt): image tower"``.
    allow_missing, allow_extra : iterable of str
        Regular expressions for whole keys that `state` may lack, or may have in addition.

    Raises
    ------
    MedauditError
        A key is missing or superfluous, a shape differs, or a weight is not finite. The module is
        then unchanged.
    """
    # torch's own strict loading stops at the first kind of problem and knows no allowed keys; a
    # model that is loaded in part runs without an error and looks like a bad or unfair one.
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
    """Return the first `count` values of the first embedding, rounded for a catalogue entry."""
    first = np.asarray(images, dtype=np.float64).reshape(len(images), -1)[0, :count]
    return [float(f"{value:.5g}") for value in first]


def golden_image(size: int = 224) -> np.ndarray:
    """Return the fixed synthetic image of the golden check: uint8, [1, size, size].

    It has rings and a ramp, so that orientation, resizing and normalisation all change the result.
    """
    y, x = np.mgrid[0:size, 0:size] / size
    rings = 0.5 + 0.5 * np.sin(40 * np.hypot(x - 0.3, y - 0.6))
    return np.round(255 * (0.6 * rings + 0.4 * x * y))[None].astype(np.uint8)


def check_golden(encoder: Encoder, entry: Mapping[str, Any], tolerance: float = 1e-3) -> None:
    """Compare the embedding of `golden_image` with the numbers in the entry's ``golden`` field.

    A wrong activation, normalisation or channel order changes no shape, so that loading cannot find
    it; this does.

    Parameters
    ----------
    encoder : Encoder
        The model to check.
    entry : mapping
        ``golden`` has the first values of the embedding; without it nothing is checked.
    tolerance : float
        Largest allowed difference, relative to the largest expected value.

    Raises
    ------
    MedauditError
        The numbers differ.
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
            f"catalogue says {expected}: the shapes of the weights fit, but the activation, the "
            "preprocessing or the file differs. Correct the entry, or replace `golden`"
        )


def _read_torch_state(path: Path) -> dict[str, torch.Tensor]:
    content = read_torch(path)
    if isinstance(content, StandIn):
        content = dict(_module_tensors(content, "")) or content
    found = state_in(content) if isinstance(content, dict) else None
    if not found:
        raise MedauditError(
            f"{path} contains no dictionary of tensors; it contains {_shape_of(content)}. Save the "
            "model's state_dict() instead"
        )
    return found


def _module_tensors(module: StandIn, prefix: str) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield names and tensors of a pickled or TorchScript module and its submodules."""
    if prefix.count(".") > _DEEPEST:
        raise MedauditError(
            f"modules are nested more than {_DEEPEST} deep at {prefix[:60]}...: this is not a weights "
            "file; get the owner's original"
        )
    content = dict(vars(module))
    for part in ("_parameters", "_buffers", "_modules"):  # of a module that is no archive
        inner = content.pop(part, None)
        content |= inner if isinstance(inner, dict) else {}
    for name, value in content.items():
        if torch.is_tensor(value):
            yield prefix + name, value
        elif isinstance(value, StandIn):
            yield from _module_tensors(value, f"{prefix}{name}.")


def _read_npz(path: Path) -> dict[str, torch.Tensor]:
    return {key: torch.from_numpy(array) for key, array in read_npz(path).items()}


def _read_bundle(path: Path) -> dict[str, torch.Tensor]:
    from medaudit.models.weights.tensor_bundle import read_bundle

    return read_bundle(path)


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
        return "a pickled object"
    return type(content).__name__
