"""Images, a small ViT and settings for the trainings fairprune and fscl."""

from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.core.table_io import COHORT, IMAGES, write_array, write_json, write_table
from medaudit.search.trial_runner import TrialRunner
from tiny_vit import vit_entry

MODEL = vit_entry(embed_dim=12)
ENTRY = {
    "kind": "search",
    "space": "full",
    "sampler": "tpe",
    "learning_rate": [1e-3, 1e-2],
    "objective": {
        "metric": "auc_min",
        "attribute": "site",
        "minimum": {"n": 4, "n_pos": 1, "n_neg": 1},
    },
    "trials": 3,
    "pruning": None,
    "epochs": 2,
    "batch_size": 16,
    "weight_decay": 0.01,
    "warmup_epochs": 1,
    "class_weights": "balanced",
    "augmentation": None,
    "cache": None,
}
TRAIN, VAL, TEST = 40, 36, 12


def settings(**entry) -> dict:
    """Return settings of a search with some of its method's entry changed."""
    return {
        **{"cohort": "c", "model": "m", "method": "fair", "model_entry": MODEL},
        "entry": {**ENTRY, **entry},
        "tasks": ["sick"],
        "task_type": "binary",
    }


def write_data(folder: Path) -> dict[str, Path]:
    """Write noisy images of three sites, some of none; bright left halves are sick."""
    rng = np.random.default_rng(0)
    count = TRAIN + VAL + TEST
    y, site = rng.integers(0, 2, count), rng.choice(np.array(["a", "b", "c", None]), count)
    images = rng.normal(90, 30, (count, 16, 16))
    images[:, :, :8] += np.where(site == "a", 15, 40)[:, None, None] * y[:, None, None]
    ids = [f"i{number:02d}" for number in range(count)]
    frame = pd.DataFrame({"image_id": ids, "patient_id": ids, "path": ids})
    split = rng.permutation(["train"] * TRAIN + ["val"] * VAL + ["test"] * TEST)
    frame = frame.assign(age=50.0, view="PA", split=split, y_sick=y.astype(float), a_site=site)
    write_table(frame, folder / "cohort.parquet", COHORT)
    store = folder / "images"
    write_array(images.clip(0, 255).astype(np.uint8), store / "images.npy")
    index = pd.DataFrame({"image_id": ids, "row": range(count), "status": "ok", "error": None})
    write_table(index, store / "index.parquet", IMAGES)
    write_json({"phantom": True}, store / "card.json")
    return {"cohort": folder / "cohort.parquet", "images": store}


def train(runner: TrialRunner, **point) -> np.ndarray:
    """Return the validation logits [epochs, n, tasks] of a trial of all weights."""
    found = []
    point = {"mask": "full", "learning_rate": 3e-3, **point}
    runner.run(point, lambda epoch, logits: found.append(logits) or False)
    return np.stack(found)
