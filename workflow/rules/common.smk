# Checks the configuration before any job starts, and gives every rule its wildcards, settings and
# code. Input functions are in inputs.smk.
import sys
from pathlib import Path

from medaudit.config import jobs
from medaudit.config.catalogues import CATALOGUES
from medaudit.config.declared import gated
from medaudit.config.entries import pretraining_output
from medaudit.config.external import home_of, is_external, store_of
from medaudit.config.failed_gates import exit_if_failed
from medaudit.config.runs import seed_jobs
from medaudit.config.seen_lists import list_files
from medaudit.config.selection import pretrainings_of, selected
from medaudit.config.time_left import jobs_of_run, show_time_left
from medaudit.config.validation import check, check_files, check_writable, load
from medaudit.core.errors import MedauditError
from medaudit.core.files import data_root
from medaudit.core.result_records import clamp_future_mtimes, is_current
from medaudit.core.run_locks import export_job_lock, hold_run_lock
from medaudit.core.stage import export_package
from medaudit.data.datasets import source_tables


def source(name):
    """A file of this workflow, wherever it was fetched from."""
    return Path(workflow.source_path(f"../../{name}"))


def read_configuration(over):
    """The catalogues with `over` merged over them, checked; a mistake ends Snakemake here."""
    schemas = {
        name: source(f"workflow/schemas/{name}.schema.yaml")
        for name in (*CATALOGUES, "config")
    }
    try:
        files = [source("config/config.yaml")]
        checked = check(load(source, files, over), schemas)
        check_files(checked)
        check_writable(Path("results"))
    except MedauditError as error:
        sys.exit(f"medaudit: {error}")
    return checked


config = read_configuration(config)
export_package()
export_job_lock(Path(".snakemake"))
USED = selected(config)
METHODS = config["methods"]


def alternatives(names):
    """A wildcard's pattern; where there are no names, one that matches nothing."""
    return "|".join(names) or "(?!)"


def models_of(ensembles):
    """The pattern of all ensembles, or of all other models."""
    return alternatives(
        name
        for name, entry in config["models"].items()
        if (entry["kind"] == "ensemble") == ensembles
    )


def methods_of(*kinds):
    """The pattern of all methods of these kinds."""
    return alternatives(
        name for name, entry in METHODS.items() if entry["kind"] in kinds
    )


def cohorts_of(external):
    """The pattern of all external cohorts, or of all others."""
    return alternatives(
        name for name in config["cohorts"] if is_external(config, name) == external
    )


wildcard_constraints:
    dataset=alternatives(config["datasets"]),
    cohort=alternatives(config["cohorts"]),
    model=alternatives(config["models"]),
    method=alternatives(METHODS),
    study=alternatives(config["studies"]),
    pretraining=alternatives(config["pretrainings"]),
    seed=r"\d+(-\d+)?",
    worker=r"\d+",


def settings_of(stage):
    """A params function: all that this job depends on, as one JSON text."""
    return lambda wildcards: jobs.settings(config, stage, **wildcards)


def code_of(stage):
    """A params function: the hash of the code that makes this job's result."""
    return lambda wildcards: jobs.code(config, stage, **wildcards)


def image_store(wildcards, output):
    """A params function: the folder of the image store that a job writes."""
    return str(Path(output[0]).parent)


def image_stores(wildcards, input):
    """A params function: the folders of the image stores that a job reads."""
    return list(dict.fromkeys(str(Path(path).parent) for path in input.images))


def search_point(wildcards, input):
    """A params function: the option that hands a searched method its best point."""
    return f"--point {input.point}" if input.point else ""


def transfer_sources(wildcards, input):
    """A params function: the options that name what an external cohort is predicted from."""
    folders = {str(Path(path).parent) for path in input.images}
    given = {
        "--weights": list(input.carried),
        "--embeddings": list(input.embeddings),
        "--images": sorted(folders),
        "--point": list(input.point),
    }
    return " ".join(" ".join([key, *paths]) for key, paths in given.items() if paths)


def for_report(kind, pattern, category="{study}"):
    """An output folder of a study whose files Snakemake's own report lists, one label each."""
    name = kind.removesuffix("s")
    return report(
        directory(f"results/{kind}/{{study}}"),
        patterns=[pattern],
        caption=f"../report/{name}.rst",
        category=category,
        subcategory=kind.title(),
        labels={name: f"{{{name}}}"},
    )
