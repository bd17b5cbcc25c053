"""A search for the parameters to tune: the published procedure and ours, same space and budget.

The published procedure (Dutt et al. 2024) trains each trial to its end, here in a separate process,
runs the whole network in every step, and computes its metrics on every batch of training and
validation. Ours is ``python -m medaudit.search.search``: one process, trials pruned on the whole
validation split, outputs of frozen blocks stored. Both use TPE. The part on steps trains with the
first 9 and 11 of 12 blocks frozen, alternating between stored outputs and images. The part on
pruning runs our search with and without pruning, in pairs that start with the same points, on more
and smaller images; the spread over seeds is that of the searches without pruning.

``python benchmarks/search.py [--space flat] [--trials 16] [--epochs 8] [--steps-only]``. The last
line is ``ratio=<x>``: wall time of the published procedure divided by ours. With
``--pruning-only [--seeds 4]`` it is the number of epochs without pruning divided by that with it.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd

DEPTH, SIDE, VAL = 12, 64, 96
TASK = "cardiomegaly"
SPACES = {"flat": "blocks36", "depth_first": "depth_first36"}
COHORT = "benchmark"
PRUNING = {"kind": "successive_halving", "first": 1, "factor": 4}  # as shipped
MODEL = {
    "kind": "timm",
    "architecture": "vit_tiny_patch16_224",
    "arguments": {
        "img_size": SIDE,
        "patch_size": 8,
        "embed_dim": 96,
        "depth": DEPTH,
        "num_heads": 4,
    },
    "weights": None,
    "pooling": "token",
    "input": {
        "size": SIDE,
        "channels": 3,
        "mean": [0.5] * 3,
        "std": [0.25] * 3,
        "interpolation": "bicubic",
    },
}


def main() -> None:
    """Measure and print; the last line is ``ratio=<x>``."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--space", choices=SPACES, default="depth_first")
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--images", type=int, default=192, help="training images")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps-only", action="store_true")
    parser.add_argument("--pruning-only", action="store_true")
    parser.add_argument("--seeds", type=int, default=4, help="for --pruning-only")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.pruning_only:
            compare_pruning(folder, options)
            return
        write_data(folder, options.images)
        measure_steps(folder, options)
        if not options.steps_only:
            compare(folder, options)


def compare(folder: Path, options: argparse.Namespace) -> None:
    """Run both searches and print how long each part took."""
    theirs, ours = run_published(folder, options), run_ours(folder, options)
    epochs = options.trials * options.epochs
    print(f"space {SPACES[options.space]}, {options.trials} trials of {options.epochs} epochs")
    print(
        f"published: {theirs['wall']:.1f} s; processor seconds: start-up {theirs['start']:.1f} in "
        f"{options.trials} processes, metrics {theirs['metrics']:.1f}, "
        f"training and validation {theirs['training']:.1f} in {epochs} epochs"
    )
    print(
        f"ours: {ours['wall']:.1f} s; processor seconds: start-up and driver {ours['start']:.1f}, "
        f"training and validation {ours['training']:.1f} in {ours['epochs']} epochs"
    )
    print(f"pruning: {ours['epochs'] / epochs:.0%} of the epochs")
    first, second = theirs["training"] / epochs, ours["training"] / ours["epochs"]
    print(
        f"frozen blocks: {first:.2f} and {second:.2f} s per epoch, {first / second:.2f} x "
        "(different masks)"
    )
    print(f"metrics: {theirs['metrics'] / epochs:.2f} s per epoch; ours are part of its training")
    print(f"start-up: {theirs['start'] / options.trials:.1f} s per process")
    print(f"best: published {theirs['best']:.3f} (mean over batches), ours {ours['best']:.3f}")
    without = (theirs["training"] + theirs["metrics"]) / ours["training"]
    whole = sum(theirs[key] for key in ("start", "training", "metrics"))
    whole /= ours["start"] + ours["training"]
    print(f"processor time: {whole:.2f} x; without start-up {without:.2f} x")
    print(f"ratio={theirs['wall'] / ours['wall']:.2f}")


def compare_pruning(folder: Path, options: argparse.Namespace) -> None:
    """Print epochs and best value of searches with and without pruning, one pair per seed."""
    write_data(folder, train=384, val=192, side=32)
    rows = []
    for seed in range(options.seeds):
        pair = [search_quickly(folder, options, seed, pruning) for pruning in (PRUNING, None)]
        rows.append([number for found in pair for number in found])
        text = "seed {}: with pruning {} epochs, best {:.3f}; without {} epochs, best {:.3f}"
        print(text.format(seed, *rows[-1]), flush=True)
    ours, best, all_, without = np.array(rows).T
    spread = without.std(ddof=1)
    print(f"epochs: {ours.sum() / all_.sum():.0%} of those without pruning")
    print(
        f"best: {(best - without).mean():+.3f} on average with pruning; "
        f"spread over seeds without pruning {spread:.3f}"
    )
    print(f"ratio={all_.sum() / ours.sum():.2f}")


def search_quickly(
    folder: Path, options: argparse.Namespace, seed: int, pruning: dict | None
) -> tuple[int, float]:
    """Return the number of epochs and the best value of one search on a small network."""
    from medaudit.search.search import search

    small = {"img_size": 32, "embed_dim": 48}
    model = {**MODEL, "arguments": {**MODEL["arguments"], **small}}
    model["input"] = {**MODEL["input"], "size": 32}
    settings = {**settings_of(options), "model_entry": model, "method": f"fairtune_{seed}"}
    settings["entry"] = {**settings["entry"], "pruning": pruning}
    place = folder / f"{seed} {pruning is None}"
    paths = {"cohort": folder / "cohort.parquet", "images": folder / "images"}
    search(settings, **paths, output=place / "0.json", worker=0, threads=options.threads)
    study = read_study(place)
    return sum(len(trial.intermediate_values) for trial in study.trials), study.best_value


def children_seconds() -> float:
    """Return the processor seconds of all child processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def settings_of(options: argparse.Namespace) -> dict:
    """Return the settings of the stage `search`."""
    objective = {"metric": "auc_min", "attribute": "sex"}
    entry = {
        "kind": "search",
        "training": "erm",
        "space": SPACES[options.space],
        "sampler": "tpe",
        "learning_rate": [1e-4, 1e-2],
        "objective": {**objective, "minimum": {"n": 5, "n_pos": 2, "n_neg": 2}},
        "trials": options.trials,
        "pruning": PRUNING,
        "epochs": options.epochs,
        "warmup_epochs": 1,
        "batch_size": 64,
        "weight_decay": 0.05,
        "augmentation": None,
        "cache": {"gigabytes": 2, "precision": "float16"},
    }
    names = {"cohort": COHORT, "model": "vit", "method": "fairtune"}
    return {
        **names,
        "model_entry": MODEL,
        "entry": entry,
        "tasks": [TASK],
        "task_type": "binary",
    }


def write_data(folder: Path, train: int, val: int = VAL, side: int = SIDE) -> None:
    """Write a cohort of phantom chest X-rays; half of them have cardiomegaly."""
    from medaudit.core.table_io import COHORT as TABLE
    from medaudit.core.table_io import IMAGES, write_array, write_json, write_table
    from medaudit.data.phantoms.chest import render

    count, rng = train + val + 8, np.random.default_rng(0)
    ids = [f"i{number:05d}" for number in range(count)]
    frame = pd.DataFrame({"image_id": ids, "patient_id": ids, "path": ids})
    frame = frame.assign(
        age=rng.integers(30, 80, count).astype(float),
        view="PA",
        split=["train"] * train + ["val"] * val + ["test"] * 8,
        **{f"y_{TASK}": rng.integers(0, 2, count).astype(float)},
        a_sex=rng.choice(["male", "female"], count),
    )
    write_table(frame, folder / "cohort.parquet", TABLE)
    write_array(render(frame, {}, side, 2), folder / "images" / "images.npy")
    index = pd.DataFrame({"image_id": ids, "row": range(count), "status": "ok", "error": None})
    write_table(index, folder / "images" / "index.parquet", IMAGES)
    write_json({"phantom": True}, folder / "images" / "card.json")


def run_ours(folder: Path, options: argparse.Namespace) -> dict:
    """Run the stage as the workflow does and read what its journal says."""
    arguments = {"--settings": json.dumps(settings_of(options)), "--worker": "0"}
    arguments |= {"--cohort": folder / "cohort.parquet", "--images": folder / "images"}
    arguments |= {"--output": folder / "search" / "0.json", "--threads": options.threads}
    command = [sys.executable, "-m", "medaudit.search.search"]
    command += [str(part) for pair in arguments.items() for part in pair]
    started, before = time.time(), children_seconds()
    subprocess.run(command, check=True, capture_output=True)
    wall, processor = time.time() - started, children_seconds() - before
    study = read_study(folder / "search")
    training = sum(trial.user_attrs["processor_seconds"] for trial in study.trials)
    epochs = sum(len(trial.intermediate_values) for trial in study.trials)
    best = study.best_value
    return {
        "wall": wall,
        "training": training,
        "epochs": epochs,
        "start": processor - training,
        "best": best,
    }


def read_study(folder: Path):
    """Return the study of the only journal in `folder`."""
    import optuna

    from medaudit.search.journal import open_journal

    path = next(folder.glob("*.journal"))
    return optuna.load_study(study_name=path.stem, storage=open_journal(path)[0])


def run_published(folder: Path, options: argparse.Namespace) -> dict:
    """Run each trial in a separate process and to its end."""
    import optuna

    from medaudit.search.space import suggest_point
    from medaudit.search.trials import make_sampler

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    settings = settings_of(options)
    entry = {**settings["entry"], "seed": "benchmark"}
    layout = SimpleNamespace(units=tuple(range(DEPTH)), components=("norms", "attention", "mlp"))
    study, found, started = optuna.create_study(direction="maximize"), [], time.time()
    for position in range(options.trials):
        study.sampler = make_sampler(entry, position)
        trial = study.ask()
        point = suggest_point(trial, entry, layout)
        given = {"settings": settings, "point": point, "folder": str(folder)}
        command = [
            sys.executable,
            str(Path(__file__).with_name("published_trial.py")),
            json.dumps({**given, "threads": options.threads}),
        ]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout.splitlines()[-1]))
        study.tell(trial, found[-1]["value"])
    total = {key: sum(trial[key] for trial in found) for key in ("start", "metrics", "training")}
    return {**total, "wall": time.time() - started, "best": study.best_value}


def measure_steps(folder: Path, options: argparse.Namespace) -> None:
    """Print the time per training step from images and from stored outputs."""
    import torch

    from medaudit.adapt.finetune.frozen_blocks_cache import FrozenBlocksCache
    from medaudit.search.trial_runner import TrialRunner

    settings = settings_of(options)
    paths = {"cohort": folder / "cohort.parquet", "images": folder / "images"}
    runner = TrialRunner(settings, **paths, threads=options.threads, scratch=folder / "steps")
    assert isinstance(runner.cache, FrozenBlocksCache)
    rows = runner.splits["train"].rows
    size = min(settings["entry"]["batch_size"], len(rows))
    y = torch.from_numpy(runner.splits["train"].y[:size])
    for frozen in (9, 11):
        trainer = runner.begin(
            {"mask": "000" * frozen + "111" * (DEPTH - frozen), "learning_rate": 1e-4}
        )
        loaders = {"images": runner.images, "stored": runner.cache.loader()}
        times: dict[str, list[float]] = {name: [] for name in loaders}
        for step in range(10):
            for name, loader in loaders.items():
                begun = time.process_time()
                x = loader.training_batch(rows, np.arange(size), (0, step), 0)
                batch = (x, y, torch.full_like(y, 1 / size))
                trainer.update(batch, step, len(rows), loader.level)
                times[name].append(time.process_time() - begun)
        plain, stored = (1e3 * np.median(times[name][2:]) for name in ("images", "stored"))
        print(
            f"{frozen} of {DEPTH} blocks frozen: {plain:.1f} processor ms per step from images, "
            f"{stored:.1f} ms stored, {plain / stored:.2f} x"
        )


if __name__ == "__main__":
    main()
