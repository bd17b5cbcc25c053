"""Heads of a probe: one module per head, found by name.

The module ``medaudit.adapt.probe.heads.<head>`` has three functions. They handle S seeds times L
learning rates at once, so that each parameter is an array ``[S, L, ...]``:

- ``initial(settings, inputs, outputs, rng) -> list of [...]``: initial parameters of one seed;
- ``forward(settings, parameters, x, rngs) -> (logits, cache)`` for `x` ``[S or 1, b, inputs]``,
  with logits ``[S, L, b, outputs]``; `rngs`, one generator per seed, drives dropout, and None turns
  it off;
- ``backward(parameters, cache, gradient) -> list of [S, L, ...]``: gradients of the parameters from
  the gradient of the logits.
"""

import importlib
import pkgutil
from types import ModuleType

from medaudit.core.errors import MedauditError


def find_head(name: str) -> ModuleType:
    """Return the module of a probe's head.

    Raises
    ------
    MedauditError
        There is no head of this name.
    """
    known = sorted(module.name for module in pkgutil.iter_modules(__path__))
    if name not in known:
        raise MedauditError(f"probe head {name!r} is unknown; there are {known}")
    return importlib.import_module(f"medaudit.adapt.probe.heads.{name}")
