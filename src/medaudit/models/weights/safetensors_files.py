"""Read safetensors, known by their first bytes: an owner may give the file another suffix."""

from pathlib import Path

import torch

from medaudit.core.errors import MedauditError


def is_safetensors(path: Path) -> bool:
    """Return whether a file starts as safetensors do: the length of a header in JSON, then it."""
    with path.open("rb") as stream:
        start = stream.read(9)
    length = int.from_bytes(start[:8], "little")
    return start[8:] == b"{" and length < path.stat().st_size


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file.

    Raises
    ------
    MedauditError
        The file is damaged or of another format.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, ValueError, OSError) as error:
        raise MedauditError(
            f"{path} is not a valid safetensors file ({error}): download it again"
        ) from error
