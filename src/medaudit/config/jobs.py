"""What each job depends on: its settings, and the hash of the code that makes its result.

The workflow passes a job nothing else of the configuration, so that a change reruns only what
depends on it. All functions take the checked configuration (`medaudit.config.validation.check`) and
the job's wildcards.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from medaudit.config import job_modules
from medaudit.config.declared import gate_settings
from medaudit.config.entries import method_entry, model_entry
from medaudit.config.external import home_of
from medaudit.config.grids import names_of
from medaudit.config.labels import seen_by
from medaudit.config.mitigation import mitigate_settings, remedies_settings
from medaudit.config.model_facts import METHOD_FACTS, model_facts, pretraining_data
from medaudit.config.runs import extra_search_workers, method_fits, runs, runs_needing
from medaudit.config.seen_lists import excluded_images, models_on, seen_images
from medaudit.config.selection import with_members, without_unused_models
from medaudit.config.stages import MODULES
from medaudit.config.trainings import grouped, searched
from medaudit.core.code_version import code_version
from medaudit.core.entry_types import Config, DatasetEntry
from medaudit.data.datasets import what_is_drawn

__all__ = ["JOBS", "code", "extra_search_workers", "method_fits", "runs"]
__all__ += ["runs_needing", "settings"]

Settings = dict[str, Any]


def settings(config: Config, stage: str, **names: str) -> str:
    """Return the settings of one job as JSON with sorted keys.

    Parameters
    ----------
    config : dict
        The checked configuration.
    stage : str
        One of `JOBS`.
    **names : str
        The job's wildcards, e.g. ``cohort="nih_6x200", model="pixels"``.
    """
    return json.dumps(JOBS[stage][0](seen_by(stage, config), **names), sort_keys=True)


def code(config: Config, stage: str, **names: str) -> str:
    """Return the hash of the code of one job: its stage and the plug-ins its settings name."""
    return code_version(MODULES[stage], *JOBS[stage][1](config, **names))


_DOCUMENTARY = ("licence", "source", "pretraining", "pretraining_data", "pretraining_images")
"""Keys of a model that describe it and change no number."""

_SEARCH_ONLY = ("space", "sampler", "learning_rate", "trials", "pruning", "subset")
"""Settings of the search itself; a refit at its best point does not depend on them."""

_OF_GROUPS = ("attributes", "test_weights", "age_given_label")
"""Settings of a cohort that change which groups are audited, and nothing else."""

_TEXT_ONLY = ("tokenizer", "tokenizer_source", "text_pooling")
"""Settings of a model's text tower; an image's embedding does not depend on them."""

_POINTS = ("metrics", "threshold", "minimum")
_METRICS = (*_POINTS, "bootstrap", "ece_bins")
"""Keys of the evaluation that the values of metrics, and their intervals, depend on."""

_INTERVALS = ("bootstrap.draws", "bootstrap.level")
"""Keys of the evaluation that percentile intervals depend on."""


def _without(entry: Mapping[str, Any], *keys: str) -> Settings:
    return {key: value for key, value in entry.items() if key not in keys}


def _only(entry: Mapping[str, Any], *keys: str) -> Settings:
    return {key: entry[key] for key in keys if key in entry}


def _dataset_of(config: Config, cohort: str) -> DatasetEntry:
    return config["datasets"][config["cohorts"][cohort]["dataset"]]


def _manifest(config: Config, dataset: str) -> Settings:
    entry = config["datasets"][dataset]
    # Where the table is drawn too, its rows and seed matter; how pixels are drawn does not.
    drawn = _only(entry.get("phantom") or {}, "rows", "seed")
    return {
        "name": dataset,
        **_without(entry, "phantom", "attributes", "licence", "source"),
        **({"phantom": drawn} if drawn else {}),
    }


def _cohort(config: Config, cohort: str) -> Settings:
    entry = _without(config["cohorts"][cohort], "image_size", "channels", "on_error", *_OF_GROUPS)
    if entry.get("stratify", "") is None:  # not its own: other groups to audit are no other split
        entry["stratify"] = _dataset_of(config, cohort)["attributes"]
    return {"name": cohort, **_without(entry, "exclude_seen"), **excluded_images(config, cohort)}


def _groups(config: Config, cohort: str) -> Settings:
    entry = _only(config["cohorts"][cohort], "tasks", "seed", *_OF_GROUPS)
    planted = (what_is_drawn(_dataset_of(config, cohort)) or {}).get("planted")
    return {"name": cohort, **entry, **({"planted": planted} if planted else {})}


def _images(config: Config, cohort: str) -> Settings:
    dataset = _only(_dataset_of(config, cohort), "loader", "folder", "window", "phantom")
    stored = _only(config["cohorts"][cohort], "image_size", "channels", "on_error")
    return {"cohort": cohort, "dataset": dataset, **stored}


def _pretrain(config: Config, pretraining: str) -> Settings:
    entry = _without(config["pretrainings"][pretraining], "cohorts", "audited")
    return {"name": pretraining, **entry}


def _embed(config: Config, cohort: str, model: str) -> Settings:
    entry = _without(model_entry(config, model), *_DOCUMENTARY, *_TEXT_ONLY)
    return {"cohort": cohort, "model": model, "entry": entry}


def _adapt(config: Config, **names: str) -> Settings:
    tasks = _only(config["cohorts"][names["cohort"]], "tasks", "task_type")
    entry = method_entry(config, names["method"], names["model"], names["cohort"])
    return {**names, "entry": grouped(config, entry, names["cohort"]), **tasks}


def _ensemble(config: Config, **names: str) -> Settings:
    entry = _only(config["models"][names["model"]], "members", "mean")
    return {**names, "entry": entry, **_only(config["cohorts"][names["cohort"]], "task_type")}


def _given(config: Config, **names: str) -> Settings:
    entry = _without(config["models"][names["model"]], *_DOCUMENTARY)
    return {**_adapt(config, **names), "entry": _only(entry, "output") or entry}


def _finetune(config: Config, **names: str) -> Settings:
    entry = _without(model_entry(config, names["model"]), *_DOCUMENTARY)
    settings = {**_adapt(config, **names), "model_entry": entry}
    if settings["entry"]["kind"] == "search":
        settings["entry"] = _without(searched(config, **names), *_SEARCH_ONLY)
    return settings


def _transfer(config: Config, cohort: str, **names: str) -> Settings:
    """Return the settings of the training at home, and what of it the external cohort has."""
    home = home_of(config, cohort)
    trained = _finetune(config, cohort=home, **names)
    kept = config["cohorts"][cohort]["tasks"]
    return {**trained, "cohort": cohort, "home": home, "kept": kept}


def _search(config: Config, worker: str, **names: str) -> Settings:
    entry = _without(searched(config, **names), "group_curves", "together", "compile")
    return {**_finetune(config, **names), "entry": entry}


def _best_trial(config: Config, **names: str) -> Settings:
    used = ("kind", "space", "objective", "trials", "epochs")
    return {**names, "entry": _only(searched(config, **names), *used)}


def _audit(*used: str) -> Callable[..., Settings]:
    """Return a function that makes the settings of an audit stage, which uses those evaluation keys."""

    def make(config: Config, cohort: str, **names: str) -> Settings:
        entry = _only(config["cohorts"][cohort], "tasks", "task_type", "attributes", "test_weights")
        return {"cohort": cohort, **names, **entry, "evaluation": _evaluation(config, *used)}

    return make


def _evaluation(config: Config, *used: str) -> Settings:
    """Return some keys of the evaluation block; of ``bootstrap.draws`` only that part."""
    evaluation: Mapping[str, Any] = config["evaluation"]
    found: Settings = {}
    for key, _, part in (name.partition(".") for name in used):
        value = evaluation[key]
        found[key] = {**found.get(key, {}), part: value[part]} if part else value
    return found


def _attribute_probes(config: Config, cohort: str, model: str) -> Settings:
    single = [a for a in config["cohorts"][cohort]["attributes"] if isinstance(a, str)]
    evaluation = _evaluation(config, *_INTERVALS, "null", "minimum.n")
    return {"cohort": cohort, "model": model, "attributes": single, "evaluation": evaluation}


def _lint(config: Config, cohort: str) -> Settings:
    entry = config["cohorts"][cohort]
    return {
        "cohort": cohort,
        "dataset": entry["dataset"],
        **seen_images(config, cohort),
        **_only(entry, "tasks", "task_type", "attributes"),
        "evaluation": _only(config["evaluation"], "threshold", "minimum"),
        "models": {m: pretraining_data(config["models"], m) for m in models_on(config, cohort)},
    }


def _compare(config: Config, study: str) -> Settings:
    entry = config["studies"][study]
    return {
        "study": study,
        "entry": _without(entry, "gate"),
        "evaluation": config["evaluation"],
        "methods": {
            name: _only(config["methods"][name], *METHOD_FACTS)
            for name in names_of(entry, "methods")
        },
        "models": {
            name: model_facts(config, name)
            for name in with_members(names_of(entry, "models"), config["models"])
        },
        "cohorts": {
            name: _only(config["cohorts"][name], "label") for name in names_of(entry, "cohorts")
        },
    }


def _names(config: Config, **names: str) -> Settings:
    return names


def _report(config: Config) -> Settings:
    return {"config": without_unused_models(config)}


JOBS: dict[str, tuple[Callable[..., Settings], Callable[..., list[str]]]] = {
    "manifest": (_manifest, job_modules.loader),
    "cohort": (_cohort, job_modules.builder),
    "groups": (_groups, job_modules.nothing),
    "images": (_images, job_modules.pixels),
    "pretrain": (_pretrain, job_modules.nothing),
    "embed": (_embed, job_modules.model),
    "probe": (_adapt, job_modules.head),
    "finetune": (_finetune, job_modules.trainer),
    "search": (_search, job_modules.searcher),
    "best_trial": (_best_trial, job_modules.nothing),
    "zero_shot": (_finetune, job_modules.model),
    "predictions": (_given, job_modules.nothing),
    "merge_seeds": (_names, job_modules.nothing),
    "ensemble": (_ensemble, job_modules.nothing),
    "transfer": (_transfer, job_modules.carried),
    "mitigate": (mitigate_settings, job_modules.nothing),
    "remedies": (remedies_settings, job_modules.nothing),
    "shift": (_audit(*_INTERVALS, "threshold", "minimum", "margins"), job_modules.nothing),
    "lint": (_lint, job_modules.nothing),
    "evaluate": (_audit(*_METRICS), job_modules.nothing),
    "disparity": (_audit(*_METRICS, "gaps", "null", "reference"), job_modules.nothing),
    "dialects": (
        _audit(*_INTERVALS, "threshold", "minimum", "null", "ece_bins"),
        job_modules.nothing,
    ),
    "gap_decomposition": (_audit(*_INTERVALS, "threshold", "minimum"), job_modules.nothing),
    "attribute_probes": (_attribute_probes, job_modules.nothing),
    "conditional_gaps": (
        _audit(*_POINTS, "bootstrap.level", "null", "control"),
        job_modules.nothing,
    ),
    "sensitivity": (_audit(*_POINTS, "sensitivity"), job_modules.nothing),
    "compare": (_compare, job_modules.outputs),
    "report": (_report, job_modules.nothing),
    "gate": (gate_settings, job_modules.nothing),
}
"""Stage to two functions: its settings, and the modules that it imports by name at run time."""
