# Checks the configuration and says what each job depends on; the only file with Python.
import sys
from pathlib import Path

from medaudit.config import jobs
from medaudit.config.validation import (
    CATALOGUES,
    check,
    check_files,
    check_writable,
    load,
    pretrainings_of,
    selected,
    with_members,
)
from medaudit.core.files import data_root
from medaudit.data.datasets import source_tables
from medaudit.config.entries import pretraining_output
from medaudit.core.errors import MedauditError
from medaudit.core.run_locks import export, join_runs
from medaudit.core.result_records import is_current, pull_back
from medaudit.core.stage import export_package


def source(name):
    """A file of this workflow, wherever it was fetched from."""
    return Path(workflow.source_path(f"../../{name}"))


def catalogue(name):
    """The catalogue in the folder `config` of whoever uses this workflow, or the workflow's own."""
    here = Path("config", f"{name}.yaml")
    return here if here.is_file() else source(f"config/{name}.yaml")


NAMES = [*CATALOGUES, "config"]
try:
    catalogues = [*map(catalogue, CATALOGUES), source("config/config.yaml")]
    config = load(catalogues, config)
    config = check(
        config, {n: source(f"workflow/schemas/{n}.schema.yaml") for n in NAMES}
    )
    check_files(config)
    check_writable(Path("results"))
except MedauditError as error:
    sys.exit(f"medaudit: {error}")

export_package()
export(Path(".snakemake"))
USED = selected(config)
METHODS = config["methods"]


def alternatives(names):
    """A wildcard's pattern; one that matches nothing where there are no names."""
    return "|".join(names) or "(?!)"


def models_of(ensembles):
    """The pattern of models that are ensembles, or of those that are not."""
    return alternatives(
        name
        for name, entry in config["models"].items()
        if (entry["kind"] == "ensemble") == ensembles
    )


def methods_of(*kinds):
    return alternatives(
        name for name, entry in METHODS.items() if entry["kind"] in kinds
    )


wildcard_constraints:
    dataset=alternatives(config["datasets"]),
    cohort=alternatives(config["cohorts"]),
    model=alternatives(config["models"]),
    method=alternatives(METHODS),
    study=alternatives(config["studies"]),
    pretraining=alternatives(config["pretrainings"]),
    seed=r"\d+",
    worker=r"\d+",


def settings_of(stage):
    """A params function: what this job depends on, as one JSON text."""
    return lambda wildcards: jobs.settings(config, stage, **wildcards)


def code_of(stage):
    """A params function: the hash of the code that makes this job's result."""
    return lambda wildcards: jobs.code(config, stage, **wildcards)


def image_store(wildcards, output):
    """The folder that the files of an image store are in."""
    return str(Path(output[0]).parent)


def image_stores(wildcards, input):
    """The folders of the image stores that a job reads."""
    return list(dict.fromkeys(str(Path(path).parent) for path in input.images))


def manifest_tables(wildcards):
    """The owner's tables, so that a newer file is noticed; embedded ones come with the package."""
    entry = {**config["datasets"][wildcards.dataset], "name": wildcards.dataset}
    return [str(path) for path in source_tables(entry)]


def split_file(wildcards):
    """The published split that a cohort follows, where one is configured."""
    name = config["cohorts"][wildcards.cohort].get("split_file")
    return [str(data_root() / name)] if name else []


def manifest_of(suffix):
    datasets = {name: entry["dataset"] for name, entry in config["cohorts"].items()}
    return lambda wildcards: f"results/manifest/{datasets[wildcards.cohort]}.{suffix}"


def pretraining_files(axis, pattern):
    """An input function: `pattern` for the cohorts that a pretraining names."""
    return lambda wildcards: expand(
        pattern, cohort=config["pretrainings"][wildcards.pretraining][axis]
    )


def weights_of(wildcards):
    """The weights of a model that this run pretrains."""
    entry = config["models"][wildcards.model]
    return [pretraining_output(entry)] if entry.get("pretrained") else []


def members_of(wildcards):
    """The predictions of an ensemble's members."""
    return expand(
        "results/predictions/{cohort}/{member}/{method}.parquet",
        **wildcards,
        member=config["models"][wildcards.model]["members"],
    )


def scores_of(wildcards):
    """The file of a model that comes with its scores."""
    return str(data_root() / config["models"][wildcards.model]["file"])


def point_of(wildcards):
    """What was found for a method that is searched."""
    searched = METHODS[wildcards.method]["kind"] == "search"
    path = "results/best_trial/{cohort}/{model}/{method}.json"
    return expand(path, **wildcards) if searched else []


def point_option(wildcards, input):
    return f"--point {input.point}" if input.point else ""


def helpers_of_searches():
    """Further workers of the searches: they are run, and nothing waits for them."""
    path = "results/search/{cohort}/{model}/{method}/{worker}.json"
    return [path.format(**worker) for worker in jobs.helpers(config)]


def seeds_of(wildcards):
    seeds = range(METHODS[wildcards.method]["seeds"])
    return expand(rules.finetune.output, **wildcards, seed=seeds)


def of_study(pattern):
    """An input function: `pattern` for every run of a study."""
    return lambda wildcards: of_studies([wildcards.study], pattern)


def of_studies(studies, pattern):
    """`pattern` for every run of the studies, each once."""
    runs = [run for study in studies for run in jobs.runs(config, study)]
    return list(dict.fromkeys(pattern.format(**run) for run in runs))


def asked_of(stage, pattern):
    """An input function: `pattern` for the runs of a study that asks for what a stage makes."""
    return lambda wildcards: list(
        dict.fromkeys(
            pattern.format(**run) for run in jobs.asked(config, wildcards.study, stage)
        )
    )


def cards_of(wildcards):
    runs = jobs.runs(config, wildcards.study)
    cohorts = list(dict.fromkeys(run["cohort"] for run in runs))
    return expand(rules.groups.output.card, cohort=cohorts)


def predictions_on(wildcards):
    """The predictions of the studies to run on one cohort."""
    every = of_studies(
        USED["studies"], "results/predictions/{cohort}/{model}/{method}.parquet"
    )
    return [path for path in every if path.split("/")[2] == wildcards.cohort]


def watch(stage, rule):
    """An input function that adds no input: it joins the folder's runs before they are looked at,
    and makes again a result of which Snakemake has no record, unless its own says it is current.
    """

    def again(wildcards):
        if not workflow.is_main_process:
            return []
        records = workflow.persistence
        if workflow.executor_plugin and not workflow.dryrun:
            join_runs(records.path)
            pull_back(Path("results"))
        paths = [path.apply_wildcards(wildcards) for path in rule.output]
        if any(Path(path).exists() and not records.metadata(path) for path in paths):
            made = (
                make(config, stage, **wildcards) for make in (jobs.settings, jobs.code)
            )
            if not is_current([Path(path) for path in paths], *made):
                workflow.dag.forcefiles.update(paths)
        return []

    return again
