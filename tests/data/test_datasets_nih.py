"""NIH ChestX-ray14: the real table, and trees written here as its owner ships them."""

import gzip

import numpy as np
import pandas as pd
import pytest

from medaudit.core.errors import MedauditError
from medaudit.data.datasets import load
from nih_tree import HEADER, ROWS

REAL_COUNTS = {
    "Infiltration": 19_894,
    "Effusion": 13_317,
    "Atelectasis": 11_559,
    "Nodule": 6_331,
    "Mass": 5_782,
    "Pneumothorax": 5_302,
    "Consolidation": 4_667,
    "Pleural_Thickening": 3_385,
    "Cardiomegaly": 2_776,
    "Emphysema": 2_516,
    "Edema": 2_303,
    "Fibrosis": 1_686,
    "Pneumonia": 1_431,
    "Hernia": 227,
}


@pytest.fixture(scope="module")
def real():
    return load({"loader": "nih", "folder": None})


@pytest.fixture
def tree(tmp_path):
    """Write a folder of the given name and rows; return settings that point to it."""

    def write(name="Data_Entry_2017_v2020.csv", rows=ROWS, header=HEADER, end="", age="{}"):
        lines = [
            f"{image},{labels},0,{patient},{age.format(years)},{sex},{view},2682,2749,0.143,0.143"
            for image, labels, patient, years, sex, view in rows
        ]
        text = "".join(line + end + "\n" for line in (header, *lines))
        (tmp_path / name).write_bytes(
            gzip.compress(text.encode()) if name.endswith(".gz") else text.encode()
        )
        return {"loader": "nih", "name": "nih", "folder": str(tmp_path)}

    return write


def test_the_real_table_has_its_published_counts(real):
    frame = real.frame
    assert (len(frame), frame["patient_id"].nunique()) == (112_120, 30_805)
    assert {f: int(frame[f"y_{f}"].sum()) for f in REAL_COUNTS} == REAL_COUNTS
    assert sum(c.startswith("y_") for c in frame) == 14
    findings = frame[[c for c in frame if c.startswith("y_")]].sum(axis=1)
    assert ((findings == 0).sum(), (findings == 1).sum()) == (60_361, 91_324 - 60_361)
    assert frame["a_sex"].value_counts().to_dict() == {"male": 63_340, "female": 48_780}
    people = frame.drop_duplicates("patient_id")
    assert people["a_sex"].value_counts().to_dict() == {"male": 16_630, "female": 14_175}
    assert frame["view"].value_counts().to_dict() == {"PA": 67_310, "AP": 44_810}
    age = frame["age"]
    assert (age.min(), age.max(), (age == 0).sum(), (age < 18).sum(), (age >= 60).sum()) == (
        (0, 95, 14, 5_402, 26_438)
    )
    assert real.exclusions == []


@pytest.mark.parametrize(
    ("name", "end", "age", "header"),
    [
        ("Data_Entry_2017.csv", ",", "{:0>3}Y", HEADER),
        ("Data_Entry_2017.csv", "", "{}", HEADER),
        ("Data_Entry_2017_v2020.csv", "", "{}", HEADER.replace("Gender", "Sex")),
        ("Data_Entry_2017_v2020.csv.gz", "", "{}", HEADER),
        ("Data_Entry_2017.csv", "", "{}", "\ufeff" + HEADER),
    ],
    ids=["2017", "kaggle", "newest", "gzip", "byte order mark"],
)
def test_all_forms_of_the_table_read_alike(tree, name, end, age, header):
    frame = load(tree(name=name, end=end, age=age, header=header)).frame
    assert list(frame["image_id"]) == [row[0] for row in ROWS]
    assert list(frame["patient_id"]) == ["1", "1", "2", "13"]
    assert list(frame["age"]) == [58, 58, 81, 5]
    assert list(frame["a_sex"]) == ["male", "male", "female", "female"]
    assert list(frame["view"]) == ["PA", "PA", "AP", "AP"]
    positive = frame.set_index("image_id").filter(like="y_").stack()
    assert set(positive[positive == 1].index) == {
        ("00000001_000.png", "y_Cardiomegaly"),
        ("00000001_001.png", "y_Cardiomegaly"),
        ("00000001_001.png", "y_Emphysema"),
        ("00000013_000.png", "y_Hernia"),
    }


def test_impossible_ages_are_missing_and_counted(tree):
    ages = ["058Y", "018M", "001D", "414Y", "155Y", ""]
    rows = [(f"{i:08d}_000.png", "Mass", str(i), a, "M", "PA") for i, a in enumerate(ages)]
    source = load(tree(rows=rows))
    np.testing.assert_array_equal(source.frame["age"], [58, 0, 0, np.nan, np.nan, np.nan])
    assert source.exclusions == [
        {"reason": "age is blank: age set to missing", "count": 1},
        {"reason": "age above 100: age set to missing", "count": 2},
    ]


@pytest.mark.parametrize("places", [["images"], ["images_001/images", "images_002/images"], [""]])
def test_images_are_found_in_every_tree(tree, tmp_path, places):
    settings = tree()
    for i, (image, *_) in enumerate(ROWS[:3]):
        place = tmp_path / places[i % len(places)]
        place.mkdir(parents=True, exist_ok=True)
        (place / image).touch()
    paths = load(settings).frame["path"]
    assert all((tmp_path / path).is_file() for path in paths[:3])
    assert paths[3] == ROWS[3][0]


def test_the_2020_table_wins_and_another_can_be_named(tree):
    tree(name="Data_Entry_2017.csv", rows=ROWS[:1])
    settings = tree(name="Data_Entry_2017_v2020.csv", rows=ROWS)
    assert len(load(settings).frame) == 4
    assert len(load({**settings, "table": "Data_Entry_2017.csv"}).frame) == 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"header": HEADER.replace("Finding Labels", "Labels")}, r"lacks.*Finding Labels.*Labels"),
        ({"header": HEADER.replace("Patient Gender", "Gender")}, r"'Patient Sex'.*'Gender'"),
        ({"rows": []}, "no rows"),
        ({"rows": [*ROWS, ROWS[1]]}, r"00000001_001\.png' in 2 rows \(line 3 and line 6\)"),
        (
            {"rows": [(*ROWS[0][:3], "58X", "M", "PA")]},
            r"'Patient Age' has \['58X'\], the first in line 2",
        ),
        (
            {"rows": [(*ROWS[0][:4], "W", "PA")]},
            r"'Patient Gender' has the unknown values \['W'\].* line 2",
        ),
        (
            {"rows": [("a.png", "Cough", "1", "5", "M", "PA")]},
            "'Finding Labels' has 'Cough' in line 2",
        ),
        ({"rows": [("a.png", "Mass|No Finding", "1", "5", "M", "PA")]}, r"Mass\|No Finding"),
        ({"rows": [ROWS[0], ("a.png", "", "1", "5", "M", "PA")]}, r"blank in 1 rows.*line 3"),
    ],
)
def test_wrong_tables_are_refused(tree, change, said):
    with pytest.raises(MedauditError, match=said):
        load(tree(**change))


def test_wrong_files_are_refused(tree, tmp_path):
    settings = tree()
    table = tmp_path / "Data_Entry_2017_v2020.csv"
    for content, said in (
        (HEADER.encode("utf-16"), "no rows"),
        (b"", "is empty"),
        (HEADER.encode() + b"\na.png,Mass,0,1,5,\xe9,PA,1,1,1,1\n", "unknown values .'é'.* line 2"),
        (HEADER.replace("Follow-up #", "Patient ID").encode() + b"\n", "duplicate columns"),
        (HEADER.replace(",", ";").encode() + b"\n1;2\n", "lacks the column|2 fields"),
        (HEADER.encode() + b"\na.png,Mass\n", "line 2 has 2 fields, but the header has 11"),
    ):
        table.write_bytes(content)
        with pytest.raises(MedauditError, match=said):
            load(settings)
    table.unlink()
    broken = tmp_path / "Data_Entry_2017.csv.gz"
    for content in (gzip.compress(HEADER.encode())[:-9], b"no gzip"):
        broken.write_bytes(content)
        with pytest.raises(MedauditError, match="cannot unpack|lacks the columns"):
            load(settings)
    broken.unlink()
    with pytest.raises(MedauditError, match=r"no Data_Entry_2017\*\.csv"):
        load(settings)
    with pytest.raises(MedauditError, match="there is no folder"):
        load({**settings, "folder": str(tmp_path / "nowhere")})


def test_unknown_sex_is_a_level_and_blank_is_missing(tree):
    rows = [(f"{i}.png", "Mass", "1", "5", s, "PA") for i, s in enumerate(["Unknown", "", "F"])]
    sex = load(tree(rows=rows)).frame["a_sex"]
    assert sex[0] == "unknown"
    assert pd.isna(sex[1])
    assert sex[2] == "female"
