"""Speed of pretraining at full size on this CPU: ViT-B/16 at 224 pixels, official heads.

Prints images a second of a MAE and of a MoCo v3 step, the share of their time outside matrix
products, and how fast the data path runs with a model that does nothing. The ratio is that of the
data path to the faster model, in images a second: below 5, reading would hold training up.

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
from medaudit.models.pretrain.training_images import Sources
from medaudit.training.batches import ImageRows
from medaudit.training.distributed import Processes

IMAGES, SIDE = 256, 224
BATCH = {"mae": 8, "moco_v3": 4}
PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "convolution", "scaled_dot_product", "mkldnn")


def main() -> None:
    """Run all parts and print them."""
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
        print(f"{name}: data path alone {data[name]:.0f} images/s, {data[name] / rates[name]:.0f}x")
    fastest = max(rates, key=rates.get)
    print(f"ratio={data[fastest] / rates[fastest]:.1f}")


def open_images(folder: Path) -> ImageRows:
    """Write images as an image store holds them, and open them as a memory map."""
    path = folder / "images.npy"
    np.save(path, render(IMAGES, SIDE))
    return ImageRows([np.load(path, mmap_mode="r")], [np.arange(IMAGES)])


def set_up(name: str, images: ImageRows) -> Training:
    """Build the official configuration at a batch that fits a CPU."""
    settings = {"name": name, "algorithm": name, "architecture": "vit_base_patch16_224"}
    checked = read_settings({**settings, "batch_size": BATCH[name]})
    return prepare(checked, Sources(images, [], []), Processes(0, 1, torch.device("cpu")))


def measure(name: str, images: ImageRows, steps: int) -> float:
    """Time steps after a first one, profile one more; return images a second."""
    training = set_up(name, images)
    batches = iter(training.feeder.steps(0, steps + 2))
    train = training.step
    train(next(batches))
    seconds = timed(lambda: [train(next(batches)) for _ in range(steps)]) / steps
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        train(next(batches))
    rate = BATCH[name] / seconds
    print(f"{name}: {rate:.2f} images/s, {share_outside(profiler):.0%} outside matrix products")
    return rate


def share_outside(profiler: profile) -> float:
    """Return the share of self time that is not in matrix products and attention."""
    events = [e for e in profiler.key_averages() if e.key.startswith("aten::")]
    total = sum(event.self_cpu_time_total for event in events)
    inside = sum(e.self_cpu_time_total for e in events if any(p in e.key for p in PRODUCTS))
    return 1 - inside / total


def measure_data(name: str, images: ImageRows) -> float:
    """Return images a second of reading and augmenting, for a model that does nothing."""
    feeder = set_up(name, images).feeder
    steps = feeder.steps_per_epoch

    def read() -> None:
        for parts in feeder.steps(0, steps):
            for part in parts:
                feeder.augment(part)

    return steps * BATCH[name] / timed(read)


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that `work` takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
