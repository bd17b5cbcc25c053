"""Which entries of the catalogues the studies to run use."""

from collections.abc import Iterable, Mapping
from typing import Any

from medaudit.config.grids import AXES, names_of
from medaudit.core.entry_types import Config


def selected(config: Config) -> dict[str, list[str]]:
    """Return the names that the studies to run use, by catalogue, in order of first use."""
    studies = [config["studies"][name] for name in config["run"]]
    used = {
        axis: list(dict.fromkeys(name for study in studies for name in names_of(study, axis)))
        for axis in AXES
    }
    datasets = [config["cohorts"][name]["dataset"] for name in used["cohorts"]]
    return {**used, "datasets": list(dict.fromkeys(datasets)), "studies": list(config["run"])}


def with_members(names: Iterable[str], models: Mapping[str, Any]) -> list[str]:
    """Return the names of models, each ensemble followed by its members, without duplicates."""
    each = ([name, *models.get(name, {}).get("members", [])] for name in names)
    return list(dict.fromkeys(name for group in each for name in group))


def without_unused_models(config: Config) -> dict[str, Any]:
    """Return the configuration without the models that no study to run uses."""
    catalogue = config["models"]
    used = with_members(selected(config)["models"], catalogue)
    return {**config, "models": {name: catalogue[name] for name in used}}


def pretrainings_of(models: Iterable[str], config: Config) -> list[str]:
    """Return the pretrainings of models and of the members of ensembles, without duplicates."""
    entries = [config["models"][name] for name in with_members(models, config["models"])]
    return list(dict.fromkeys(e["pretrained"] for e in entries if e.get("pretrained")))
