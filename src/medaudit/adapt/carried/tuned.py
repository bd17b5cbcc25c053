"""Tuned weights of a fine-tuning as a file, one set per seed."""

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from medaudit.core.atomic import atomic
from medaudit.core.errors import MedauditError

State = dict[str, torch.Tensor]


def write_tuned(path: Path, states: dict[int, State]) -> None:
    """Write what training changed as ``.safetensors``: ``<seed>/<name of the parameter>``.

    Parameters
    ----------
    path : Path
        The file.
    states : dict
        By seed, what `medaudit.adapt.finetune.network.Network.tuned` returns.
    """
    named = {
        f"{seed}/{name}": value.cpu().contiguous()
        for seed, state in states.items()
        for name, value in state.items()
    }
    with atomic(path) as temporary:
        save_file(named, temporary, metadata={"format": "pt"})


def read_tuned(paths: list[Path]) -> dict[int, State]:
    """Return the states of all seeds in several files of `write_tuned`, in the order of seeds.

    Raises
    ------
    MedauditError
        A file is not one of `write_tuned`.
    """
    states: dict[int, State] = {}
    for path in paths:
        try:
            found = load_file(path)
            for key, value in found.items():
                seed, _, name = key.partition("/")
                states.setdefault(int(seed), {})[name] = value
        except (OSError, ValueError, SafetensorError) as error:
            raise MedauditError(
                f"cannot read the tuned weights {path}: {error}; delete it and run `finetune` again"
            ) from error
    return dict(sorted(states.items()))
