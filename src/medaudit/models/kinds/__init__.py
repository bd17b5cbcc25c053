"""Kinds of models, each a module found by name."""

import importlib
import pkgutil

from medaudit.core.errors import MedauditError
from medaudit.models.interface import Encoder


def build(settings: dict) -> Encoder:
    """Build a model from its catalogue entry.

    Parameters
    ----------
    settings : dict
        The entry; ``kind`` names the module.

    Raises
    ------
    MedauditError
        There is no such kind, or the model's own settings or weights are wrong.
    """
    kind = settings["kind"]
    known = sorted(module.name for module in pkgutil.iter_modules(__path__))
    if kind not in known:
        raise MedauditError(f"model kind {kind!r} is unknown; there are {known}")
    module = importlib.import_module(f"medaudit.models.kinds.{kind}")
    if not hasattr(module, "build"):
        raise MedauditError(f"model kind {kind!r} names a helper module, not a model")
    return module.build(settings)
