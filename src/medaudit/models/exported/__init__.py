"""Whole models in a file, run as they are: ONNX, torch.export and TorchScript.

Read in this order: `signature` (what goes in and out, compared with the catalogue entry before any
job starts), `onnx_header` and `exported_program` (read the signature from a file without loading
it), `module` (preprocessing and batches around a function that runs the file).
"""

from collections.abc import Iterator, Mapping
from typing import Any

from medaudit.core.errors import MedauditError
from medaudit.models.exported.signature import Signature, problems
from medaudit.models.weights.files import weights_path

KINDS = ("onnx", "torch_export")


def read_signature(entry: Mapping[str, Any]) -> Signature | None:
    """Return what goes in and out of a model's file; None if the file does not say (TorchScript).

    Raises
    ------
    MedauditError
        The file is damaged, or loading it would execute code.
    """
    path = weights_path(entry)
    if entry["kind"] == "onnx":
        from medaudit.models.exported.onnx_header import read_header

        return read_header(path)
    from medaudit.models.exported.exported_program import is_torchscript, read_program

    if not is_torchscript(path):
        return read_program(path).signature
    if entry.get("sha256") is None:
        raise MedauditError(
            f"{path} is TorchScript, a program that runs when it is loaded: set `sha256` to show that "
            "you know this very file; or export the model with torch.export.save or to ONNX"
        )
    return None


def check_exported(models: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Yield what is wrong with the files of models of the `KINDS`, or does not fit their entries."""
    for name, entry in models.items():
        if entry["kind"] not in KINDS or not weights_path(entry).is_file():
            continue
        try:
            found = read_signature(entry)
        except MedauditError as error:
            yield f"model {name}: {error}"
        else:
            where = f"model {name} ({weights_path(entry)})"
            yield from problems(found, entry, where) if found else ()
