"""Speed of the GPU jobs, each beside a plain loop in the same run; under six minutes on one GPU.

For a ViT-B/16 at 224 pixels: embedding, linear and full fine-tuning with the augmentation of the
study "how fair", a pretraining step of MAE and of MoCo v3, a step of a mask search whose first 9 of
12 blocks are frozen, and three small fine-tunings in turn. The plain loops are a timm model with
timm's own transforms in a torch DataLoader, and the published formulations of MAE and MoCo v3 on
timm's blocks. The search's is a loop that runs the whole network in each step; that of the three
fine-tunings is one after the other.

    python benchmarks/gpu.py [--seconds 6] [--threads N] [--batch B] [--json FILE] [--tiny]

Columns: images per second, of the plain loop, their ratio; share of the time that the device waits
for data (1 - time with one batch that is used again / time with new batches); share of the speed of
the fastest matrix product measured here (floating-point operations counted by torch); peak memory.
The last line is ``ratio=<the smallest ratio>``. ``--tiny`` runs a small network, also on a CPU.
"""

import argparse
import gc
import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import timm
import torch
from timm.data import create_transform
from timm.optim import param_groups_layer_decay
from torch.utils.data import DataLoader, Dataset
from torch.utils.flop_counter import FlopCounterMode
from torchvision import transforms

from medaudit.adapt.finetune.frozen_blocks_cache import open_cache
from medaudit.adapt.finetune.grid import Grid
from medaudit.adapt.finetune.inputs import read_splits
from medaudit.adapt.finetune.loader import ImageLoader
from medaudit.adapt.finetune.network import build_network
from medaudit.adapt.finetune.trainers import find_trainer
from medaudit.adapt.finetune.trial import TrialData, TrialKey
from medaudit.core.table_io import COHORT, IMAGES, write_array, write_json, write_table
from medaudit.data.image_store import open_store
from medaudit.models.embed import encode
from medaudit.models.kinds import build
from medaudit.models.pretrain import prepare
from medaudit.models.pretrain.settings import read_settings
from medaudit.models.pretrain.training_images import TrainingImages
from medaudit.training.batches import ImageRows, read_ahead
from medaudit.training.checkpoints import Checkpoints
from medaudit.training.distributed import Processes
from medaudit.training.precision import precision
from medaudit.training.preemption import PreemptionSignal
from plain_pretraining import PlainMae, PlainMoco

FROZEN, DEPTH = 9, 12
"""Blocks of the mask search that are frozen, of all."""

TASKS = [f"finding {number}" for number in range(8)]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
VIEWS = {"scale": [0.08, 1.0], "flip": 0.5, "rotation": 0.0}
OPTIONS = {
    "mae": {"decoder_width": 32, "decoder_depth": 1},
    "moco_v3": {"hidden": 32},
}
"""Options of the small network's pretraining; those of the papers otherwise."""

RANDAUGMENT = {"magnitude": 6, "std": 0.5, "layers": 2, "probability": 0.5}


@dataclass(frozen=True)
class Bench:
    """What all measurements share.

    Parameters
    ----------
    device : torch.device
    folder : Path
        Has ``cohort.parquet`` and an image store ``images``.
    side, images, batch : int
        Pixels, number of training images, images per step.
    arguments : dict
        Of ``timm.create_model``, of a smaller network.
    seconds : float
        Length of one measurement.
    threads : int
        Threads and DataLoader processes that prepare batches.
    peak : float
        Floating-point operations per second of the fastest matrix product.
    """

    device: torch.device
    folder: Path
    side: int
    images: int
    batch: int
    arguments: dict
    seconds: float
    threads: int
    peak: float = math.nan

    @property
    def processes(self) -> Processes:
        """This process as the only one."""
        return Processes(0, 1, self.device)


@dataclass
class Row:
    """Result of one workload; what was not measured is None."""

    workload: str
    images_per_second: float
    plain: float
    ratio: float
    wait: float | None = None
    share_of_peak: float | None = None
    gigabytes: float | None = None


def main() -> None:
    """Measure everything and print; the last line is ``ratio=<x>``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--batch", type=int, help="default: 128, or 32 on less than 40 GB")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--tiny", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        bench = set_up(options, Path(name))
        print(heading(bench, options))
        rows = []
        for measure in WORKLOADS:
            rows.append(measure(bench))
            print(line(rows[-1]), flush=True)
    print(f"{time.perf_counter() - started:.0f} s in all")
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows]))
    print(f"ratio={min(row.ratio for row in rows):.2f}")


def set_up(options: argparse.Namespace, folder: Path) -> Bench:
    """Write noise as images with random labels, and measure the matrix product."""
    gpu = torch.cuda.is_available()
    device = torch.device("cuda", torch.cuda.current_device()) if gpu else torch.device("cpu")
    if not gpu and not options.tiny:
        raise SystemExit("benchmarks/gpu.py: no GPU was found; --tiny runs on a CPU")
    if gpu:
        torch.backends.cuda.matmul.allow_tf32 = True  # for the plain loops' float32 parts too
    roomy = gpu and torch.cuda.get_device_properties(0).total_memory > 40e9
    tiny = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": DEPTH, "num_heads": 2}
    bench = Bench(
        device,
        folder,
        side=32 if options.tiny else 224,
        images=24 if options.tiny else 1680,
        batch=options.batch or (4 if options.tiny else 128 if roomy else 32),
        arguments=tiny if options.tiny else {},
        seconds=options.seconds,
        threads=options.threads,
        peak=matrix_product(device, 64 if options.tiny else 8192),
    )
    write_data(bench)
    return bench


def write_data(bench: Bench) -> None:
    """Write an image store and a cohort; every fifth image is for validation."""
    rng = np.random.default_rng(0)
    count = bench.images * 5 // 4
    ids = [f"i{number}" for number in range(count)]
    frame = pd.DataFrame({"image_id": ids, "patient_id": ids, "path": ids, "age": 50.0})
    splits = np.where(np.arange(count) < bench.images, "train", "val")
    frame = frame.assign(view="PA", split=np.where(np.arange(count) == count - 1, "test", splits))
    for task in TASKS:
        frame[f"y_{task}"] = rng.integers(0, 2, count).astype(float)
    store = bench.folder / "images"
    shape = (count, bench.side, bench.side)
    write_array(rng.integers(0, 256, shape, dtype=np.uint8), store / "images.npy")
    index = pd.DataFrame({"image_id": ids, "row": range(count), "status": "ok", "error": None})
    write_table(index, store / "index.parquet", IMAGES)
    write_json({"phantom": True}, store / "card.json")
    write_table(frame, bench.folder / "cohort.parquet", COHORT)


def matrix_product(device: torch.device, side: int) -> float:
    """Return the operations per second of a product of two large matrices."""
    kind = getattr(torch, precision(device)[0])
    a, b = (torch.randn(side, side, device=device, dtype=kind) for _ in range(2))
    return max(2 * side**3 * rate(lambda: a @ b, 1, 0.1, device) for _ in range(3))


def heading(bench: Bench, options: argparse.Namespace) -> str:
    """Return the lines above the table: the device, versions, and what the columns are."""
    gpu = bench.device.type == "cuda"
    name = torch.cuda.get_device_name() if gpu else "CPU"
    what = "a tiny ViT" if options.tiny else "ViT-B/16"
    return (
        f"{name}, torch {torch.__version__}, timm {timm.__version__}; {what}, {bench.side} pixels, "
        f"{bench.batch} images per step, {bench.threads} threads or loader processes; "
        f"{precision(bench.device)[0]} matrix product {bench.peak / 1e12:.3g} TFLOP/s\n"
        f"{'':26}{'images/s':>10}{'plain':>10}{'ratio':>7}{'wait':>7}{'of peak':>9}{'memory':>9}"
    )


def line(row: Row) -> str:
    """Return a row of the table as text."""
    wait = "-" if row.wait is None else f"{row.wait:.0%}"
    share = "-" if row.share_of_peak is None else f"{row.share_of_peak:.0%}"
    memory = "-" if row.gigabytes is None else f"{row.gigabytes:.1f} GB"
    return (
        f"{row.workload:26}{row.images_per_second:10.1f}{row.plain:10.1f}{row.ratio:7.2f}"
        f"{wait:>7}{share:>9}{memory:>9}"
    )


def rate(step: Callable[[], object], images: int, seconds: float, device: torch.device) -> float:
    """Return the images per second of a step: as many steps as fit the time, after three others."""

    def timed(count: int) -> float:
        wait_for(device)
        begun = time.perf_counter()
        for _ in range(count):
            step()
        wait_for(device)
        return time.perf_counter() - begun

    timed(2)
    count = max(2, round(seconds / max(timed(1), 1e-6)))
    return count * images / timed(count)


def forget(device: torch.device) -> None:
    """Free what earlier workloads left, and begin to measure the peak of the memory."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def wait_for(device: torch.device) -> None:
    """Wait until the device has done everything."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def compare(
    name: str,
    bench: Bench,
    ours: Generator,
    step: Callable[[object], object],
    plain: Callable[[], object],
) -> Row:
    """Measure our step with new batches and with one batch, then the plain loop.

    `ours` are batches without end, as the job reads them; `step` takes one of them; `plain` takes a
    step of the plain loop, with its own data.
    """
    images, device = bench.batch, bench.device
    gpu = device.type == "cuda"
    forget(device)
    fresh = rate(lambda: step(next(ours)), images, bench.seconds, device)
    memory = torch.cuda.max_memory_allocated() / 1e9 if gpu else None
    batch = next(ours)
    again = rate(lambda: step(batch), images, bench.seconds / 2, device)
    with FlopCounterMode(display=False) as counter:
        step(batch)
    operations = counter.get_total_flops() / images
    ours.close()
    theirs = rate(plain, images, bench.seconds, device)
    return Row(
        name,
        fresh,
        theirs,
        fresh / theirs,
        max(0.0, 1 - fresh / again),
        operations * fresh / bench.peak if gpu else None,
        memory,
    )


# ------------------------------------------------------------------------------ settings of a job


def model_entry(bench: Bench) -> dict:
    """Return the catalogue entry of the ViT."""
    return {
        "kind": "timm",
        "architecture": "vit_base_patch16_224",
        "arguments": bench.arguments,
        "weights": None,
        "pooling": "token",
        "input": {
            "size": bench.side,
            "channels": 3,
            "mean": list(MEAN),
            "std": list(STD),
            "interpolation": "bicubic",
        },
    }


def settings_of(bench: Bench, **changes: object) -> dict:
    """Return settings of `finetune` by the protocol of the study "how fair"."""
    entry = {
        "kind": "finetune",
        "tune": "full",
        "epochs": 10**6,
        "batch_size": bench.batch,
        "learning_rates": [2.5e-4],
        "weight_decay": 0.05,
        "betas": [0.9, 0.95],
        "warmup_epochs": 5,
        "layer_decay": 0.55,
        "drop_path": 0.2,
        "augmentation": {**VIEWS, "randaugment": RANDAUGMENT},
        "select": "val_loss",
        "seeds": 1,
        **changes,
    }
    names = {"cohort": "c", "model": "m", "method": "f", "seed": 0}
    parts = {"model_entry": model_entry(bench), "tasks": TASKS, "task_type": "multilabel"}
    return {**names, **parts, "entry": entry}


def open_job(bench: Bench, settings: dict, seed: int = 0):
    """Return the network, the loader and the splits of a fine-tuning."""
    store = open_store(bench.folder / "images")
    ids = np.asarray(store.ids)
    splits, _ = read_splits(bench.folder / "cohort.parquet", ids, store.rows(ids), settings)
    network = build_network(settings, seed, bench.device)
    return network, ImageLoader(store.images, network.encoder, settings["entry"]), splits


def training(bench: Bench, settings: dict, stored: bool = False):
    """Return the batches of a fine-tuning, and the function that takes a step."""
    network, loader, splits = open_job(bench, settings)
    if stored:
        cache = open_cache(bench.folder / "cache", network, loader, splits, {"gigabytes": 100})
        loader = cache.loader()
    trainer = find_trainer(settings["entry"])(
        network, settings["entry"], False, TrialKey(1e-4, 0), splits["train"]
    )
    trainer.start()
    train, count = splits["train"], len(splits["train"].rows)
    whole = count // bench.batch  # without the smaller last batch, so that all steps are alike
    steps = (s for s in range(10**9) if s % trainer.per_epoch(count) < whole)
    jobs = (next(trainer.batches(loader, train, s, s + 1, bench.processes)) for s in steps)
    batches = read_ahead(jobs, max(2, bench.threads), bench.device)
    return batches, lambda batch: trainer.update(batch, 0, count, loader.level)


# ----------------------------------------------------------------------------------- plain loops


class Pictures(Dataset):
    """Images of the store, transformed one by one, with the labels of one row."""

    def __init__(self, bench: Bench, transform: Callable, copies: int = 1) -> None:
        self.pixels = np.load(bench.folder / "images" / "images.npy", mmap_mode="r")
        self.count, self.transform, self.copies = bench.images, transform, copies
        self.y = torch.randint(0, 2, (bench.images, len(TASKS))).float()

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, row: int) -> tuple:
        picture = transforms.functional.to_pil_image(self.pixels[row]).convert("RGB")
        return (*(self.transform(picture) for _ in range(self.copies)), self.y[row])


def endless(bench: Bench, pictures: Pictures) -> Iterator[tuple[torch.Tensor, ...]]:
    """Yield batches of a DataLoader on the device, epoch after epoch."""
    workers = 0 if bench.device.type == "cpu" else bench.threads
    loader = DataLoader(
        pictures,
        bench.batch,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        pin_memory=bench.device.type == "cuda",
        persistent_workers=workers > 0,
    )
    while True:
        for batch in loader:
            yield tuple(part.to(bench.device, non_blocking=True) for part in batch)


def evaluation() -> Callable:
    """Return timm's transform for prediction; images have the model's size already."""
    return transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, STD)])


def plain_model(bench: Bench, **arguments: object) -> torch.nn.Module:
    """Return timm's model on the device."""
    name = "vit_base_patch16_224"
    return timm.create_model(name, **bench.arguments, **arguments).to(bench.device)


def plain_training(bench: Bench, *, tuned: str = "", augmented: bool = True) -> Callable:
    """Return a step of timm's model by timm's transforms; `tuned` begins the names of what is tuned."""
    model = plain_model(bench, num_classes=len(TASKS), drop_path_rate=0.2)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(tuple(tuned.split())) or not tuned)
    groups = param_groups_layer_decay(model, 0.05, layer_decay=0.55)
    optimizer = torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.95))
    augmentation = create_transform(
        bench.side,
        is_training=True,
        scale=(0.08, 1.0),
        hflip=0.5,
        color_jitter=None,
        auto_augment="rand-m6-mstd0.5-inc1",
        interpolation="bicubic",
        mean=MEAN,
        std=STD,
    )
    batches = endless(bench, Pictures(bench, augmentation if augmented else evaluation()))
    autocast = precision(bench.device)[1]

    def step() -> None:
        x, y = next(batches)
        with autocast():
            logits = model(x)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(logits.float(), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    model.train()
    return step


def plain_pretraining(bench: Bench, model: torch.nn.Module, copies: int) -> Callable:
    """Return a step of a published formulation, with torchvision's crops; the loss is read."""
    crop = transforms.RandomResizedCrop(
        bench.side, (0.2, 1.0), interpolation=transforms.InterpolationMode.BICUBIC
    )
    views = [crop, transforms.RandomHorizontalFlip(), *evaluation().transforms]
    batches = endless(bench, Pictures(bench, transforms.Compose(views), copies))
    tuned = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(tuned, lr=1e-4, betas=(0.9, 0.95), weight_decay=0.05)
    autocast = precision(bench.device)[1]

    def step() -> float:
        *images, _ = next(batches)
        with autocast():
            loss = model(*images)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    model.train()
    return step


# ------------------------------------------------------------------------------------- workloads


def embed(bench: Bench) -> Row:
    """Measure the stage `embed` on the whole store, and timm's model batch by batch."""
    encoder = build({**model_entry(bench), "name": "m"})
    pixels = np.load(bench.folder / "images" / "images.npy", mmap_mode="r")
    rows = np.tile(np.arange(bench.images), 1 if bench.device.type == "cpu" else 4)
    forget(bench.device)
    encode(encoder, pixels, rows[: bench.batch])
    begun = time.perf_counter()
    encode(encoder, pixels, rows)
    fresh = len(rows) / (time.perf_counter() - begun)
    batch = encoder.prepare(pixels[: bench.batch])
    again = rate(lambda: encoder.features(batch), len(batch), bench.seconds / 2, bench.device)
    with FlopCounterMode(display=False) as counter:
        encoder.features(batch)
    operations = counter.get_total_flops() / len(batch)
    model = plain_model(bench, num_classes=0).eval()
    batches = endless(bench, Pictures(bench, evaluation()))
    gpu = bench.device.type == "cuda"

    @torch.no_grad()
    def step() -> torch.Tensor:
        with torch.autocast(bench.device.type, torch.float16, enabled=gpu):
            return model(next(batches)[0]).float().cpu()

    plain = rate(step, bench.batch, bench.seconds, bench.device)
    memory = torch.cuda.max_memory_allocated() / 1e9 if gpu else None
    wait, share = max(0.0, 1 - fresh / again), operations * fresh / bench.peak if gpu else None
    return Row("embed", fresh, plain, fresh / plain, wait, share, memory)


def linear(bench: Bench) -> Row:
    """Measure a head on a frozen tower that sees new views in each step."""
    changes = {"tune": "linear", "layer_decay": None, "drop_path": 0.0}
    ours = training(bench, settings_of(bench, **changes))
    return compare("linear, new views", bench, *ours, plain_training(bench, tuned="head"))


def full(bench: Bench) -> Row:
    """Measure full fine-tuning by the protocol of the study."""
    ours = training(bench, settings_of(bench))
    return compare("full fine-tuning", bench, *ours, plain_training(bench))


def pretraining(bench: Bench, algorithm: str, plain: torch.nn.Module) -> Row:
    """Measure a pretraining algorithm; `plain` is its published formulation."""
    settings = {
        "name": algorithm,
        "algorithm": algorithm,
        "architecture": "vit_base_patch16_224",
        "arguments": bench.arguments,
        "input": {"size": bench.side},
        "batch_size": bench.batch,
        "epochs": 10**6,
        "options": OPTIONS[algorithm] if bench.arguments else {},
    }
    pixels = np.load(bench.folder / "images" / "images.npy", mmap_mode="r")
    images = TrainingImages(ImageRows([pixels], [np.arange(bench.images)]), [], [])
    job = prepare(read_settings(settings), images, bench.processes)
    step = plain_pretraining(bench, plain.to(bench.device), job.loader.views)
    return compare(f"{algorithm} step", bench, job.loader.steps(0, 10**9), job.step, step)


def mae(bench: Bench) -> Row:
    """Measure a step of MAE."""
    small = {"width": 32, "depth": 1} if bench.arguments else {}
    return pretraining(bench, "mae", PlainMae(plain_model(bench, num_classes=0), **small))


def moco_v3(bench: Bench) -> Row:
    """Measure a step of MoCo v3."""
    small = {"hidden": 32} if bench.arguments else {}
    return pretraining(bench, "moco_v3", PlainMoco(plain_model(bench, num_classes=0), **small))


def search(bench: Bench) -> Row:
    """Measure a step of a trial that starts from stored outputs of its frozen blocks."""
    mask = {"tune": "mask", "mask": "000" * FROZEN + "111" * (DEPTH - FROZEN), "views": 1}
    changes = {**mask, "layer_decay": None, "drop_path": 0.0, "augmentation": None}
    ours = training(bench, settings_of(bench, **changes), stored=True)
    tuned = " ".join(["head", *(f"blocks.{block}." for block in range(FROZEN, DEPTH))])
    plain = plain_training(bench, tuned=tuned, augmented=False)
    return compare("search, 9 blocks frozen", bench, *ours, plain)


def in_turn(bench: Bench) -> Row:
    """Measure three fine-tunings of half of the images in one job, in turn and one by one."""
    times = {}
    for together in (3, 1, 3):  # the first one pays for imports and the allocation of memory
        entry = {"epochs": 2, "warmup_epochs": 0, "learning_rates": [1e-4, 2e-4, 3e-4]}
        settings = settings_of(bench, **entry, together=together)
        network, loader, splits = open_job(bench, settings)
        half = splits["train"].take(np.arange(bench.images // 2))
        data = TrialData(loader, {**splits, "train": half}, lambda logits: 0.0)
        checkpoints = Checkpoints(bench.folder / f"partial {together}", "benchmark")
        grid = Grid({0: network}, settings, data, checkpoints, bench.processes, PreemptionSignal())
        wait_for(bench.device)
        begun = time.perf_counter()
        grid.train()
        wait_for(bench.device)
        times[together] = time.perf_counter() - begun
    seen = 3 * 2 * (bench.images // 2)
    fast, slow = seen / times[3], seen / times[1]
    return Row("3 fine-tunings in turn", fast, slow, fast / slow)


WORKLOADS = (embed, linear, full, mae, moco_v3, search, in_turn)

if __name__ == "__main__":
    main()
