"""The files that list what exists: which are read, and what each shipped entry says."""

import pytest
import yaml

from checkout import ROOT
from medaudit.config.catalogues import PARTS, read_catalogues
from medaudit.config.validation import check
from medaudit.core.errors import MedauditError
from medaudit.models.interface import ImageInput
from shipped_config import SCHEMAS, shipped

MODELS = check(shipped(), SCHEMAS)["models"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a configuration of its own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config" / "models").mkdir(parents=True)
    return tmp_path / "config"


def write(path, *names: str) -> None:
    path.write_text(yaml.safe_dump({"models": {name: {"kind": "pixels"} for name in names}}))


def test_every_shipped_file_of_models_is_named_and_read():
    there = {path.relative_to(ROOT).as_posix() for path in (ROOT / "config/models").iterdir()}
    assert there == set(PARTS["models"])
    read = [yaml.safe_load((ROOT / part).read_text())["models"] for part in PARTS["models"]]
    assert sum(map(len, read)) == len(MODELS)


@pytest.mark.parametrize("name", MODELS)
def test_every_model_says_what_it_is(name):
    entry = MODELS[name]
    assert entry["label"]
    if entry["kind"] != "ensemble":  # whose members say it
        assert entry["source"] and entry["licence"]
        assert isinstance(entry["pretraining_data"], list)
        assert bool(entry["pretraining_data"]) == (entry["pretraining"]["objective"] != "none")


def test_what_is_done_with_a_picture_that_is_not_square_is_the_owners():
    """A default of the schema would override that of the kind."""
    expected = {"siglip_b16": "stretch", "medclip_vit": "pad", "gloria_resnet50": "pad"}
    expected |= {"clip_vit_b16": "crop", "chexzero": "pad", "rad_dino": "crop"}
    found = {name: ImageInput.from_settings(MODELS[name]).square for name in expected}
    assert found == expected


def test_labels_of_models_are_unique():
    labels = [entry["label"] for entry in MODELS.values()]
    assert len(set(labels)) == len(labels)


def test_files_in_the_users_folder_replace_the_shipped_ones(folder):
    write(folder / "models" / "b.yaml", "third")
    write(folder / "models" / "a.yaml", "second")
    write(folder / "models.yaml", "first")
    read = read_catalogues(ROOT.joinpath)
    assert list(read["models"]) == ["first", "second", "third"]
    assert "nih_6x200" in read["cohorts"]


def test_an_entry_in_two_files_is_refused(folder):
    write(folder / "models" / "a.yaml", "twice")
    write(folder / "models" / "b.yaml", "once", "twice")
    with pytest.raises(
        MedauditError, match=r"models\.twice is in config/models/a\.yaml and in con"
    ):
        read_catalogues(ROOT.joinpath)
