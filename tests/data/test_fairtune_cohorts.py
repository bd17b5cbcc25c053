"""The catalogue's cohorts of HAM10000, Fitzpatrick17k and PAPILA, through the stages they take."""

import json
from pathlib import Path

import pandas as pd
import pytest

from medaudit.config import jobs
from medaudit.config.validation import check
from medaudit.core.table_io import COHORT, read_json, read_table
from medaudit.data.cohort import cohort
from medaudit.data.manifest import manifest
from shipped_config import SCHEMAS, shipped

DATASETS = ("ham10000", "ham10000_marked", "fitzpatrick17k", "papila")


CONFIG = check(shipped(), SCHEMAS)
NAMES = [
    name
    for name, entry in CONFIG["cohorts"].items()
    if entry["dataset"] in DATASETS and not name.endswith("_pretraining")
]


@pytest.fixture(scope="module")
def manifests(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("manifest")
    for name in DATASETS:
        settings = json.loads(jobs.settings(CONFIG, "manifest", dataset=name))
        manifest(settings, output=folder / f"{name}.parquet", card=folder / f"{name}.json")
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_a_cohort_can_be_audited_by_its_attribute(name, manifests, tmp_path):
    dataset = CONFIG["cohorts"][name]["dataset"]
    output, card = tmp_path / "cohort.parquet", tmp_path / "cohort.json"
    cohort(
        json.loads(jobs.settings(CONFIG, "cohort", cohort=name)),
        manifest=manifests / f"{dataset}.parquet",
        manifest_card=manifests / f"{dataset}.json",
        output=output,
        card=card,
    )
    frame, said = read_table(output, COHORT), read_json(card)
    assert said["phantom"] and any("They are not patients" in note for note in said["notes"])
    (attribute,) = CONFIG["cohorts"][name]["attributes"]
    (task,) = said["tasks"]
    cells = pd.crosstab([frame["split"], frame[f"a_{attribute}"]], frame[f"y_{task}"])
    assert cells.shape == (6, 2) and cells.to_numpy().min() >= 3
    assert frame[f"a_{attribute}"].notna().all()
    start = read_json(manifests / f"{dataset}.json")["n_images"]
    gone = sum(step["count"] for step in said["exclusions"] if "left" in step)
    assert start - gone == len(frame)
    if name.endswith("_small"):
        assert 600 <= len(frame) <= (2400 if "overfit" in name else 1300)
        test = cells.loc["test"]
        assert test.to_numpy().min() >= 14
    stored = json.loads(jobs.settings(CONFIG, "images", cohort=name))
    assert stored["channels"] == 3
    assert "channels" not in json.loads(jobs.settings(CONFIG, "cohort", cohort=name))


def test_the_cohorts_of_the_paper_are_there():
    wanted = {"fitzpatrick17k_skin_type"} | {
        f"{dataset}_{attribute}"
        for dataset in ("ham10000", "papila", "ol3i", "oasis", "harvard_gf3300", "chexpert")
        for attribute in ("age", "sex")
    }
    wanted |= {"harvard_gf3300_race", "chexpert_age_sex"}
    assert wanted | {f"{name}_small" for name in wanted} <= set(CONFIG["cohorts"])


@pytest.mark.parametrize(
    ("key", "value", "stages"),
    [("rows", 500, {"manifest", "images"}), ("seed", 3, {"manifest", "images"})]
    + [("planted", [], {"images"}), ("marks", [], {"images"})],
)
def test_a_drawn_table_is_drawn_again_when_it_must(key, value, stages):
    changed = shipped()
    changed["datasets"]["ham10000"]["phantom"][key] = value
    changed = check(changed, SCHEMAS)
    names = {"manifest": {"dataset": "ham10000"}, "images": {"cohort": "ham10000_age"}}
    differs = {
        stage
        for stage, of in names.items()
        if jobs.settings(CONFIG, stage, **of) != jobs.settings(changed, stage, **of)
    }
    assert differs == stages


def test_jobs_depend_on_what_draws_their_pictures(monkeypatch):
    seen = []
    monkeypatch.setattr(jobs, "code_version", lambda stage, *modules: seen.append(modules))
    for name in ("ham10000_age", "papila_age"):
        jobs.code(CONFIG, "images", cohort=name)
    assert seen == [("data.phantoms.skin",), ("data.phantoms.fundus",)]


def test_adding_sex_to_a_cohort_changes_its_groups_and_audit_only():
    name, model = "ham10000_age", "vit_random"
    changed = shipped()
    changed["cohorts"][name]["attributes"] = ["age_group", "sex"]
    changed = check(changed, SCHEMAS)
    names = {"cohort": name, "model": model, "method": "fairtune"}
    of = {
        "cohort": {"cohort": name},
        "groups": {"cohort": name},
        "images": {"cohort": name},
        "embed": {"cohort": name, "model": model},
        "search": {**names, "worker": "0"},
        "best_trial": names,
        "finetune": {**names, "seed": "0"},
        "evaluate": names,
        "disparity": names,
    }
    differs = {
        stage
        for stage, job in of.items()
        if jobs.settings(CONFIG, stage, **job) != jobs.settings(changed, stage, **job)
    }
    assert differs == {"groups", "evaluate", "disparity"}
