"""Kinds of models: each module has ``build(settings) -> Encoder`` and is found by its name."""

import importlib
import pkgutil
from collections.abc import Mapping
from difflib import SequenceMatcher
from types import ModuleType
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
    return _module_of(settings).build(cast(ModelSettings, dict(settings)))


def network(settings: Mapping[str, Any]) -> Any:
    """Return a model's network with random weights, without reading its file.

    Parameters
    ----------
    settings : mapping
        As of `build`.

    Returns
    -------
    torch.nn.Module or None
        The image encoder; both towers (`medaudit.models.vision_language.Towers`) of a
        vision-language model; None for a kind that has no network.
    """
    create = getattr(_module_of(settings), "network", None)
    return create(cast(ModelSettings, dict(settings))) if create else None


def _module_of(settings: Mapping[str, Any]) -> ModuleType:
    kind = settings["kind"]
    known = [module.name for module in pkgutil.iter_modules(__path__)]
    if kind not in known:
        raise MedauditError(
            f"model {settings.get('name', '?')}: there is no kind of model {kind!r} to build; known "
            f"kinds, the most similar first: {', '.join(_by_similarity(known, kind))}"
        )
    # Before the import: the Hugging Face libraries read the setting when they are imported.
    forbid_downloads()
    return importlib.import_module(f"medaudit.models.kinds.{kind}")


def _by_similarity(names: list[str], wanted: object) -> list[str]:
    return sorted(names, key=lambda name: -SequenceMatcher(None, name, str(wanted)).ratio())
