"""What each job of a run depends on: its settings, and the code that makes its result.

The workflow hands a job nothing else of the configuration, so that a change reruns what depends
on it and no more. All functions take the checked configuration (see `medaudit.config.validation.check`) and
the names that identify the job.
"""

import json

from medaudit.config.entries import method_entry, model_entry
from medaudit.config.grids import crosses, named
from medaudit.config.runs import asked, helpers, method_fits, runs
from medaudit.config.stages import MODULES
from medaudit.config.validation import with_members
from medaudit.core.code_version import code_version
from medaudit.data.datasets import phantom_of

__all__ = ["JOBS", "asked", "code", "helpers", "method_fits", "runs", "settings"]


def settings(config: dict, stage: str, **names: str) -> str:
    """Return the settings of one job as JSON in a fixed order.

    Parameters
    ----------
    config : dict
        The checked configuration.
    stage : str
        One of `JOBS`.
    **names : str
        The job's wildcards, e.g. ``cohort="nih_6x200", model="pixels"``.
    """
    return json.dumps(JOBS[stage][0](config, **names), sort_keys=True)


def code(config: dict, stage: str, **names: str) -> str:
    """Return the hash of the code of one job: its stage and the backends its settings name."""
    return code_version(MODULES[stage], *JOBS[stage][1](config, **names))


OFFICIAL = {"epochs": 800, "fraction": 1.0}
"""Amounts of a pretraining that its entry does not give (`medaudit.models.pretrain.settings`)."""

_DOCUMENTARY = ("licence", "source", "pretraining", "pretraining_data")
"""What is said of a model and changes no number."""

_METHOD_FACTS = (
    *("kind", "head", "tune", "lora", "format"),
    *("training", "space", "sampler", "objective", "trials"),
)
"""What tables say of a method."""

_NOT_OF_A_REFIT = ("space", "sampler", "learning_rate", "trials", "pruning", "subset")
"""What of a search's entry its best point does not depend on once it is found."""

_OF_GROUPS = ("attributes", "test_weights", "age_given_label")
"""Settings of a cohort that change which groups are audited, and nothing else."""

_NOT_OF_IMAGES = (*_DOCUMENTARY, "tokenizer", "tokenizer_source", "text_pooling")
"""What no image embedding depends on."""


def _without(entry: dict, *keys: str) -> dict:
    return {key: value for key, value in entry.items() if key not in keys}


def _only(entry: dict, *keys: str) -> dict:
    return {key: entry[key] for key in keys if key in entry}


def _dataset_of(config: dict, cohort: str) -> dict:
    return config["datasets"][config["cohorts"][cohort]["dataset"]]


def _manifest(config: dict, dataset: str) -> dict:
    entry = config["datasets"][dataset]
    drawn = _only(entry.get("phantom") or {}, "rows", "seed")  # of a table that is drawn too
    return {
        "name": dataset,
        **_without(entry, "phantom", "attributes"),
        **({"phantom": drawn} if drawn else {}),
    }


def _cohort(config: dict, cohort: str) -> dict:
    stored = ("image_size", "channels", "on_error")
    return {"name": cohort, **_without(config["cohorts"][cohort], *stored, *_OF_GROUPS)}


def _groups(config: dict, cohort: str) -> dict:
    return {"name": cohort, **_only(config["cohorts"][cohort], "tasks", "seed", *_OF_GROUPS)}


def _images(config: dict, cohort: str) -> dict:
    dataset = _only(_dataset_of(config, cohort), "loader", "folder", "window", "phantom")
    stored = _only(config["cohorts"][cohort], "image_size", "channels", "on_error")
    return {"cohort": cohort, "dataset": dataset, **stored}


def _pretrain(config: dict, pretraining: str) -> dict:
    entry = _without(config["pretrainings"][pretraining], "cohorts", "audited")
    return {"name": pretraining, **entry}


def _embed(config: dict, cohort: str, model: str) -> dict:
    entry = _without(model_entry(config, model), *_NOT_OF_IMAGES)
    return {"cohort": cohort, "model": model, "entry": entry}


def _adapt(config: dict, **names: str) -> dict:
    tasks = _only(config["cohorts"][names["cohort"]], "tasks", "task_type")
    entry = method_entry(config, names["method"], names["model"], names["cohort"])
    return {**names, "entry": entry, **tasks}


def _ensemble(config: dict, **names: str) -> dict:
    entry = _only(config["models"][names["model"]], "members", "mean")
    return {**names, "entry": entry, **_only(config["cohorts"][names["cohort"]], "task_type")}


def _given(config: dict, **names: str) -> dict:
    return {**_adapt(config, **names), "entry": config["models"][names["model"]]}


def _finetune(config: dict, **names: str) -> dict:
    entry = _without(model_entry(config, names["model"]), *_DOCUMENTARY)
    settings = {**_adapt(config, **names), "model_entry": entry}
    if settings["entry"]["kind"] == "search":
        settings["entry"] = _without(_searched(config, **names), *_NOT_OF_A_REFIT)
    return settings


def _searched(config: dict, cohort: str, model: str, method: str, **_: str) -> dict:
    """Return a search's entry: its objective's attribute is the cohort's first if it names none."""
    entry = _without(method_entry(config, method, model, cohort), "workers", "seeds")
    attribute = entry["objective"]["attribute"] or config["cohorts"][cohort]["attributes"][0]
    return {**entry, "objective": {**entry["objective"], "attribute": attribute}}


def _search(config: dict, worker: str, **names: str) -> dict:
    entry = _without(_searched(config, **names), "group_curves")
    return {**_finetune(config, **names), "entry": entry}


def _select(config: dict, **names: str) -> dict:
    used = ("kind", "space", "objective", "trials", "epochs")
    return {**names, "entry": _only(_searched(config, **names), *used)}


def _audit(config: dict, cohort: str, **names: str) -> dict:
    used = _only(
        config["cohorts"][cohort], "tasks", "task_type", "attributes", "test_weights", "positive"
    )
    return {"cohort": cohort, **names, "evaluation": config["evaluation"], **used}


def _lint(config: dict, cohort: str) -> dict:
    entry = config["cohorts"][cohort]
    studies = [config["studies"][name] for name in config["run"]]
    parts = [part for study in studies for part in crosses(study) if cohort in part["cohorts"]]
    models = {model for part in parts for model in part["models"]}
    return {
        "cohort": cohort,
        "dataset": entry["dataset"],
        **_only(entry, "tasks", "task_type", "attributes"),
        "evaluation": _only(config["evaluation"], "threshold", "minimum"),
        "models": {m: _pretraining_data(config["models"], m) for m in sorted(models)},
    }


def _pretraining_data(models: dict, name: str) -> dict:
    """Return what a model saw during pretraining; of an ensemble, what any member saw."""
    members = models[name].get("members", [name])
    seen = [models[member].get("pretraining_data") for member in members]
    known = None not in seen
    return {"pretraining_data": sorted({item for part in seen for item in part}) if known else None}


def _compare(config: dict, study: str) -> dict:
    entry = config["studies"][study]
    return {
        "study": study,
        "entry": entry,
        "evaluation": config["evaluation"],
        "methods": {
            name: _only(config["methods"][name], *_METHOD_FACTS) for name in named(entry, "methods")
        },
        "models": {
            name: model_facts(config, name)
            for name in with_members(named(entry, "models"), config["models"])
        },
    }


def model_facts(config: dict, model: str) -> dict:
    """Return what tables and claims say of a model.

    Returns
    -------
    dict
        ``kind``, ``architecture``, ``family`` (`family_of`), ``pretraining`` (``objective``,
        ``domain``, ``method``), ``pretraining_data``, ``members``; and for weights that the run
        pretrains ``pretrained``: ``algorithm``, ``cohorts``, ``datasets`` (theirs),
        ``procedural``, ``epochs``, ``fraction``, and ``others``: all else that changes the weights,
        but the warm-up. Only what is given.
    """
    entry = config["models"][model]
    facts = _only(entry, "kind", "architecture", "pretraining", "pretraining_data", "members")
    facts["family"] = family_of(entry)
    if entry.get("pretrained"):
        facts["pretrained"] = _pretraining_facts(config, entry)
    return facts


def _pretraining_facts(config: dict, model: dict) -> dict:
    entry = {**OFFICIAL, **config["pretrainings"][model["pretrained"]]}
    entry["epochs"] = model.get("pretrained_epochs") or entry["epochs"]
    varied = ("algorithm", "cohorts", "procedural", *OFFICIAL)
    aside = ("audited", "warmup_epochs", "micro_batch", "snapshots")
    datasets = sorted({config["cohorts"][cohort]["dataset"] for cohort in entry["cohorts"]})
    others = _without(entry, *varied, *aside)
    return {**_only(entry, *varied), "datasets": datasets, "others": others}


def family_of(entry: dict) -> str | None:
    """Return ``vit`` or ``resnet`` by a model's architecture or image tower; None if neither."""
    text = str(entry.get("architecture") or entry.get("image_tower") or "").lower()
    return next((family for family in ("resnet", "vit") if family in text), None)


def _names(config: dict, **names: str) -> dict:
    return names


def _report(config: dict) -> dict:
    return {"config": config}


def _loader(config: dict, dataset: str) -> list[str]:
    return [f"data.datasets.{config['datasets'][dataset]['loader']}"]


def _builder(config: dict, cohort: str) -> list[str]:
    return [f"data.cohort.{config['cohorts'][cohort]['builder']}"]


def _pixels(config: dict, cohort: str) -> list[str]:
    dataset = _dataset_of(config, cohort)
    if dataset["folder"]:
        return [f"data.datasets.{dataset['loader']}"]
    return [f"data.phantoms.{phantom_of(dataset)}"]


def _model(config: dict, model: str, **names: str) -> list[str]:
    return [f"models.kinds.{config['models'][model]['kind']}"]


def _searcher(config: dict, **names: str) -> list[str]:
    return ["search.trial_runner", *_trainer(config, **names)]


def _trainer(config: dict, method: str, **names: str) -> list[str]:
    training = config["methods"][method].get("training", "erm")
    return [f"adapt.finetune.trainers.{training}", *_model(config, **names)]


def _head(config: dict, method: str, **names: str) -> list[str]:
    return [f"adapt.probe.heads.{config['methods'][method]['head']}"]


def _none(config: dict, **names: str) -> list[str]:
    return []


JOBS = {
    "manifest": (_manifest, _loader),
    "cohort": (_cohort, _builder),
    "groups": (_groups, _none),
    "images": (_images, _pixels),
    "pretrain": (_pretrain, _none),
    "embed": (_embed, _model),
    "probe": (_adapt, _head),
    "finetune": (_finetune, _trainer),
    "search": (_search, _searcher),
    "best_trial": (_select, _none),
    "zero_shot": (_finetune, _model),
    "predictions": (_given, _none),
    "merge_seeds": (_names, _none),
    "ensemble": (_ensemble, _none),
    "lint": (_lint, _none),
    "evaluate": (_audit, _none),
    "disparity": (_audit, _none),
    "dialects": (_audit, _none),
    "gap_decomposition": (_audit, _none),
    "attribute_probes": (_audit, _none),
    "compare": (_compare, _none),
    "report": (_report, _none),
}
"""For each stage: what its settings are, and the modules it finds by name."""
