"""Check a configuration before anything runs: schemas by kind, then what no schema can say.

Imports nothing heavy: it runs at every start of the workflow.
"""

import os
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

from medaudit.config.entries import (
    check_changes,
    check_drop_path,
    check_ranges,
    check_search,
    check_snapshot,
    merge,
)
from medaudit.config.grids import AXES, crosses, named
from medaudit.config.schema import entry_kinds, read_schema, show, unknown, validate
from medaudit.config.yaml_file import find_oddities, read_settings
from medaudit.core.errors import MedauditError
from medaudit.core.files import data_root
from medaudit.data.datasets import dataset_folder
from medaudit.models.weights.files import check_weights

CATALOGUES = {
    "datasets": "loader",
    "cohorts": "builder",
    "pretrainings": "algorithm",
    "models": "kind",
    "methods": "kind",
    "studies": None,
}
"""Catalogues, and the key by which an entry picks its schema."""


def check(config: dict, schemas: Path | dict[str, Path]) -> dict:
    """Return `config` checked, with ``extends`` resolved and the schemas' defaults filled in.

    Parameters
    ----------
    config : dict
        The catalogues (`CATALOGUES`), the studies to ``run`` and the ``evaluation`` block.
    schemas : Path or dict of str to Path
        Folder with one ``<catalogue>.schema.yaml`` each and ``config.schema.yaml``, or each file by
        the name of its catalogue.

    Raises
    ------
    MedauditError
        Lists every problem: where, the value, what is known.
    """
    problems = list(find_oddities(config, "config"))
    if not problems:
        config = deepcopy(config)
        problems = list(validate(config, read_schema(schemas, "config"), "config"))
    if not problems:
        for catalogue in CATALOGUES:
            config[catalogue] = _resolve(config[catalogue], catalogue, problems)
            problems += _check_catalogue(config[catalogue], catalogue, schemas)
    if not problems:
        problems += _cross_checks(config)
    if problems:
        raise MedauditError("\n".join(["the configuration is not valid:", *problems]))
    return config


def load(files: list[Path], over: dict) -> dict:
    """Return the content of YAML files, each merged over those before it, and `over` over all.

    Raises
    ------
    MedauditError
        A file cannot be read, or holds no mapping.
    """
    config = {}
    for path in files:
        config = merge(config, read_settings(path))
    return merge(config, over)


def _resolve(entries: dict, catalogue: str, problems: list[str]) -> dict:
    """Replace ``extends: other`` by the other entry, deep-merged under this one."""

    def merged(name: str, chain: tuple[str, ...]) -> dict:
        entry = dict(entries[name])
        parent = entry.pop("extends", None)
        if parent is None:
            return entry
        if not isinstance(parent, str) or parent not in entries or parent in chain:
            reason = "extends itself" if parent in chain else unknown(parent, entries)
            problems.append(f"- {catalogue}.{name}.extends: {show(parent)} {reason}")
            return entry
        return merge(merged(parent, (*chain, parent)), entry)

    return {name: merged(name, (name,)) for name in entries}


def _check_catalogue(
    entries: dict, catalogue: str, schemas: Path | dict[str, Path]
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
            yield f"- {where}.{key}: {show(kind)} {unknown(kind, kinds)}"


def selected(config: dict) -> dict[str, list[str]]:
    """Return the names that the studies to run use, by catalogue, in order of first use."""
    studies = [config["studies"][name] for name in config["run"]]
    used = {
        axis: list(dict.fromkeys(name for study in studies for name in named(study, axis)))
        for axis in AXES
    }
    datasets = [config["cohorts"][name]["dataset"] for name in used["cohorts"]]
    return {**used, "datasets": list(dict.fromkeys(datasets)), "studies": list(config["run"])}


def pretrainings_of(models: list[str], config: dict) -> list[str]:
    """Return the pretrainings of models and of the members of ensembles, each once."""
    entries = [config["models"][name] for name in with_members(models, config["models"])]
    found = (entry["pretrained"] for entry in entries if entry.get("pretrained"))
    return list(dict.fromkeys(found))


def _cross_checks(config: dict) -> Iterator[str]:
    for name in config["run"]:
        if name not in config["studies"]:
            yield f"- run: {name!r} {unknown(name, config['studies'])}"
    for name, cohort in config["cohorts"].items():
        yield from _check_cohort(name, cohort, config["datasets"])
    for name, entry in config["pretrainings"].items():
        yield from _check_pretraining(name, entry, config)
    for name, entry in config["models"].items():
        if entry.get("pretrained") and entry["pretrained"] not in config["pretrainings"]:
            hint = unknown(entry["pretrained"], config["pretrainings"])
            yield f"- models.{name}.pretrained: {entry['pretrained']!r} {hint}"
        yield from check_snapshot(name, entry, config)
        yield from _check_members(name, entry, config["models"])
    yield from check_changes(config)
    yield from check_ranges(config)
    for name, study in config["studies"].items():
        yield from _check_study(name, study, config)
        yield from check_drop_path(name, study, config)
        yield from check_search(name, study, config)


def with_members(names: list[str], models: dict) -> list[str]:
    """Return the names of models and, behind each ensemble, its members; each once."""
    each = ([name, *models.get(name, {}).get("members", [])] for name in names)
    return list(dict.fromkeys(name for group in each for name in group))


def _check_members(name: str, entry: dict, models: dict) -> Iterator[str]:
    for member in entry.get("members", []):
        where = f"- models.{name}.members: {member!r}"
        if member not in models:
            yield f"{where} {unknown(member, models)}"
        elif models[member]["kind"] == "ensemble":
            yield f"{where} is an ensemble itself: name its members instead"


def _check_pretraining(name: str, entry: dict, config: dict) -> Iterator[str]:
    for axis in ("cohorts", "audited"):
        for cohort in entry[axis]:
            if cohort not in config["cohorts"]:
                hint = unknown(cohort, config["cohorts"])
                yield f"- pretrainings.{name}.{axis}: {cohort!r} {hint}"
    if not entry["cohorts"] and not entry.get("procedural"):
        yield f"- pretrainings.{name}: no images: give `cohorts`, or `procedural`"


def _check_cohort(name: str, cohort: dict, datasets: dict) -> Iterator[str]:
    where = f"- cohorts.{name}"
    if cohort["dataset"] not in datasets:
        yield f"{where}.dataset: {cohort['dataset']!r} {unknown(cohort['dataset'], datasets)}"
        return
    offered = datasets[cohort["dataset"]]["attributes"]
    for part in cohort["attributes"]:
        for attribute in [part] if isinstance(part, str) else part:
            if attribute not in offered:
                yield f"{where}.attributes: {attribute!r} {unknown(attribute, offered)}"
    if cohort["split"].get("kind", "shares") != "shares":
        return
    shares = [share for key, share in cohort["split"].items() if key != "kind"]
    if cohort["builder"] == "balanced_cells" and sum(shares) != cohort["cell_size"]:
        yield f"{where}.split: {sum(shares)} images in all, but cell_size is {cohort['cell_size']}"
    if cohort["builder"] != "balanced_cells" and abs(sum(shares) - 1) > 1e-9:
        yield f"{where}.split: the shares sum to {sum(shares)}, not to 1"


def _check_study(name: str, study: dict, config: dict) -> Iterator[str]:
    for number, cross in enumerate(crosses(study)):
        where = f"- studies.{name}" + (f".also.{number - 1}" if number else "")
        for axis in AXES:
            for value in cross[axis]:
                if value not in config[axis]:
                    yield f"{where}.{axis}: {value!r} {unknown(value, config[axis])}"
    found = (line for cross in crosses(study) for line in _check_leaks(name, cross, config))
    yield from dict.fromkeys(found)


def _check_leaks(name: str, cross: dict, config: dict) -> Iterator[str]:
    """Find pretrainings that could see the test patients of a cohort they are audited on."""
    for model in with_members(cross["models"], config["models"]):
        pretraining = config["models"].get(model, {}).get("pretrained")
        entry = config["pretrainings"].get(pretraining, {"cohorts": []})
        for cohort in cross["cohorts"]:
            sources = {config["cohorts"].get(c, {}).get("dataset") for c in entry["cohorts"]}
            dataset = config["cohorts"].get(cohort, {}).get("dataset")
            if dataset in sources and cohort not in [*entry["cohorts"], *entry["audited"]]:
                yield (
                    f"- studies.{name}: {model} is pretrained on {dataset}, and so may have seen "
                    f"test patients of {cohort}: add it to pretrainings.{pretraining}.audited"
                )


def check_writable(folder: Path) -> None:
    """Check that `folder` can be written to, or made where it will be.

    Raises
    ------
    MedauditError
        The folder, or the nearest one above it, is not writable.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise MedauditError(
            f"cannot write results to {folder}: {there} is not a folder that you may write to; "
            "run from another folder, or have its permissions or the full disk mended"
        )


def check_files(config: dict) -> None:
    """Check that the folders and weights that the studies to run need are there.

    Raises
    ------
    MedauditError
        Lists every folder and file that is missing and where to put it.
    """
    used, problems = selected(config), []
    pretrainings = [config["pretrainings"][p] for p in pretrainings_of(used["models"], config)]
    more = (name for entry in pretrainings for name in (*entry["cohorts"], *entry["audited"]))
    cohorts = list(dict.fromkeys([*used["cohorts"], *more]))
    for name in dict.fromkeys(config["cohorts"][cohort]["dataset"] for cohort in cohorts):
        try:
            dataset_folder({**config["datasets"][name], "name": name})
        except MedauditError as error:
            problems.append(f"- {error}")
    for name in cohorts:
        split_file = config["cohorts"][name].get("split_file")
        if split_file and not (data_root() / split_file).is_file():
            problems.append(f"- cohorts.{name}.split_file: there is no {data_root() / split_file}")
    models = with_members(used["models"], config["models"])
    for name in used["models"]:
        file = config["models"][name].get("file")
        if file and not (data_root() / file).is_file():
            problems.append(f"- models.{name}.file: there is no {data_root() / file}")
    given = [name for name in models if not config["models"][name].get("pretrained")]
    problems += check_weights({name: config["models"][name] for name in given})
    if problems:
        raise MedauditError("\n".join(["files that the run needs are not there:", *problems]))
