"""Stage `pretrain`: weights from images, without labels (MAE, MoCo v3) or with captions (CLIP)."""

import hashlib
import json
import shutil
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import save_file

from medaudit.core.code_version import code_version
from medaudit.core.entry_types import PretrainingEntry
from medaudit.core.errors import MedauditError
from medaudit.core.files import sha256
from medaudit.core.seeds import derive_seed
from medaudit.core.table_io import atomic, write_json
from medaudit.models.pretrain.algorithm import Algorithm
from medaudit.models.pretrain.captions import write_captions
from medaudit.models.pretrain.loop import FINAL_SHARE, Training
from medaudit.models.pretrain.mae import MaskedAutoencoder
from medaudit.models.pretrain.moco_v3 import MomentumContrast
from medaudit.models.pretrain.settings import Mae, MocoV3, Settings, read_settings
from medaudit.models.pretrain.training_images import TrainingImages, gather_training_images
from medaudit.models.pretrain.view_loader import ViewLoader
from medaudit.models.weights.offline import forbid_downloads
from medaudit.training.checkpoints import Checkpoints
from medaudit.training.compilation import compile_blocks
from medaudit.training.distributed import Processes, join_processes
from medaudit.training.preemption import catch_sigterm

NO_PATHS: list[Path] = []


class PretrainSettings(PretrainingEntry, total=False):
    """Settings of the stage: the catalogue entry without its cohorts, and its name."""

    name: str


def pretrain(
    settings: PretrainSettings,
    *,
    output: Path,
    card: Path,
    images: list[Path] = NO_PATHS,
    cohorts: list[Path] = NO_PATHS,
    audited: list[Path] = NO_PATHS,
    threads: int = 1,
) -> None:
    """Pretrain an encoder by MAE, MoCo v3 or CLIP.

    A job that was killed continues from its last checkpoint (in ``<output>.partial/``); with one
    process on the same machine the result is bit-identical to an uninterrupted run. On SIGTERM it
    writes a checkpoint and exits with code 75. torchrun starts it with several processes.

    Parameters
    ----------
    settings : dict
        See `medaudit.models.pretrain.settings.Settings`.
    output : Path
        ``.safetensors``: the encoder in timm's layout; for ``clip`` both towers in open_clip's.
        Snapshots are written next to it as ``<stem>_snapshots/epoch_<N>.safetensors``; the folder
        is made even if there are none.
    card : Path
        JSON: settings, sources of images, training curve, chosen epoch, images seen, hashes.
    images, cohorts : list of Path
        Image store folders, and the cohort file of each. Only rows of the training split are used.
    audited : list of Path
        Further cohort files, whose validation and test patients are excluded as well.
    threads : int
        CPU threads per process.
    """
    torch.set_num_threads(max(threads, 1))
    checked = read_settings(settings)
    with join_processes() as processes, catch_sigterm() as stop:
        _check_processes(checked, processes)
        sources = gather_training_images(checked, list(images), list(cohorts), list(audited))
        training = prepare(checked, sources, processes)
        fingerprint = _fingerprint(settings, sources)
        checkpoints = Checkpoints(output.with_name(f"{output.name}.partial"), fingerprint)
        training.run(checkpoints, stop)
        if processes.rank == 0:
            hashes = _write_weights(training, output)
            write_json(_card(settings, training, sources, hashes), card)
            checkpoints.discard()


def prepare(settings: Settings, sources: TrainingImages, processes: Processes) -> Training:
    """Build model, data loader and optimizer; the initial weights depend only on the seed."""
    forbid_downloads()
    torch.manual_seed(derive_seed("initial weights", settings.seed))
    gpu = processes.device.type == "cuda"
    layout = torch.channels_last if gpu else torch.preserve_format  # faster convolutions
    algorithm = _build(settings, sources).to(processes.device, memory_format=layout).train()
    _check_pieces(settings, algorithm, processes)
    if settings.compile:
        compile_blocks(algorithm)
    loader = ViewLoader(settings, sources.images, processes, algorithm)
    return Training(settings, algorithm, loader, processes)


def snapshot_path(output: Path, epochs: int) -> Path:
    """Return the path of the weights of an intermediate epoch count."""
    return output.with_name(f"{output.stem}_snapshots") / f"epoch_{epochs}{output.suffix}"


def _build(settings: Settings, sources: TrainingImages) -> Algorithm:
    options = settings.options
    if isinstance(options, Mae):
        return MaskedAutoencoder(settings)
    if isinstance(options, MocoV3):
        return MomentumContrast(settings)
    from medaudit.models.pretrain.clip import ImageTextContrast

    captions = [write_captions(finding, options.templates) for finding in sources.findings]
    return ImageTextContrast(settings, captions)


def _check_processes(settings: Settings, processes: Processes) -> None:
    if settings.batch_size % processes.world:
        raise MedauditError(
            f"pretraining {settings.name}: batch_size {settings.batch_size} is not divisible by the "
            f"number of processes, {processes.world}; change one of them"
        )


def _check_pieces(settings: Settings, algorithm: Algorithm, processes: Processes) -> None:
    pieces = (
        processes.world > 1 or (settings.micro_batch or settings.batch_size) < settings.batch_size
    )
    if algorithm.indivisible and pieces:
        raise MedauditError(
            f"pretraining {settings.name}: {settings.architecture} has batch norm, which needs the "
            f"whole batch at once: use one process and no micro_batch below {settings.batch_size}, "
            "or a ResNet with group norm, such as resnetv2_50x1_bit"
        )


def _fingerprint(settings: PretrainSettings, sources: TrainingImages) -> str:
    """Hash everything the result depends on, so that no checkpoint of another run is continued."""
    # Micro-batches, compilation and processes change a result only by rounding: a job may be
    # continued on another machine.
    kept = {k: value for k, value in settings.items() if k not in ("micro_batch", "compile")}
    parts = [kept, sources.described, code_version("models.pretrain")]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _write_weights(training: Training, output: Path) -> dict[str, str]:
    """Write the weights kept for every epoch count; return their hashes by file name."""
    hashes = {}
    folder = snapshot_path(output, 0).parent
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for count, kept in training.trace.kept.items():
        last = int(count) == training.settings.epochs
        path = output if last else snapshot_path(output, int(count))
        weights = {name: tensor.cpu().contiguous() for name, tensor in kept["weights"].items()}
        with atomic(path) as temporary:
            save_file(weights, temporary, metadata={"format": "pt"})
        hashes[path.name] = sha256(path)
    return hashes


def _card(
    settings: PretrainSettings, training: Training, sources: TrainingImages, hashes: dict
) -> dict:
    checked, trace = training.settings, training.trace
    per_epoch = training.loader.steps_per_epoch * checked.batch_size
    kept = trace.kept[str(checked.epochs)]
    return {
        "algorithm": checked.algorithm,
        "settings": settings,
        "options": vars(checked.options),
        "model": _model(checked, training.algorithm),
        "sources": sources.described,
        "held_out_patients_excluded": checked.exclude_audited,
        "images": len(sources.images),
        "images_per_epoch": per_epoch,
        "images_seen": kept["epoch"] * per_epoch,
        "epochs": checked.epochs,
        "chosen_epoch": kept["epoch"],
        "chosen_by": f"lowest training loss of the last {FINAL_SHARE:.0%} of epochs",
        "epoch_counts": {
            count: {
                "chosen_epoch": part["epoch"],
                "loss": part["loss"],
                "from": _origin(checked, count),
            }
            for count, part in trace.kept.items()
        },
        "curve": trace.curve,
        "weights_sha256": hashes,
        "code": code_version("models.pretrain"),
        "device": training.processes.device.type,
        "precision": training.precision,
        "processes": training.processes.world,
        "versions": _versions(),
    }


def _origin(settings: Settings, count: str) -> str:
    if int(count) == settings.epochs:
        return f"its own run of {count} epochs, {settings.schedule} schedule"
    return f"one run of {settings.epochs} epochs with a constant rate after the warm-up"


def _model(settings: Settings, algorithm: Algorithm) -> dict:
    """Return the fields that a catalogue entry needs to load the weights."""
    clip = settings.algorithm == "clip"
    return {
        "kind": "clip" if clip else "timm",
        "architecture": settings.architecture,
        "arguments": settings.arguments,
        "input": vars(settings.input),
        **({} if clip else {"pooling": algorithm.pooling}),
    }


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("torch", "timm", "open_clip_torch")}
