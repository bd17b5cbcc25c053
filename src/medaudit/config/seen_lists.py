"""Lists of the images that models have seen in pretraining, for the stages that use them."""

from collections.abc import Iterator
from typing import Any

from medaudit.config.grids import grids_of
from medaudit.config.schema import unknown
from medaudit.config.selection import with_members
from medaudit.core.entry_types import Config
from medaudit.core.files import data_root

Lists = dict[str, list[dict[str, Any]]]


def models_on(config: Config, cohort: str) -> list[str]:
    """Return the models that the run audits on a cohort, sorted."""
    studies = [config["studies"][name] for name in config["run"]]
    parts = [part for study in studies for part in grids_of(study) if cohort in part["cohorts"]]
    return sorted({model for part in parts for model in part["models"]})


def seen_images(config: Config, cohort: str) -> dict[str, Any]:
    """Return the setting ``seen`` of the lint; nothing if no audited model has a list."""
    return _setting(config, cohort, lists_on(config, cohort))


def excluded_images(config: Config, cohort: str) -> dict[str, Any]:
    """Return the setting ``seen`` of a cohort: what it leaves out; nothing if there is no list."""
    return _setting(config, cohort, lists_to_exclude(config, cohort))


def _setting(config: Config, cohort: str, lists: Lists) -> dict[str, Any]:
    folder = config["datasets"][config["cohorts"][cohort]["dataset"]]["folder"]
    return {"seen": {"lists": lists, "folder": folder}} if lists else {}


def lists_on(config: Config, cohort: str) -> Lists:
    """Return ``pretraining_images`` of the models that the run audits on a cohort, by model."""
    return _lists(config, with_members(models_on(config, cohort), config["models"]))


def lists_to_exclude(config: Config, cohort: str) -> Lists:
    """Return the lists whose images a cohort leaves out: of ``exclude_seen``."""
    wanted: Any = config["cohorts"][cohort].get("exclude_seen", False)
    return lists_on(config, cohort) if wanted is True else _lists(config, wanted or [])


def list_files(config: Config, cohort: str) -> list[str]:
    """Return the files of all lists that a cohort or its lint reads."""
    both = [lists_on(config, cohort), lists_to_exclude(config, cohort)]
    files = [one["file"] for lists in both for part in lists.values() for one in part]
    return [str(data_root() / file) for file in dict.fromkeys(files)]


def check_excluded(config: Config) -> Iterator[str]:
    """Yield what is wrong with the names in ``exclude_seen``."""
    for name, entry in config["cohorts"].items():
        wanted: Any = entry.get("exclude_seen", False)
        for model in wanted if isinstance(wanted, list) else ():
            where = f"cohorts.{name}.exclude_seen"
            if model not in config["models"]:
                yield f"{where}: {model!r} {unknown(model, config['models'])}"
            elif not config["models"][model].get("pretraining_images"):
                yield f"{where}: models.{model} has no `pretraining_images`, the list to exclude"


def _lists(config: Config, models: list[str]) -> Lists:
    entries = {name: config["models"][name].get("pretraining_images") for name in models}
    return {name: [{**one} for one in lists] for name, lists in entries.items() if lists}
