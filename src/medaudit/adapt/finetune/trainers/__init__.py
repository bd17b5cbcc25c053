"""Ways to train a trial and its refit: one module per value of the method's ``training``.

The module ``medaudit.adapt.finetune.trainers.<training>`` has a class ``Trainer``: either
`medaudit.adapt.finetune.trainer.Trainer` itself, or a subclass.
"""

import importlib
import pkgutil

from medaudit.adapt.finetune.trainer import Trainer
from medaudit.adapt.finetune_settings import TrainingEntry
from medaudit.core.errors import MedauditError


def find_trainer(entry: TrainingEntry) -> type[Trainer]:
    """Return the trainer that a method's entry names; ``erm`` if it names none.

    Raises
    ------
    MedauditError
        There is no trainer of this name.
    """
    name = entry.get("training", "erm")
    known = sorted(module.name for module in pkgutil.iter_modules(__path__))
    if name not in known:
        raise MedauditError(f"training {name!r} is unknown; there are {known}")
    return importlib.import_module(f"medaudit.adapt.finetune.trainers.{name}").Trainer
