"""Layouts of checkpoint files: how their owners name the weights, renamed to timm's names.

- ``mae``: He et al. 2022, "Masked autoencoders are scalable vision learners", and Medical MAE
  (Xiao et al. 2023), with or without its decoder.
- ``moco_v3``: Chen, Xie and He 2021, "An empirical study of training self-supervised vision
  transformers".
- ``bit``: Kolesnikov et al. 2020, "Big Transfer" (``.npz``), and REMEDIS (Azizi et al. 2023), which
  continues from it (a TensorFlow SavedModel).
- ``efficientnet_pytorch``: the PyTorch port of Tan and Le 2019, "EfficientNet", and of its Lite
  models without squeeze and excitation, whose weights Python packages contain.
"""

import logging
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch

from medaudit.core.errors import MedauditError
from medaudit.models.weights.key_rules import OUTSIDE, Rules, apply_rules
from medaudit.models.weights.owner_layouts import OWNERS
from medaudit.models.weights.positions import Resampling, resample_positions
from medaudit.models.weights.prefixes import State, is_head, summary, take_prefix

MOCO_PARTS = ("base_encoder", "momentum_encoder")
_ROOT = "root_block/standardized_conv2d/kernel"
_UNIT = re.compile(r"block(\d+)/unit(\d+)/([abc])/(.+)")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Layout:
    """A naming of weights, and how to read a file that has it.

    Parameters
    ----------
    rename : callable
        Maps weights under the owner's names to the same weights under timm's.
    left_out : tuple of str
        Regular expressions of keys that, like the classifier, are not part of the encoder.
    heads : int, optional
        Number of attention heads of all published models. It cannot be seen from the shapes.
    joins : bool
        Whether several weights of the file become one.
    positions, register_positions : Resampling, optional
        How the owner fits position embeddings to another image size, without and with register
        tokens; None: not at all.
    """

    rename: Callable[[State], State]
    left_out: tuple[str, ...] = ()
    heads: int | None = None
    joins: bool = False
    positions: Resampling | None = None
    register_positions: Resampling | None = None


@dataclass(frozen=True)
class Renamed:
    """A file's weights under timm's names.

    Parameters
    ----------
    state : dict of str to torch.Tensor
        Weights of the encoder, and all keys that the layout does not know (strict loading then
        reports them).
    prefix : str
        What stood before the names of the encoder's weights in the file.
    left_out : list of str
        Keys that were left out, summed up as ``part.*`` where a part has many.
    fresh : tuple of str
        Regular expressions of keys that the model has and no file of this layout has: the norm
        after mean pooling, which the owners of MAE train from scratch.
    """

    state: State
    prefix: str
    left_out: list[str]
    fresh: tuple[str, ...]


def to_timm(
    state: State, name: str, module: torch.nn.Module, what: str, prefix: str | None = None
) -> Renamed:
    """Rename a file's weights to those of a timm model without its classifier.

    Parameters
    ----------
    state : dict of str to torch.Tensor
        From `medaudit.models.weights.load.read_state`.
    name : str
        A layout, one of `LAYOUTS`.
    module : torch.nn.Module
        The timm model.
    what : str
        Model and file, for errors.
    prefix : str, optional
        What stands before the names of the encoder's weights; by default it is found
        (`medaudit.models.weights.prefixes.take_prefix`).

    Raises
    ------
    MedauditError
        The file has another layout, several encoders fit, or the model has another number of heads
        than its owner's.
    """
    layout, expected = LAYOUTS[name], module.state_dict().keys()

    def encoder(weights: State) -> tuple[State, int] | None:
        try:
            renamed = layout.rename(weights)
        except ValueError:
            return None
        absent = (*_fresh_norm(name, renamed, module), r".*\.num_batches_tracked")
        lacking = [key for key in expected - renamed.keys() if not _matches(key, absent)]
        return {key: renamed[key] for key in expected & renamed.keys()}, len(lacking)

    inside, found, outside = take_prefix(state, encoder, prefix, what, name in OWNERS)
    if prefix is None and name != "moco_v3" and {*found.split(".")} & {*MOCO_PARTS}:
        # Its ViT-S has 12 heads, which no shape shows: the layout checks them.
        raise MedauditError(
            f"{what}: {found} is MoCo v3's naming; is `layout: {name}` right? Set `layout: moco_v3`, "
            f"or, for a network of another kind, `prefix: {found}`"
        )
    try:
        renamed = layout.rename(inside)
        if len(renamed) < len(inside) and not layout.joins:
            raise ValueError("two of its weights get the same name")
    except ValueError as error:
        raise MedauditError(
            f"{what}: {error}; is `layout: {name}` right? Known layouts: {', '.join(LAYOUTS)}"
        ) from error
    _check_heads(layout, module, what)
    _fit_positions(layout, renamed, module)
    fresh = _fresh_norm(name, renamed, module)
    patterns = (*layout.left_out, *_classifier(module), *(fresh and [r"norm\.(weight|bias)"]))
    out = {key for key in renamed if _matches(key, patterns)}
    out |= {key for key in renamed.keys() - expected if is_head(key)}
    # What is outside a prefix that the user named is left out; of one that was found, only heads.
    dropped = {key for key in outside if prefix is not None or is_head(key)}
    kept = {key: renamed[key] for key in renamed.keys() - out}
    kept |= {key: outside[key] for key in outside.keys() - dropped}
    left_out = summary(key.removeprefix(OUTSIDE) for key in {*out, *dropped})
    if left_out:
        log.info("%s: left out %s", what, ", ".join(left_out))
    return Renamed(kept, found, left_out, fresh)


def _matches(key: str, patterns: Iterable[str]) -> bool:
    return any(re.fullmatch(pattern, key) for pattern in patterns)


def _classifier(module: torch.nn.Module) -> list[str]:
    names = module.pretrained_cfg.get("classifier") or ()
    names = (names,) if isinstance(names, str) else names
    return [rf"{re.escape(name)}\.(weight|bias)" for name in names]


def _check_heads(layout: Layout, module: torch.nn.Module, what: str) -> None:
    found = {part.num_heads for part in module.modules() if hasattr(part, "num_heads")}
    if layout.heads is not None and found - {layout.heads}:
        raise MedauditError(
            f"{what}: the owner's models have {layout.heads} attention heads, this one has "
            f"{sorted(found)}: set `arguments: {{num_heads: {layout.heads}}}`"
        )


def _fit_positions(layout: Layout, state: State, module: torch.nn.Module) -> None:
    """Resample the position embeddings of `state` to the image size of the model."""
    rule = layout.register_positions if "reg_token" in state else layout.positions
    wanted = getattr(module, "pos_embed", None)
    if rule is None or wanted is None or "pos_embed" not in state or state["pos_embed"].ndim != 3:
        return
    tokens = 0 if getattr(module, "no_embed_class", False) else module.num_prefix_tokens
    fitted = resample_positions(state["pos_embed"], wanted.shape[1], tokens, rule)
    state["pos_embed"] = fitted


def _fresh_norm(name: str, state: State, module: torch.nn.Module) -> tuple[str, ...]:
    """Return the keys of the norm after mean pooling, if the model has it and the file does not."""
    # timm's ``global_pool: avg`` has ``fc_norm`` after pooling; these files have ``norm`` before
    # it.
    pooled = "fc_norm.weight" in module.state_dict()
    if name in ("mae", "moco_v3") and pooled and "fc_norm.weight" not in state:
        return (r"fc_norm\.(weight|bias)",)
    return ()


def _from_moco(state: State) -> State:
    """Rename a checkpoint of MoCo v3's pretraining (its base encoder) or of its linear probing."""
    if not any(key.startswith("module.") for key in state):
        raise ValueError("no key starts with `module.`, as MoCo v3 writes them")
    return {re.sub(r"^module\.(base_encoder\.)?", "", key): value for key, value in state.items()}


def _from_bit(state: State) -> State:
    """Rename; reorder the axes of kernels from TensorFlow's (height, width, in, out) to torch's."""
    roots = [key for key in state if re.fullmatch(rf"(.*/)?{_ROOT}", key)]
    if len(roots) != 1:
        raise ValueError(f"it contains {len(roots)} BiT networks (keys that end in {_ROOT})")
    prefix = roots[0].removesuffix(_ROOT)
    inside = {key: _bit_name(key.removeprefix(prefix)) for key in state if key.startswith(prefix)}
    turned = {
        key: value.permute(3, 2, 0, 1) if value.ndim == 4 else value for key, value in state.items()
    }
    return {inside.get(key) or key: value for key, value in turned.items()}


def _bit_name(name: str) -> str | None:
    """Return timm's name of a BiT variable; None if BiT has no such variable."""
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


def _from_efficientnet(state: State) -> State:
    """Rename; blocks that are numbered throughout get the number of their stage."""
    places = _stages(state)
    return {_efficientnet_name(key, places): value for key, value in state.items()}


def _stages(state: State) -> dict[str, str]:
    """Return ``stage.place`` of each block; the first block of a stage changes the channels."""
    places: dict[str, str] = {}
    stage, place, before = -1, 0, 0
    while (last := f"_blocks.{len(places)}._project_conv.weight") in state:
        channels = len(state[last])
        stage, place = (stage, place + 1) if channels == before else (stage + 1, 0)
        places[str(len(places))] = f"{stage}.{place}"
        before = channels
    if not places:
        raise ValueError("no key is `_blocks.0._project_conv.weight`")
    return places


def _efficientnet_name(key: str, places: dict[str, str]) -> str:
    outer = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head"}
    outer |= {"_bn1": "bn2", "_fc": "classifier"}
    unit = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
    if unit is None:
        part, dot, leaf = key.partition(".")
        return outer.get(part, part) + dot + leaf
    block, part, leaf = unit.groups()
    inner = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw"}
    inner |= {"_bn1": "bn2", "_project_conv": "conv_pwl", "_bn2": "bn3"}
    if places.get(block, "").startswith("0."):  # the first stage has no expansion
        inner = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw"}
        inner |= {"_bn2": "bn2"}
    return f"blocks.{places.get(block, block)}.{inner.get(part, part)}.{leaf}"


def _by_rules(rules: Rules) -> Layout:
    return Layout(
        partial(apply_rules, rules),
        (*rules.left_out, OUTSIDE + ".*"),
        joins=bool(rules.join),
        positions=rules.positions,
        register_positions=rules.register_positions,
    )


LAYOUTS = {
    "timm": Layout(
        dict,
        positions=Resampling(antialias=True),
        register_positions=Resampling(antialias=True),
    ),
    "mae": Layout(dict, (r"decoder_.*", "mask_token"), positions=Resampling()),
    "moco_v3": Layout(
        _from_moco, (r"momentum_encoder\..*", r"predictor\..*", r"head\.\d+\..*"), heads=12
    ),
    "bit": Layout(_from_bit, ("global_step", "save_counter.*")),
    "efficientnet_pytorch": Layout(_from_efficientnet),
    **{name: _by_rules(rules) for name, rules in OWNERS.items()},
}
"""Layouts, by the ``layout`` of a catalogue entry."""
