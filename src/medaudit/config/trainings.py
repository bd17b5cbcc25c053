"""Which trainings use groups of patients, and the checks of their settings.

Imports nothing heavy: it is read at every start of the workflow.
"""

from collections.abc import Iterator
from typing import Any

from medaudit.config.entries import method_entry
from medaudit.core.entry_types import Config, MethodEntry

BY_GROUP = ("resampling", "reweighting", "groupdro", "domain_independent", "end", "lnl")
"""Trainings that need the groups of the training images, besides fairprune and fscl."""

BALANCED = ("resampling", "reweighting")
"""Trainings with a setting ``balance``."""


def grouped(config: Config, entry: MethodEntry, cohort: str) -> dict[str, Any]:
    """Return the entry of a fine-tuning with the attribute that it trains by, if any.

    An entry that names none gets the cohort's first attribute. A training that uses no groups has
    no attribute, so that its jobs do not depend on one.
    """
    settings: dict[str, Any] = {**entry}
    attribute = settings.pop("attribute", None)
    if entry.get("training") in BY_GROUP:
        settings["attribute"] = attribute or config["cohorts"][cohort]["attributes"][0]
    return settings


def searched(config: Config, cohort: str, model: str, method: str, **_: str) -> dict[str, Any]:
    """Return a search's entry; an objective without attribute gets the cohort's first."""
    entry: dict[str, Any] = {**method_entry(config, method, model, cohort)}
    del entry["workers"], entry["seeds"]
    attribute = entry["objective"]["attribute"] or config["cohorts"][cohort]["attributes"][0]
    return {**entry, "objective": {**entry["objective"], "attribute": attribute}}


def check_training(where: str, entry: MethodEntry) -> Iterator[str]:
    """Yield what is wrong with the training of a method, whatever the cohort."""
    training = entry.get("training", "erm")
    settings: Any = entry
    if entry.get("attribute") and training not in BY_GROUP:
        yield (
            f"{where}.attribute: training {training} uses no groups; remove `attribute`, or set "
            f"`training` to one of {', '.join(BY_GROUP)}"
        )
    balanced = training in BALANCED and settings[training]["balance"] == "group_and_class"
    if balanced and entry.get("class_weights") == "balanced":
        yield (
            f"{where}: {training}.balance group_and_class and class_weights balanced would balance "
            "classes twice; set `class_weights: null`"
        )


def check_tasks(
    where: str, method: str, entry: MethodEntry, cohort: str, config: Config
) -> Iterator[str]:
    """Yield why a method's balance does not fit a cohort's tasks."""
    tasks = config["cohorts"][cohort]
    several = tasks["task_type"] != "multiclass" and len(tasks["tasks"]) > 1
    cells = entry.get("training") == "resampling" and (
        entry["resampling"]["balance"] == "group_and_class"
    )
    if cells and several:
        yield (
            f"{where}: methods.{method}.resampling.balance group_and_class needs one task or "
            f"exclusive classes, and {cohort} has {len(tasks['tasks'])} tasks; set balance: group, or "
            "training: reweighting, which balances each task"
        )
