"""A real SLURM on this machine alone, for tests: bring it up, watch it, hurt it, take it down."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from checkout import Checkout

HARNESS = Path(__file__).parent / "slurm"
NODES = 2
LACKING = [name for name in ("munged", "slurmctld", "slurmd", "sbatch") if not shutil.which(name)]
MARKS = [
    pytest.mark.slurm,
    pytest.mark.workflow,
    pytest.mark.xdist_group("workflow"),
    pytest.mark.skipif(bool(LACKING), reason=f"SLURM is not installed: no {LACKING}"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can start SLURM's daemons"),
]
COUNTED = ("sbatch", "squeue", "sacct", "scontrol", "sinfo")
COUNTER = '#!/bin/sh\necho "$(date +%s) {name}" >> {calls}\nexec {path} "$@"\n'


@dataclass(frozen=True)
class Cluster:
    """Two simulated nodes, n0 and n1, below `root`."""

    root: Path

    def pid(self, daemon: str) -> int:
        """Return the process of a daemon: ``slurmctld``, ``slurmd-n0``."""
        return int((self.root / "run" / f"{daemon}.pid").read_text())

    def stop_controller(self) -> None:
        """End slurmctld, which saves its state."""
        process = self.pid("slurmctld")
        os.kill(process, signal.SIGTERM)
        wait_for(lambda: not Path(f"/proc/{process}").exists(), 20)

    def start_controller(self) -> None:
        """Start slurmctld from the state that it saved."""
        subprocess.run(["slurmctld"], check=True)

    def kill_node(self, name: str) -> None:
        """End a node as a power cut would: all that runs there, at once, without a word."""
        os.kill(self.pid(f"slurmd-{name}"), signal.SIGKILL)
        mark = f"SLURMD_NODENAME={name}".encode()
        there = [p for p in processes() if mark in environment_of(p)]
        steps = {parent(p) for p in there} | {parent(parent(p)) for p in there}
        daemons = [p for p in steps if command_of(p).startswith("slurmstepd")]
        for process in (*daemons, *there):
            kill(process)

    def start_node(self, name: str) -> None:
        """Start the node again."""
        subprocess.run(["slurmd", "-N", name], check=True)

    def finished(self) -> dict[str, str]:
        """Return the last state that SLURM noted of each job, waiting for the last of them."""
        wait_for(lambda: not squeue("%i"), 20)
        time.sleep(1)
        noted = (self.root / "log" / "jobs.txt").read_text()
        return dict(re.findall(r"JobId=(\d+).*?JobState=(\w+)", noted))

    def said(self, text: str) -> bool:
        """Return whether a daemon's log has a text."""
        return any(text in path.read_text() for path in (self.root / "log").glob("*.log"))


def processes() -> list[int]:
    """Return the numbers of all processes."""
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def environment_of(process: int) -> list[bytes]:
    """Return a process's variables, none if it has ended."""
    try:
        return Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    except OSError:
        return []


def command_of(process: int) -> str:
    """Return a process's name."""
    try:
        return Path(f"/proc/{process}/comm").read_text()
    except OSError:
        return ""


def parent(process: int) -> int:
    """Return a process's parent, or 0."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def kill(process: int) -> None:
    """SIGKILL a process if it is still there."""
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return


def wait_for(condition: Callable[[], object], seconds: float) -> bool:
    """Wait until something holds; return whether it does."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return False


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Iterator[Cluster]:
    """Give a SLURM of two nodes."""
    root = tmp_path_factory.mktemp("slurm")
    for part in (root, *root.parents[:3]):
        part.chmod(0o755)
    up = subprocess.run([HARNESS / "up", root, str(NODES)], capture_output=True, text=True)
    if up.returncode:
        subprocess.run([HARNESS / "down", root])
        pytest.fail(f"SLURM did not start: {up.stdout}{up.stderr}")
    os.environ["SLURM_CONF"] = str(root / "etc" / "slurm.conf")
    yield Cluster(root)
    del os.environ["SLURM_CONF"]
    subprocess.run([HARNESS / "down", root])


@pytest.fixture
def python(tmp_path) -> Path:
    """This environment's Python under a path without a space, as Snakemake's remote jobs need."""
    link = tmp_path / "environment"
    link.symlink_to(sys.prefix)
    return link / "bin" / "python"


def squeue(*columns: str, states: str = "R") -> list[list[str]]:
    """Return the jobs in some states as rows of columns."""
    command = ["squeue", "-h", "-t", states, "-o", "|".join(columns)]
    lines = subprocess.run(command, capture_output=True, text=True).stdout.splitlines()
    return [line.split("|") for line in lines]


def running(rule: str) -> list[str]:
    """Return the numbers of a rule's running jobs."""
    return [number for number, comment in squeue("%i", "%k") if f"rule_{rule}" in comment]


def cancel_one(rule: str, seconds: float) -> str | None:
    """Cancel the first running job of a rule; return its number."""
    if not wait_for(lambda: running(rule), seconds):
        return None
    number = running(rule)[0]
    subprocess.run(["scancel", number], check=True)
    return number


def count_calls(folder: Path) -> tuple[Path, Path]:
    """Write scripts that count SLURM's commands; return their folder and the file of the calls."""
    folder.mkdir()
    calls = folder.parent / "calls.txt"
    for name in COUNTED:
        script = folder / name
        script.write_text(COUNTER.format(name=name, calls=calls, path=shutil.which(name)))
        script.chmod(0o755)
    return folder, calls


class Run:
    """Snakemake under SLURM in a folder, with the profile of this project."""

    def __init__(
        self, folder: Path, python: Path, log: Path, environment: dict, *arguments
    ) -> None:
        command = [python, "-m", "snakemake", "--profile", "slurm", "--latency-wait", "5"]
        command += ["--slurm-init-seconds-before-status-checks", "4", *arguments]
        self.log = log
        self.stream = log.open("w")
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=self.stream, stderr=subprocess.STDOUT
        )

    def wait(self, seconds: float = 600) -> str:
        """Wait until it has ended well; return its log."""
        code = self.process.wait(timeout=seconds)
        output = self.log.read_text()
        assert code == 0, output[-6000:]
        return output


@contextmanager
def snakemake(checkout: Checkout, python: Path, *arguments: str, **variables: str) -> Iterator[Run]:
    """Run Snakemake under SLURM in a checkout; it is stopped if the test fails."""
    environment = {**checkout.environment(), "OMP_NUM_THREADS": "1", **variables}
    log = checkout.folder.parent / "snakemake.log"
    run = Run(checkout.folder, python, log, environment, *arguments)
    try:
        yield run
    finally:
        run.process.kill()
        run.stream.close()
