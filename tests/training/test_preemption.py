"""SIGTERM under SLURM: which jobs are requeued. Two scripts stand in for SLURM's commands."""

import os
import signal

import pytest

from medaudit.training import launch, preemption

SCRIPT = """#!/bin/sh
echo "$(basename "$0") $*" >> {calls}
echo "{answer}"
exit {code}
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Return a function that sets the answer of a SLURM command and returns the file of its calls."""
    folder, calls = tmp_path / "bin", tmp_path / "calls"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "7")

    def answer(name, text, code=0):
        script = folder / name
        script.write_text(SCRIPT.format(calls=calls, answer=text, code=code))
        script.chmod(0o755)
        return calls

    return answer


@pytest.mark.parametrize(
    ("state", "code", "requeued", "said"),
    [
        ("RUNNING", 0, True, "SLURM job 7 requeued"),
        ("RUNNING", 1, False, "SLURM job 7 could not be requeued"),
        ("COMPLETING", 0, False, "SLURM job 7 is COMPLETING: not requeued"),
        ("", 0, False, "SLURM job 7 is unknown: not requeued"),
    ],
)
def test_only_a_running_job_is_requeued(slurm, caplog, state, code, requeued, said):
    """A cancelled job is COMPLETING; SLURM would run it again if it were requeued."""
    caplog.set_level("INFO")
    slurm("squeue", state)
    calls = slurm("scontrol", "", code)
    assert preemption.requeue_slurm_job() is requeued
    assert said in caplog.messages
    asked = calls.read_text().splitlines()
    assert asked[0] == "squeue --noheader --jobs 7 --format %T"
    assert asked[1:] == (["scontrol requeue 7"] if state == "RUNNING" else [])


def test_outside_slurm_and_without_its_commands_a_job_just_ends(monkeypatch, tmp_path, caplog):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    with pytest.raises(SystemExit) as left:
        preemption.requeue_and_exit("everything saved")
    assert (left.value.code, caplog.messages) == (75, [])
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    with pytest.raises(SystemExit) as left:
        preemption.requeue_and_exit("everything saved")
    assert left.value.code == 75
    assert "No such file or directory: 'squeue'" in caplog.text


def test_the_signal_is_recorded_and_the_handler_restored():
    before = signal.getsignal(signal.SIGTERM)
    with preemption.catch_sigterm() as preempted:
        assert not preempted.received
        signal.raise_signal(signal.SIGTERM)
        assert preempted.received
    assert signal.getsignal(signal.SIGTERM) is before


def test_srun_starts_a_job_on_several_nodes(slurm, monkeypatch):
    started = []
    monkeypatch.setattr(os, "execvp", lambda name, command: started.append(command))
    for name in ("WORLD_SIZE", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.delenv(name, raising=False)
    line = ["--settings", "{}", "--threads", "3", "--processes", "4"]
    slurm("squeue", "2")
    launch.launch("medaudit.models.pretrain", line)
    assert started[0][:4] == ["srun", "--nodes=2", "--ntasks=4", "--cpus-per-task=3"]
    assert started[0][-5:] == ["medaudit.models.pretrain", "--settings", "{}", "--threads", "3"]
    slurm("squeue", "1")
    launch.launch("medaudit.models.pretrain", line)
    assert "torch.distributed.run" in started[1]
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    assert launch.launch("medaudit.models.pretrain", line) == line[:-2]
    assert len(started) == 2


def test_processes_that_srun_started_find_each_other(monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    given = {"SLURM_JOB_ID": "40001", "SLURM_PROCID": "3", "SLURM_LOCALID": "1"}
    given |= {"SLURM_STEP_NUM_TASKS": "4", "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.7"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    launch.set_torch_env_from_slurm()
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    assert [os.environ[name] for name in names] == ["3", "4", "1", "10.0.0.7", "20001"]
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "1")
    monkeypatch.delenv("WORLD_SIZE")
    launch.set_torch_env_from_slurm()
    assert "WORLD_SIZE" not in os.environ
