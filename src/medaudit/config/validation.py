"""Read and check a configuration before any job starts: schemas, cross checks, files.

Imports nothing heavy: it runs at every start of the workflow.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

from medaudit.config.audit_card import margins_of, read_card
from medaudit.config.catalogues import CATALOGUES, read_catalogues
from medaudit.config.cross_checks import cross_check
from medaudit.config.entries import merge, offer_attributes
from medaudit.config.external import add_external, check_external, store_of
from medaudit.config.leave_out import check_leave_out, leave_out_sites
from medaudit.config.metric_names import resolve_names
from medaudit.config.schema import entry_kinds, read_schema, show, unknown, validate
from medaudit.config.seen_lists import list_files
from medaudit.config.selection import pretrainings_of, selected, with_members
from medaudit.config.yaml_file import find_unsafe_values, read_settings
from medaudit.core.entry_types import Config
from medaudit.core.errors import MedauditError
from medaudit.core.files import data_root
from medaudit.data.datasets import dataset_folder
from medaudit.models.exported import check_exported
from medaudit.models.stored_vectors import check_vectors
from medaudit.models.weights.files import check_weights


def load(
    shipped: Callable[[str], Path], files: list[Path], over: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the catalogues, with YAML files merged over them one after the other, and `over` over all.

    Parameters
    ----------
    shipped : callable
        Returns the path of one of the workflow's files, see `medaudit.config.catalogues`.
    files : list of Path
        Settings and overlays.
    over : mapping
        Settings given on the command line.

    Raises
    ------
    MedauditError
        A file cannot be read, does not hold a mapping, or an entry is in two files of a catalogue.
    """
    config = read_catalogues(shipped)
    for path in files:
        config = merge(config, read_settings(path))
    return merge(config, over)


def check(config: Mapping[str, Any], schemas: Path | dict[str, Path]) -> Config:
    """Return a checked copy of `config`: ``extends`` resolved, the schemas' defaults filled in.

    Parameters
    ----------
    config : dict
        The catalogues (`medaudit.config.catalogues.CATALOGUES`), the studies to ``run`` and the ``evaluation`` block.
    schemas : Path or dict of str to Path
        Folder of ``config.schema.yaml`` and one ``<catalogue>.schema.yaml`` each, or these files by
        the name of their catalogue.

    Raises
    ------
    MedauditError
        Lists every problem: where, the value, what is known.
    """
    # In this order: recursive code may only see what find_unsafe_values accepts, and cross checks
    # may rely on every key that the schemas require.
    problems = list(find_unsafe_values(config, "config"))
    checked: Any = None
    if not problems:
        checked = deepcopy(config)
        resolve_names(checked)
        problems += validate(checked, read_schema(schemas, "config"), "config")
    if not problems:
        for catalogue in CATALOGUES:
            checked[catalogue] = _resolve(checked[catalogue], catalogue, problems)
            problems += _check_catalogue(checked[catalogue], catalogue, schemas)
    if not problems:
        for entry in checked["datasets"].values():
            offer_attributes(entry)
        problems += cross_check(cast(Config, checked))
    if not problems:
        problems += [*check_external(checked), *check_leave_out(checked)]
    if problems:
        raise MedauditError("the configuration is not valid:", problems)
    add_external(checked, leave_out_sites(checked))
    return cast(Config, checked)


def _resolve(entries: dict[str, Any], catalogue: str, problems: list[str]) -> dict[str, Any]:
    """Replace ``extends: other`` by the other entry, merged below this one; its label stays its own."""

    def merged(name: str, chain: tuple[str, ...]) -> dict[str, Any]:
        entry = dict(entries[name])
        parent = entry.pop("extends", None)
        if parent is None:
            return entry
        if not isinstance(parent, str) or parent not in entries or parent in chain:
            reason = "extends itself" if parent in chain else unknown(parent, entries)
            problems.append(f"{catalogue}.{name}.extends: {show(parent)} {reason}")
            return entry
        base = merged(parent, (*chain, parent))
        base.pop("label", None)
        return merge(base, entry)

    return {name: merged(name, (name,)) for name in entries}


def _check_catalogue(
    entries: dict[str, Any], catalogue: str, schemas: Path | dict[str, Path]
) -> Iterator[str]:
    schema, key = read_schema(schemas, catalogue), CATALOGUES[catalogue]
    kinds = {} if key is None else entry_kinds(schema, key)
    for name, entry in entries.items():
        where = f"{catalogue}.{name}"
        kind = None if key is None else entry.get(key)
        if key is None:
            yield from validate(entry, schema, where)
        elif isinstance(kind, str) and kind in kinds:
            yield from validate(entry, {"$defs": schema["$defs"], **kinds[kind]}, where)
        else:
            yield f"{where}.{key}: {show(kind)} {unknown(kind, kinds)}"


def check_writable(folder: Path) -> None:
    """Check that `folder` can be written to, or created where it does not exist.

    Raises
    ------
    MedauditError
        The folder, or the nearest existing one above it, is not writable.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise MedauditError(
            f"cannot write results to {folder}: {there} is not a folder that you may write to; "
            "run from another folder, or change its permissions"
        )


def check_files(config: Config) -> None:
    """Check that the folders, split files and weights that the studies to run need are there.

    Raises
    ------
    MedauditError
        Lists every folder and file that is missing and where to put it.
    """
    problems = list(_missing_files(config))
    if problems:
        raise MedauditError("files that the run needs are missing:", problems)


def _missing_files(config: Config) -> Iterator[str]:
    if "audit_card" in config:
        try:
            margins_of(read_card(Path(config["audit_card"])))
        except MedauditError as error:
            yield str(error)
    used = selected(config)
    pretrainings = [config["pretrainings"][p] for p in pretrainings_of(used["models"], config)]
    more = (name for entry in pretrainings for name in (*entry["cohorts"], *entry["audited"]))
    stored = (store_of(config, name) for name in used["cohorts"])
    cohorts = list(dict.fromkeys([*used["cohorts"], *stored, *more]))
    for name in dict.fromkeys(config["cohorts"][cohort]["dataset"] for cohort in cohorts):
        try:
            dataset_folder({**config["datasets"][name], "name": name})
        except MedauditError as error:
            yield str(error)
    for name in cohorts:
        split_file = config["cohorts"][name].get("split_file")
        if split_file and not (data_root() / split_file).is_file():
            yield f"cohorts.{name}.split_file: there is no file {data_root() / split_file}"
    for name in used["models"]:
        entry = config["models"][name]
        file = entry.get("file") if entry["kind"] == "predictions" else None
        if file and not (data_root() / file).is_file():
            yield f"models.{name}.file: there is no file {data_root() / file}"
    models = {
        name: config["models"][name] for name in with_members(used["models"], config["models"])
    }
    # Weights that this run pretrains are made later.
    yield from check_weights({n: dict(e) for n, e in models.items() if not e.get("pretrained")})
    for file in dict.fromkeys(
        file for name in used["cohorts"] for file in list_files(config, name)
    ):
        if not Path(file).is_file():
            yield f"pretraining_images: there is no list {file}; put it there, or remove it"
    yield from check_vectors(models)
    yield from check_exported(models)
