"""`medaudit check`: what it counts is what Snakemake plans and what the stages would store."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from checkout import ROOT, Checkout
from medaudit.cli.check import find_missing, spell_size, spell_time
from medaudit.cli.dry_run import parse_jobs, read_config
from medaudit.cli.estimate import (
    bytes_of_embeddings,
    cohorts_of_jobs,
    disk_of_stores,
    estimate_jobs,
    sizes_in_card,
    stored_sizes,
)
from medaudit.cli.estimate.work import SPEED, START_SECONDS, images_seen
from medaudit.cli.rebuild import rebuild
from medaudit.config import jobs
from medaudit.config.time_left import typical_seconds
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import write_json
from medaudit.data.images import images

SIZES = {"nih_6x200": {"train": 840, "val": 120, "test": 240, "all": 1200}}
RUN = {"cohort": "nih_6x200", "model": "clip_small"}


@pytest.fixture(scope="module")
def config() -> dict:
    return read_config([])


@pytest.fixture(scope="module")
def paper() -> dict:
    return read_config([ROOT / "config" / "paper.yaml"])


def test_jobs_are_read_from_the_text_of_a_dry_run():
    text = """Job stats:
rule probe:
    input: results/cohort/a.parquet
    output: results/predictions/a/b/c.parquet
    jobid: 3
    wildcards: cohort=a, model=b, method=c
    resources: tmpdir=/tmp


rule report:
    input: x
    reason: Missing output files

localrule all:
    input: results/report.html
"""
    jobs = parse_jobs(text)
    assert jobs == [("probe", {"cohort": "a", "model": "b", "method": "c"}), ("report", {})]


def test_images_seen_follow_the_settings(paper):
    """840 x 150 epochs x 3 rates: the arithmetic that config/paper.yaml tells."""
    run = {"cohort": "nih_6x200", "model": "clip_vit_b16", "method": "full", "seed": "0"}
    assert images_seen(paper, "finetune", run, SIZES) == 840 * 150 * 3
    assert images_seen(paper, "embed", run, SIZES) == 1200
    assert images_seen(paper, "images", {"cohort": "nih_6x200"}, SIZES) == 1200


def test_images_seen_by_searches_and_pretrainings(config):
    names = {**RUN, "method": "fairtune", "worker": "0"}
    entry = config["methods"]["fairtune"]
    whole = 840 * entry["epochs"] * entry["trials"]
    assert images_seen(config, "search", names, SIZES) == whole
    assert images_seen(config, "search", {**names, "worker": "1"}, SIZES) == 0
    sizes = {"chexpert_pretraining": {"train": 1000}}
    entry = config["pretrainings"]["mae_small_chexpert_30"]
    seen = images_seen(config, "pretrain", {"pretraining": "mae_small_chexpert_30"}, sizes)
    assert seen == round(0.3 * 1000 * entry["epochs"])
    drawn = config["pretrainings"]["mae_small"]
    seen = images_seen(config, "pretrain", {"pretraining": "mae_small"}, {})
    assert seen == drawn["procedural"]["images"] * drawn["epochs"]


def write_benchmark(path: Path, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"s\th:m:s\tmax_rss\n{seconds}\t0:00:01\t5\n")


def test_an_estimate_says_what_it_rests_on(config, tmp_path):
    measured = {**RUN, "method": "full", "seed": "0"}
    folder = tmp_path / "benchmark"
    write_benchmark(folder / "finetune/nih_6x200/clip_small/full/0.tsv", 109.84)
    for name, seconds in (("a", 3.0), ("b", 5.0), ("c", 40.0)):
        write_benchmark(folder / f"evaluate/x/y/{name}.tsv", seconds)
    (folder / "evaluate/x/y/broken.tsv").write_text("s\nNA\n")
    jobs = [
        ("finetune", measured),
        ("finetune", {**measured, "seed": "1"}),
        ("evaluate", {**RUN, "method": "linear"}),
        ("lint", {"cohort": "nih_6x200"}),
    ]
    found = estimate_jobs(config, jobs, SIZES, tmp_path)
    assert [one.basis for one in found] == ["measured", "arithmetic", "similar", "guess"]
    entry = config["methods"]["full"]
    images = 840 * entry["epochs"] * len(entry["learning_rates"])
    guess = typical_seconds("lint")
    expected = [109.84, START_SECONDS + images / SPEED["train", True], 5.0, guess]
    assert [one.seconds for one in found] == pytest.approx(expected)


def test_large_models_are_estimated_as_on_a_gpu(paper, tmp_path):
    run = {"cohort": "chexpert_glocker", "model": "remedis_resnet152x2", "seed": "0"}
    jobs = [("finetune", {**run, "method": "full_layer_decay"})]
    sizes = {"chexpert_glocker": {"train": 76_205}}
    assert (
        estimate_jobs(paper, jobs, sizes, tmp_path)[0].seconds == START_SECONDS + 76_205 * 20 / 60
    )


def test_disk_is_that_of_the_arrays(config):
    jobs = [
        ("images", {"cohort": "nih_6x200"}),
        ("embed", RUN),
        ("images", {"cohort": "papila_age"}),
    ]
    sizes = {**SIZES, "papila_age": {"all": 84}}
    grey, colour = np.zeros((1200, 64, 64), np.uint8), np.zeros((84, 256, 256, 3), np.uint8)
    found = disk_of_stores(config, jobs, sizes)
    assert found == {"nih_6x200": grey.nbytes, "papila_age": colour.nbytes}
    assert bytes_of_embeddings(jobs, sizes) == np.zeros((1200, 768), np.float32).nbytes


def test_sizes_are_those_of_the_cohort_itself(config, tmp_path):
    table, card = rebuild(config, "papila_age_small", tmp_path)
    write_json(card, tmp_path / "results/cohort/papila_age_small.json")
    frame = pd.read_parquet(table)
    counts = frame["split"].value_counts().to_dict()
    assert stored_sizes(tmp_path / "results", "papila_age_small") == {**counts, "all": len(frame)}
    assert stored_sizes(tmp_path / "results", "nih_6x200") is None


def test_the_store_that_the_stage_writes_is_as_large_as_said(config, tmp_path):
    name = "nih_6x200_small"
    table, card = rebuild(config, name, tmp_path)
    settings = json.loads(jobs.settings(config, "images", cohort=name))
    images(settings, cohort=table, output=tmp_path / "store", threads=1)
    said = disk_of_stores(config, [("images", {"cohort": name})], {name: sizes_in_card(card)})
    header = 128  # of a .npy file
    assert (tmp_path / "store" / "images.npy").stat().st_size - header == said[name]


def test_cohorts_of_a_pretraining_are_counted_too(config):
    jobs = [("pretrain", {"pretraining": "clip_small"}), ("images", {"cohort": "nih_6x200"})]
    assert cohorts_of_jobs(config, jobs) == ["nih_6x200", "nih_pretraining"]


def test_every_missing_file_is_named(paper, tmp_path, monkeypatch):
    monkeypatch.setenv("MEDAUDIT_DATA", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    said = "\n".join(find_missing(paper))
    for name in ("nih", "CheXpert-v1.0", "chexpert_split_2021_08_20.csv", "clip/ViT-B-16.pt"):
        assert str(tmp_path / name) in said
    assert "files that the run needs" not in said


def test_a_broken_overlay_is_named(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("- a list\n")
    with pytest.raises(MedauditError, match=r"mine.yaml has no keys"):
        read_config([path])
    path.write_text("a: [")
    with pytest.raises(MedauditError, match=r"cannot read the configuration .*mine.yaml"):
        read_config([path])


def test_numbers_are_spelt():
    assert [spell_time(s) for s in (40, 720, 12_600, 360_000)] == [
        "40 s",
        "12 min",
        "3.5 h",
        "4.2 days",
    ]
    assert [spell_size(s) for s in (12, 4_915_200, 5 * 2**40)] == ["12 B", "4.7 MiB", "5.0 TiB"]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Checkout:
    return Checkout.copy(tmp_path_factory.mktemp("check") / "a checkout")


def run_check(checkout: Checkout, *arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "medaudit", "check", *arguments]
    return subprocess.run(
        command, cwd=checkout.folder, env=checkout.environment(), capture_output=True, text=True
    )


@pytest.mark.workflow
@pytest.mark.xdist_group("workflow")
def test_the_command_ends_with_1_where_something_is_missing(checkout):
    done = run_check(checkout, "--configfile", "config/paper.yaml")
    assert done.returncode == 1
    assert "there is no folder data/nih" in done.stdout
    assert "clip_nih, 45 runs" in done.stdout
    assert "Traceback" not in done.stderr
