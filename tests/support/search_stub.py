"""A search without training: the value of a point is known. Run as a process, it is one worker."""

import json
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd

from medaudit.core.table_io import write_json

UNITS, COMPONENTS = 4, ("norms", "attention", "mlp")
BEST = "000010011101"
"""The mask with the highest value."""

STEPS = 50
"""Values are multiples of 1 / `STEPS`."""


def settings(**changes) -> dict:
    """Return settings of the stage for a search of the stub."""
    entry = {
        "kind": "search",
        "space": "blocks36",
        "sampler": "tpe",
        "learning_rate": [1e-5, 1e-2],
        "objective": {
            "metric": "auc_min",
            "attribute": "sex",
            "minimum": {"n": 5, "n_pos": 2, "n_neg": 2},
        },
        "trials": 12,
        "pruning": {"kind": "successive_halving", "first": 1, "factor": 2},
        "epochs": 4,
        **changes,
    }
    return {
        "cohort": "c",
        "model": "m",
        "method": "fairtune",
        "model_entry": {"kind": "timm"},
        "entry": entry,
        "tasks": ["ill"],
        "task_type": "binary",
    }


def write_inputs(folder: Path) -> dict[str, Path]:
    """Write the files that a search's fingerprint depends on; return the stage's path arguments."""
    images = folder / "images"
    for path in (folder / "c.parquet", images / "index.parquet"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"content")
    write_json({}, images / "card.json")
    return {"cohort": folder / "c.parquet", "images": images}


def worth_of(point: dict, epoch: int = 4) -> float:
    """Return how good a point is: the share of correct bits, minus the learning rate's distance."""
    right = sum(a == b for a, b in zip(point["mask"], BEST, strict=True)) / len(BEST)
    far = abs(np.log10(point["learning_rate"]) + 3) / 2
    return 0.5 + 0.5 * max(right - 0.3 * far, 0) * (1 - 0.3 / epoch)


def value_of(point: dict, epoch: int = 4) -> float:
    """Return the AUC of the worse group, a multiple of 1 / `STEPS`."""
    return round(worth_of(point, epoch) * STEPS) / STEPS


class StubRunner:
    """Takes the place of `medaudit.search.trial_runner.TrialRunner`."""

    layout = SimpleNamespace(units=tuple("abcd"), components=COMPONENTS)

    def __init__(self, given: dict, **paths: object) -> None:
        self.epochs, self.seconds = given["entry"]["epochs"], given.get("sleep", 0)

    @property
    def validation(self) -> pd.DataFrame:
        """Two groups, each of `STEPS` ill and `STEPS` healthy patients."""
        n = 4 * STEPS
        return pd.DataFrame(
            {
                "patient_id": [str(i) for i in range(n)],
                "y_ill": np.tile([1.0, 0.0], n // 2),
                "a_sex": np.repeat(["female", "male"], n // 2),
            }
        )

    def run(self, point: dict, report) -> None:
        """Report logits whose AUC is the point's value for women and 1 for men."""
        frame = self.validation
        for epoch in range(1, self.epochs + 1):
            time.sleep(self.seconds)
            logits = np.where(frame["y_ill"] == 1, 1.0, 0.0)
            ill = np.flatnonzero((frame["y_ill"] == 1) & (frame["a_sex"] == "female"))
            logits[ill[round(value_of(point, epoch) * STEPS) :]] = -1.0
            if report(epoch, logits[:, None].astype(np.float32)):
                return


def module() -> ModuleType:
    """Return what takes the place of `medaudit.search.trial_runner`, so that torch is not imported."""
    found = ModuleType("medaudit.search.trial_runner")
    found.TrialRunner = StubRunner
    return found


if __name__ == "__main__":
    from medaudit.search import journal
    from medaudit.search.search import search

    journal.GRACE_SECONDS = 3
    sys.modules["medaudit.search.trial_runner"] = module()
    given = json.loads(sys.argv[1])
    paths = {key: Path(value) for key, value in given.pop("paths").items()}
    search(given, worker=0, **paths)
