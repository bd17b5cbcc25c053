"""The record of a run, ``run.json``: configuration, code, environment, inputs and seeds."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

import pyarrow.parquet as pq

from medaudit.config.requests import all_modules
from medaudit.config.stages import MODULES
from medaudit.core.code_version import PACKAGE, code_version
from medaudit.core.documents import CohortCard, ImageStoreCard
from medaudit.core.entry_types import Config
from medaudit.core.table_io import read_metadata


def make_record(
    config: Config,
    cards: list[CohortCard],
    stores: list[ImageStoreCard],
    predictions: list[Path],
) -> dict:
    """Return what a reader must know to repeat the run.

    Parameters
    ----------
    config : Config
        The merged configuration.
    cards, stores : list of dict
        Cards of the cohorts and of the image stores.
    predictions : list of Path
        Predictions, read for their footers.

    Returns
    -------
    dict
        ``config``, ``code`` (git commit, whether the tree has changes, hash of each stage's code),
        ``environment`` (Python, platform, processor, package versions), ``tables`` (SHA-256 of the
        source tables of each cohort), ``cohorts`` (SHA-256 of ids and splits), ``images`` (SHA-256
        of pixels), ``runs`` (footers of the predictions: model, weights, seeds), ``seeds``,
        ``time``.
    """
    return {
        "config": config,
        "code": {"git": git_state(PACKAGE), "stages": stage_hashes(config)},
        "environment": environment(),
        "tables": {card["name"]: card.get("tables", {}) for card in cards},
        "cohorts": {card["name"]: card.get("ids_sha256") for card in cards},
        "images": {card["cohort"]: card["sha256"] for card in stores},
        "runs": [describe_run(path) for path in predictions],
        "seeds": {card["name"]: card.get("seed") for card in cards},
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def describe_run(path: Path) -> dict:
    """Return the footer of a predictions table without its curves, and the number of rows."""
    footer = read_metadata(path)
    runs = footer.pop("runs", None)
    chosen = _without_curves(runs) if runs is not None else {}
    return {**footer, "chosen": chosen, "rows": pq.read_metadata(path).num_rows}


def _without_curves(value: object) -> object:
    if isinstance(value, dict):
        kept = {key: _without_curves(part) for key, part in value.items() if "curve" not in key}
        return {key: part for key, part in kept.items() if part is not None}
    if isinstance(value, list):
        numbers = all(isinstance(part, int | float) for part in value)
        return None if numbers and len(value) > 16 else [_without_curves(part) for part in value]
    return value


def git_state(folder: Path) -> dict:
    """Return the commit of the checkout around `folder`, and whether files have changed."""
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError) as error:
        return {"commit": None, "dirty": None, "why": f"not a git checkout: {error}"}


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def stage_hashes(config: Config) -> dict[str, str]:
    """Return the hash of the code of every stage; of an audit of a file, that of `score`."""
    cohorts = config.get("cohorts", {})
    if cohorts and not any("dataset" in cohort for cohort in cohorts.values()):
        return {"score": code_version("score")}
    found_by_name = {"compare": all_modules()}
    return {
        stage: code_version(module, *found_by_name.get(stage, []))
        for stage, module in MODULES.items()
    }


def environment() -> dict:
    """Return Python, platform, processors and the versions of all installed packages."""
    found = {item.metadata["Name"]: item.version for item in metadata.distributions()}
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "devices": os.environ.get("CUDA_VISIBLE_DEVICES") or "cpu",
        "packages": dict(sorted(found.items(), key=lambda item: item[0].lower())),
    }
