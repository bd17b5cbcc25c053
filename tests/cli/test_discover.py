"""`medaudit init`: each dataset in its owner's layout is recognised, and the overlay works."""

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from checkout import Checkout
from chexpert_tree import ROWS as CHEXPERT
from chexpert_tree import touch
from chexpert_tree import write_table as write_chexpert
from medaudit.cli import main
from medaudit.cli.discover import discover, write_overlay
from medaudit.cli.discover.find_datasets import find_datasets
from medaudit.cli.discover.find_weights import find_models
from medaudit.cli.dry_run import read_config
from medaudit.config.validation import check_files
from medaudit.core.errors import MedauditError
from medaudit.data import datasets
from medaudit.data.phantoms.export import write_phantom
from nih_tree import HEADER, ROWS
from papila_tree import write_pictures, write_sheet
from scan_trees import write_gf, write_oasis, write_ol3i
from skin_trees import write_fitzpatrick, write_ham


@pytest.fixture(scope="module")
def config() -> dict:
    return read_config([])


def nih(folder: Path) -> None:
    lines = [",".join([*row[:2], "0", *row[2:], "1,1,1,1"]) for row in ROWS]
    (folder / "Data_Entry_2017_v2020.csv").write_text("\n".join([HEADER, *lines]))
    for number, row in enumerate(ROWS):
        place = folder / f"images_{number % 2 + 1:03d}" / "images"
        place.mkdir(parents=True, exist_ok=True)
        (place / row[0]).touch()


def chexpert(folder: Path) -> None:
    write_chexpert(folder / "train.csv", CHEXPERT)
    touch(folder, CHEXPERT)


def ol3i(folder: Path) -> None:
    write_ol3i(folder)
    (folder / "l3_slices.h5").touch()


def harvard(folder: Path) -> None:
    write_gf(folder)
    for use, number in (("Training", 1), ("Validation", 2), ("Test", 3), ("Training", 4)):
        (folder / use).mkdir(exist_ok=True)
        (folder / use / f"data_{number:04d}.npz").touch()


def papila(folder: Path) -> None:
    for eye, name in enumerate(("od", "os")):
        write_sheet(folder / "ClinicalData" / f"patient_data_{name}.xlsx", eye)
    write_pictures(folder / "FundusImages")


WRITERS = {
    "nih": nih,
    "chexpert": chexpert,
    "ham10000": lambda folder: write_ham(folder, "HAM10000_metadata", ","),
    "fitzpatrick17k": lambda folder: write_fitzpatrick(folder, "images"),
    "papila": papila,
    "ol3i": ol3i,
    "oasis": write_oasis,
    "harvard_gf3300": harvard,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_dataset_is_recognised_and_its_overlay_reads_it(name, config, tmp_path):
    folder = tmp_path / "some data" / name
    folder.mkdir(parents=True)
    WRITERS[name](folder)
    found = discover(tmp_path, config)
    assert [(one.name, one.folder) for one in found.datasets] == [(name, folder)]
    assert found.problems == []
    output = tmp_path / "medaudit.yaml"
    write_overlay(found, config, output, read_config)
    merged = read_config([output])
    check_files(merged)
    assert merged["run"] == ["found"]
    entry = {**merged["datasets"][name], "name": name}
    rows = datasets.load(entry).frame
    own = datasets.load({**config["datasets"][name], "name": name, "folder": str(folder)}).frame
    assert rows.equals(own)
    assert found.datasets[0].images == len(rows)
    files = [folder / path.partition("#")[0] for path in rows["path"]]
    assert found.datasets[0].seen == sum(path.is_file() for path in files)
    cohort = merged["cohorts"][merged["studies"]["found"]["cohorts"][0]]
    assert cohort["dataset"] == name
    for part in cohort["attributes"]:
        for attribute in [part] if isinstance(part, str) else part:
            assert attribute == "age_group" or rows[f"a_{attribute}"].notna().any()


def test_every_loader_says_how_its_tables_are_called(config):
    loaders = {entry["loader"] for entry in config["datasets"].values()}
    assert {*WRITERS, "columns"} == loaders  # an entry of `columns` names its table itself


def test_without_demographics_chexpert_is_not_audited_by_race(config, tmp_path):
    chexpert(tmp_path / "CheXpert-v1.0-small")
    output = tmp_path / "o.yaml"
    write_overlay(discover(tmp_path, config), config, output, read_config)
    assert yaml.safe_load(output.read_text())["cohorts"]["chexpert_glocker"]["attributes"] == [
        "sex"
    ]
    assert "# these tables have no value of race" in output.read_text()


def test_a_table_that_only_looks_like_one_is_said(config, tmp_path):
    papila(tmp_path / "papila")
    (tmp_path / "titanic").mkdir()
    (tmp_path / "titanic" / "train.csv").write_text("PassengerId,Survived\n1,0\n")
    found = discover(tmp_path, config)
    assert [one.name for one in found.datasets] == ["papila"]
    assert "titanic/train.csv cannot be read as chexpert" in found.problems[0]
    output = tmp_path / "o.yaml"
    write_overlay(found, config, output, read_config)
    assert "# - " in output.read_text() and "titanic" in output.read_text()


def test_of_two_copies_the_fuller_is_taken(config, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        nih(tmp_path / name)
    for path in (tmp_path / "a").rglob("*.png"):
        path.unlink()
    files = sorted(tmp_path.glob("*/*.csv"))
    found, problems = find_datasets(config["datasets"], tmp_path, files)
    assert [one.folder for one in found] == [tmp_path / "b"]
    assert problems == [f"{tmp_path / 'a'} has nih too; {tmp_path / 'b'} is used"]


def entry(weights: str, **more) -> dict:
    return {"kind": "timm", "weights": weights, "licence": "none", **more}


def test_weights_are_known_by_place_name_or_hash(tmp_path):
    content = {name: name.encode() * 9 for name in ("named.pth", "other.pt", "pytorch_model.bin")}
    for name, text in content.items():
        (tmp_path / name).write_bytes(text)
    (tmp_path / "plip").mkdir()
    (tmp_path / "plip" / "pytorch_model.bin").write_bytes(b"weights of plip")
    catalogue = {
        "by_name": entry("weights/named.pth"),
        "by_hash": entry("x/unseen.pt", sha256=hashlib.sha256(content["other.pt"]).hexdigest()),
        "by_place": entry("plip/pytorch_model.bin"),
        "ambiguous": entry("medclip/pytorch_model.bin"),
        "wrong": entry("weights/named.pth", sha256="0" * 64),
        "random": entry(None),
        "made": entry("weights/named.pth", pretrained="clip_small"),
    }
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    found, problems = find_models(catalogue, files)
    assert {one.name: (one.weights.relative_to(tmp_path).as_posix(), one.how) for one in found} == {
        "by_name": ("named.pth", "name"),
        "by_hash": ("other.pt", "SHA-256"),
        "by_place": ("plip/pytorch_model.bin", "name"),
    }
    assert problems == []


def test_a_file_name_that_any_model_has_does_not_tell_the_model(tmp_path):
    (tmp_path / "llama").mkdir()
    files = [tmp_path / "llama" / "model-00001-of-00002.safetensors"]
    files[0].write_bytes(b"weights")
    catalogue = {"tower": entry("medgemma/model-00001-of-00002.safetensors")}
    assert find_models(catalogue, files) == ([], [])


def test_a_text_tower_needs_its_tokenizer_and_a_pointer_is_no_weights(tmp_path):
    (tmp_path / "a.ckpt").write_bytes(b"weights")
    (tmp_path / "b.pth").write_bytes(b"version https://git-lfs.github.com/spec/v1\noid 1")
    catalogue = {
        "text": entry("gloria/a.ckpt", tokenizer="bert", tokenizer_source="https://its.owner"),
        "pointer": entry("w/b.pth"),
    }
    files = sorted(tmp_path.iterdir())
    found, problems = find_models(catalogue, files)
    assert found == []
    assert "its tokenizer is missing: get it from https://its.owner" in problems[0]
    assert "Git LFS pointer" in problems[1]
    (tmp_path / "bert").mkdir()
    (tmp_path / "bert" / "vocab.txt").touch()
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    assert find_models(catalogue, files)[0][0].tokenizer == tmp_path / "bert"


def test_models_that_read_more_pixels_get_them_stored(config, tmp_path):
    (tmp_path / "mae_pretrain_vit_base.pth").write_bytes(b"weights")
    nih(tmp_path)
    output = tmp_path / "o.yaml"
    write_overlay(discover(tmp_path, config), config, output, read_config)
    merged = read_config([output])
    assert merged["cohorts"]["nih_6x200"]["image_size"] == 256
    assert merged["studies"]["found"]["models"] == ["pixels", "mae_vit_b16"]
    assert merged["models"]["mae_vit_b16"]["weights"] == str(tmp_path / "mae_pretrain_vit_base.pth")


def test_nothing_is_overwritten_and_nothing_found_is_an_error(config, tmp_path, monkeypatch):
    papila(tmp_path / "papila")
    monkeypatch.chdir(tmp_path)
    Path("medaudit.yaml").write_text("mine: true\n")
    with pytest.raises(SystemExit) as end:
        main(["init", "papila"])
    assert "medaudit.yaml exists" in str(end.value)
    assert Path("medaudit.yaml").read_text() == "mine: true\n"
    main(["init", "papila", "--force"])
    assert "papila" in Path("medaudit.yaml").read_text()
    (tmp_path / "empty").mkdir()
    for folder, said in ((tmp_path / "empty", "found no dataset"), (tmp_path / "no", "no folder")):
        with pytest.raises(MedauditError, match=said):
            discover(folder, config)


@pytest.mark.workflow
@pytest.mark.xdist_group("workflow")
def test_what_init_writes_passes_check(config, tmp_path):
    phantom = {**config["datasets"]["papila"], "phantom": {"rows": 150, "planted": []}}
    write_phantom({**phantom, "name": "papila"}, tmp_path / "data" / "papila", 32)
    checkout = Checkout.copy(tmp_path / "a checkout")
    for arguments in (["init", str(tmp_path / "data")], ["check", "--configfile", "medaudit.yaml"]):
        done = subprocess.run(
            [sys.executable, "-m", "medaudit", *arguments],
            cwd=checkout.folder,
            env=checkout.environment(),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert "Everything that the run needs is there." in done.stdout
