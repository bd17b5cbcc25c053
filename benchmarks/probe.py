"""A linear probe on stored embeddings, compared with encoding the images again in each epoch.

Images, model, head, optimizer and number of epochs are the same. Encoding again is measured for
one epoch and one pass over the test images, and extrapolated; ``ratio`` is its time divided by
ours. The other parts compare a sweep trained together with the same runs one at a time, and with
plain torch. All times are processor seconds of one thread.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
from collections.abc import Callable

import numpy as np
import torch

from medaudit.adapt.adamw import AdamW, cosine
from medaudit.adapt.logits import loss, loss_gradient
from medaudit.adapt.probe import standardise
from medaudit.adapt.probe.heads import find_head
from medaudit.adapt.probe.sweep import Examples, predict, train_sweep
from medaudit.models.embed import encode
from medaudit.models.kinds import build
from medaudit.models.torch_encoder import TorchEncoder

SIZES = {"train": 600, "val": 100, "test": 200}
CLASSES = 6
LINEAR = find_head("linear")
ENTRY = {
    "epochs": 100,
    "batch_size": 64,
    "learning_rates": [0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03],
    "weight_decay": 0.0001,
    "select": "val_loss",
}
ONE = {**ENTRY, "learning_rates": [0.001]}
MODEL = {
    "kind": "timm",
    "architecture": "vit_tiny_patch16_224",
    "arguments": {"img_size": 64, "patch_size": 8, "embed_dim": 192, "depth": 6, "num_heads": 3},
    "weights": None,
    "pooling": "token",
    "input": {
        "size": 64,
        "channels": 3,
        "mean": [0.5] * 3,
        "std": [0.25] * 3,
        "interpolation": "bicubic",
    },
}


def main() -> None:
    """Measure and print; the last line is ``ratio=<x>``."""
    torch.set_num_threads(1)
    encoder = build(MODEL)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (sum(SIZES.values()), 64, 64), dtype=np.uint8)
    targets = np.eye(CLASSES, dtype=np.float32)[rng.integers(0, CLASSES, len(images))]
    encoder.encode_images(images[:64])

    embed_time, vectors = timed(lambda: encode(encoder, images, np.arange(len(images))))
    parts = split(standardise(vectors, np.arange(len(vectors)) < SIZES["train"]), targets)
    head_time, _ = timed(lambda: train(parts, ONE, 1))
    epoch_time, _ = timed(lambda: reencode_epoch(encoder, split(images, targets)))
    test_time, _ = timed(lambda: encode(encoder, images, np.arange(SIZES["test"])))
    slow = ENTRY["epochs"] * epoch_time + test_time
    print(f"embed {len(images)} images once: {embed_time:.2f} s")
    print(f"linear head, {ENTRY['epochs']} epochs: {head_time:.2f} s")
    print(f"encoding again: {epoch_time:.2f} s per epoch, {slow:.0f} s in all (extrapolated)")

    together, _ = timed(lambda: train(parts, ENTRY, 3))
    alone, _ = timed(lambda: train_one_at_a_time(parts))
    torch.optim.AdamW([torch.zeros(1)])  # the first one spends seconds on imports
    plain, _ = timed(lambda: train_torch(parts))
    runs = 3 * len(ENTRY["learning_rates"])
    print(f"{runs} runs together: {together:.2f} s; one at a time: {alone:.2f} s")
    print(
        f"{runs} runs in plain torch: {runs * plain:.2f} s (extrapolated from one, without imports)"
    )
    print(f"sweep ratio {alone / together:.1f}, to plain torch {runs * plain / together:.1f}")
    print(f"ratio={slow / (embed_time + head_time):.1f}")


def timed(function: Callable) -> tuple[float, object]:
    """Return the processor seconds of a call on one thread, and its result."""
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def split(x: np.ndarray, y: np.ndarray) -> dict[str, Examples]:
    """Return the rows of each split."""
    ends = np.cumsum(list(SIZES.values()))[:-1]
    parts = zip(np.split(x, ends), np.split(y, ends), strict=True)
    return {name: Examples(*part) for name, part in zip(SIZES, parts, strict=True)}


def train(parts: dict, entry: dict, seeds: int) -> object:
    """Train all learning rates of the entry with `seeds` seeds in one call."""
    rngs = [np.random.default_rng(seed) for seed in range(seeds)]
    return train_sweep(LINEAR, entry, parts["train"], parts["val"], rngs, True)


def train_one_at_a_time(parts: dict) -> None:
    """Train the same runs one after the other."""
    for seed in range(3):
        for rate in ENTRY["learning_rates"]:
            rngs = [np.random.default_rng(seed)]
            entry = {**ENTRY, "learning_rates": [rate]}
            train_sweep(LINEAR, entry, parts["train"], parts["val"], rngs, True)


def reencode_epoch(encoder: TorchEncoder, parts: dict) -> None:
    """Train for one epoch and validate with the frozen encoder inside the training loop."""
    (images, y), (val_images, val_y) = parts["train"], parts["val"]
    rng = np.random.default_rng(0)
    parameters = [
        array[None, None]
        for array in LINEAR.initial(ONE, encoder.module.num_features, CLASSES, rng)
    ]
    optimizer = AdamW(parameters, np.array(ONE["learning_rates"]), ONE["weight_decay"])
    order = rng.permutation(len(images))
    for start in range(0, len(order), ONE["batch_size"]):
        batch = order[start : start + ONE["batch_size"]]
        logits, cache = LINEAR.forward(ONE, parameters, encoder.encode_images(images[batch])[None])
        gradient = loss_gradient(logits, y[batch][None, None], True)
        optimizer.step(LINEAR.backward(parameters, cache, gradient), cosine(start, len(order)))
    loss(predict(LINEAR, ONE, parameters, encoder.encode_images(val_images)), val_y, True)


def train_torch(parts: dict) -> None:
    """Train one run on the same embeddings with the layer, loss and optimizer of torch."""
    tensors = {name: tuple(map(torch.from_numpy, pair)) for name, pair in parts.items()}
    (x, y), (val_x, val_y) = tensors["train"], tensors["val"]
    layer = torch.nn.Linear(x.shape[1], CLASSES)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.001, weight_decay=0.0001)
    steps = ENTRY["epochs"] * -(-len(x) // ENTRY["batch_size"])
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(ENTRY["epochs"]):
        for batch in torch.randperm(len(x)).split(ENTRY["batch_size"]):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(layer(x[batch]), y[batch]).backward()
            optimizer.step()
            schedule.step()
        with torch.inference_mode():
            torch.nn.functional.cross_entropy(layer(val_x), val_y)


if __name__ == "__main__":
    main()
