"""Pack a finished study as a Workflow Run RO-Crate: its results and how they were made.

The files that go in are listed by name, never by globbing a results folder, so that no image, no
embedding, no prediction and no table with one row per patient can slip in.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from medaudit.cli.rocrate.metadata import write_crate
from medaudit.cli.shared_split import describe_split
from medaudit.config.grids import names_of
from medaudit.core.documents import CohortCard
from medaudit.core.entry_types import Config
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import COHORT, atomic, read_json, read_table, write_json
from medaudit.report.page.run_record import git_state

PERSONAL = ("image_id", "patient_id", "path")
"""Columns of tables that must not be shared."""

WORKFLOW = (
    *(
        "Snakefile",
        "config.yaml",
        "workflow/Snakefile",
        "workflow/rules/*.smk",
        "workflow/schemas/*.yaml",
        "config/*.yaml",
    ),
    *("envs/*", "profiles/*/config.yaml", "LICENSE", "CITATION.cff"),
)
_PICTURE = re.compile(r"data:image/(?:png|jpe?g|webp|gif|avif);base64,[A-Za-z0-9+/=]{4000}")


@dataclass(frozen=True)
class Part:
    """A file of the crate: where it is, where it goes, and what it is."""

    source: Path
    target: str
    about: str
    role: str
    """``workflow``, ``input`` or ``result``."""


def pack(
    study: str, output: Path, results: Path, checkout: Path, made: Path, licence: str
) -> dict[str, Any]:
    """Write the crate of a study, or of ``all`` studies of the run.

    Parameters
    ----------
    study : str
        A study of the run, or ``all``.
    output : Path
        The ``.zip``.
    results : Path
        The results folder of a finished run.
    checkout : Path
        Folder of the workflow.
    made : Path
        Folder for files that are made for the crate: the configuration and the split files.
    licence : str
        Licence of the results: a web address, or a sentence.

    Returns
    -------
    dict
        ``files`` (their number) and ``remarks`` (sentences on what was left out, and why).

    Raises
    ------
    MedauditError
        The run is not finished, has no such study, or a file has one row per patient.
    """
    record = _read_record(results)
    studies = _studies(record["config"], study)
    remarks = list(_other_code(record, checkout))
    parts = [
        *_of_checkout(checkout),
        *_of_run(record, studies, results, made),
        *(part for name in studies for part in _of_study(name, results)),
        *_report(record, studies, results, remarks),
    ]
    for part in parts:
        _check_table(part.source)
    with atomic(output) as temporary:
        write_crate(parts, record, studies, licence, temporary)
    return {"files": len(parts), "remarks": remarks}


def _read_record(results: Path) -> dict[str, Any]:
    try:
        return read_json(results / "run.json")
    except (OSError, ValueError) as error:
        raise MedauditError(
            f"{results / 'run.json'} cannot be read ({error}): finish the run first"
        ) from error


def _studies(config: Config, study: str) -> list[str]:
    if study == "all":
        return config["run"]
    if study not in config["run"]:
        raise MedauditError(f"the run has no study {study!r}; it has {', '.join(config['run'])}")
    return [study]


def _of_checkout(checkout: Path) -> Iterator[Part]:
    for pattern in WORKFLOW:
        for path in sorted(checkout.glob(pattern)):
            target = path.relative_to(checkout).as_posix()
            yield Part(path, target, "the workflow and its default configuration", "workflow")


def _other_code(record: dict[str, Any], checkout: Path) -> Iterator[str]:
    ran, now = record["code"]["git"]["commit"], git_state(checkout)["commit"]
    if ran != now:
        yield f"the crate has the workflow at commit {now}, but the run was made with commit {ran}"


def _of_run(
    record: dict[str, Any], studies: list[str], results: Path, made: Path
) -> Iterator[Part]:
    config: Config = record["config"]
    merged = made / "configuration.yaml"
    merged.write_text(yaml.safe_dump(config, sort_keys=True, allow_unicode=True), encoding="utf-8")
    yield Part(merged, "configuration.yaml", "the configuration of the run, merged", "input")
    yield Part(results / "run.json", "results/run.json", "what the run was made of", "result")
    entries = [config["studies"][name] for name in studies]
    for name in dict.fromkeys(cohort for entry in entries for cohort in names_of(entry, "cohorts")):
        card, table = (results / "cohort" / f"{name}.{kind}" for kind in ("json", "parquet"))
        groups = results / "groups" / f"{name}.json"
        _check_there(card, table, groups)
        if read_json(card)["ids_sha256"] != record["cohorts"].get(name):
            raise MedauditError(
                f"{card} does not belong to the run that {results / 'run.json'} describes: run again, "
                "so that the report and the record match the cohorts"
            )
        yield Part(card, f"results/cohort/{name}.json", f"card of cohort {name}", "result")
        yield Part(groups, f"results/groups/{name}.json", f"groups of cohort {name}", "result")
        split = made / f"{name}.split.json"
        write_json(_split(record, name, read_table(table, COHORT), read_json(groups)), split)
        yield Part(split, f"splits/{split.name}", f"split of cohort {name}, hashed", "input")


def _split(
    record: dict[str, Any], name: str, frame: pd.DataFrame, card: CohortCard
) -> dict[str, Any]:
    """Return a cohort's split with the code hashes of the run, not those of today's code."""
    stages = record["code"]["stages"]
    made_by = {stage: stages[stage] for stage in ("manifest", "cohort") if stage in stages}
    packages = record["environment"]["packages"]
    code = {**made_by, "medaudit": packages.get("medaudit")}
    return {**describe_split(record["config"], name, frame, card), "code": code}


def _of_study(study: str, results: Path) -> Iterator[Part]:
    facts = results / "compare" / f"{study}.csv"
    yield Part(facts, f"results/compare/{study}.csv", f"facts of study {study}", "result")
    for kind in ("tables", "figures"):
        folder = results / kind / study
        _check_there(folder / "index.json")
        listed = read_json(folder / "index.json")[kind]
        names = [name for entry in listed for name in entry["files"].values()]
        for name in ["index.json", *dict.fromkeys(names)]:
            target = f"results/{kind}/{study}/{name}"
            yield Part(folder / name, target, f"{kind} of study {study}", "result")


def _report(
    record: dict[str, Any], studies: list[str], results: Path, remarks: list[str]
) -> Iterator[Part]:
    """Yield the report, unless it shows images of patients or other studies."""
    path = results / "report.html"
    _check_there(path)
    others = [name for name in record["config"]["run"] if name not in studies]
    cohorts = [read_json(results / "cohort" / f"{name}.json") for name in record["cohorts"]]
    real = [card["name"] for card in cohorts if not card["phantom"]]
    if others:
        remarks.append(
            f"report.html was left out: it also shows {', '.join(others)}; pack `all` to include it"
        )
    elif real and _PICTURE.search(path.read_text(encoding="utf-8")):
        remarks.append(
            f"report.html was left out: it shows images, and those of {', '.join(real)} are of patients"
        )
    else:
        yield Part(path, "results/report.html", "the report, opens offline", "result")


def _check_there(*paths: Path) -> None:
    for path in paths:
        if not path.is_file():
            raise MedauditError(f"there is no {path}: finish the run first")


def _check_table(path: Path) -> None:
    """Fail on a file that does not exist, or on a table with one row per patient or image."""
    _check_there(path)
    if path.suffix == ".parquet":
        raise MedauditError(f"{path} has one row per patient or image: it must not be shared")
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as stream:
            found = [name for name in next(csv.reader(stream), []) if name in PERSONAL]
        if found:
            raise MedauditError(f"{path} has the columns {found}: it must not be shared")
