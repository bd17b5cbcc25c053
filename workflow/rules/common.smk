# Checks the configuration and says what each job depends on; the only file with Python.
import json
import sys
from pathlib import Path

from medaudit.config import check, check_files
from medaudit.datasets import source_tables
from medaudit.errors import MedauditError
from medaudit.provenance import code_version

try:
    config = check(config, Path(workflow.basedir, "workflow", "schemas"))
    check_files(config)
except MedauditError as error:
    sys.exit(f"medaudit: {error}")

STUDIES = config["run"]
METHODS = config["methods"]


def alternatives(names):
    """A wildcard's pattern; one that matches nothing where there are no names."""
    return "|".join(names) or "(?!)"


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


def pick(entry, *keys):
    return {key: entry[key] for key in keys if key in entry}


def as_json(**settings):
    """One parameter for all settings of a job, in a fixed order."""
    return json.dumps(settings, sort_keys=True)


def cohort_of(wildcards):
    return config["cohorts"][wildcards.cohort]


def dataset_of(wildcards):
    return config["datasets"][cohort_of(wildcards)["dataset"]]


def manifest_tables(wildcards):
    """The owner's tables, so that a newer file is noticed; embedded ones come with the package."""
    entry = config["datasets"][wildcards.dataset]
    return [str(path) for path in source_tables({**entry, "name": wildcards.dataset})]


def manifest_of(suffix):
    return (
        lambda wildcards: f"results/manifest/{cohort_of(wildcards)['dataset']}.{suffix}"
    )


def manifest_settings(wildcards):
    entry = config["datasets"][wildcards.dataset]
    used = {
        key: value
        for key, value in entry.items()
        if key not in ("phantom", "attributes")
    }
    return as_json(name=wildcards.dataset, **used)


def cohort_settings(wildcards):
    entry = {**cohort_of(wildcards), "name": wildcards.cohort}
    return as_json(
        **{key: entry[key] for key in entry.keys() - {"image_size", "on_error"}}
    )


def images_settings(wildcards):
    dataset = pick(dataset_of(wildcards), "loader", "folder", "phantom")
    store = pick(cohort_of(wildcards), "image_size", "on_error")
    return as_json(cohort=wildcards.cohort, dataset=dataset, **store)


def model_settings(wildcards):
    return as_json(**wildcards, entry=config["models"][wildcards.model])


def method_settings(wildcards):
    tasks = pick(cohort_of(wildcards), "tasks", "task_type")
    return as_json(**wildcards, entry=METHODS[wildcards.method], **tasks)


def audit_settings(wildcards):
    cohort = pick(
        cohort_of(wildcards), "tasks", "task_type", "attributes", "test_weights"
    )
    return as_json(**wildcards, evaluation=config["evaluation"], **cohort)


def study_settings(wildcards):
    entry = config["studies"][wildcards.study]
    return as_json(study=wildcards.study, entry=entry, evaluation=config["evaluation"])


def manifest_code(wildcards):
    return code_version(
        "manifest", f"datasets.{config['datasets'][wildcards.dataset]['loader']}"
    )


def cohort_code(wildcards):
    return code_version("cohort", f"cohort.{cohort_of(wildcards)['builder']}")


def images_code(wildcards):
    dataset = dataset_of(wildcards)
    return code_version(
        "images", f"datasets.{dataset['loader'] if dataset['folder'] else 'phantom'}"
    )


def model_code(wildcards):
    return code_version("embed", f"models.{config['models'][wildcards.model]['kind']}")


def probe_code(wildcards):
    return code_version("probe", f"methods.{METHODS[wildcards.method]['head']}")


def runs_of(*patterns):
    """An input function: the patterns for every cohort x model x method of a study."""

    def files(wildcards):
        study = config["studies"][wildcards.study]
        axes = {axis: study[f"{axis}s"] for axis in ("cohort", "model", "method")}
        return [path for pattern in patterns for path in expand(pattern, **axes)]

    return files
