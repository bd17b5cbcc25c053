"""The audit on a real SLURM that this test brings up on this machine and takes down again."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from checkout import Checkout, parse_jobs

HARNESS = Path(__file__).parent / "slurm"
LACKING = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if not shutil.which(name)]
pytestmark = [
    pytest.mark.slurm,
    pytest.mark.workflow,
    pytest.mark.xdist_group("workflow"),
    pytest.mark.skipif(bool(LACKING), reason=f"SLURM is not installed: no {LACKING}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start SLURM's daemons"),
]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A single-node SLURM; gives its folder."""
    root = tmp_path_factory.mktemp("slurm")
    for part in (root, *root.parents[:3]):
        part.chmod(0o755)
    up = subprocess.run([HARNESS / "up", root], capture_output=True, text=True)
    if up.returncode:
        subprocess.run([HARNESS / "down", root])
        pytest.fail(f"SLURM did not start: {up.stdout}{up.stderr}")
    os.environ["SLURM_CONF"] = str(root / "etc" / "slurm.conf")
    yield root
    del os.environ["SLURM_CONF"]
    subprocess.run([HARNESS / "down", root])


def squeue(*columns: str) -> list[list[str]]:
    """Return the running jobs as rows of columns."""
    command = ["squeue", "-h", "-t", "R", "-o", "|".join(columns)]
    lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    return [line.split("|") for line in lines]


def cancel_one(rule: str, deadline: float) -> str | None:
    """Cancel the first running job of a rule; return its id."""
    while time.monotonic() < deadline:
        for number, comment in squeue("%i", "%k"):
            if rule in comment:
                subprocess.run(["scancel", number], check=True)
                return number
        time.sleep(0.2)
    return None


@pytest.fixture
def python(tmp_path) -> Path:
    """This environment's Python under a path without a space, as Snakemake's remote jobs need."""
    link = tmp_path / "environment"
    link.symlink_to(sys.prefix)
    return link / "bin" / "python"


def test_every_job_runs_under_slurm_and_a_cancelled_one_is_retried(cluster, tmp_path, python):
    checkout = Checkout.copy(tmp_path / "a checkout")
    command = [python, "-m", "snakemake", "--profile", "slurm"]
    command += ["--configfile", "config/smoke.yaml", "--config", "run=['clip_nih']"]
    command += ["--set-threads", "images=1", "embed=1"]
    command += ["--slurm-init-seconds-before-status-checks", "4", "--latency-wait", "5"]
    log = tmp_path / "snakemake.log"
    with log.open("w") as stream:
        running = subprocess.Popen(
            command,
            cwd=checkout.folder,
            env=checkout.environment(),
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
        cancelled = cancel_one("rule_images", time.monotonic() + 240)
        code = running.wait(timeout=600)
    output = log.read_text()
    assert code == 0, output[-6000:]
    assert cancelled is not None
    assert (checkout.folder / "results" / "report.html").is_file()

    submitted = re.findall(r"submitted with SLURM jobid (\d+)", output)
    rules = [rule for rule, _ in parse_jobs(output)]
    assert len(submitted) == len(rules)
    assert rules.count("images") == 2
    assert {"manifest", "cohort", "embed", "probe", "evaluate", "compare", "report"} <= set(rules)

    states = dict(re.findall(r"JobId=(\d+).*?JobState=(\w+)", accounting(cluster)))
    assert states[cancelled] == "CANCELLED"
    assert {states[number] for number in submitted if number != cancelled} == {"COMPLETED"}


def accounting(cluster: Path) -> str:
    """Return what SLURM noted of finished jobs, waiting for the last of them."""
    path = cluster / "log" / "jobs.txt"
    for _ in range(50):
        if not squeue("%i"):
            break
        time.sleep(0.2)
    time.sleep(1)
    return path.read_text()
