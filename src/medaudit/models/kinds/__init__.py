"""Kinds of models: each module has ``build(settings) -> Encoder`` and is found by its name."""

import importlib
import pkgutil
from collections.abc import Mapping
from difflib import SequenceMatcher
from typing import Any, cast

from medaudit.core.errors import MedauditError
from medaudit.models.interface import Encoder, ModelSettings
from medaudit.models.weights.offline import forbid_downloads


def build(settings: Mapping[str, Any]) -> Encoder:
    """Build a model from its catalogue entry.

    Parameters
    ----------
    settings : mapping
        The entry, and the model's ``name`` for error messages; ``kind`` names the module.

    Raises
    ------
    MedauditError
        There is no such kind, or the model's own settings or weights are wrong.
    """
    kind = settings["kind"]
    known = [module.name for module in pkgutil.iter_modules(__path__)]
    if kind not in known:
        raise MedauditError(
            f"model {settings.get('name', '?')}: there is no kind of model {kind!r} to build; known "
            f"kinds, the most similar first: {', '.join(_by_similarity(known, kind))}"
        )
    # Before the import: the Hugging Face libraries read the setting when they are imported.
    forbid_downloads()
    module = importlib.import_module(f"medaudit.models.kinds.{kind}")
    return module.build(cast(ModelSettings, dict(settings)))


def _by_similarity(names: list[str], wanted: object) -> list[str]:
    return sorted(names, key=lambda name: -SequenceMatcher(None, name, str(wanted)).ratio())
