"""Which dictionary of a training checkpoint holds the weights."""

import torch

CONTAINERS = ("state_dict", "model", "model_state_dict", "module", "teacher")
"""Names under which training code saves the weights, the most likely first."""

_DEEPEST = 8


def state_in(content: dict) -> dict[str, torch.Tensor] | None:
    """Return the tensors of a checkpoint; those of several networks get their names as prefixes."""
    if (whole := _flat(content)) is not None and not any(
        isinstance(v, dict) for v in content.values()
    ):
        return whole
    states = {
        name: state
        for name, value in content.items()
        if isinstance(value, dict) and isinstance(name, str) and (state := _flat(value))
    }
    first = next((name for name in CONTAINERS if isinstance(content.get(name), dict)), None)
    if first is not None:
        if first not in states:
            return None
        # An average of the same network, e.g. `model_ema`, is a question for `prefix`.
        keys = states[first].keys()
        states = {name: state for name, state in states.items() if state.keys() == keys}
    if len(states) == 1:
        return next(iter(states.values()))
    return {f"{name}.{key}": value for name, own in states.items() for key, value in own.items()}


def _flat(content: dict, depth: int = 0) -> dict[str, torch.Tensor] | None:
    """Return nested dictionaries of tensors as one, keys joined; None if there is anything else."""
    flat: dict[str, torch.Tensor] = {}
    for name, value in content.items():
        if not isinstance(name, str) or depth > _DEEPEST:
            return None
        if torch.is_tensor(value):
            flat[name] = value
        elif isinstance(value, dict) and (inner := _flat(value, depth + 1)) is not None:
            flat |= {f"{name}.{key}": tensor for key, tensor in inner.items()}
        else:
            return None
    return flat
