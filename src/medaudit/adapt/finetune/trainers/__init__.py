"""How a trial and its refit are trained: one module each, found by the method's ``training``.

A module ``medaudit.adapt.finetune.trainers.<name>`` has a class ``Trainer``, which is
`medaudit.adapt.finetune.trainer.Trainer` or made from it.
"""

import importlib
import pkgutil

from medaudit.adapt.finetune.trainer import Trainer
from medaudit.core.errors import MedauditError


def find_trainer(entry: dict) -> type[Trainer]:
    """Return the class that trains by a method's entry; ``erm`` where it names none.

    Raises
    ------
    MedauditError
        There is no such module.
    """
    name = entry.get("training", "erm")
    known = sorted(module.name for module in pkgutil.iter_modules(__path__))
    if name not in known:
        raise MedauditError(f"training {name!r} is unknown; there are {known}")
    return importlib.import_module(f"medaudit.adapt.finetune.trainers.{name}").Trainer
