"""``benchmarks/gpu.py`` runs at a tiny size, and its plain loops compute what ours compute."""

import json
import subprocess
import sys

import pytest
import timm
import torch

from checkout import ROOT
from medaudit.models.pretrain.algorithm import Batch
from medaudit.models.pretrain.mae import MaskedAutoencoder
from medaudit.models.pretrain.moco_v3 import MomentumContrast
from medaudit.models.pretrain.settings import read_settings
from tiny_pretraining import VIT, tiny_settings

sys.path.insert(0, str(ROOT / "benchmarks"))
COLOUR = {"size": 32, "channels": 3, "mean": [0.5] * 3, "std": [0.25] * 3}


def test_it_measures_every_workload_and_prints_the_smallest_ratio(tmp_path):
    command = [sys.executable, str(ROOT / "benchmarks" / "gpu.py"), "--tiny", "--seconds", "0.02"]
    command += ["--threads", "1", "--json", str(tmp_path / "rows.json")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    rows = json.loads((tmp_path / "rows.json").read_text())
    names = " ".join(row["workload"] for row in rows)
    for word in ("embed", "linear", "full", "mae", "moco_v3", "search", "in turn"):
        assert word in names
    for row in rows:
        assert row["images_per_second"] > 0
        assert row["ratio"] == pytest.approx(row["images_per_second"] / row["plain"])
        assert row["wait"] is None or 0 <= row["wait"] < 1
    last = done.stdout.splitlines()[-1]
    assert last == f"ratio={min(row['ratio'] for row in rows):.2f}"


def perturbed(module: torch.nn.Module) -> torch.nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return module


def encoder() -> torch.nn.Module:
    return timm.create_model("vit_tiny_patch16_224", num_classes=0, **VIT)


def test_the_plain_mae_has_the_loss_of_ours():
    from plain_pretraining import PlainMae

    torch.manual_seed(0)
    options = {"decoder_width": 32, "decoder_depth": 2, "decoder_heads": 16}
    settings = read_settings(tiny_settings("mae", input=COLOUR, options=options))
    ours = perturbed(MaskedAutoencoder(settings))
    plain = PlainMae(encoder(), width=32, depth=2)
    names = {"token": "mask_token"}
    state = {n: ours.state_dict()[names.get(n, n)] for n in plain.state_dict()}
    plain.load_state_dict(state)
    images = torch.randn(5, 3, 32, 32)
    torch.manual_seed(1)
    draws = torch.rand(5, 16)
    expected = ours.encode(Batch(images[:, None], torch.arange(5), draws)).mean()
    torch.manual_seed(1)
    assert plain(images).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_plain_moco_v3_has_the_loss_of_ours():
    from plain_pretraining import PlainMoco

    torch.manual_seed(0)
    options = {"hidden": 24, "dimension": 256}
    settings = read_settings(tiny_settings("moco_v3", input=COLOUR, options=options))
    ours = perturbed(MomentumContrast(settings))
    plain = PlainMoco(encoder(), hidden=24)
    ours.slow_encoder.load_state_dict(ours.encoder.state_dict())
    ours.slow_projector.load_state_dict(ours.projector.state_dict())
    for whole, parts in (
        (plain.base, (ours.encoder, ours.projector)),
        (plain.slow, (ours.slow_encoder, ours.slow_projector)),
    ):
        for target, source in zip(whole, parts, strict=True):
            target.load_state_dict(source.state_dict())
    plain.predictor.load_state_dict(ours.predictor.state_dict())
    views = torch.randn(6, 2, 3, 32, 32)
    batch = Batch(views, torch.arange(6), torch.zeros(6, 0))
    expected = ours.loss(ours.encode(batch), ours.targets(batch))
    found = plain(views[:, 0], views[:, 1])
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)
