"""`medaudit crate`: the library opens it, every file is there, and no patient is in it."""

import shutil
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from rocrate.rocrate import ROCrate

from checkout import ROOT
from medaudit.cli.dry_run import read_config
from medaudit.cli.rebuild import rebuild
from medaudit.cli.rocrate import pack
from medaudit.cli.shared_split import FORMAT
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import PREDICTIONS, read_json, write_json, write_table
from medaudit.report.compare import compare
from synthetic_study import make_study, write_page

COHORT = "papila_age_small"
LICENCE = "https://creativecommons.org/licenses/by/4.0/"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """The results of a finished run of one study, its cohort a real (drawn) one."""
    results = tmp_path_factory.mktemp("run") / "results"
    study = make_study(results, cohorts=(COHORT,), models=("pixels",), methods=("linear",))
    compare(**study)
    config = read_config([])
    config |= {"run": ["demo"], "studies": {"demo": study["settings"]["entry"]}}
    table, card = rebuild(config, COHORT, results.parent / "made")
    shutil.copy(table, results / "cohort" / f"{COHORT}.parquet")
    write_json(card, results / "cohort" / f"{COHORT}.json")
    write_json(card, results / "groups" / f"{COHORT}.json")
    predictions = results / "predictions" / COHORT / "pixels" / "linear.parquet"
    row = {"image_id": "i", "split": "test", "task": "a", "seed": 0, "y": 1.0, "score": 0.5}
    write_table(pd.DataFrame([row]), predictions, PREDICTIONS, model="pixels")
    write_page(study, config, results, (predictions,))
    return results


@pytest.fixture
def run(finished, tmp_path) -> Path:
    """A copy of the finished run that a test may change."""
    return Path(shutil.copytree(finished, tmp_path / "results"))


def packed(results: Path, tmp_path: Path, study: str = "all") -> dict:
    (tmp_path / "made").mkdir()
    return pack(study, tmp_path / "c.zip", results, ROOT, tmp_path / "made", LICENCE)


def test_the_library_opens_it_and_every_file_is_there(finished, tmp_path):
    found = packed(finished, tmp_path)
    with zipfile.ZipFile(tmp_path / "c.zip") as archive:
        assert archive.testzip() is None
        archive.extractall(tmp_path / "crate")
    crate = ROCrate(tmp_path / "crate")
    files = [entity for entity in crate.data_entities if "File" in entity.type]
    assert len(files) == found["files"]
    for entity in files:
        assert (tmp_path / "crate" / entity.id).is_file(), entity.id
    ids = {entity.id for entity in files}
    on_disk = {
        path.relative_to(tmp_path / "crate").as_posix()
        for path in (tmp_path / "crate").rglob("*")
        if path.is_file()
    }
    assert on_disk - ids == {"ro-crate-metadata.json", "ro-crate-preview.html"}
    for name in ("results/report.html", "results/run.json", "configuration.yaml"):
        assert name in ids
    assert {"Snakefile", "config.yaml", "workflow/Snakefile", "workflow/rules/data.smk"} <= ids
    for kind in ("tables", "figures"):
        listed = read_json(finished / kind / "demo" / "index.json")[kind]
        for entry in listed:
            assert {f"results/{kind}/demo/{name}" for name in entry["files"].values()} <= ids


def test_it_says_what_ran_and_what_came_of_it(finished, tmp_path):
    packed(finished, tmp_path)
    crate = ROCrate(tmp_path / "c.zip")
    assert crate.mainEntity.id == "workflow/Snakefile"
    assert "ComputationalWorkflow" in crate.mainEntity.type
    assert crate.license == LICENCE
    action = crate.get("#run")
    assert action.type == "CreateAction"
    assert action["instrument"].id == "workflow/Snakefile"
    assert action["endTime"] == read_json(finished / "run.json")["time"]
    assert {entity.id for entity in action["object"]} == {
        "configuration.yaml",
        f"splits/{COHORT}.split.json",
    }
    results = {entity.id for entity in action["result"]}
    assert {"results/report.html", f"results/cohort/{COHORT}.json"} <= results
    profiles = {entity.id for entity in crate.root_dataset["conformsTo"]}
    assert "https://w3id.org/ro/wfrun/workflow/0.5" in profiles
    versions = read_json(finished / "run.json")["environment"]["packages"]
    assert crate.get("#pandas")["version"] == versions["pandas"] == pd.__version__


def test_nobody_is_in_it(finished, tmp_path):
    packed(finished, tmp_path)
    cohort = pd.read_parquet(finished / "cohort" / f"{COHORT}.parquet")
    names = [name.encode() for column in ("image_id", "path") for name in cohort[column].unique()]
    with zipfile.ZipFile(tmp_path / "c.zip") as archive:
        for name in archive.namelist():
            assert not name.endswith((".parquet", ".npy", ".safetensors")), name
            assert "predictions" not in name and "images/" not in name
            text = archive.read(name)
            assert not [one for one in names if one in text], name


def test_the_split_in_it_is_that_of_the_run(finished, tmp_path):
    packed(finished, tmp_path)
    with zipfile.ZipFile(tmp_path / "c.zip") as archive:
        archive.extract(f"splits/{COHORT}.split.json", tmp_path)
    split = read_json(tmp_path / "splits" / f"{COHORT}.split.json")
    cohort = pd.read_parquet(finished / "cohort" / f"{COHORT}.parquet")
    assert split["format"] == FORMAT
    assert split["n_images"] == cohort["split"].value_counts().to_dict()
    stages = read_json(finished / "run.json")["code"]["stages"]
    assert split["code"]["cohort"] == stages["cohort"]


def edit_json(path: Path, **changes) -> None:
    write_json({**read_json(path), **changes}, path)


def test_pictures_of_patients_keep_the_report_out(run, tmp_path):
    page = run / "report.html"
    page.write_text(page.read_text() + f'<img src="data:image/jpeg;base64,{"A" * 5000}">')
    card = run / "cohort" / f"{COHORT}.json"
    edit_json(card, phantom=False)
    found = packed(run, tmp_path)
    assert any("report.html was left out: it shows images" in said for said in found["remarks"])
    with zipfile.ZipFile(tmp_path / "c.zip") as archive:
        assert "results/report.html" not in archive.namelist()


def test_a_table_with_a_row_an_image_stops_it(run, tmp_path):
    (run / "compare" / "demo.csv").write_text("image_id,score\n1,2\n")
    with pytest.raises(MedauditError, match=r"demo.csv has the columns \['image_id'\]"):
        packed(run, tmp_path)
    assert not (tmp_path / "c.zip").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: (r / "run.json").unlink(), "finish the run first"),
        (lambda r: (r / "compare" / "demo.csv").unlink(), "finish the run first"),
        (
            lambda r: edit_json(r / "cohort" / f"{COHORT}.json", ids_sha256="other"),
            "does not belong to the run that",
        ),
    ],
)
def test_an_unfinished_run_is_refused(run, tmp_path, change, said):
    change(run)
    with pytest.raises(MedauditError, match=said):
        packed(run, tmp_path)


def test_an_unknown_study_is_refused(finished, tmp_path):
    with pytest.raises(MedauditError, match="the run has no study 'other'; it has demo"):
        packed(finished, tmp_path, "other")
