"""What a search proposes: a mask of tuned parts and a learning rate.

A mask is text of one character a bit, ``1`` tuned (see `medaudit.adapt.finetune.masks`): block by block
from the input on, in each block its components. The head is always tuned. The spaces are for any
number of blocks; their names count the bits of a ViT with 12.

- ``blocks36``: each bit by itself (Dutt et al. 2024, section 4.1).
- ``depth_first36``: the same masks by another way: first the lowest tuned block k (or none), then
  which of its components, at least one, then the bits of the blocks above. Each of the 2^36 masks
  has exactly one such description, and a trial with k > 0 has a frozen prefix of k blocks.
- ``attention12``, ``layernorm12``: one bit a block, of attention or of the norms alone (table 2).
- a mask's name (``full``, ``linear`` ...): that mask, so only the learning rate is searched.

A training may have coordinates of its own, see `FURTHER`.
"""

from typing import Protocol

from medaudit.core.errors import MedauditError

ONE_COMPONENT = {"attention12": "attention", "layernorm12": "norms"}
"""Spaces of one bit a block."""

BITS = ("blocks36", "depth_first36", *ONE_COMPONENT)
"""Spaces of bits."""


FURTHER = {"fairprune": ("pruning_ratio", "beta")}
"""What a training has searched beside mask and learning rate, evenly over a range."""


class Layout(Protocol):
    """What the bits of a model's masks stand for (`medaudit.adapt.finetune.masks.Layout`)."""

    units: tuple[str, ...]
    components: tuple[str, ...]


class Suggest(Protocol):
    """What of Optuna's trial a space uses."""

    def suggest_int(self, name: str, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`."""

    def suggest_categorical(self, name: str, choices: list) -> object:
        """Return one of `choices`."""

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        """Return a number from `low` to `high`."""


def suggest_point(trial: Suggest, entry: dict, layout: Layout | None) -> dict:
    """Ask for a point of a method's space.

    Parameters
    ----------
    trial : optuna.trial.Trial
        Asked for each coordinate.
    entry : dict
        The method's ``space`` and ``learning_rate`` (lowest and highest; logarithmic), and for a
        ``training`` of `FURTHER` its settings with a range each.
    layout : Layout or None
        Of the model; None for a mask with a name.

    Returns
    -------
    dict
        ``mask`` (bits, or a mask's name), ``learning_rate``, and what is in `FURTHER`.

    Raises
    ------
    MedauditError
        The space is of a component that the model's blocks lack.
    """
    low, high = entry["learning_rate"]
    rate = trial.suggest_float("learning_rate", low, high, log=True)
    point = {"mask": _suggest_mask(trial, entry["space"], layout), "learning_rate": rate}
    training = entry.get("training")
    for name in FURTHER.get(training, ()):
        point[name] = trial.suggest_float(name, *entry[training][name])
    return point


def _suggest_mask(trial: Suggest, space: str, layout: Layout | None) -> str:
    if space not in BITS:
        return space
    if space == "depth_first36":
        return _suggest_depth_first(trial, layout)
    only = ONE_COMPONENT.get(space)
    if only not in (None, *layout.components):
        raise MedauditError(
            f"space {space} is of the {only} of each block, and this model's blocks have "
            f"{list(layout.components)}: take another space, or another model"
        )
    units = range(len(layout.units))
    return "".join(_suggest_unit(trial, unit, layout.components, only) for unit in units)


def _suggest_unit(trial: Suggest, unit: int, components: tuple, only: str | None = None) -> str:
    return "".join(
        str(trial.suggest_categorical(f"{component}_{unit}", [0, 1]))
        if only in (None, component)
        else "0"
        for component in components
    )


def _suggest_depth_first(trial: Suggest, layout: Layout) -> str:
    units, bits = len(layout.units), len(layout.components)
    first = trial.suggest_int("first", 0, units)
    frozen = "0" * bits * first
    if first == units:
        return frozen
    patterns = [f"{number:0{bits}b}" for number in range(1, 2**bits)]
    lowest = str(trial.suggest_categorical("lowest", patterns))
    above = range(first + 1, units)
    return frozen + lowest + "".join(_suggest_unit(trial, u, layout.components) for u in above)
