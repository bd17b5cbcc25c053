"""A stage on several processes: the command that starts them, and what they compute."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from checkout import Checkout
from finetune_case import settings
from medaudit.core.table_io import PREDICTIONS, read_metadata, read_table
from medaudit.training import launch


def test_one_process_stays_and_several_become_torchrun(monkeypatch):
    started = []
    monkeypatch.setattr(os, "execvp", lambda *command: started.append(command))
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    line = ["--settings", "{}", "--threads", "8", "--processes"]
    assert launch.launch("medaudit.adapt.finetune", [*line, "1"]) == line[:-1]
    assert launch.launch("medaudit.adapt.finetune", line[:-1]) == line[:-1]
    assert started == []
    launch.launch("medaudit.adapt.finetune", [*line, "2"])
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [sys.executable, *torchrun, "-m", "medaudit.adapt.finetune", "--settings", "{}"]
    assert started == [(sys.executable, [*command, "--threads", "4"])]
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert launch.launch("medaudit.adapt.finetune", [*line, "2"]) == line[:-1]


@pytest.mark.parametrize("together", [1, 2])
def test_two_processes_give_the_predictions_of_one(data, tmp_path, together):
    """Documented tolerance: validation loss to 1e-4 of it, scores to 1e-3, in a few epochs.

    The two resume where a single process was stopped. 56 images in batches of 11 leave one image for
    the last batch, so one process has none. Two learning rates, on one network after the other or in
    turn: the hooks of the first must not average the gradients of the second again.
    """
    views = {"scale": [0.5, 1.0], "randaugment": {"magnitude": 6}}
    entry = {"epochs": 3, "batch_size": 11, "learning_rates": [1e-3, 3e-3], "augmentation": views}
    entry |= {"together": together}
    entry |= {"class_weights": "balanced", "layer_decay": 0.75, "learning_rate_per": 16}
    one, two = (tmp_path / name / "0.parquet" for name in ("one", "two"))
    command = [
        sys.executable,
        "-m",
        "medaudit.adapt.finetune",
        "--settings",
        json.dumps(settings(entry)),
    ]
    command += ["--cohort", str(data["cohort"]), "--images", str(data["images"]), "--output"]
    subprocess.run([*command, str(one)], check=True, capture_output=True)
    stop_after(2, [*command, str(two)], two)
    several = ["--threads", "2", "--processes", "2"]
    done = subprocess.run([*command, str(two), *several], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr.count("resuming from") == 2
    compare(one, two)


def stop_after(steps: int, command: list[str], output) -> None:
    """Kill a run once it has written the checkpoint of a number of steps."""
    often = {**os.environ, "MEDAUDIT_CHECKPOINT_SECONDS": "0"}
    partial = output.with_name(f"{output.name}.partial")
    running = subprocess.Popen(command, env=often, stderr=subprocess.DEVNULL)
    while running.poll() is None and not (partial / f"step_{steps:010d}.pt").exists():
        time.sleep(0.005)
    running.kill()
    running.wait()
    assert not output.exists()
    assert list(partial.glob("step_*.pt"))


def compare(one, other) -> None:
    """Compare curves and scores, after a check that training has changed the network at all."""
    trials = [read_metadata(path)["runs"]["trials"] for path in (one, other)]
    for first, second in zip(*trials, strict=True):
        np.testing.assert_allclose(second["curve"], first["curve"], rtol=1e-4)
        assert first["curve"][-1] < 0.99 * first["curve"][0]
    tables = [read_table(path, PREDICTIONS) for path in (one, other)]
    assert (tables[0][["image_id", "task"]] == tables[1][["image_id", "task"]]).all(axis=None)
    np.testing.assert_allclose(tables[1]["score"], tables[0]["score"], atol=1e-3)


@pytest.mark.workflow
@pytest.mark.xdist_group("workflow")
def test_a_profile_sets_the_number_and_it_is_no_setting(tmp_path):
    checkout = Checkout.copy(tmp_path / "a checkout")
    target = "results/finetune/nih_6x200_small/vit_random/full/0.parquet"
    commands = {}
    for count in ("1", "2"):
        resources = [
            "--set-resources",
            f"finetune:processes={count}",
            f"pretrain:processes={count}",
        ]
        done = checkout.snakemake("-n", "-p", target, *resources)
        assert done.returncode == 0, done.stdout[-3000:]
        lines = [
            line for line in done.stdout.splitlines() if "python -m medaudit.adapt.finetune" in line
        ]
        commands[count] = lines[0].strip()
    assert "--threads 1 --processes 1 " in commands["1"]
    assert commands["2"] == commands["1"].replace("--processes 1", "--processes 2")


def test_a_signal_to_one_process_stops_all_after_the_same_step(data, tmp_path):
    """The processes agree rarely; here at least every half second, as checkpoints are due then."""
    entry = {"epochs": 4000, "learning_rates": [1e-4]}
    output = tmp_path / "0.parquet"
    command = [sys.executable, "-m", "medaudit.adapt.finetune", "--settings"]
    command += [json.dumps(settings(entry)), "--cohort", str(data["cohort"])]
    command += ["--images", str(data["images"]), "--output", str(output)]
    common = {**os.environ, "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "OMP_NUM_THREADS": "1"}
    common |= {"MASTER_PORT": str(free_port()), "MEDAUDIT_CHECKPOINT_SECONDS": "0.5"}
    running = [
        subprocess.Popen(
            command,
            env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        partial = output.with_name("0.parquet.partial")
        while not list(partial.glob("step_*.pt")) and running[0].poll() is None:
            time.sleep(0.05)
        running[1].send_signal(signal.SIGTERM)
        logs = [process.communicate(timeout=120)[1] for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [75, 75], logs
    steps = [int(path.stem[5:]) for path in partial.glob("step_*.pt")]
    assert f"SIGTERM: checkpoint of step {max(steps)} written" in logs[0]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


@pytest.mark.workflow
@pytest.mark.xdist_group("workflow")
def test_seeds_that_train_together_are_one_job(tmp_path):
    checkout = Checkout.copy(tmp_path / "a checkout")
    overlay = checkout.folder / "together.yaml"
    overlay.write_text("methods: {full: {seeds: 3, together: 4}}\n")
    target = "results/predictions/nih_6x200_small/vit_random/full.parquet"
    done = checkout.snakemake("-n", "-p", target, "--configfile", str(overlay))
    assert done.returncode == 0, done.stdout[-3000:]
    lines = done.stdout.splitlines()
    jobs = [line for line in lines if "python -m medaudit.adapt.finetune" in line]
    named = sorted(line.split("/full/")[1].split(".parquet")[0] for line in jobs)
    assert named == ["0-1", "2"]
    merge = next(line for line in lines if "python -m medaudit.adapt.merge_seeds" in line)
    assert "full/0-1.parquet" in merge and "full/2.parquet" in merge
