"""`medaudit init` on tables that no loader knows: the draft is read, and reads what is there."""

import gzip
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from hospital import write_csv, write_dicom, write_hospital
from medaudit.cli.cohort_overview import (
    PictureCheck,
    check_pictures,
    picture_problems,
    too_small,
)
from medaudit.cli.discover import Discovery, discover, write_overlay
from medaudit.cli.dry_run import read_config
from medaudit.cli.rebuild import rebuild
from medaudit.core.errors import MedauditError
from medaudit.data import datasets


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")


@pytest.fixture(scope="module")
def config() -> dict:
    return read_config([])


def drafted(folder: Path, config: dict) -> tuple[Discovery, dict, pd.DataFrame]:
    """Return the discovery, the entry as the overlay gives it, and the rows that it reads."""
    found = discover(folder, config)
    output = folder.parent / "medaudit.yaml"
    write_overlay(found, config, output, read_config, force=True)
    name = found.draft.name
    merged = read_config([output])
    entry = merged["datasets"][name]
    assert merged["cohorts"][name]["dataset"] == name and merged["run"] == ["found"]
    return found, entry, datasets.load({**entry, "name": name}).frame


def touch(folder: Path, names: list[str]) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / name), np.full((4, 4), 9, np.uint8))


def test_one_flat_table_without_suffixes_as_brset_has_it(config, tmp_path):
    folder = tmp_path / "fundus"
    rows = [
        {"image_id": f"img{k:05d}", "patient_id": 1 + k // 2, "camera": ("Canon", "Nikon")[k % 3 > 0],
         "patient_age": "" if k == 3 else 30 + k % 50, "patient_sex": 1 + k % 2, "quality": "good",
         "diabetic_retinopathy": int(k % 5 == 0), "drusens": int(k % 7 == 0), "exam_eye": 1 + k % 2}
        for k in range(60)
    ]  # fmt: skip
    write_csv(folder / "labels.csv", rows)
    touch(folder, [f"photos/img{k:05d}.png" for k in range(60)])
    found, entry, frame = drafted(folder, config)
    assert entry["columns"] == {
        "path": "photos/{image_id}.png",
        "patient": "patient_id",
        "age": "patient_age",
    }
    assert (found.draft.images, found.draft.seen, found.draft.sampled) == (60, 60, 60)
    assert frame["y_diabetic_retinopathy"].tolist() == [float(k % 5 == 0) for k in range(60)]
    assert frame["age"].isna().sum() == 1 and frame["patient_id"].nunique() == 30
    assert any(line.startswith("groups.sex: which of") for line in found.draft.unsure)
    assert "camera: camera    # Canon, Nikon" in found.draft.others


def test_lists_of_findings_in_folders_as_padchest_has_them(config, tmp_path):
    folder = tmp_path / "pad"
    words = [["pneumonia"], ["normal"], ["cardiomegaly", "pneumonia"], ["effusion"], ["normal"]]
    rows = [
        {"": k, "ImageID": f"{k}_x.png", "ImageDir": k % 3, "PatientID": f"P{k // 2}",
         "StudyDate_DICOM": 20100101 + k % 20, "PatientBirth": 1950 + k % 40,
         "PatientSex_DICOM": "MF"[k % 2], "Projection": ("PA", "AP", "L")[k % 3],
         "Labels": str(words[k % 5])}
        for k in range(90)
    ]  # fmt: skip
    text = pd.DataFrame(rows).to_csv(index=False)
    folder.mkdir()
    (folder / "PADCHEST.csv.gz").write_bytes(gzip.compress(text.encode()))
    touch(folder, [f"{k % 3}/{k}_x.png" for k in range(90)])
    _, entry, frame = drafted(folder, config)
    assert entry["columns"]["path"] == "{ImageDir}/{ImageID}"
    assert entry["columns"]["patient"] == "PatientID" and entry["columns"]["view"] == "Projection"
    assert entry["groups"]["sex"]["levels"] == {"female": ["F"], "male": ["M"]}
    for word in ("pneumonia", "cardiomegaly", "effusion"):
        assert frame[f"y_{word}"].tolist() == [float(word in words[k % 5]) for k in range(90)]
    assert "y_normal" not in frame


def test_paths_of_another_machine_the_owners_split_and_uncertain_labels(config, tmp_path):
    folder = tmp_path / "moved"
    rows = [
        {"Path": f"/data/xray/v2/p{k // 2}/view{k % 2}.png", "subject": f"s{k // 2}",
         "sex": ("Female", "Male", "Unknown")[k // 2 % 3], "Age": f"{40 + k % 40:03d}Y",
         "Race": ("White", "Black", "Asian")[k % 3], "set": ("train", "validate", "test")[k // 2 % 3],
         "Edema": ("1.0", "0.0", "-1.0", "")[k % 4]}
        for k in range(60)
    ]  # fmt: skip
    write_csv(folder / "all.csv", rows)
    touch(folder, [f"images/p{k // 2}/view{k % 2}.png" for k in range(60)])
    found, entry, frame = drafted(folder, config)
    assert entry["locate"] == "anywhere"
    assert frame["path"].tolist() == [f"images/p{k // 2}/view{k % 2}.png" for k in range(60)]
    assert frame["a_official_split"].tolist() == [
        ("train", "val", "test")[k // 2 % 3] for k in range(60)
    ]
    assert found.draft.cohort["split"] == {"kind": "official", "attribute": "official_split"}
    assert entry["labels"]["Edema"] == {"column": "Edema", "uncertain": ["-1.0"]}
    assert frame["y_Edema"].isna().sum() == 30
    assert set(frame["a_sex"]) == {"female", "male", "unknown"}
    assert any("30 of 60 pictures lack" in line for line in found.draft.unsure)


def test_labels_in_a_table_and_patients_in_the_headers_as_vindr_has_them(config, tmp_path):
    folder = tmp_path / "vindr"
    rows = [{"image_id": f"{k:032x}", "Pneumonia": int(k % 4 == 0)} for k in range(40)]
    write_csv(folder / "labels.csv", rows)
    for k, row in enumerate(rows):
        write_dicom(
            folder / "train" / f"{row['image_id']}.dicom",
            np.full((8, 8), k),
            PatientSex="FMO"[k % 3],
            PatientAge=f"{20 + k:03d}Y",
            StationName=f"S{k % 2}",
        )
    _, entry, frame = drafted(folder, config)
    template = "train/{image_id}.dicom"
    assert [(join["table"], join["on"]) for join in entry["join"]] == [
        ("(dicom)", {template: "File"})
    ]
    assert entry["columns"]["path"] == template and entry["columns"]["age"] == "PatientAge"
    assert frame["age"].tolist() == [20.0 + k for k in range(40)]
    assert frame["a_sex"].tolist() == [("female", "male", "unknown")[k % 3] for k in range(40)]
    assert frame["y_Pneumonia"].tolist() == [float(k % 4 == 0) for k in range(40)]


def test_a_table_that_names_no_picture_is_said(config, tmp_path):
    folder = tmp_path / "none"
    write_csv(folder / "t.csv", [{"a": k, "b": k % 2} for k in range(20)])
    with pytest.raises(
        MedauditError, match=r"no column with the names of pictures.*docs/your-data"
    ):
        discover(folder, config)


def test_an_entry_of_the_catalogue_is_found_by_its_tables(config, tmp_path):
    """The dataset's own entry, moved to another folder; a table of the same name is not it."""
    folder = tmp_path / "our hospital"
    write_hospital(folder, 40)
    found, entry, frame = drafted(folder, config)
    known = {**config, "datasets": {**config["datasets"], "theirs": {**entry, "folder": "x"}}}
    known["cohorts"] = {**config["cohorts"], "theirs": {**found.draft.cohort, "dataset": "theirs"}}
    again = discover(folder, known)
    assert [(one.name, one.folder, one.images) for one in again.datasets] == [
        ("theirs", folder, 40)
    ]
    assert again.draft is None and again.datasets[0].seen == 40
    write_overlay(again, known, tmp_path / "o.yaml", lambda files: known)
    assert "- theirs" in (tmp_path / "o.yaml").read_text()
    (folder / "radiology_export.csv").write_text("a,b\n1,2\n")
    assert discover(folder, known).datasets == []


@pytest.fixture(scope="module")
def hospital(tmp_path_factory, config) -> tuple[Path, dict]:
    folder = tmp_path_factory.mktemp("h") / "our hospital"
    write_hospital(folder)
    output = folder.parent / "medaudit.yaml"
    write_overlay(discover(folder, config), config, output, read_config)
    return folder, read_config([output])


def test_what_will_be_too_small_is_what_a_count_says(hospital, tmp_path):
    folder, config = hospital
    table, card = rebuild(config, "our_hospital", tmp_path)
    test = pd.read_parquet(table).query("split == 'test'")
    minimum = config["evaluation"]["minimum"]
    expected = set()
    for attribute in (a for a in card["attributes"] if isinstance(a, str)):
        for group, rows in test.groupby(f"a_{attribute}"):
            small = len(rows) < minimum["n"]
            for task in card["tasks"]:
                y = rows[f"y_{task}"]
                small |= (y == 1).sum() < minimum["n_pos"] or (y == 0).sum() < minimum["n_neg"]
            if small:
                expected.add(f"{attribute} {group}")
    said = {line.partition(" has ")[0] for line in too_small(config, card)}
    assert {one for one in said if " & " not in one} == expected and expected


def test_pictures_of_a_cohort_are_looked_for_and_opened(hospital, config, tmp_path):
    folder = tmp_path / "our hospital"
    write_hospital(folder, 60)
    output = tmp_path / "o.yaml"
    write_overlay(discover(folder, config), config, output, read_config)
    merged = read_config([output])
    table, _ = rebuild(merged, "our_hospital", tmp_path / "built")
    whole = check_pictures(merged, "our_hospital", table)
    assert (whole.there, whole.broken, whole.opened) == (whole.looked_for, 0, 20)
    paths = pd.read_parquet(table)["path"]
    (folder / paths.iloc[5]).unlink()
    (folder / paths.iloc[0]).write_bytes(b"no picture")
    found = check_pictures(merged, "our_hospital", table)
    assert (found.there, found.broken) == (whole.looked_for - 1, 1)
    assert found.first_missing == paths.iloc[5] and found.first_broken.startswith(paths.iloc[0])


def test_pictures_that_are_missing_or_broken_stop_the_check(tmp_path):
    good = PictureCheck(looked_for=200, there=200, opened=20, broken=0)
    assert list(picture_problems("c", good, tmp_path, "fail")) == []
    one_lacks = PictureCheck(200, 199, 20, 1, "a.png", "b.png: the file has 0 bytes")
    said = list(picture_problems("c", one_lacks, tmp_path, "fail"))
    assert "1 of 200 sampled pictures" in said[0] and "a.png" in said[0]
    assert "1 of 20 opened pictures" in said[1] and "0 bytes" in said[1]
    assert list(picture_problems("c", one_lacks, tmp_path, "exclude")) == []
    none = PictureCheck(200, 0, 0, 0, "a.png")
    assert len(list(picture_problems("c", none, tmp_path, "exclude"))) == 1
