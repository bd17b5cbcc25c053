"""Trials of a search on a small ViT; a process started by `spawn` can import them from here."""

import os
import signal

import numpy as np

from medaudit.adapt.finetune import frozen_blocks_cache
from medaudit.search.trial_runner import TrialRunner
from tiny_vit import vit_entry

DEPTH, TRAIN, VAL = 4, 40, 24
MODEL = vit_entry(depth=DEPTH)
ENTRY = {
    "kind": "search",
    "objective": {
        "metric": "auc_min",
        "attribute": "sex",
        "minimum": {"n": 4, "n_pos": 1, "n_neg": 1},
    },
    "epochs": 3,
    "batch_size": 16,
    "weight_decay": 0.01,
    "warmup_epochs": 1,
    "augmentation": None,
    "cache": {"gigabytes": 1, "precision": "float32"},
}
MASKS = {"deep": "000000010101", "last": "000000000100", "first": "010000000000"}


def settings(**entry) -> dict:
    return {
        **{"cohort": "c", "model": "m", "method": "fairtune", "model_entry": MODEL},
        "entry": {**ENTRY, **entry},
        "tasks": ["sick"],
        "task_type": "binary",
    }


def train(runner: TrialRunner, mask: str, rate: float = 3e-3, epochs: int = 99) -> np.ndarray:
    """Return the validation logits [epochs, n, tasks] of a trial."""
    found = []

    def report(epoch: int, logits: np.ndarray) -> bool:
        found.append(logits)
        assert epoch == len(found)
        return epoch == epochs

    runner.run({"mask": MASKS.get(mask, mask), "learning_rate": rate}, report)
    return np.stack(found)


def work(data, scratch, barrier) -> tuple[np.ndarray, list[int]]:
    """Train at the same time as another; return the logits and which levels it stored itself."""
    runner, stored = TrialRunner(settings(), **data, scratch=scratch), []
    store = runner.cache._store
    runner.cache._store = lambda *given: (stored.append(given[0]), store(*given))
    barrier.wait(300)
    return train(runner, "deep"), stored


def work_apart(data, scratch, barrier, queue) -> None:
    queue.put(work(data, scratch, barrier))


def die_half_way(data, scratch) -> None:
    frozen_blocks_cache.BATCH = 16
    runner = TrialRunner(settings(), **data, scratch=scratch)
    advance, calls = runner.cache._advance, []

    def dying(*given):
        calls.append(given)
        if len(calls) == 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return advance(*given)

    runner.cache._advance = dying
    train(runner, "deep")
