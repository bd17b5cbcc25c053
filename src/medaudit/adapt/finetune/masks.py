"""Masks of the tuned parts of an image tower: one bit per component of each block.

A ViT has three components per block, as in Dutt et al. 2024 (FairTune, section 4.1): both layer
norms, the attention (qkv and output projection), the MLP (both layers). A ResNet has two per stage:
its norms and its convolutions. Bits are ordered by block from the input on, then by component in
this order. No bit covers parameters outside the blocks (patch, class and position embedding, the
last norm, layer scales): only `full`, `layernorm` and `bitfit` tune some of them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from medaudit.core.errors import MedauditError

NAMED = ("full", "linear", "attention", "layernorm", "bitfit")
VIT = ("norms", "attention", "mlp")
RESNET = ("norms", "convolutions")
_BLOCK_PARTS = {
    "norms": re.compile(r"norm\d"),
    "attention": re.compile(r"attn"),
    "mlp": re.compile(r"mlp"),
}
_STAGE = re.compile(r"(.*\.)?(layer\d+|stages\.\d+)")


@dataclass(frozen=True)
class Layout:
    """Meaning of the bits of a tower's masks.

    Parameters
    ----------
    units : tuple of str
        Names of the blocks or stages, from the input on.
    components : tuple of str
        Names of the components of each unit.
    parts : dict of str to int
        Number of the bit of each parameter that is part of a component.
    """

    units: tuple[str, ...]
    components: tuple[str, ...]
    parts: dict[str, int]

    @property
    def length(self) -> int:
        """Number of bits."""
        return len(self.units) * len(self.components)

    def check(self, mask: str) -> str:
        """Return `mask`, or raise a `MedauditError` if it does not fit the tower."""
        if set(mask) - {"0", "1"} or len(mask) != self.length:
            raise MedauditError(
                f"mask {mask!r} has {len(mask)} characters; this model takes {self.length} bits "
                f"(0 or 1): {', '.join(self.components)} for each of {len(self.units)} units"
            )
        return mask


def find_layout(tower: nn.Module) -> Layout:
    """Return the layout of a ViT's (or Swin's) blocks or of a ResNet's stages.

    Raises
    ------
    MedauditError
        The tower has neither blocks nor stages.
    """
    modules = dict(tower.named_modules())
    blocks = [n for n, m in modules.items() if {"attn", "mlp"} <= dict(m.named_children()).keys()]
    if blocks:
        return _layout(tower, blocks, VIT, _component_of_block)
    stages = [n for n in modules if _STAGE.fullmatch(n)]
    if stages:
        norms = _norm_parameters(tower)
        return _layout(
            tower, stages, RESNET, lambda _, name: RESNET[0] if name in norms else RESNET[1]
        )
    raise MedauditError(
        f"{type(tower).__name__} has no transformer blocks and no ResNet stages to mask; it has "
        f"{[n for n, _ in tower.named_children()]}: set `tune` to full, linear, bitfit or lora"
    )


def tuned_parameters(tower: nn.Module, tune: str, mask: str | None = None) -> set[str]:
    """Return the names of a tower's tuned parameters.

    Parameters
    ----------
    tower : torch.nn.Module
        An image tower, without the head (which is always tuned).
    tune : str
        ``full``: all; ``linear``: none; ``attention``: the attention of every block (Touvron et
        al. 2022, without the position embedding that their code also tunes); ``layernorm``: all
        normalisation layers including the last (Basu et al. 2023); ``bitfit``: all biases (Ben
        Zaken et al. 2022); ``mask``: the parameters of the bits set in `mask`.
    mask : str or None
        Bits, see `Layout`.

    Raises
    ------
    MedauditError
        `tune` is unknown, or the mask does not fit the tower.
    """
    names = {name for name, _ in tower.named_parameters()}
    if tune == "full":
        return names
    if tune == "linear":
        return set()
    if tune == "bitfit":
        return {name for name in names if name.endswith("bias")}
    if tune == "layernorm":
        return _norm_parameters(tower)
    if tune not in ("attention", "mask"):
        raise MedauditError(f"tune {tune!r} is unknown; there are {[*NAMED, 'lora', 'mask']}")
    layout = find_layout(tower)
    if tune == "attention":
        mask = widen("1" * len(layout.units), "attention", layout.components)
    if mask is None:
        raise MedauditError(f"`tune: mask` needs `mask`, a text of {layout.length} bits")
    bits = layout.check(mask)
    return {name for name, bit in layout.parts.items() if bits[bit] == "1"}


def widen(bits: str, component: str, components: tuple[str, ...] = VIT) -> str:
    """Return the full mask of a mask over one component, e.g. of the 12-bit attention space.

    Raises
    ------
    MedauditError
        The model has no such component.
    """
    if component not in components:
        raise MedauditError(
            f"the blocks of this model have no {component} to tune; they have {list(components)}"
        )
    return "".join(bit if c == component else "0" for bit in bits for c in components)


def _layout(
    tower: nn.Module,
    units: list[str],
    components: tuple[str, ...],
    component_of: Callable[[str, str], str | None],
) -> Layout:
    """Return a layout; `component_of` maps a name within a unit and in the tower to a component."""
    parts = {}
    for name, _ in tower.named_parameters():
        for number, unit in enumerate(units):
            inside = name.removeprefix(f"{unit}.")
            component = component_of(inside, name) if inside != name else None
            if component is not None:
                parts[name] = number * len(components) + components.index(component)
    return Layout(tuple(units), components, parts)


def _component_of_block(inside: str, _: str) -> str | None:
    first = inside.split(".")[0]
    return next((c for c, pattern in _BLOCK_PARTS.items() if pattern.fullmatch(first)), None)


def _norm_parameters(tower: nn.Module) -> set[str]:
    """Return the parameters of normalisation layers of any type, by the name of their class."""
    return {
        f"{module_name}.{name}".removeprefix(".")
        for module_name, module in tower.named_modules()
        if "norm" in type(module).__name__.lower()
        for name, _ in module.named_parameters(recurse=False)
    }
