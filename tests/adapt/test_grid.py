"""Several seeds and learning rates in one job: the numbers of each are those of a job of its own."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from finetune_case import settings
from medaudit.adapt.finetune import finetune
from medaudit.adapt.finetune.network import build_network
from medaudit.adapt.merge_seeds import merge_seeds
from medaudit.core.seeds import seed_ranges, seeds_of
from medaudit.core.table_io import PREDICTIONS, read_metadata, read_table

VIEWS = {"scale": [0.5, 1.0], "rotation": 7.0, "randaugment": {"magnitude": 6}}
ENTRIES = {
    "full": {"drop_path": 0.2, "augmentation": VIEWS},
    "lora": {"tune": "lora", "lora": {"rank": 2, "alpha": 4, "dropout": 0.2, "targets": "auto"}},
    "stored": {"tune": "mask", "mask": "000111", "views": 1, "cache": {"precision": "float32"}},
}


@pytest.mark.parametrize("kind", ENTRIES)
def test_trainings_in_turn_have_the_numbers_of_trainings_alone(data, tmp_path, kind):
    """Drop path, dropout, views and stored outputs included; on a CPU to the last bit."""
    entry = {"epochs": 3, "learning_rates": [1e-3, 1e-2], "seeds": 2, **ENTRIES[kind]}
    alone = []
    for seed in ("0", "1"):
        alone.append(tmp_path / f"{seed}.parquet")
        finetune(settings(entry, seed=seed), **data, output=alone[-1])
    turns = settings({**entry, "together": 3}, seed="0-1")
    finetune(turns, **data, output=tmp_path / "0-1.parquet")
    merged = []
    for name, files in (("alone", alone), ("turns", [tmp_path / "0-1.parquet"])):
        merged.append(tmp_path / f"{name}.parquet")
        merge_seeds({}, seeds=files, output=merged[-1])
    expected, found = (read_table(path, PREDICTIONS) for path in merged)
    assert expected.equals(found)
    assert expected.groupby("seed")["score"].mean().nunique() == 2
    first, second = (read_metadata(path)["runs"] for path in merged)
    assert first == second
    assert [(t["seed"], t["learning_rate"]) for t in second["trials"]] == [
        (seed, rate) for seed in ("0", "1") for rate in (1e-3, 1e-2)
    ]


def test_a_twin_shares_what_is_frozen_and_copies_what_is_tuned():
    network = build_network(settings({"tune": "mask", "mask": "000011"}), 1, torch.device("cpu"))
    network.keep_initial()
    twin = network.twin()
    x = torch.randn(2, 3, 16, 16)
    assert torch.equal(network(x), twin(x))
    stored = network.chain.run(x, 0, 1)
    assert torch.equal(twin(stored, 1), network(x))
    for (name, one), two in zip(network.named_parameters(), twin.parameters(), strict=True):
        assert (one is two) == (not one.requires_grad), name
    with torch.no_grad():
        for parameter in twin.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1)
    # Level 1 enters below the tuned second block: a chain of the wrong network would not change.
    assert not torch.allclose(twin(stored, 1), network(x))
    twin.restore_initial()
    assert torch.equal(twin(x), network(x))


def test_killed_in_the_middle_of_turns_it_ends_with_the_same_bytes(data, tmp_path):
    entry = {"epochs": 8, "learning_rates": [1e-3, 1e-2], "together": 4, "augmentation": VIEWS}
    line = json.dumps(settings({**entry, "drop_path": 0.2}, seed="0-1"))
    command = [sys.executable, "-m", "medaudit.adapt.finetune", "--settings", line]
    command += ["--cohort", str(data["cohort"]), "--images", str(data["images"]), "--output"]
    often = {**os.environ, "MEDAUDIT_CHECKPOINT_SECONDS": "0"}
    whole, killed = tmp_path / "whole.parquet", tmp_path / "killed.parquet"
    subprocess.run([*command, str(whole)], check=True, env=often, capture_output=True)
    partial = tmp_path / "killed.parquet.partial"
    for sent, code, step in ((signal.SIGKILL, -9, 5), (signal.SIGTERM, 75, 30)):
        running = subprocess.Popen([*command, str(killed)], env=often, stderr=subprocess.DEVNULL)
        while running.poll() is None and newest(partial) < step:
            time.sleep(0.01)
        running.send_signal(sent)
        assert running.wait() == code
    subprocess.run([*command, str(killed)], check=True, env=often, capture_output=True)
    assert killed.read_bytes() == whole.read_bytes()


def newest(folder) -> int:
    return max((int(path.stem[5:]) for path in folder.glob("step_*.pt")), default=0)


def test_jobs_share_seeds_so_that_all_rates_of_a_seed_are_in_one_job():
    from medaudit.config.runs import seed_jobs

    def jobs(**entry) -> list[str]:
        config = {"methods": {"m": {"kind": "finetune", **entry}}}
        return seed_jobs(config, "cohort", "model", "m")

    rates = {"learning_rates": [0.1, 0.2]}
    assert jobs(seeds=3, **rates) == ["0", "1", "2"]
    assert jobs(seeds=3, together=2, **rates) == ["0", "1", "2"]
    assert jobs(seeds=5, together=5, **rates) == ["0-1", "2-3", "4"]
    assert jobs(seeds=3, together=9) == ["0-2"]
    for seeds in range(1, 8):
        for size in range(1, 8):
            found = [seeds_of(name) for name in seed_ranges(seeds, size)]
            assert sum(found, []) == list(range(seeds))
            assert max(map(len, found)) == min(size, seeds)


def test_a_table_of_several_seeds_is_merged_with_others(data, tmp_path):
    entry = {"epochs": 1, "learning_rates": [1e-3], "seeds": 3, "together": 2}
    paths = []
    for name in seed_ranges(3, 2):
        paths.append(tmp_path / f"{name}.parquet")
        finetune(settings(entry, seed=name), **data, output=paths[-1])
    merge_seeds({}, seeds=paths, output=tmp_path / "all.parquet")
    table = read_table(tmp_path / "all.parquet", PREDICTIONS)
    assert table.groupby("seed").size().to_dict() == {0: 80, 1: 80, 2: 80}
    chosen = read_metadata(tmp_path / "all.parquet")["runs"]["chosen"]
    assert [run["seed"] for run in chosen] == ["0", "1", "2"]
    scores = table.pivot(index=["image_id", "task"], columns="seed", values="score")
    assert (np.abs(np.diff(scores, axis=1)).max(axis=0) > 1e-6).all()
