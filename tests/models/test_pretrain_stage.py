"""The stage: what it trains on, what it writes, and that nothing can interrupt it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from importlib.metadata import version

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from safetensors.torch import load_file

from medaudit.config.validation import check
from medaudit.core.errors import MedauditError
from medaudit.core.files import sha256
from medaudit.data.phantoms.procedural import render
from medaudit.models.pretrain import pretrain, snapshot_path
from medaudit.models.pretrain.captions import describe_findings
from medaudit.models.pretrain.loop import is_final
from medaudit.models.pretrain.settings import read_settings
from medaudit.models.pretrain.training_images import gather_training_images
from medaudit.training.checkpoints import Checkpoints
from medaudit.training.preemption import EXIT_PREEMPTED
from medaudit.training.progress import Progress
from shipped_config import SCHEMAS, shipped
from tiny_pretraining import RESNET, VIT, read_card, tiny_settings, write_source

SPLITS = ["train"] * 40 + ["val"] * 4 + ["test"] * 4


@pytest.fixture
def source(tmp_path):
    return write_source(tmp_path, "a", SPLITS)


def run(settings, folder, source, **changes):
    store, cohort = source
    paths = {"output": folder / "weights.safetensors", "card": folder / "card.json"}
    pretrain(settings, images=[store], cohorts=[cohort], **{**paths, **changes})
    return paths["output"]


def options(folder, source):
    store, cohort = source
    return [
        *("--images", store, "--cohorts", cohort),
        *("--output", folder / "weights.safetensors", "--card", folder / "card.json"),
    ]


@pytest.mark.parametrize("algorithm", ["mae", "moco_v3"])
def test_weights_are_timms_and_give_the_same_features(tmp_path, source, algorithm):
    output = run(tiny_settings(algorithm, epochs=2), tmp_path, source)
    model = timm.create_model("vit_tiny_patch16_224", num_classes=0, in_chans=1, **VIT)
    model.load_state_dict(load_file(output), strict=True)
    images = torch.randn(3, 1, 32, 32)
    settings = read_settings(tiny_settings(algorithm))
    from medaudit.models.pretrain.encoder import build_encoder

    encoder = build_encoder(settings)
    encoder.load_state_dict(load_file(output))
    torch.testing.assert_close(model.eval()(images), encoder.eval()(images))
    card = read_card(tmp_path / "card.json")
    assert card["weights_sha256"] == {output.name: sha256(output)}
    assert card["model"]["arguments"] == VIT
    assert card["versions"]["timm"] == version("timm")
    assert not output.with_name(f"{output.name}.partial").exists()


def test_moco_v3_leaves_patch_projection_and_positions_alone(tmp_path, source):
    from medaudit.core.seeds import derive_seed
    from medaudit.models.pretrain.moco_v3 import MomentumContrast

    output = run(tiny_settings("moco_v3", epochs=2), tmp_path, source)
    torch.manual_seed(derive_seed("initial weights", 0))
    start = MomentumContrast(read_settings(tiny_settings("moco_v3"))).weights()
    moved = {name for name, tensor in load_file(output).items() if not tensor.equal(start[name])}
    assert set(start) - moved == {"patch_embed.proj.weight", "patch_embed.proj.bias", "pos_embed"}


def test_a_resnet_of_moco_v3_loads_as_a_catalogue_model(tmp_path, source):
    """Batch statistics are part of the weights."""
    from medaudit.models.kinds import build
    from medaudit.models.pretrain.encoder import build_encoder

    settings = tiny_settings("moco_v3", epochs=2, **RESNET)
    output = run(settings, tmp_path, source)
    card = read_card(tmp_path / "card.json")
    assert card["model"]["pooling"] == "avg"
    entry = {**card["model"], "name": "tiny", "weights": str(output), "sha256": None}
    reference = build_encoder(read_settings(settings))
    fresh = {name: tensor.clone() for name, tensor in reference.state_dict().items()}
    reference.load_state_dict(load_file(output), strict=True)
    moved = [
        name for name, tensor in reference.state_dict().items() if not tensor.equal(fresh[name])
    ]
    assert {"stem.conv.weight", "norm.running_mean"} <= set(moved)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32), dtype=np.uint8)
    with torch.no_grad():
        expected = reference.eval()(((torch.from_numpy(pixels) / 255 - 0.5) / 0.25)[:, None])
    np.testing.assert_allclose(build(entry).encode_images(pixels), expected.numpy(), atol=1e-5)


def test_batch_norm_of_an_encoder_is_not_cut_into_pieces(tmp_path, source):
    settings = tiny_settings("moco_v3", micro_batch=8, **RESNET)
    with pytest.raises(MedauditError, match="resnetv2_50 has batch norm.*group norm"):
        run(settings, tmp_path, source)


def test_clip_weights_load_as_a_catalogue_model(tmp_path, source, monkeypatch):
    import open_clip

    from medaudit.models.kinds import build
    from medaudit.models.pretrain.clip import model_config

    settings = tiny_settings("clip", epochs=2)
    output = run(settings, tmp_path, source)
    card = read_card(tmp_path / "card.json")
    entry = {**card["model"], "name": "tiny", "weights": str(output), "sha256": None}
    encoder = build(entry)
    reference = open_clip.model.CLIP(**model_config(read_settings(settings))).eval()
    reference.load_state_dict(load_file(output), strict=True)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 32, 32), dtype=np.uint8)
    views = ((torch.from_numpy(pixels) / 255 - 0.5) / 0.25)[:, None].expand(-1, 3, -1, -1)
    with torch.no_grad():
        expected = reference.encode_image(views).numpy()
    found = encoder.encode_images(pixels)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_only_training_rows_of_unaudited_patients_are_used(tmp_path):
    first = write_source(tmp_path, "a", ["train"] * 30 + ["test"] * 2)
    frame = pd.read_parquet(first[1])
    frame.loc[31, "split"] = "train"  # image 31 is of the patient of test image 30
    frame.to_parquet(first[1])
    other = write_source(tmp_path, "b", ["train"] * 20)
    audited = pd.read_parquet(other[1]).head(4).assign(split="val")
    audited.to_parquet(tmp_path / "audited.parquet")
    settings = read_settings(tiny_settings())
    stores, cohorts = zip(first, other, strict=True)
    sources = gather_training_images(settings, stores, cohorts, [tmp_path / "audited.parquet"])
    levels = sources.images.take(np.arange(len(sources.images)))[:, 0, 0, 0].tolist()
    assert levels == [*range(30), *range(4, 20)]
    left_out = [part["left_out"] for part in sources.described]
    assert [part["not_train"] for part in left_out] == [1, 0]
    assert [part["held_out_patients"] for part in left_out] == [1, 4]
    wide = read_settings(tiny_settings(exclude_audited=False))
    sources = gather_training_images(wide, stores, cohorts, [tmp_path / "audited.parquet"])
    assert len(sources.images) == 31 + 20
    twice = gather_training_images(settings, [first[0]] * 2, [first[1]] * 2, [])
    assert len(twice.images) == 30
    assert twice.described[1]["left_out"]["duplicates"] == 30


def test_fractions_are_of_patients_and_nested(tmp_path, source):
    chosen = []
    for fraction in (0.4, 0.8):
        settings = read_settings(tiny_settings(fraction=fraction, batch_size=8))
        rows = gather_training_images(settings, [source[0]], [source[1]], []).images.row
        chosen.append(set(rows.tolist()))
        assert {row // 2 * 2 for row in rows} | {row // 2 * 2 + 1 for row in rows} == chosen[-1]
    assert [len(rows) for rows in chosen] == [16, 32]
    assert chosen[0] < chosen[1]


def test_captions_name_findings_and_nothing_else():
    frame = pd.DataFrame(
        {
            "y_Edema": [1, 1, 0, np.nan, 0],
            "y_Pleural Effusion": [0, 1, 0, np.nan, np.nan],
            "y_Mass": [np.nan, 1, 0, np.nan, np.nan],
            "y_No Finding": [0, 0, 1, np.nan, np.nan],
            "a_sex": "female",
            "age": 70,
        }
    )
    texts = describe_findings(frame)
    assert texts.iloc[:3].tolist() == ["edema", "edema, pleural effusion and mass", "no finding"]
    assert texts.isna().tolist() == [False, False, False, True, False]


def test_procedural_images_are_a_source_and_do_not_depend_on_their_number(tmp_path):
    few, many = render(3, 32, seed=1), render(140, 32, seed=1)
    assert (few == many[:3]).all()
    assert (render(3, 32, seed=2) != few).any()
    assert many.std(axis=(1, 2)).min() > 10
    settings = tiny_settings(epochs=2, procedural={"images": 40})
    paths = {"output": tmp_path / "w.safetensors", "card": tmp_path / "c.json"}
    pretrain(settings, **paths)
    assert read_card(paths["card"])["sources"] == [
        {"images": 40, "procedural": {"images": 40, "seed": 0}}
    ]


def test_final_epochs_and_the_best_of_them(tmp_path, source):
    assert [e for e in range(1, 101) if is_final(e, 100)] == [96, 97, 98, 99, 100]
    assert [e for e in range(1, 11) if is_final(e, 10)] == [10]
    run(tiny_settings(epochs=60, warmup_epochs=2, batch_size=40), tmp_path, source)
    card = read_card(tmp_path / "card.json")
    losses = {point["epoch"]: point["loss"] for point in card["curve"]}
    assert len(losses) == 60
    assert card["chosen_epoch"] == min((58, 59, 60), key=losses.get)
    assert card["images_seen"] == 40 * card["chosen_epoch"]
    assert losses[60] < 0.98 * losses[1]


def test_snapshots_come_from_one_run_of_constant_rate(tmp_path, source):
    settings = tiny_settings(epochs=4, schedule="constant", snapshots=[2])
    output = run(settings, tmp_path / "long", source)
    short = run({**settings, "epochs": 2, "snapshots": []}, tmp_path / "short", source)
    assert list(snapshot_path(short, 1).parent.iterdir()) == []
    early = load_file(snapshot_path(output, 2))
    expected = load_file(short)
    assert all(early[name].equal(expected[name]) for name in expected)
    assert not all(early[name].equal(tensor) for name, tensor in load_file(output).items())
    counts = read_card(tmp_path / "long" / "card.json")["epoch_counts"]
    assert "one run of 4 epochs" in counts["2"]["from"]
    for wrong in ({"schedule": "cosine"}, {"algorithm": "moco_v3", "options": {}}):
        with pytest.raises(MedauditError, match="snapshots"):
            read_settings({**settings, **wrong})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"algorithm": "dino"}, "dino"),
        ({"mask": 0.5}, "mask"),
        ({"options": {"mask": 0.5}}, "mask_ratio"),
        ({"batch_size": 4096}, "batch_size"),
        ({"warmup_epochs": 3}, "warmup"),
        ({"fraction": 0}, "fraction"),
        ({"architecture": "resnet18", "arguments": {}}, "plain timm ViT"),
        ({"arguments": {**VIT, "img_size": 64}}, "img_size"),
        ({"base_lr": 1e9}, "base_lr"),
    ],
)
def test_wrong_settings_say_what_to_do(tmp_path, source, changes, words):
    with pytest.raises(MedauditError, match=words):
        run({**tiny_settings(), **changes}, tmp_path, source)


def stop_at(monkeypatch, step):
    """Send this process a SIGTERM when the given step has been made."""
    update = Progress.update

    def watch(self, *arguments):
        update(self, *arguments)
        if self.done == step:
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Progress, "update", watch)


@pytest.mark.parametrize("algorithm", ["mae", "moco_v3", "clip", "resnet"])
def test_stopped_and_resumed_is_bit_identical(tmp_path, source, monkeypatch, caplog, algorithm):
    resnet = algorithm == "resnet"
    settings = tiny_settings("moco_v3", **RESNET) if resnet else tiny_settings(algorithm)
    whole = run(settings, tmp_path / "whole", source)
    stop_at(monkeypatch, 3)  # in the middle of the second epoch
    caplog.set_level("INFO")
    with pytest.raises(SystemExit) as stopped:
        run(settings, tmp_path / "again", source)
    assert stopped.value.code == EXIT_PREEMPTED == 75
    said = "SIGTERM: checkpoint of step 3 written; the same command resumes from there"
    assert said in caplog.messages
    folder = tmp_path / "again" / "weights.safetensors.partial"
    assert [path.name for path in folder.iterdir()] == ["step_0000000003.pt"]
    again = run(settings, tmp_path / "again", source)
    assert again.read_bytes() == whole.read_bytes()
    cards = [(tmp_path / name / "card.json").read_bytes() for name in ("whole", "again")]
    assert cards[0] == cards[1]
    assert not folder.exists()


def test_killed_and_resumed_is_bit_identical(tmp_path, source):
    settings = tiny_settings(epochs=6)
    whole = run(settings, tmp_path / "whole", source)
    (tmp_path / "killed").mkdir()
    kill_when(tmp_path / "killed", settings, source, written=4)
    again = run(settings, tmp_path / "killed", source)
    assert again.read_bytes() == whole.read_bytes()


def kill_when(folder, settings, source, written, delay=0.0):
    """Start the stage in a process of its own and SIGKILL it after some checkpoints."""
    command = [sys.executable, "-m", "medaudit.models.pretrain", "--settings", json.dumps(settings)]
    environment = {**os.environ, "MEDAUDIT_CHECKPOINT_SECONDS": "0", "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [*command, *map(str, options(folder, source))], env=environment, stderr=subprocess.DEVNULL
    )
    partial = folder / "weights.safetensors.partial"
    while process.poll() is None:
        names = sorted(path.name for path in partial.glob("step_*.pt"))
        if names and int(names[-1][5:-3]) >= written:
            time.sleep(delay)
            process.kill()
        time.sleep(0.002)
    assert process.wait() in (-signal.SIGKILL, 0)
    assert delay or partial.is_dir()


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["mae", "moco_v3", "clip"])
def test_killed_five_times_is_bit_identical(tmp_path, source, algorithm):
    settings = tiny_settings(algorithm, epochs=40)
    whole = run(settings, tmp_path / "whole", source)
    (tmp_path / "killed").mkdir()
    rng = np.random.default_rng()
    for written in (2, 15, 30, 45, 60):
        kill_when(tmp_path / "killed", settings, source, written, delay=rng.uniform(0, 0.05))
    again = run(settings, tmp_path / "killed", source)
    assert again.read_bytes() == whole.read_bytes()


def test_a_broken_or_foreign_checkpoint_is_not_used(tmp_path):
    checkpoints = Checkpoints(tmp_path / "partial", "mine")
    for step in (1, 2, 3):
        checkpoints.save(step, {"step": step})
    names = sorted(path.name for path in checkpoints.folder.iterdir())
    assert names == ["step_0000000002.pt", "step_0000000003.pt"]
    (checkpoints.folder / names[-1]).write_bytes(b"PK half a file")
    device = torch.device("cpu")
    assert checkpoints.load(device)["step"] == 2
    assert Checkpoints(tmp_path / "partial", "other").load(device) is None


def test_two_processes_give_the_curve_of_one(tmp_path, source, monkeypatch):
    """Documented tolerance: 1e-4 of the loss at each of the first epochs.

    The second run of two processes goes on where a single process was stopped. Micro-batches of 3
    divide a process's 8 images into unequal parts: the mean of MAE is averaged in the last
    backward pass, the contrastive loss of MoCo v3 by hand.
    """
    jobs = {}
    for name in ("mae", "moco_v3", "clip", "mae in parts", "moco_v3 in parts"):
        algorithm, _, parts = name.partition(" ")
        epochs = 4 if name == "moco_v3" else 2
        settings = tiny_settings(algorithm, epochs=epochs, micro_batch=3 if parts else None)
        run(settings, tmp_path / name / "one", source)
        jobs[name] = settings
    two = tmp_path / "moco_v3" / "two"
    with monkeypatch.context() as patch, pytest.raises(SystemExit):
        stop_at(patch, 3)
        run(jobs["moco_v3"], two, source)
    folders = [tmp_path / algorithm / "two" for algorithm in jobs]
    logs = run_together(2, [(jobs[f.parent.name], options(f, source)) for f in folders])
    assert "resuming from" in logs
    for algorithm in jobs:
        cards = [read_card(tmp_path / algorithm / name / "card.json") for name in ("one", "two")]
        losses = [[point["loss"] for point in card["curve"]] for card in cards]
        np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
        assert [card["processes"] for card in cards] == [1, 2]


def run_together(world: int, jobs: list) -> str:
    """Run stages one after another in `world` processes, as torchrun starts them; return a log."""
    lines = [["--settings", json.dumps(settings), *map(str, paths)] for settings, paths in jobs]
    script = (
        "import os, sys, json; from medaudit.core.stage import run; from medaudit.models.pretrain import *\n"
        "for port, line in json.loads(sys.argv[1]):\n"
        "    os.environ['MASTER_PORT'] = str(port); run(pretrain, line)"
    )
    arguments = json.dumps([(free_port(), line) for line in lines])
    common = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "localhost"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, arguments],
            env={**common, "WORLD_SIZE": str(world), "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(world)
    ]
    try:
        logs = [process.communicate(timeout=300)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0] * world, "\n".join(logs)
    return "".join(logs)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("name", check(shipped(), SCHEMAS)["pretrainings"])
def test_shipped_pretrainings_are_settings(name):
    entry = check(shipped(), SCHEMAS)["pretrainings"][name]
    rest = {key: value for key, value in entry.items() if key not in ("cohorts", "audited")}
    assert read_settings({"name": name, **rest}).epochs == entry["epochs"]
