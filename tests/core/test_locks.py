import os
import platform
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from medaudit.core.run_locks import JOBS, RUNS, VARIABLE

RUN = """
import sys, time
from pathlib import Path
from medaudit.core.run_locks import hold_run_lock
hold_run_lock(Path(sys.argv[1]))
print("joined", flush=True)
time.sleep(float(sys.argv[2]))
"""
JOB = """
import sys, time
from medaudit.core.run_locks import hold_job_lock
hold_job_lock()
print("joined", flush=True)
time.sleep(float(sys.argv[1]))
"""


def start(code: str, *words: object, **environment: str) -> subprocess.Popen:
    """Start a process and wait until it has joined."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    assert process.stdout.readline() == "joined\n"
    return process


def end(process: subprocess.Popen) -> str:
    """Kill a process as the kernel does and return what it logged."""
    process.send_signal(signal.SIGKILL)
    return process.communicate()[1]


@pytest.fixture
def records(tmp_path) -> Path:
    """Snakemake's folder, with the lock of a run that has begun in it."""
    (tmp_path / "locks").mkdir()
    return tmp_path


def lock(records: Path) -> Path:
    path = records / "locks" / "0.output.lock"
    path.write_text("results/a\n")
    return path


def test_the_lock_of_a_killed_run_goes_and_that_of_a_living_one_stays(records):
    first = start(RUN, records, 60)
    path = lock(records)
    second = start(RUN, records, 60)
    assert path.exists()
    end(second)
    assert path.exists()
    end(first)
    end(start(RUN, records, 60))
    assert not path.exists()


def test_a_second_run_keeps_the_lock_when_the_first_has_ended(records):
    first = start(RUN, records, 60)
    second = start(RUN, records, 60)
    end(first)
    path = lock(records)
    end(start(RUN, records, 60))
    assert path.exists()
    end(second)


@pytest.mark.parametrize("machines", ["elsewhere\n", f"elsewhere\n{platform.node()}\n", ""])
def test_a_lock_of_another_machine_stays_and_is_explained(records, machines):
    path = lock(records)
    (records / RUNS).write_text(machines)
    said = end(start(RUN, records, 60))
    assert "snakemake --unlock" in said
    assert path.exists()
    assert "snakemake --unlock" in end(start(RUN, records, 60))
    assert path.exists()
    path.unlink()
    end(start(RUN, records, 60))
    path = lock(records)
    end(start(RUN, records, 60))
    assert not path.exists()


def test_a_run_waits_for_the_jobs_of_a_killed_one(records):
    variable = {VARIABLE: str(records / JOBS)}
    job = start(JOB, 2, **variable)
    began = time.monotonic()
    said = end(start(RUN, records, 60))
    assert time.monotonic() - began > 1
    assert job.poll() is not None or job.wait(5) == 0
    assert "waiting for them" in said


def test_a_run_beside_a_living_one_does_not_wait_for_its_jobs(records):
    first = start(RUN, records, 60)
    job = start(JOB, 60, **{VARIABLE: str(records / JOBS)})
    began = time.monotonic()
    end(start(RUN, records, 60))
    assert time.monotonic() - began < 30
    for process in (first, job):
        end(process)


def test_a_job_started_by_hand_joins_nothing(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    end(start(JOB, 60))
