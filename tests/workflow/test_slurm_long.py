"""What takes minutes on a real SLURM: time limits, nodes and controllers that fail, many jobs.

pytest -m slow tests/workflow/test_slurm_long.py
"""

import re
import subprocess
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import yaml

from checkout import Checkout
from medaudit.core.table_io import read_json
from slurm_cluster import (
    MARKS,
    Run,
    count_calls,
    running,
    snakemake,
    squeue,
    wait_for,
)

pytestmark = [*MARKS, pytest.mark.slow]
WEIGHTS, CARD = (f"results/pretrain/mae_small.{suffix}" for suffix in ("safetensors", "json"))
SMALL = ["--set-threads", "pretrain=1", "--set-resources", "pretrain:gpu=0", "pretrain:mem_mb=3000"]
SLEEPERS = """
rule all:
    input: expand("out/{i}.txt", i=range(int(config["count"])))
    localrule: True
rule sleeper:
    output: "out/{i}.txt"
    shell: "sleep {config[nap]}; echo done > {output}"
"""


def pretraining_checkout(folder: Path, epochs: int) -> Checkout:
    """Return a checkout whose overlay pretrains one small model for so many epochs."""
    checkout = Checkout.copy(folder)
    entry = {"mae_small": {"epochs": epochs, "batch_size": 60, "procedural": {"images": 300}}}
    (checkout.folder / "config" / "own.yaml").write_text(yaml.safe_dump({"pretrainings": entry}))
    return checkout


def undisturbed(checkout: Checkout) -> list[bytes]:
    """Return weights and card of the same pretraining in one local job."""
    folder = checkout.folder.parent / "undisturbed"
    folder.mkdir()
    options = ["--configfile", "config/own.yaml", "--directory", str(folder), "--cores", "1"]
    done = checkout.snakemake(*options, "--", WEIGHTS)
    assert done.returncode == 0, done.stdout[-6000:]
    return [(folder / name).read_bytes() for name in (WEIGHTS, CARD)]


@pytest.mark.parametrize(("way", "minutes", "epochs"), [("requeued", 2, 400), ("retried", 1, 250)])
def test_a_pretraining_longer_than_its_time_limit(cluster, tmp_path, python, way, minutes, epochs):
    """The signal ahead of the limit requeues it; without it, SLURM's own SIGTERM leads to a retry."""
    checkout = pretraining_checkout(tmp_path / "a checkout", epochs)
    extra = {"requeued": ["pretrain:slurm_extra='--signal=TERM@30 --open-mode=append'"]}
    extra["retried"] = ["pretrain:slurm_extra=''"]
    arguments = ["--configfile", "config/own.yaml", *SMALL, f"pretrain:runtime={minutes}"]
    arguments += extra[way]
    retries = {"requeued": "0", "retried": "9"}[way]
    with snakemake(checkout, python, *arguments, "--retries", retries, "--", WEIGHTS) as run:
        output = run.wait(1800)
    jobs = re.findall(r"submitted with SLURM jobid (\d+)", output)
    noted = (cluster.root / "log" / "jobs.txt").read_text()
    states = Counter(re.findall(rf"JobId=(?:{'|'.join(jobs)}) .*?JobState=(\w+)", noted))
    print(way, len(jobs), states)
    assert states["COMPLETED"] == 1
    if way == "requeued":
        assert len(jobs) == 1
        assert states["PENDING"] >= 1  # what SLURM notes of a job that it puts back
        assert "Trying to restart job" not in output
    else:
        assert states["TIMEOUT"] == len(jobs) - 1 >= 1
    assert [(checkout.folder / name).read_bytes() for name in (WEIGHTS, CARD)] == undisturbed(
        checkout
    )


def test_pretraining_on_two_nodes(cluster, tmp_path, python):
    """srun starts a process on each; stopped and requeued on the way; loss as of one process."""
    checkout = pretraining_checkout(tmp_path / "a checkout", 40)
    nodes = [f"pretrain:{name}=2" for name in ("processes", "nodes", "tasks")]
    nodes += ["pretrain:gpu=2", "pretrain:tasks_per_gpu=1", "pretrain:mpi=srun"]  # pretended GPUs
    arguments = ["--configfile", "config/own.yaml", *SMALL, *nodes]
    often = {"MEDAUDIT_CHECKPOINT_SECONDS": "0.5"}
    with snakemake(checkout, python, *arguments, "--retries", "0", "--", WEIGHTS, **often) as run:
        partial = checkout.folder / f"{WEIGHTS}.partial"
        assert wait_for(lambda: list(partial.glob("step_*.pt")), 240)
        (job,) = running("pretrain")
        there = squeue("%i", "%D", "%N")
        subprocess.run(["scancel", "--signal=TERM", job], check=True)
        run.wait()
    assert [job, "2", "n[0-1]"] in there
    log = (checkout.folder / "results/log/pretrain/mae_small.log").read_text()
    assert log.count("resuming from") == 2
    expected = yaml.safe_load(undisturbed(checkout)[1])
    card = read_json(checkout.folder / CARD)
    assert (card["processes"], expected["processes"]) == (2, 1)
    losses = [[epoch["loss"] for epoch in part["curve"]] for part in (card, expected)]
    assert losses[0][-1] < 0.99 * losses[0][0]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-4)


class Sleepers:
    """A workflow of jobs that sleep, under this project's profile."""

    def __init__(self, folder: Path, interpreter: Path, count: int, nap: float, *options) -> None:
        self.folder, self.count = folder / "sleepers", count
        checkout = Checkout.copy(folder / "a checkout")
        self.folder.mkdir()
        (self.folder / "slurm").symlink_to(checkout.folder / "profiles" / "slurm")
        (self.folder / "Snakefile").write_text(SLEEPERS)
        counters, self.calls = count_calls(folder / "bin")
        self.environment = checkout.environment()
        self.environment["PATH"] = f"{counters}:{self.environment['PATH']}"
        arguments = ["--default-resources", "mem_mb=500", "runtime=5", *options]
        arguments += ["--config", f"count={count}", f"nap={nap}"]
        self.begun = time.monotonic()
        log = folder / "snakemake.log"
        self.run = Run(self.folder, interpreter, log, self.environment, *arguments)

    def end(self, seconds: float) -> str:
        """Wait until all jobs have ended well; return the log."""
        output = self.run.wait(seconds)
        assert len(list((self.folder / "out").glob("*.txt"))) == self.count
        return output

    def calls_a_minute(self) -> dict[str, float]:
        """Return how often each command was called in the busiest minute."""
        made = [line.split() for line in self.calls.read_text().splitlines()]
        minutes = Counter((name, int(second) // 60) for second, name in made)
        return {name: max(n for (c, _), n in minutes.items() if c == name) for _, name in made}


def test_a_node_goes_down_and_comes_back(cluster, tmp_path, python):
    sleepers = Sleepers(tmp_path, python, 4, 45)
    assert wait_for(lambda: len(squeue("%i")) == 4, 120)
    time.sleep(10)
    lost = [job for job, node in squeue("%i", "%N") if node == "n1"]
    assert lost
    cluster.kill_node("n1")
    down = ["sinfo", "-h", "-n", "n1", "-o", "%T"]
    state = lambda: subprocess.run(down, capture_output=True, text=True).stdout  # noqa: E731
    assert wait_for(lambda: state().startswith("down"), 120)
    cluster.start_node("n1")
    assert wait_for(lambda: not state().startswith("down"), 60)
    output = sleepers.end(600)
    print(lost, re.findall(r"SLURM-job '(\d+)' failed, SLURM status is: '(\w+)'", output))


def test_the_controller_goes_away_and_comes_back(cluster, tmp_path, python):
    """A longer absence needs slurmdbd, which this cluster lacks: see docs/slurm.md."""
    sleepers = Sleepers(tmp_path, python, 2, 30)
    assert wait_for(lambda: len(squeue("%i")) == 2, 120)
    cluster.stop_controller()
    time.sleep(2)
    cluster.start_controller()
    sleepers.end(600)


def test_two_hundred_jobs_do_not_flood_slurm(cluster, tmp_path, python):
    sleepers = Sleepers(tmp_path, python, 200, 0)
    sleepers.end(3000)
    seconds = time.monotonic() - sleepers.begun
    calls, busiest = Counter(sleepers.calls.read_text().split()[1::2]), sleepers.calls_a_minute()
    print(f"{seconds:.0f} s", dict(calls), busiest)
    assert calls["sbatch"] == 200
    assert busiest["sbatch"] <= 130
    assert busiest["squeue"] <= 15
