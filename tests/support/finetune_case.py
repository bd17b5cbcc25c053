"""Images with a planted difference, a small ViT and settings of a fine-tuning."""

import numpy as np
import pandas as pd
import pytest

from medaudit.core.table_io import COHORT, IMAGES, write_array, write_json, write_table
from tiny_vit import vit_entry

TASKS = ["left", "right"]
VIT = vit_entry()
ENTRY = {
    "kind": "finetune",
    "tune": "full",
    "epochs": 4,
    "batch_size": 16,
    "learning_rates": [1e-5, 3e-3],
    "weight_decay": 0.01,
    "warmup_epochs": 1,
    "augmentation": None,
    "select": "val_loss",
    "seeds": 1,
}


def settings(entry=None, model=None, **changes) -> dict:
    return {
        **{"cohort": "c", "model": "m", "method": "f", "seed": 0},
        "model_entry": model or VIT,
        "entry": {**ENTRY, **(entry or {})},
        "tasks": TASKS,
        "task_type": "multilabel",
        **changes,
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """96 noisy images; `left` brightens the left half, `right` the right half."""
    folder = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, (96, 2)).astype(float)
    images = rng.normal(90, 15, (96, 16, 16))
    images[:, :, :8] += 60 * y[:, :1, None]
    images[:, :, 8:] += 60 * y[:, 1:, None]
    ids = [f"i{number:02d}" for number in range(96)]
    frame = pd.DataFrame({"image_id": ids, "patient_id": ids, "path": ids})
    frame = frame.assign(age=50.0, view="PA", split=["train"] * 56 + ["val"] * 20 + ["test"] * 20)
    frame["y_left"], frame["y_right"] = y.T
    frame.loc[3, "y_left"] = np.nan
    write_table(frame, folder / "cohort.parquet", COHORT)
    store = folder / "images"
    write_array(images.clip(0, 255).astype(np.uint8), store / "images.npy")
    index = pd.DataFrame({"image_id": ids, "row": range(96), "status": "ok", "error": None})
    write_table(index, store / "index.parquet", IMAGES)
    write_json({"phantom": True}, store / "card.json")
    return {"cohort": folder / "cohort.parquet", "images": store}
