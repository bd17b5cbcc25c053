"""Datasets written to disk for trying are read by their entries, and stay marked as drawn."""

import json

import numpy as np
import pytest

from medaudit.config import jobs
from medaudit.config.validation import check
from medaudit.core.table_io import read_json
from medaudit.data import datasets
from medaudit.data.cohort import cohort
from medaudit.data.images import images
from medaudit.data.images.pixel_sources import read_files
from medaudit.data.manifest import manifest
from medaudit.data.phantoms.export import PATIENTS, WRITERS, main, write_phantom
from medaudit.data.phantoms.export_files import EMBEDDED
from medaudit.data.phantoms.layouts import WRITERS as LAYOUTS
from shipped_config import SCHEMAS, shipped

CONFIG = check(shipped(), SCHEMAS)


@pytest.fixture(autouse=True)
def own_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_every_dataset_of_the_catalogue_can_be_written():
    loaders = {entry["loader"] for entry in CONFIG["datasets"].values()}
    assert loaders == {*WRITERS, *EMBEDDED, "columns"}
    assert PATIENTS >= 100


@pytest.mark.parametrize("name", [*EMBEDDED, *LAYOUTS])
def test_what_is_written_is_read_with_all_its_pictures(name, tmp_path):
    entry = {**CONFIG["datasets"][name], "name": name}
    written = write_phantom({**entry, "phantom": {**entry.get("phantom", {}), "rows": 24}},
                            tmp_path / "data", 32)  # fmt: skip
    entry["folder"] = str(tmp_path / "data")
    source = datasets.load(entry)
    frame = source.frame
    assert sorted(frame["image_id"]) == sorted(written["image_id"]) and len(frame) >= 12
    assert source.notes[0] == datasets.NOTE_OF_DRAWN
    chunk = read_files(frame, {"dataset": entry, "image_size": 32}, 1)
    assert set(chunk.status) == {"ok"}, set(chunk.errors)
    assert min(image.std() for image in chunk.images) > 5
    if name in LAYOUTS:
        label = next(c for c in frame if c.startswith("y_"))
        assert {image.shape[:2] for image in chunk.images} == {(32, 32)}
        middle = np.stack(chunk.images)[:, 17:21, 11:15].reshape(len(frame), -1).mean(axis=1)
        ill = (frame[label] == 1).to_numpy()
        assert middle[ill].min() > middle[~ill].max()


def test_outputs_of_an_exported_dataset_are_marked_as_drawn(tmp_path):
    config = shipped()
    planted = [{"where": {"sex": "female"}, "findings": "all", "visibility": 0.25}]
    entry = {**CONFIG["datasets"]["nih"], "name": "nih"}
    entry["phantom"] = {"planted": planted, "rows": 500}
    write_phantom(entry, tmp_path / "nih", 32)
    config["datasets"]["nih"]["folder"] = str(tmp_path / "nih")
    config["cohorts"]["nih_pretraining"] |= {"images_per_task": 3, "image_size": 32}
    config["cohorts"]["nih_pretraining"]["split"] = {"train": 0.5, "val": 0.25, "test": 0.25}
    config = check(config, SCHEMAS)
    manifest(
        json.loads(jobs.settings(config, "manifest", dataset="nih")),
        output=tmp_path / "m.parquet",
        card=tmp_path / "m.json",
    )
    name = "nih_pretraining"
    cohort(
        json.loads(jobs.settings(config, "cohort", cohort=name)),
        manifest=tmp_path / "m.parquet",
        manifest_card=tmp_path / "m.json",
        output=tmp_path / "c.parquet",
        card=tmp_path / "c.json",
    )
    for card in (read_json(tmp_path / "m.json"), read_json(tmp_path / "c.json")):
        assert card["phantom"] is True
        assert datasets.NOTE_OF_DRAWN in card["notes"]
    images(
        json.loads(jobs.settings(config, "images", cohort=name)),
        cohort=tmp_path / "c.parquet",
        output=tmp_path / "store",
        threads=1,
    )
    stored = read_json(tmp_path / "store" / "card.json")
    assert stored["phantom"] is True and stored["planted"] == planted
    assert stored["counts"]["ok"] == 18
    marker = tmp_path / "nih" / datasets.DRAWN
    assert marker in datasets.source_tables({**entry, "folder": str(tmp_path / "nih")})
    marker.unlink()
    assert datasets.what_is_drawn({**entry, "folder": str(tmp_path / "nih")}) is None


def test_the_command(tmp_path, monkeypatch):
    from checkout import ROOT

    catalogue = str(ROOT / "config" / "datasets.yaml")
    arguments = ["ddi", str(tmp_path / "ddi"), "--rows", "12", "--size", "32"]
    monkeypatch.setattr("sys.argv", ["export", *arguments, "--catalogue", catalogue])
    main()
    assert len(list((tmp_path / "ddi").glob("*.png"))) == 12
    assert (tmp_path / "ddi" / datasets.DRAWN).is_file()
