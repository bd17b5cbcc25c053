"""Speed of pretraining at full size on this CPU: ViT-B/16, 224 pixels, official heads.

Prints images per second of a MAE step and a MoCo v3 step, the share of their time outside matrix
products, and the speed of reading and augmenting without a model. The ratio is this speed divided
by that of the faster model: below 5, reading would slow down training.

    python benchmarks/pretrain.py [--threads 2] [--steps 2]
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

from medaudit.data.phantoms.procedural import render
from medaudit.models.pretrain import prepare
from medaudit.models.pretrain.loop import Training
from medaudit.models.pretrain.settings import read_settings
from medaudit.models.pretrain.training_images import TrainingImages
from medaudit.training.batches import ImageRows
from medaudit.training.distributed import Processes

IMAGES, SIDE = 256, 224
BATCH = {"mae": 8, "moco_v3": 4}
PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "convolution", "scaled_dot_product", "mkldnn")


def main() -> None:
    """Measure both algorithms and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--steps", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"ViT-B/16, {SIDE} pixels, {options.threads} threads, torch {torch.__version__}")
    with tempfile.TemporaryDirectory() as folder:
        images = open_images(Path(folder))
        rates = {name: measure(name, images, options.steps) for name in BATCH}
        data = {name: measure_data(name, images) for name in BATCH}
    for name in BATCH:
        print(
            f"{name}: reading and augmenting {data[name]:.0f} images/s, {data[name] / rates[name]:.0f}x"
        )
    fastest = max(rates, key=rates.get)
    print(f"ratio={data[fastest] / rates[fastest]:.1f}")


def open_images(folder: Path) -> ImageRows:
    """Write images in the format of an image store, and open them as a memory map."""
    path = folder / "images.npy"
    np.save(path, render(IMAGES, SIDE))
    return ImageRows([np.load(path, mmap_mode="r")], [np.arange(IMAGES)])


def set_up(name: str, images: ImageRows) -> Training:
    """Build the official configuration, with a batch size that suits a CPU."""
    settings = {"name": name, "algorithm": name, "architecture": "vit_base_patch16_224"}
    checked = read_settings({**settings, "batch_size": BATCH[name]})
    return prepare(checked, TrainingImages(images, [], []), Processes(0, 1, torch.device("cpu")))


def measure(name: str, images: ImageRows, steps: int) -> float:
    """Return images per second, measured after a first step; one more step is profiled."""
    training = set_up(name, images)
    batches = iter(training.loader.steps(0, steps + 2))
    train = training.step
    train(next(batches))
    seconds = timed(lambda: [train(next(batches)) for _ in range(steps)]) / steps
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        train(next(batches))
    rate = BATCH[name] / seconds
    print(f"{name}: {rate:.2f} images/s, {share_outside(profiler):.0%} outside matrix products")
    return rate


def share_outside(profiler: profile) -> float:
    """Return the share of time spent outside matrix products and attention."""
    events = [e for e in profiler.key_averages() if e.key.startswith("aten::")]
    total = sum(event.self_cpu_time_total for event in events)
    inside = sum(e.self_cpu_time_total for e in events if any(p in e.key for p in PRODUCTS))
    return 1 - inside / total


def measure_data(name: str, images: ImageRows) -> float:
    """Return images per second of reading and augmenting, without a model."""
    loader = set_up(name, images).loader
    steps = loader.steps_per_epoch

    def read() -> None:
        for parts in loader.steps(0, steps):
            for part in parts:
                loader.augment(part)

    return steps * BATCH[name] / timed(read)


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
