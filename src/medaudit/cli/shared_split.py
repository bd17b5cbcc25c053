"""A file that says which images are in which split, and may be handed on; and its verification.

It holds no label, no attribute, no path and no image: hashes of image names, the settings that
drew the split, and sums. docs/commands.md says what may be shared and what a hash does not hide.
"""

import hashlib
import json
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.cli.dry_run import checkout
from medaudit.cli.rebuild import rebuild
from medaudit.config import jobs
from medaudit.config.validation import check
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import COHORT, MANIFEST, read_json, read_table
from medaudit.data.cohort import SPLITS

FORMAT = "medaudit split 1"
DIGITS = 16
"""Hexadecimal digits of a hashed name: 64 bits, so that two of a million images share one with a
chance of 3 in 100 million."""

NOT_OF_A_SPLIT = {"image_size": 64, "on_error": "fail"}
"""What an entry of the catalogue must say beside what draws its split."""

LOCAL = ("folder", "table", "demographics")
"""Settings of a dataset that say where files lie on one machine."""


def hash_names(dataset: str, names: pd.Series) -> np.ndarray:
    """Return the hash of each image name: the start of SHA-256 of dataset, tab, name."""
    return np.array(
        [hashlib.sha256(f"{dataset}\t{n}".encode()).hexdigest()[:DIGITS] for n in names], dtype=str
    )


def describe_split(config: dict, name: str, frame: pd.DataFrame, card: dict) -> dict:
    """Return the content of the file.

    Parameters
    ----------
    config : dict
        The checked configuration that built the cohort.
    name : str
        Of the cohort.
    frame, card : pandas.DataFrame, dict
        The cohort (`medaudit.core.table_io.COHORT`) and its card.

    Returns
    -------
    dict
        ``format``, ``cohort``, ``dataset``, ``phantom``; ``settings`` of the stages ``manifest``
        (without `LOCAL`), ``cohort`` and ``groups``; ``seed``; ``tables`` (role: file name and SHA-256);
        ``code`` (hash of each stage's, version of medaudit); ``n_images``, ``n_patients`` of each
        split; ``ids_sha256``, ``test_sha256`` (see `medaudit.data.cohort.card.describe`); ``splits``:
        hashed names of each split, sorted, so that their order says nothing.
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


def export(config: dict, name: str, folder: Path, results: Path) -> dict:
    """Return the split of a cohort, built anew from the dataset's tables.

    Parameters
    ----------
    config : dict
        The checked configuration.
    name : str
        Of the cohort.
    folder : Path
        For the cohort that is built.
    results : Path
        Of a run; where it holds this cohort, it must be the same.

    Raises
    ------
    MedauditError
        No such cohort, it cannot be built, or the run's is another one.
    """
    if name not in config["cohorts"]:
        known = ", ".join(config["cohorts"])
        raise MedauditError(f"there is no cohort {name!r} in the catalogue; known: {known}")
    table, card = rebuild(config, name, folder)
    stored = results / "cohort" / f"{name}.json"
    if stored.is_file() and read_json(stored)["ids_sha256"] != card["ids_sha256"]:
        raise MedauditError(
            f"{stored.with_suffix('.parquet')} was built with other settings, tables or code: give "
            "the --configfile of that run, or run again, so that the file says what was audited"
        )
    return describe_split(config, name, read_table(table, COHORT), card)


def read_split(path: Path) -> dict:
    """Read a file that `export` made.

    Raises
    ------
    MedauditError
        It cannot be read, is none, or its parts do not agree with each other.
    """
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise MedauditError(f"cannot read the split {path}: {error}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise MedauditError(f"{path} is not a file of `medaudit split export` ({FORMAT})")
    wanted = {"cohort", "dataset", "settings", "tables", "n_images", "splits", "test_sha256"}
    lacking = sorted(wanted - set(content)) or sorted(set(SPLITS) - set(content["splits"]))
    lacking = lacking or sorted({"manifest", "cohort", "groups"} - set(content["settings"]))
    if lacking:
        raise MedauditError(f"{path} lacks {lacking}: it was cut or edited; get it again")
    held = {split: len(names) for split, names in content["splits"].items()}
    if held != content["n_images"]:
        raise MedauditError(f"{path} says {content['n_images']} images, but lists {held}")
    return content


def verify(config: dict, shared: dict, folder: Path) -> list[str]:
    """Build a shared cohort from one's own data and return what differs, one finding a line.

    Parameters
    ----------
    config : dict
        The checked configuration: where the own dataset lies.
    shared : dict
        From `read_split`.
    folder : Path
        For the cohort that is built.

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
            "the test split holds the same images, but their labels, attributes or weights differ"
        )
    if findings and shared["code"] != own["code"]:
        findings.append(
            f"the code that builds it differs: {shared['code']} in the file, {own['code']} here"
        )
    return findings


def with_settings(config: dict, shared: dict) -> dict:
    """Return `config` with a shared cohort and its dataset's settings; where data lie is kept."""
    name = shared["dataset"]
    if name not in config["datasets"]:
        known = ", ".join(config["datasets"])
        raise MedauditError(f"there is no dataset {name!r} in the catalogue; known: {known}")
    own, given = config["datasets"][name], shared["settings"]
    here = {key: own[key] for key in (*LOCAL, "attributes") if key in own}
    dataset = {**given["manifest"], **here}
    if "phantom" in own:
        dataset["phantom"] = {**(own["phantom"] or {}), **(given["manifest"].get("phantom") or {})}
    cohort = {**NOT_OF_A_SPLIT, **given["groups"], **given["cohort"]}
    split_file = config["cohorts"].get(shared["cohort"], {}).get("split_file")
    if cohort.get("split_file") and split_file:
        cohort["split_file"] = split_file
    return {
        **config,
        "datasets": {**config["datasets"], name: _unnamed(dataset)},
        "cohorts": {**config["cohorts"], shared["cohort"]: _unnamed(cohort)},
    }


def _unnamed(entry: dict) -> dict:
    return {key: value for key, value in entry.items() if key != "name"}


def _tables(theirs: dict, own: dict) -> list[str]:
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


def _counts(theirs: dict, own: dict) -> list[str]:
    return [
        f"{split}: {theirs['n_images'][split]} images in the file, {own['n_images'][split]} here"
        for split in SPLITS
        if theirs["n_images"][split] != own["n_images"][split]
    ]


def _differences(theirs: dict, own: dict, names: pd.Series) -> list[str]:
    """Return the images that are in another split, chosen on one side alone, or unknown here."""
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
