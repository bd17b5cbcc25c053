"""Images of unequal groups, and settings of fine-tunings with each training by group."""

from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.core.table_io import COHORT, IMAGES, write_array, write_json, write_table
from tiny_baselines import MODEL

BY_GROUP = {
    "resampling": {"balance": "group"},
    "reweighting": {"balance": "group"},
    "groupdro": {"step_size": 0.1, "adjustment": 0.5},
    "domain_independent": {"combine": "sum"},
    "end": {"alpha": 0.1, "beta": 0.1},
    "lnl": {"entropy_weight": 0.1, "reversal": 0.1, "hidden": 8},
}
FLAT = {
    "sam": {"rho": 0.05},
    "swad": {"optimum_patience": 1, "overfit_patience": 1, "tolerance": 1.0},
}
ENTRY = {
    "kind": "finetune",
    "tune": "full",
    "epochs": 3,
    "batch_size": 16,
    "learning_rates": [3e-3],
    "weight_decay": 0.01,
    "warmup_epochs": 1,
    "augmentation": {"scale": [0.8, 1.0], "rotation": 5.0},
    "drop_path": 0.1,
    "select": "val_loss",
    "seeds": 1,
    "attribute": "site",
}


def settings(training: str, seed: str = "0", **entry) -> dict:
    """Return settings of a fine-tuning on the data of `tiny_baselines.write_data`."""
    own = {training: {**BY_GROUP, **FLAT}[training]} if training != "erm" else {}
    return {
        **{"cohort": "c", "model": "m", "method": "f", "seed": seed, "model_entry": MODEL},
        "entry": {**ENTRY, "training": training, **own, **entry},
        "tasks": ["sick"],
        "task_type": "binary",
    }


def write_conflict(folder: Path, train: int = 320, rest: int = 320) -> dict[str, Path]:
    """Write images in which the many (9 of 10) and the few disagree on what the left half means.

    A bright left half means sick in the many and healthy in the few. A bright right half means sick
    in both, but it is fainter, so that the left half is the better sign for the mean patient.
    """
    rng = np.random.default_rng(5)
    count = train + 2 * rest
    y, few = (
        rng.integers(0, 2, count),
        rng.random(count) < np.where(np.arange(count) < train, 0.1, 0.5),
    )
    images = rng.normal(90, 30, (count, 16, 16))
    images[:, :, :8] += 25 * np.where(few, 1 - y, y)[:, None, None]
    images[:, :, 8:] += 12 * y[:, None, None]
    ids = [f"i{number:03d}" for number in range(count)]
    split = ["train"] * train + ["val"] * rest + ["test"] * rest
    frame = pd.DataFrame({"image_id": ids, "patient_id": ids, "path": ids, "split": split})
    site = np.where(few, "few", "many")
    frame = frame.assign(age=50.0, view="PA", y_sick=y.astype(float), a_site=site)
    write_table(frame, folder / "cohort.parquet", COHORT)
    store = folder / "images"
    write_array(images.clip(0, 255).astype(np.uint8), store / "images.npy")
    index = pd.DataFrame({"image_id": ids, "row": range(count), "status": "ok", "error": None})
    write_table(index, store / "index.parquet", IMAGES)
    write_json({"phantom": True}, store / "card.json")
    return {"cohort": folder / "cohort.parquet", "images": store}
