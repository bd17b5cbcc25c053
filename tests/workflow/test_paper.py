"""The full protocol can be planned once its files are there; which are lacking is said before."""

import collections

import pytest
import yaml

from checkout import ROOT, Checkout
from shipped_config import shipped

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("workflow")]
PAPER = ("--configfile", "config/paper.yaml")


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDAUDIT_DATA", str(tmp_path / "data"))
    return Checkout.copy(tmp_path / "a checkout")


def write_files(data) -> None:
    """Put a non-empty file wherever the protocol needs one; planning reads no content."""
    catalogue = shipped()["models"]
    paper = yaml.safe_load((ROOT / "config" / "paper.yaml").read_text())
    for name in paper["studies"]["clip_nih"]["models"] + paper["studies"]["how_fair"]["models"]:
        entry = catalogue[name]
        if entry["weights"] is None:
            continue
        weights = data / entry["weights"]
        weights.parent.mkdir(parents=True, exist_ok=True)
        weights.write_bytes(b"weights")
        if entry.get("tokenizer"):
            (data / entry["tokenizer"]).mkdir(parents=True, exist_ok=True)
            (data / entry["tokenizer"] / "vocab.txt").write_text("[PAD]\n")
    remedis = data / catalogue["remedis_resnet152x2"]["weights"]
    remedis.with_suffix(".data-00000-of-00001").write_bytes(b"weights")
    (data / "CheXpert-v1.0").mkdir()
    (data / "CheXpert-v1.0" / "train.csv").write_text("Path\n")
    (data / "chexpert_split_2021_08_20.csv").write_text("index,split\n")
    (data / "nih").mkdir(parents=True)
    (data / "nih" / "Data_Entry_2017_v2020.csv").write_text("Image Index\n")


def test_the_grid_of_clip_nih_is_planned(checkout, tmp_path):
    write_files(tmp_path / "data")
    jobs = checkout.plan(*PAPER, "--config", "run=[clip_nih]")
    count = collections.Counter(rule for rule, _ in jobs)
    assert count["embed"] == 5
    assert count["zero_shot"] == 5 * 3
    assert count["probe"] == 5 * 2
    assert count["finetune"] == 5 * 4 * 3
    assert count["evaluate"] == count["disparity"] == 5 * 9


def test_the_grid_of_how_fair_is_planned(checkout, tmp_path):
    write_files(tmp_path / "data")
    jobs = checkout.plan(*PAPER, "--config", "run=[how_fair]")
    count = collections.Counter(rule for rule, _ in jobs)
    assert count["pretrain"] == 7  # MoCo v3; MAE by data, fraction and epochs
    assert count["finetune"] == 3 * 8 + 6  # balanced, unbalanced, unbalanced of equal size
    assert count["probe"] == 2
    assert count["ensemble"] == 6
    assert count["evaluate"] == count["disparity"] == 30 + 2 + 6


def test_the_grid_of_fairtune_is_planned(checkout, tmp_path):
    write_files(tmp_path / "data")
    paper = yaml.safe_load((ROOT / "config" / "paper.yaml").read_text())
    for name in paper["datasets"]:
        (tmp_path / "data" / paper["datasets"][name]["folder"]).mkdir(exist_ok=True)
    weights = "vit_base_patch16_224.augreg2_in21k_ft_in1k.safetensors"
    (tmp_path / "data" / "weights" / weights).write_bytes(b"weights")
    jobs = checkout.plan(*PAPER, "--config", "run=[fairtune]")
    count = collections.Counter(rule for rule, _ in jobs)
    searches = 14 * (12 + 1 + 5) + 2 * 6
    assert count["best_trial"] == count["evaluate"] == searches
    assert count["search"] == 4 * searches
    assert count["finetune"] == 3 * searches


def test_every_missing_file_is_named_before_any_job(checkout, tmp_path):
    done = checkout.snakemake(*PAPER)
    assert done.returncode != 0
    for lacking in ("nih", "clip/ViT-B-16.pt", "gloria/chexpert_resnet50.ckpt", "bio_clinicalbert"):
        assert str(tmp_path / "data" / lacking) in done.stdout
    assert "get it from https://openaipublic" in done.stdout
    assert "Job stats" not in done.stdout
