"""A tiny pretraining for tests: image stores of 32 pixels and ViTs of depth 2."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from medaudit.core.table_io import COHORT, IMAGES, write_array, write_json, write_table

VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 2}
INPUT = {"size": 32, "channels": 1, "mean": [0.5], "std": [0.25]}
RESNET = {
    "architecture": "resnetv2_50",
    "arguments": {"layers": [1, 1, 1, 1], "channels": [16, 32, 32, 64], "stem_chs": 8},
}
OPTIONS = {
    "mae": {"decoder_width": 16, "decoder_depth": 1, "decoder_heads": 2},
    "moco_v3": {"hidden": 24, "dimension": 12},
    "clip": {},
}
CLIP = {
    "embed_dim": 16,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 32, "layers": 2, "head_width": 16},
    "text_cfg": {"context_length": 16, "width": 16, "heads": 2, "layers": 1},
}


def tiny_settings(algorithm: str = "mae", **changes) -> dict:
    """Return settings of a run of seconds."""
    clip = algorithm == "clip"
    return {
        "name": "tiny",
        "algorithm": algorithm,
        "architecture": "ViT-B-16" if clip else "vit_tiny_patch16_224",
        "arguments": CLIP if clip else VIT,
        "input": {**INPUT, "channels": 3, "mean": [0.5] * 3, "std": [0.25] * 3} if clip else INPUT,
        "epochs": 3,
        "warmup_epochs": 1,
        "batch_size": 16,
        "base_lr": 0.01,
        "options": OPTIONS[algorithm],
        **changes,
    }


def write_source(folder: Path, name: str, splits: list[str], side: int = 32) -> tuple[Path, Path]:
    """Write an image store and its cohort: one patient every two images; return their paths.

    Row i of the store is a flat picture of grey level i, except for one bright column.
    """
    count = len(splits)
    ids = [f"{name}_{i}.png" for i in range(count)]
    pixels = (
        np.zeros((count, side, side), np.uint8) + np.arange(count, dtype=np.uint8)[:, None, None]
    )
    pixels[:, :, 3] = 255
    store, cohort = folder / "images" / name, folder / "cohort" / f"{name}.parquet"
    index = pd.DataFrame({"image_id": ids, "row": range(count), "status": "ok", "error": None})
    write_array(pixels, store / "images.npy")
    write_table(index, store / "index.parquet", IMAGES)
    write_json({"cohort": name, "phantom": True}, store / "card.json")
    frame = pd.DataFrame(
        {
            "image_id": ids,
            "patient_id": [f"{name}_p{i // 2}" for i in range(count)],
            "path": ids,
            "age": 50.0,
            "view": "PA",
            "split": splits,
            "y_Edema": [float(i % 2) for i in range(count)],
            "y_No Finding": [float(1 - i % 2) for i in range(count)],
            "a_sex": "female",
        }
    )
    write_table(frame, cohort, COHORT)
    return store, cohort


def read_card(path: Path) -> dict:
    """Read a card."""
    return json.loads(path.read_text())
