"""Search spaces: a mask of tuned parts, a learning rate, and coordinates that a training adds.

A mask is a text with one character per bit, ``1`` for tuned (`medaudit.adapt.finetune.masks`): block by
block from the input on, and within a block its components. The head is always tuned. The spaces fit
any number of blocks; their names give the number of bits for a ViT with 12 blocks.

- ``blocks36``: each bit independently (Dutt et al. 2024, section 4.1).
- ``depth_first36``: the same masks in another parametrisation: first the lowest tuned block k (or
  none), then its components (at least one), then the bits of the blocks above. Each of the 2^36
  masks has exactly one such description, and a trial with k > 0 freezes the first k blocks, whose
  outputs can be stored.
- ``attention12``, ``layernorm12``: one bit per block, for its attention or its norms (table 2).
- the name of a mask (``full``, ``linear`` ...): only the learning rate is searched.
"""

from collections.abc import Mapping
from typing import Any, Protocol, cast

from medaudit.adapt.finetune_settings import SearchPoint
from medaudit.core.entry_types import MethodEntry
from medaudit.core.errors import MedauditError

ONE_COMPONENT = {"attention12": "attention", "layernorm12": "norms"}
"""Spaces of one bit per block, and the component that the bit controls."""

MASK_SPACES = ("blocks36", "depth_first36", *ONE_COMPONENT)
"""Spaces in which the mask is searched."""

TRAINING_COORDINATES: dict[str, tuple[str, ...]] = {"fairprune": ("pruning_ratio", "beta")}
"""Coordinates that a ``training`` adds to the space; each is drawn uniformly from a range."""


class Layout(Protocol):
    """Meaning of the bits of a model's masks (`medaudit.adapt.finetune.masks.Layout`)."""

    @property
    def units(self) -> tuple[str, ...]:
        """Blocks or stages."""

    @property
    def components(self) -> tuple[str, ...]:
        """Components of each unit."""


class Suggest(Protocol):
    """The part of `optuna.trial.Trial` that a space uses."""

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """Return an integer from `low` to `high`."""

    def suggest_categorical(self, name: str, choices: list) -> object:
        """Return one of `choices`."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Return a number from `low` to `high`."""


def suggest_point(trial: Suggest, entry: MethodEntry, layout: Layout | None) -> SearchPoint:
    """Return the next point of a method's space.

    Parameters
    ----------
    trial : optuna.trial.Trial
        Suggests a value for each coordinate.
    entry : dict
        The method's ``space`` and ``learning_rate`` (lowest and highest value; logarithmic), and
        the ranges of the coordinates that its ``training`` adds.
    layout : Layout or None
        Layout of the model's masks; None if the space is the name of a mask.

    Returns
    -------
    dict
        ``mask`` (bits, or the name of a mask), ``learning_rate``, and `TRAINING_COORDINATES`.

    Raises
    ------
    MedauditError
        The model's blocks lack the component that the space searches.
    """
    low, high = entry["learning_rate"]
    rate = trial.suggest_float("learning_rate", low, high, log=True)
    point = {"mask": _suggest_mask(trial, entry["space"], layout), "learning_rate": rate}
    training = entry.get("training", "erm")
    for name in TRAINING_COORDINATES.get(training, ()):
        ranges = cast(Mapping[str, Any], entry)[training]
        point[name] = trial.suggest_float(name, *ranges[name])
    return cast(SearchPoint, point)


def _suggest_mask(trial: Suggest, space: str, layout: Layout | None) -> str:
    if space not in MASK_SPACES:
        return space
    if layout is None:
        raise ValueError(f"space {space} needs the layout of the model's masks")
    if space == "depth_first36":
        return _suggest_depth_first(trial, layout)
    only = ONE_COMPONENT.get(space)
    if only not in (None, *layout.components):
        raise MedauditError(
            f"space {space} searches the {only} of each block, but the blocks of this model have "
            f"{list(layout.components)}: choose another `space` or another model"
        )
    units = range(len(layout.units))
    return "".join(_suggest_unit(trial, unit, layout.components, only) for unit in units)


def _suggest_unit(
    trial: Suggest, unit: int, components: tuple[str, ...], only: str | None = None
) -> str:
    """Return the bits of one unit; with `only`, the bits of other components are 0."""
    return "".join(
        str(trial.suggest_categorical(f"{component}_{unit}", [0, 1]))
        if only in (None, component)
        else "0"
        for component in components
    )


def _suggest_depth_first(trial: Suggest, layout: Layout) -> str:
    """Return a mask: all bits below the lowest tuned unit 0, then its pattern, then free bits."""
    units, bits = len(layout.units), len(layout.components)
    first = trial.suggest_int("first", 0, units)
    frozen = "0" * bits * first
    if first == units:
        return frozen
    # Without the pattern 000: a unit with it would not be the lowest tuned one.
    patterns = [f"{number:0{bits}b}" for number in range(1, 2**bits)]
    lowest = str(trial.suggest_categorical("lowest", patterns))
    above = range(first + 1, units)
    return frozen + lowest + "".join(_suggest_unit(trial, u, layout.components) for u in above)
