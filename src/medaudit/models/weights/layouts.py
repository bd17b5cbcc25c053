"""Vision models in their owners' layouts, under timm's names.

- ``mae``: He et al. 2022, "Masked autoencoders are scalable vision learners", and Medical MAE
  (Xiao et al. 2023), with or without its decoder.
- ``moco_v3``: Chen, Xie and He 2021, "An empirical study of training self-supervised vision
  transformers".
- ``bit``: Kolesnikov et al. 2020, "Big Transfer" (``.npz``), and REMEDIS (Azizi et al. 2023), which
  went on from it (a TensorFlow SavedModel).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import torch

from medaudit.core.errors import MedauditError

State = dict[str, torch.Tensor]
_ROOT = "root_block/standardized_conv2d/kernel"
_UNIT = re.compile(r"block(\d+)/unit(\d+)/([abc])/(.+)")


@dataclass(frozen=True)
class Layout:
    """What a file's layout means.

    Parameters
    ----------
    rename : callable
        Maps a state under the owner's names to one under timm's.
    left_out : tuple of str
        Regular expressions of what, beside the classifier, is not part of the encoder.
    heads : int, optional
        Attention heads of every published model; shapes cannot tell.
    """

    rename: Callable[[State], State]
    left_out: tuple[str, ...] = ()
    heads: int | None = None


def to_timm(
    state: State, name: str, module: torch.nn.Module, what: str
) -> tuple[State, list[str], tuple[str, ...]]:
    """Bring a file's weights under the names of a timm model without classifier.

    Parameters
    ----------
    state : dict of str to torch.Tensor
        As `medaudit.models.weights.load.read_state` reads it.
    name : str
        One of `LAYOUTS`.
    module : torch.nn.Module
        The model.
    what : str
        Named in errors.

    Returns
    -------
    state : dict of str to torch.Tensor
        What belongs to the encoder, and all that is unknown.
    left_out : list of str
        Names that were left out; of parts with many, ``part.*``.
    fresh : tuple of str
        Regular expressions of what the model has and no such file holds: the norm after mean
        pooling, which the owners of MAE train anew.

    Raises
    ------
    MedauditError
        The file is of another layout, or the model's number of heads is not its owner's.
    """
    layout = LAYOUTS[name]
    try:
        renamed = layout.rename(state)
        if len(renamed) < len(state):
            raise ValueError("two of its weights have one name")
    except ValueError as error:
        raise MedauditError(f"{what}: {error}; is `layout: {name}` right?") from error
    _check_heads(layout, module, what)
    fresh = _fresh_norm(name, renamed, module)
    patterns = [*layout.left_out, *_classifier(module), *(fresh and [r"norm\.(weight|bias)"])]
    out = {key for key in renamed if any(re.fullmatch(pattern, key) for pattern in patterns)}
    return {key: renamed[key] for key in renamed.keys() - out}, _summary(out), fresh


def _classifier(module: torch.nn.Module) -> list[str]:
    names = module.pretrained_cfg.get("classifier") or ()
    names = (names,) if isinstance(names, str) else names
    return [rf"{re.escape(name)}\.(weight|bias)" for name in names]


def _check_heads(layout: Layout, module: torch.nn.Module, what: str) -> None:
    found = {part.num_heads for part in module.modules() if hasattr(part, "num_heads")}
    if layout.heads is not None and found - {layout.heads}:
        raise MedauditError(
            f"{what}: its owner's models have {layout.heads} attention heads, this one has "
            f"{sorted(found)}: set `arguments: {{num_heads: {layout.heads}}}`"
        )


def _fresh_norm(name: str, state: State, module: torch.nn.Module) -> tuple[str, ...]:
    """Return the norm after mean pooling where the model has one and the file another's."""
    pooled = "fc_norm.weight" in module.state_dict()
    if name in ("mae", "moco_v3") and pooled and "fc_norm.weight" not in state:
        return (r"fc_norm\.(weight|bias)",)
    return ()


def _summary(keys: set[str]) -> list[str]:
    parts = {key.partition(".")[0] for key in keys}
    members = {part: [key for key in keys if key.partition(".")[0] == part] for part in parts}
    return sorted(
        name
        for part, names in members.items()
        for name in (names if len(names) <= 2 else [f"{part}.*"])
    )


def _from_parallel(state: State) -> State:
    """Take off the ``module.`` that data-parallel training writes before every key."""
    if all(key.startswith("module.") for key in state):
        return {key.removeprefix("module."): value for key, value in state.items()}
    return state


def _from_moco(state: State) -> State:
    """Read a pretraining checkpoint (base encoder) or one of linear probing."""
    if not any(key.startswith("module.") for key in state):
        raise ValueError("no key starts with `module.`, as MoCo v3 writes them")
    return {re.sub(r"^module\.(base_encoder\.)?", "", key): value for key, value in state.items()}


def _from_bit(state: State) -> State:
    """Rename and turn kernels from height, width, in, out to timm's out, in, height, width."""
    roots = [key for key in state if re.fullmatch(rf"(.*/)?{_ROOT}", key)]
    if len(roots) != 1:
        raise ValueError(f"it holds {len(roots)} BiT networks (keys that end in {_ROOT})")
    prefix = roots[0].removesuffix(_ROOT)
    inside = {key: _bit_name(key.removeprefix(prefix)) for key in state if key.startswith(prefix)}
    turned = {
        key: value.permute(3, 2, 0, 1) if value.ndim == 4 else value for key, value in state.items()
    }
    return {inside.get(key) or key: value for key, value in turned.items()}


def _bit_name(name: str) -> str | None:
    """Return timm's name of a BiT variable, None for one that BiT does not have."""
    outer = {
        _ROOT: "stem.conv.weight",
        "group_norm/gamma": "norm.weight",
        "group_norm/beta": "norm.bias",
        "head/conv2d/kernel": "head.fc.weight",
        "head/conv2d/bias": "head.fc.bias",
    }
    unit = _UNIT.fullmatch(name)
    if unit is None:
        return outer.get(name)
    block, number, letter, rest = unit.groups()
    layer = "abc".index(letter) + 1
    inner = {
        "standardized_conv2d/kernel": f"conv{layer}.weight",
        "group_norm/gamma": f"norm{layer}.weight",
        "group_norm/beta": f"norm{layer}.bias",
    }
    if letter == "a":
        inner["proj/standardized_conv2d/kernel"] = "downsample.conv.weight"
    place = f"stages.{int(block) - 1}.blocks.{int(number) - 1}."
    return place + inner[rest] if rest in inner else None


LAYOUTS = {
    "timm": Layout(_from_parallel),
    "mae": Layout(dict, (r"decoder_.*", "mask_token")),
    "moco_v3": Layout(
        _from_moco, (r"momentum_encoder\..*", r"predictor\..*", r"head\.\d+\..*"), heads=12
    ),
    "bit": Layout(_from_bit, ("global_step", "save_counter.*")),
}
"""Layouts by the name a catalogue entry gives."""
