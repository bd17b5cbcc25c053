"""Export a cohort's split as a file that can be shared, and verify such a file.

The file has hashes of image names, the settings that drew the split, and counts; no label, no
attribute, no path and no image. docs/commands.md explains what may be shared and what a hash does
not hide.
"""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from medaudit.cli.dry_run import checkout
from medaudit.cli.rebuild import rebuild
from medaudit.config import jobs
from medaudit.config.external import without_pairs
from medaudit.config.validation import check
from medaudit.core.documents import CohortCard
from medaudit.core.entry_types import Config
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import COHORT, MANIFEST, read_json, read_table
from medaudit.data.cohort import SPLITS

FORMAT = "medaudit split 1"
DIGITS = 16
"""Hexadecimal digits of a hashed name: 64 bits, so the chance that any two of a million images have
the same hash is 3 in 100 million."""

NOT_OF_A_SPLIT = {"image_size": 64, "on_error": "fail"}
"""Required keys of a cohort entry that do not affect its split, and a value for each."""

LOCAL = ("folder", "table", "demographics")
"""Settings of a dataset that tell where its files are on one machine."""


def hash_names(dataset: str, names: pd.Series) -> np.ndarray:
    """Return the hash of each image name: the start of SHA-256 of dataset, tab, name."""
    return np.array(
        [hashlib.sha256(f"{dataset}\t{n}".encode()).hexdigest()[:DIGITS] for n in names], dtype=str
    )


def describe_split(
    config: Config, name: str, frame: pd.DataFrame, card: CohortCard
) -> dict[str, Any]:
    """Return the content of the file for a cohort.

    Parameters
    ----------
    config : dict
        The checked configuration that built the cohort.
    name : str
        The cohort's name.
    frame, card : pandas.DataFrame, dict
        The cohort (`medaudit.core.table_io.COHORT`) and its card.

    Returns
    -------
    dict
        ``format``, ``cohort``, ``dataset``, ``phantom``; ``settings`` of the stages ``manifest``
        (without `LOCAL`), ``cohort`` and ``groups``; ``seed``; ``tables`` (role: file name and SHA-256);
        ``code`` (hash of the code of each stage, version of medaudit); ``n_images`` and
        ``n_patients`` by split; ``ids_sha256``, ``test_sha256`` (see
        `medaudit.data.cohort.card.describe`); and ``splits``, the hashed names by split, sorted so
        that their order reveals nothing.
    """
    dataset = card["dataset"]
    hashed = pd.Series(hash_names(dataset, frame["image_id"]), index=frame.index)
    by_split = frame.groupby("split")
    manifest = json.loads(jobs.settings(config, "manifest", dataset=dataset))
    cohort = json.loads(jobs.settings(config, "cohort", cohort=name))
    if cohort.get("split_file"):
        cohort["split_file"] = Path(cohort["split_file"]).name
    return {
        "format": FORMAT,
        "cohort": name,
        "dataset": dataset,
        "phantom": card["phantom"],
        "settings": {
            "manifest": {key: value for key, value in manifest.items() if key not in LOCAL},
            "cohort": cohort,
            "groups": json.loads(jobs.settings(config, "groups", cohort=name)),
        },
        "seed": card.get("seed"),
        "tables": card["tables"],
        "code": {
            "manifest": jobs.code(config, "manifest", dataset=dataset),
            "cohort": jobs.code(config, "cohort", cohort=name),
            "groups": jobs.code(config, "groups", cohort=name),
            "medaudit": version("medaudit"),
        },
        "n_images": {split: int(n) for split, n in by_split.size().items()},
        "n_patients": {s: int(n) for s, n in by_split["patient_id"].nunique().items()},
        "ids_sha256": card["ids_sha256"],
        "test_sha256": card["test_sha256"],
        "splits": {split: sorted(hashed[frame["split"] == split]) for split in SPLITS},
    }


def export(config: Config, name: str, folder: Path, results: Path) -> dict[str, Any]:
    """Build a cohort from the dataset's tables and return the content of the file for it.

    Parameters
    ----------
    config : dict
        The checked configuration.
    name : str
        The cohort's name.
    folder : Path
        Where the cohort is built.
    results : Path
        Results of a run. If they have this cohort, it must be the same.

    Raises
    ------
    MedauditError
        There is no such cohort, it cannot be built, or it differs from the run's cohort.
    """
    if name not in config["cohorts"]:
        known = ", ".join(config["cohorts"])
        raise MedauditError(f"there is no cohort {name!r} in the catalogue; known: {known}")
    table, card = rebuild(config, name, folder)
    stored = results / "cohort" / f"{name}.json"
    if stored.is_file() and read_json(stored)["ids_sha256"] != card["ids_sha256"]:
        raise MedauditError(
            f"{stored.with_suffix('.parquet')} was built with other settings, tables or code: give "
            "the --configfile of that run, or run again, so that the file matches what was audited"
        )
    return describe_split(config, name, read_table(table, COHORT), card)


def read_split(path: Path) -> dict[str, Any]:
    """Return the content of a file that ``medaudit split export`` wrote.

    Raises
    ------
    MedauditError
        The file cannot be read, is not such a file, or its parts contradict each other.
    """
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise MedauditError(f"cannot read the split {path}: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise MedauditError(f"{path} was not written by `medaudit split export` ({FORMAT})")
    wanted = {"cohort", "dataset", "settings", "tables", "n_images", "splits", "test_sha256"}
    lacking = sorted(wanted - set(content)) or sorted(set(SPLITS) - set(content["splits"]))
    lacking = lacking or sorted({"manifest", "cohort", "groups"} - set(content["settings"]))
    if lacking:
        raise MedauditError(f"{path} lacks {lacking}: it was cut off or edited; get it again")
    held = {split: len(names) for split, names in content["splits"].items()}
    if held != content["n_images"]:
        raise MedauditError(
            f"{path} states {content['n_images']} images, but lists {held}: it was edited; get it again"
        )
    return content


def verify(config: Config, shared: dict[str, Any], folder: Path) -> list[str]:
    """Build a shared cohort from your own data and return the differences, one sentence each.

    Parameters
    ----------
    config : dict
        The checked configuration, which tells where your dataset is.
    shared : dict
        The content of the file (`read_split`).
    folder : Path
        Where the cohort is built.

    Returns
    -------
    list of str
        Empty if the same images are in the same splits, and the test split's labels, attributes
        and weights are the same.

    Raises
    ------
    MedauditError
        The dataset is not in the catalogue, or the cohort cannot be built.
    """
    config = check(with_settings(config, shared), checkout() / "workflow" / "schemas")
    table, card = rebuild(config, shared["cohort"], folder)
    manifest = read_table(folder / f"{shared['dataset']}.parquet", MANIFEST)
    own = describe_split(config, shared["cohort"], read_table(table, COHORT), card)
    names = pd.Series(
        manifest["image_id"].to_numpy(), index=hash_names(shared["dataset"], manifest["image_id"])
    )
    ids = _differences(shared["splits"], own["splits"], names)
    findings = [*_tables(shared["tables"], own["tables"]), *_counts(shared, own), *ids]
    if not ids and shared["test_sha256"] != own["test_sha256"]:
        findings.append(
            "the test split has the same images, but their labels, attributes or weights differ"
        )
    if findings and shared["code"] != own["code"]:
        findings.append(
            f"the code that builds the cohort differs: {shared['code']} in the file, {own['code']} here"
        )
    return findings


def with_settings(config: Config, shared: dict[str, Any]) -> dict[str, Any]:
    """Return `config` with the settings of a shared split, except where your data are."""
    name = shared["dataset"]
    if name not in config["datasets"]:
        known = ", ".join(config["datasets"])
        raise MedauditError(f"there is no dataset {name!r} in the catalogue; known: {known}")
    own, given = cast(dict[str, Any], config["datasets"][name]), shared["settings"]
    here = {key: own[key] for key in (*LOCAL, "attributes") if key in own}
    dataset = {**given["manifest"], **here}
    if "phantom" in own:
        dataset["phantom"] = {**(own["phantom"] or {}), **(given["manifest"].get("phantom") or {})}
    cohort = {**NOT_OF_A_SPLIT, **given["groups"], **given["cohort"]}
    here_too = config["cohorts"].get(shared["cohort"])
    split_file = here_too.get("split_file") if here_too else None
    if cohort.get("split_file") and split_file:
        cohort["split_file"] = split_file
    config = without_pairs(config)  # it is checked again, which adds them
    return {
        **config,
        "datasets": {**config["datasets"], name: _unnamed(dataset)},
        "cohorts": {**config["cohorts"], shared["cohort"]: _unnamed(cohort)},
    }


def _unnamed(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if key != "name"}


def _tables(theirs: dict[str, Any], own: dict[str, Any]) -> list[str]:
    lines = []
    for role in sorted({*theirs, *own}):
        one, other = theirs.get(role), own.get(role)
        if one is None or other is None:
            where = "the file" if other is None else "your data"
            lines.append(f"table {role}: only in {where}")
        elif one["sha256"] != other["sha256"]:
            lines.append(
                f"table {role} differs: {one['file']} has SHA-256 {one['sha256']} in the file, "
                f"{other['file']} has {other['sha256']} here"
            )
    return lines


def _counts(theirs: dict[str, Any], own: dict[str, Any]) -> list[str]:
    return [
        f"{split}: {theirs['n_images'][split]} images in the file, {own['n_images'][split]} here"
        for split in SPLITS
        if theirs["n_images"][split] != own["n_images"][split]
    ]


def _differences(
    theirs: dict[str, list[str]], own: dict[str, list[str]], names: pd.Series
) -> list[str]:
    """Return the images that are in different splits, in only one cohort, or unknown here."""
    one = {name: split for split in SPLITS for name in theirs[split]}
    other = {name: split for split in SPLITS for name in own[split]}
    known = set(names.index)
    moved = sorted(n for n in one.keys() & other.keys() if one[n] != other[n])
    lost = sorted(n for n in one.keys() - other.keys() if n in known)
    unknown = sorted(n for n in one.keys() - other.keys() if n not in known)
    more = sorted(other.keys() - one.keys())
    lines = [f"{names[n]}: {one[n]} in the file, {other[n]} here" for n in moved]
    lines += [f"{names[n]}: {one[n]} in the file, not in the cohort built here" for n in lost]
    lines += [f"{names[n]}: not in the file, {other[n]} here" for n in more]
    lines += [f"(hash {n}): {one[n]} in the file, no such image in your tables" for n in unknown]
    return lines
