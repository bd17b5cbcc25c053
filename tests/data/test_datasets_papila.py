"""PAPILA: trees written here in its owner's layout, and the real tables where there are any."""

import csv
import math
import zipfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from checkout import ROOT
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import MANIFEST, check_table
from medaudit.data import datasets
from medaudit.data.cohort.subjects import build
from medaudit.data.group_levels import age_group
from papila_tree import PEOPLE, write_pictures, write_sheet

COHORTS = yaml.safe_load((ROOT / "config" / "cohorts.yaml").read_text())["cohorts"]
PAPILA = {"loader": "papila", "name": "papila", "folder": "papila"}
LONG = "PapilaDB-PAPILA-17f8fa7746adb20275b5b6a0d99dc9dfe3007e9f"


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("MEDAUDIT_DATA", str(tmp_path))
    return tmp_path / "papila"


def write_csv(path: Path, eye: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["", "ID", "Gender", "Age", "Diagnosis", "dioptre_1"])
        for row, (number, values) in enumerate(PEOPLE.items()):
            code = values[2 + eye]
            codes = [f"{values[1]}.0", f"{values[0]}.0", "" if code is None else f"{code}.0"]
            writer.writerow([row, f"#{number:03d}", *codes, "0.75"])


@pytest.mark.parametrize("below", ["", LONG])
@pytest.mark.parametrize("form", ["xlsx", "csv"])
def test_papila_is_read_in_its_forms(root, caplog, below, form):
    base, write = root / below, write_sheet if form == "xlsx" else write_csv
    for eye, name in enumerate(("od", "os")):
        write(base / "ClinicalData" / f"patient_data_{name}.{form}", eye)
    write_pictures(base / "FundusImages")
    source = datasets.load(PAPILA)
    frame = source.frame
    check_table(frame, MANIFEST, "papila")
    numbers = [f"{number:03d}" for number in PEOPLE]
    assert frame["patient_id"].tolist() == numbers * 2
    assert frame["image_id"].tolist() == [f"RET{n}{eye}" for eye in ("OD", "OS") for n in numbers]
    assert frame["view"].tolist() == ["OD"] * 4 + ["OS"] * 4
    assert frame["age"].tolist() == [47, 58, 89, 60] * 2
    assert frame["a_sex"].tolist() == ["male", "female", "female", "male"] * 2
    label = [None if math.isnan(value) else int(value) for value in frame["y_glaucoma"]]
    assert label == [None, 1, 0, 0, 1, 1, 0, None]
    known = ["suspect", "glaucoma", "healthy", "healthy", "glaucoma", "glaucoma", "healthy"]
    assert frame["a_diagnosis"].tolist()[:7] == known
    assert frame["a_diagnosis"].isna().tolist() == [False] * 7 + [True]
    assert source.exclusions[0]["count"] == 1
    assert (root / frame["path"][2]).is_file()
    assert frame["path"][3] == (Path(below) / "FundusImages" / "RET031OD.jpg").as_posix()
    assert "2 of 8 images are not below" in caplog.text
    assert len(datasets.source_tables(PAPILA)) == 2


def test_the_owners_sheet_is_preferred_and_columns_are_found_by_name(root):
    moved = ((None, "Gender", "Diagnosis", "Age"), ("ID",))
    people = {n: (v[1], v[2], v[0], v[0]) for n, v in PEOPLE.items()}  # gender, diagnosis, age
    for eye, name in enumerate(("od", "os")):
        path = root / "ClinicalData" / f"patient_data_{name}.xlsx"
        write_sheet(path, eye, moved, people)
        write_csv(path.with_suffix(".csv"), eye)
    frame = datasets.load(PAPILA).frame
    assert frame["age"].tolist() == [47, 58, 89, 60] * 2
    assert frame["a_diagnosis"].tolist() == ["suspect", "glaucoma", "healthy", "healthy"] * 2


@pytest.mark.parametrize(
    ("person", "message"),
    [
        ((47, 3, 0, 0), "column 'Gender' has the unknown codes .3.0.; known"),
        ((47, 1, 7, 0), "column 'Diagnosis' has the unknown codes .7.0."),
        (("old", 1, 0, 0), "column 'Age' must have numbers"),
        ((470, 1, 0, 0), "'Age' has values from 47 to 470"),
    ],
)
def test_an_unknown_code_is_said(root, person, message):
    for eye, name in enumerate(("od", "os")):
        path = root / "ClinicalData" / f"patient_data_{name}.xlsx"
        write_sheet(path, eye, people=PEOPLE | {99: person})
    with pytest.raises(MedauditError, match=message):
        datasets.load(PAPILA)


def test_broken_and_absent_sheets_are_said(root):
    path = root / "ClinicalData" / "patient_data_od.xlsx"
    write_sheet(path, 0)
    with pytest.raises(MedauditError, match="no ClinicalData/patient_data_os.xlsx"):
        datasets.load(PAPILA)
    write_sheet(path.with_name("patient_data_os.xlsx"), 1, people={})
    with pytest.raises(MedauditError, match="no row whose first cell is like #002"):
        datasets.load(PAPILA)
    path.write_bytes(b"PK\x03\x04 not a workbook")
    with pytest.raises(MedauditError, match="cannot read .*patient_data_od.xlsx"):
        datasets.load(PAPILA)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("hello.txt", "no workbook in here")
    with pytest.raises(MedauditError, match="cannot read .*patient_data_od.xlsx"):
        datasets.load(PAPILA)


def cohort_of(name: str, frame):
    entry, chain = {}, name
    while chain:
        entry, chain = COHORTS[chain] | entry, COHORTS[chain].get("extends")
    settings = {"name": name, **entry}
    return build(frame.assign(a_age_group=age_group(frame["age"], settings)), settings)


def test_the_cohort_follows_medfairs_recipe_and_says_what_the_paper_leaves_open():
    raw = datasets.load({"loader": "papila", "folder": None}).frame
    assert len(raw) == 488
    rows = [row for row in raw.to_dict("records") if not math.isnan(row["y_glaucoma"])]
    ids = sorted({row["patient_id"] for row in rows})
    order = [ids[k] for k in np.random.RandomState(5).permutation(len(ids))]
    n = math.ceil(0.3 * len(ids))
    held = [order[:n][k] for k in np.random.RandomState(15).permutation(n)]
    tested = set(held[: math.ceil(0.66 * n)])
    expected = {
        row["image_id"]: "test"
        if row["patient_id"] in tested
        else ("val" if row["patient_id"] in held else "train")
        for row in rows
    }
    selection = cohort_of("papila_age", raw)
    frame = selection.frame
    assert dict(zip(frame["image_id"], frame["split"], strict=True)) == expected
    assert set(frame["a_age_group"]) == {"<=60", ">60"}
    assert any("Table 11 repeats that of OASIS" in note for note in selection.notes)
    other = cohort_of("papila_age_80_10_10", raw).frame
    shares = other.drop_duplicates("patient_id")["split"].value_counts(normalize=True)
    assert shares["train"] == pytest.approx(0.8, abs=0.01)
    assert set(other["image_id"]) == set(frame["image_id"])


def test_the_real_papila_has_the_published_eyes():
    base = datasets.data_root()
    base = base if base.is_absolute() else ROOT / base
    patterns = ("ClinicalData", "*/ClinicalData", "*/PapilaDB*/ClinicalData")
    found = [place for p in patterns for place in base.glob(f"{p}/patient_data_od.xlsx")]
    if not found:
        pytest.skip(f"there is no patient_data_od.xlsx in {base}: get it from its owner")
    folder = found[0].parent.parent.absolute()
    frame = datasets.load(PAPILA | {"folder": str(folder)}).frame
    labelled = frame[frame["y_glaucoma"].notna()]
    assert (len(frame), frame["patient_id"].nunique(), len(labelled)) == (488, 244, 420)
    assert labelled["a_sex"].value_counts().to_dict() == {"female": 274, "male": 146}
