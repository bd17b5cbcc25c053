"""What survives: kills, a lost folder of Snakemake's, a cache that several runs share.

``benchmarks/survive.py`` is the long form: more than a hundred kills over all stages.
"""

import random
import shutil
import signal
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
import yaml

from checkout import ROOT, Checkout
from medaudit.core.result_records import record_path

sys.path.insert(0, str(ROOT / "benchmarks"))
from survive import Audit, Tally, compare, disturb

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("workflow")]
SMOKE = str(ROOT / "config" / "smoke.yaml")
COHORT = "nih_6x200_small"
ELSEWHERE = {"TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "7", "LC_ALL": "C", "OMP_NUM_THREADS": "1"}


def copy_results(finished: Checkout, folder: Path, *lost: str) -> None:
    """Copy a finished audit with its times and Snakemake's records, but for what is lost."""
    shutil.copytree(finished.folder / "results", folder / "results")
    metadata = ".snakemake/metadata"
    if ".snakemake" not in lost:
        shutil.copytree(finished.folder / metadata, folder / metadata)
    for pattern in lost:
        for path in (folder / "results").glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def test_killed_at_random_moments_the_same_command_ends_with_the_same_bytes(finished, tmp_path):
    stages = ("images", "probe", "disparity")
    audit = Audit(
        tmp_path / "a killed run",
        [SMOKE],
        [f"results/disparity/{COHORT}/pixels/linear.csv"],
        ELSEWHERE,
        finished.folder,
    )
    lost = [f"{name}/{COHORT}*" for name in ("images", "embed", "predictions", "evaluate")]
    copy_results(finished, audit.folder, *lost, f"disparity/{COHORT}*")
    drawn, tally = random.Random(3), Tally()
    quota, code, starts = Counter(stages), 1, 0
    while code:
        code = disturb(audit, drawn, tally, quota)
        starts += 1
        assert starts < 12, audit.log.read_text()[-6000:]
    assert tally.kills >= 2, tally
    assert compare(finished.folder / "results", audit.folder / "results") == []
    left = [
        path.name for path in audit.folder.rglob("*") if path.name.endswith((".partial", ".tmp"))
    ]
    assert left == []


def moved(finished: Checkout, folder: Path) -> Checkout:
    """Copy a finished audit to a new checkout without Snakemake's records."""
    checkout = Checkout.copy(folder)
    copy_results(finished, checkout.folder, ".snakemake")
    return checkout


def test_without_snakemakes_folder_what_is_stale_is_made_again_and_nothing_else(finished, tmp_path):
    checkout = moved(finished, tmp_path / "elsewhere")
    assert checkout.plan("--configfile", "config/smoke.yaml") == []
    change = checkout.folder / "config" / "change.yaml"
    change.write_text(yaml.safe_dump({"methods": {"linear": {"weight_decay": 0.5}}}))
    predictions = checkout.folder / f"results/embed/{COHORT}/pixels.parquet"
    record_path(predictions).unlink()
    target = f"results/predictions/{COHORT}/pixels/linear.parquet"
    jobs = checkout.plan("--configfile", "config/smoke.yaml", "config/change.yaml", "--", target)
    assert [rule for rule, _ in jobs] == ["embed", "probe"]


def test_four_runs_and_a_kill_share_one_cache(finished, tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    shared = {"SNAKEMAKE_OUTPUT_CACHE": str(store)}
    targets = [f"results/embed/{COHORT}/pixels.parquet"]
    audits = [
        Audit(tmp_path / f"run {i}", [SMOKE], targets, shared, finished.folder) for i in range(4)
    ]
    for audit in audits:
        copy_results(finished, audit.folder, f"images/{COHORT}", f"embed/{COHORT}")
    killed, *others = audits
    first = killed.start("--cache", "images", "embed")
    while not list(store.iterdir()):
        assert first.poll() is None, killed.log.read_text()[-3000:]
        time.sleep(0.005)
    for process in [first, *killed.processes()]:
        process.send_signal(signal.SIGKILL)
    first.wait()
    running = [audit.start("--cache", "images", "embed") for audit in [killed, *others]]
    assert [process.wait(300) for process in running] == [0] * 4
    for audit in audits:
        for name in (f"images/{COHORT}", f"embed/{COHORT}"):
            ours, theirs = audit.folder / "results" / name, finished.folder / "results" / name
            different = compare(theirs, ours)
            # A run that takes a result from the cache starts no stage, so there is no record.
            assert [path for path in different if not path.endswith(".made.json")] == []
