"""How a model is made to answer: one module a head or adaptation, found by name.

A probe's head is a module ``medaudit.adapt.probe.heads.<head>``. It trains S seeds times L learning rates
together, so that each parameter is an array ``[S, L, ...]``, and has three functions:

- ``initial(settings, inputs, outputs, rng) -> list of [...]``: one seed's parameters;
- ``forward(settings, parameters, x, rngs) -> (logits, cache)`` with `x` ``[S or 1, b, inputs]``
  and logits ``[S, L, b, outputs]``; `rngs` (one a seed) drive dropout, None turns it off;
- ``backward(parameters, cache, gradient) -> list of [S, L, ...]`` from the logits' gradient.
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
        There is no such head.
    """
    known = sorted(module.name for module in pkgutil.iter_modules(__path__))
    if name not in known:
        raise MedauditError(f"probe head {name!r} is unknown; there are {known}")
    return importlib.import_module(f"medaudit.adapt.probe.heads.{name}")
