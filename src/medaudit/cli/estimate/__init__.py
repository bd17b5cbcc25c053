"""Estimates of the time and disk that the jobs of a run need, each with its basis."""

import csv
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from medaudit.cli.estimate.work import LONG, START_SECONDS, images_seen, speed_of, store_bytes
from medaudit.config.time_left import typical_seconds
from medaudit.core.documents import CohortCard
from medaudit.core.entry_types import Config
from medaudit.core.table_io import read_json

BASES = ("measured", "similar", "arithmetic", "guess")
"""Bases of an estimate: an earlier run of the same job; the median of earlier jobs of the rule;
images / images per second (`medaudit.cli.estimate.work.SPEED`) and the time to start; a job of the
default audit (`medaudit.config.time_left.TYPICAL_SECONDS`)."""

DIMENSION = 768
"""Assumed length of an embedding: a ViT-B's. A ResNet-152x2 has 4,096, a small model about 100."""


@dataclass(frozen=True)
class Estimate:
    """The estimate of one job: its seconds, and their basis (one of `BASES`)."""

    rule: str
    seconds: float
    basis: str


def estimate_jobs(
    config: Config,
    jobs: list[tuple[str, dict[str, str]]],
    sizes: dict[str, dict[str, int]],
    results: Path = Path("results"),
) -> list[Estimate]:
    """Return an estimate for each job.

    Parameters
    ----------
    config : dict
        The checked configuration.
    jobs : list of tuple
        Rule and wildcards of each job, see `medaudit.cli.dry_run.planned_jobs`.
    sizes : dict of str to dict
        See `medaudit.cli.estimate.work.images_seen`.
    results : Path
        The results folder, whose ``benchmark`` folder has the times of earlier jobs.
    """
    medians = {rule: _median(results / "benchmark", rule) for rule in {rule for rule, _ in jobs}}
    return [_estimate(config, *job, sizes, results, medians) for job in jobs]


def _estimate(
    config: Config,
    rule: str,
    names: dict[str, str],
    sizes: dict[str, dict[str, int]],
    results: Path,
    medians: dict[str, float | None],
) -> Estimate:
    before = read_seconds(benchmark_of(results, rule, names))
    if before is not None:
        return Estimate(rule, before, "measured")
    if rule in LONG:
        seen, speed = images_seen(config, rule, names, sizes), speed_of(config, rule, names)
        return Estimate(rule, START_SECONDS + seen / speed, "arithmetic")
    typical = medians[rule]
    if typical is not None:
        return Estimate(rule, typical, "similar")
    return Estimate(rule, typical_seconds(rule), "guess")


def benchmark_of(results: Path, rule: str, names: dict[str, str]) -> Path:
    """Return the file in which Snakemake stores the time of a job."""
    return Path(f"{results.joinpath('benchmark', rule, *names.values())}.tsv")


def read_seconds(path: Path) -> float | None:
    """Return the seconds in a benchmark file; None if it does not exist or has none."""
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            return float(next(csv.DictReader(stream, delimiter="\t"))["s"])
    except (OSError, StopIteration, KeyError, ValueError):
        return None


def _median(folder: Path, rule: str) -> float | None:
    found = [read_seconds(path) for path in sorted((folder / rule).rglob("*.tsv"))]
    known = [seconds for seconds in found if seconds is not None]
    return median(known) if known else None


def cohorts_of_jobs(config: Config, jobs: list[tuple[str, dict[str, str]]]) -> list[str]:
    """Return the cohorts whose sizes the estimates of these jobs need, without duplicates."""
    named = [names["cohort"] for rule, names in jobs if rule in LONG and "cohort" in names]
    for rule, names in jobs:
        if rule == "pretrain":
            named += config["pretrainings"][names["pretraining"]]["cohorts"]
    return list(dict.fromkeys(named))


def sizes_in_card(card: CohortCard) -> dict[str, int]:
    """Return the number of images of a cohort by split, and of ``all``, from its card."""
    splits = {r["split"]: r["n_images"] for r in card["counts"] if r["attribute"] == "all"}
    return {**splits, "all": card["n_images"]}


def stored_sizes(results: Path, cohort: str) -> dict[str, int] | None:
    """Return the number of images of a cohort that a run has built; None if it has not."""
    path = results / "cohort" / f"{cohort}.json"
    return sizes_in_card(read_json(path)) if path.is_file() else None


def disk_of_stores(
    config: Config, jobs: list[tuple[str, dict[str, str]]], sizes: dict[str, dict[str, int]]
) -> dict[str, int]:
    """Return the size in bytes of the pixels of each image store that the jobs make."""
    made = [names["cohort"] for rule, names in jobs if rule == "images"]
    return {name: store_bytes(config, name, sizes[name]["all"]) for name in made}


def bytes_of_embeddings(
    jobs: list[tuple[str, dict[str, str]]], sizes: dict[str, dict[str, int]]
) -> int:
    """Return the approximate size of the embeddings in bytes (`DIMENSION` numbers per image)."""
    images = sum(sizes[names["cohort"]]["all"] for rule, names in jobs if rule == "embed")
    return 4 * DIMENSION * images
