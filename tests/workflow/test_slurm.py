"""The audit on a real SLURM that this test brings up on this machine and takes down again.

What takes minutes is in test_slurm_long.py.
"""

import re
import subprocess

import yaml

from checkout import Checkout, parse_jobs
from slurm_cluster import (
    MARKS,
    cancel_one,
    count_calls,
    running,
    snakemake,
    squeue,
    wait_for,
)

pytestmark = MARKS
PRETRAINING = {"mae_small": {"epochs": 60, "procedural": {"images": 300}}}
WEIGHTS = "results/pretrain/mae_small.safetensors"
MEMORY = "pretrain:mem_mb=250 * attempt ** 3"  # the first attempt is too small for torch


def test_an_audit_whose_jobs_are_cancelled_stopped_and_too_large(cluster, tmp_path, python):
    checkout = Checkout.copy(tmp_path / "a checkout")
    overlay = checkout.folder / "config" / "pretraining.yaml"
    overlay.write_text(yaml.safe_dump({"pretrainings": PRETRAINING}))
    counters, calls = count_calls(tmp_path / "bin")
    arguments = ["--configfile", "config/smoke.yaml", str(overlay), "--config", "run=['clip_nih']"]
    arguments += ["--set-threads", "images=1", "embed=1", "pretrain=1"]
    arguments += ["--set-resources", MEMORY, "pretrain:gpu=0", "--", "all", WEIGHTS]
    path = f"{counters}:{checkout.environment()['PATH']}"
    with snakemake(
        checkout, python, *arguments, MEDAUDIT_CHECKPOINT_SECONDS="0.5", PATH=path
    ) as run:
        cancelled = cancel_one("images", 240)
        stopped = stop_training(checkout, 240)
        cluster.stop_controller()
        cluster.start_controller()
        output = run.wait()
    assert (checkout.folder / "results" / "report.html").is_file()
    assert (checkout.folder / WEIGHTS).is_file()

    submitted = re.findall(r"submitted with SLURM jobid (\d+)", output)
    rules = [rule for rule, _ in parse_jobs(output)]
    assert len(submitted) == len(rules)
    assert rules.count("images") == rules.count("pretrain") == 2
    assert {"manifest", "cohort", "embed", "probe", "evaluate", "compare", "report"} <= set(rules)

    assert cluster.said("exceeded memory limit")
    log = (checkout.folder / "results/log/pretrain/mae_small.log").read_text()
    assert "resuming from" in log
    states = cluster.finished()
    assert states[cancelled] == "CANCELLED"
    failed = [job for job in submitted if states[job] == "FAILED"]
    assert len(failed) == 1 and stopped not in failed
    others = set(submitted) - {cancelled, *failed}
    assert stopped in others
    assert {states[job] for job in others} == {"COMPLETED"}
    made = [line.split()[1] for line in calls.read_text().splitlines()]
    assert made.count("sbatch") == len(submitted)
    assert made.count("sacct") <= 2  # it looks for an account, and never for a job


def stop_training(checkout: Checkout, seconds: float) -> str:
    """Send a pretraining that has a checkpoint what it gets ahead of its time limit."""
    partial = checkout.folder / f"{WEIGHTS}.partial"
    assert wait_for(lambda: list(partial.glob("step_*.pt")), seconds)
    (number,) = running("pretrain")
    subprocess.run(["scancel", "--signal=TERM", number], check=True)
    waiting = [number, "PD"]
    assert wait_for(lambda: waiting in squeue("%i", "%t", states="PD"), 30)
    return number
