"""Heads of a probe as a file, with the scaling of the embeddings that they were trained on."""

from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from medaudit.core.atomic import atomic
from medaudit.core.errors import MedauditError


def write_heads(
    path: Path, scale: tuple[np.ndarray, np.ndarray], parameters: list[np.ndarray]
) -> None:
    """Write heads as ``.safetensors``.

    Parameters
    ----------
    path : Path
        The file.
    scale : tuple of numpy.ndarray
        Mean and standard deviation of each column of the embeddings, float32 ``[d]``.
    parameters : list of numpy.ndarray
        Parameters of the heads of all seeds, ``[seeds, 1, ...]`` each, in the order of the head.
    """
    named = {f"parameter_{k}": np.ascontiguousarray(p) for k, p in enumerate(parameters)}
    with atomic(path) as temporary:
        save_file({"mean": scale[0], "deviation": scale[1], **named}, temporary)


def read_heads(path: Path) -> tuple[tuple[np.ndarray, np.ndarray], list[np.ndarray]]:
    """Return scaling and parameters, as `write_heads` takes them.

    Raises
    ------
    MedauditError
        The file is not one of `write_heads`.
    """
    try:
        found = load_file(path)
        parameters = [found[f"parameter_{k}"] for k in range(len(found) - 2)]
        return (found["mean"], found["deviation"]), parameters
    except (OSError, KeyError, SafetensorError) as error:
        raise MedauditError(
            f"cannot read the heads {path}: {error}; delete it and run `probe` again"
        ) from error
