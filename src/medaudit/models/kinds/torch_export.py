"""A model in a file of `torch.export` (.pt2) or TorchScript, without its Python."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from medaudit.core.errors import MedauditError
from medaudit.models.exported import read_signature
from medaudit.models.exported.exported_program import is_torchscript, load_program, read_program
from medaudit.models.exported.module import exported_encoder
from medaudit.models.exported.signature import Signature, problems
from medaudit.models.interface import ModelSettings
from medaudit.models.torch_encoder import TorchEncoder
from medaudit.models.weights.files import check_sha256, resolve_weights


def build(settings: ModelSettings) -> TorchEncoder:
    """Build the encoder of a ``.pt2``, or of a TorchScript archive whose ``sha256`` is given.

    Parameters
    ----------
    settings : dict
        As of `medaudit.models.kinds.onnx.build`.

    Raises
    ------
    MedauditError
        The file is damaged, would execute code, or does not fit the entry.
    """
    path = resolve_weights(settings)
    signature = read_signature(settings)
    check_sha256(path, settings.get("sha256"))
    where = f"model {settings.get('name', 'torch_export')} ({path})"
    wrong = list(problems(signature, settings, where)) if signature else []
    if wrong:
        raise MedauditError("the model does not fit its entry:", wrong)
    module = _torchscript(path) if is_torchscript(path) else load_program(path, read_program(path))
    run = _runner(module, signature, settings)
    return exported_encoder(run, settings, signature, {"torch": torch.__version__})


def _torchscript(path: Path) -> Any:
    try:
        return torch.jit.load(str(path), map_location="cpu").eval()
    except RuntimeError as error:
        raise MedauditError(f"{path}: torch cannot load it: {error}; export it again") from error


def _runner(
    module: Any, signature: Signature | None, settings: ModelSettings
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a function that gives the wanted one of the module's outputs."""
    entry: Any = settings
    name = entry["output"].get("name")
    names = [value.name for value in signature.outputs] if signature else []

    def run(images: torch.Tensor) -> torch.Tensor:
        found = module(images)
        if isinstance(found, dict):
            found = found[name] if name in found else tuple(found.values())
        if isinstance(found, list | tuple):
            found = found[names.index(name) if name in names else 0]
        return found

    return run
