"""The runs of a study (cohort, model and method of each), and the optional results they need."""

from medaudit.config.entries import method_entry
from medaudit.config.external import is_external, store_of
from medaudit.config.grids import VIEW, grids_of
from medaudit.config.requests import stages_of
from medaudit.core.entry_types import Config
from medaudit.core.seeds import seed_ranges
from medaudit.models.capabilities import KINDS, capabilities

Run = dict[str, str]
"""``cohort``, ``model`` and ``method``; of a search worker also ``worker``."""

EXCLUSIVE = {can.only_method for can in KINDS.values()} - {None}
"""Kinds of methods that run only with the kinds of models that name them."""


def runs(config: Config, study: str) -> list[Run]:
    """Return the runs of a study, in the order of its entry, without duplicates.

    The runs of its own grid come first, then those of ``also``.
    """
    found = [
        (cohort, model, method)
        for grid in grids_of(config["studies"][study])
        for cohort in grid["cohorts"]
        for model in grid["models"]
        for method in grid["methods"]
        if method_fits(config, model, method)
    ]
    return [
        dict(zip(("cohort", "model", "method"), run, strict=True)) for run in dict.fromkeys(found)
    ]


def extra_search_workers(config: Config) -> list[Run]:
    """Return the workers of all searches but the first of each; no rule depends on their output."""
    found: list[Run] = []
    for run in [run for study in config["run"] for run in runs(config, study)]:
        for model in config["models"][run["model"]].get("members", [run["model"]]):
            entry = method_entry(config, run["method"], model, run["cohort"])
            if entry["kind"] == "search":
                numbers = range(1, entry["workers"])
                found += [{**run, "model": model, "worker": str(number)} for number in numbers]
    return list({tuple(worker.values()): worker for worker in found}.values())


def seed_jobs(config: Config, cohort: str, model: str, method: str) -> list[str]:
    """Return the jobs that fine-tune a model by a method: seeds, or ranges of seeds as ``0-2``.

    All learning rates of a seed are trained by one job. With ``together``, a job has as many seeds
    as trainings may advance together.
    """
    entry = method_entry(config, method, model, cohort)
    rates = len(entry.get("learning_rates", [0]))
    return seed_ranges(entry["seeds"], max(1, entry.get("together", 1) // rates))


def method_fits(config: Config, model: str, method: str) -> bool:
    """Return whether a method can be applied to a model; a study skips other pairs."""
    entry = config["models"][model]
    kind, can = config["methods"][method]["kind"], capabilities(entry)
    if can.members:
        return all(method_fits(config, member, method) for member in entry["members"])
    if can.only_method or kind in EXCLUSIVE:
        return kind == can.only_method
    if kind in ("finetune", "search"):
        return can.trainable
    if kind == "zero_shot":
        return can.text
    return True


def runs_needing(config: Config, study: str, stage: str) -> list[Run]:
    """Return the runs of a study for which its tables and figures need an optional stage.

    Parameters
    ----------
    config : dict
        The checked configuration.
    study : str
        Its name.
    stage : str
        See `medaudit.config.requests`. Models without an embedding have no ``attribute_probes`` and no ``remedies``;
        a cohort without all of ``evaluation.control`` has no ``conditional_gaps``; only external
        cohorts have ``shift``;
        ensembles, and methods that search for nothing, have no ``best_trial``.
    """
    if stage not in stages_of(config["studies"][study]):
        return []
    found = [run for run in runs(config, study) if _has(config, run, stage)]
    if stage == "attribute_probes":  # elsewhere, the embeddings are those of the external cohort
        return [{**run, "cohort": store_of(config, run["cohort"])} for run in found]
    return found


def _has(config: Config, run: Run, stage: str) -> bool:
    can = capabilities(config["models"][run["model"]])
    searched = config["methods"][run["method"]]["kind"] == "search"
    if stage in ("attribute_probes", "remedies"):
        return can.embedding
    if stage == "shift":
        return is_external(config, run["cohort"])
    if stage == "conditional_gaps":
        return _is_controlled(config, run["cohort"])
    return stage != "best_trial" or (searched and not can.members)


def _is_controlled(config: Config, cohort: str) -> bool:
    """Return whether there is something to control for, and the cohort has all of it."""
    control = config["evaluation"]["control"]
    dataset = config["datasets"][config["cohorts"][cohort]["dataset"]]
    return bool(control) and set(control) <= {*dataset["attributes"], VIEW}
