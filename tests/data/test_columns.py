"""The loader `columns`: what it reads is recomputed here row by row, without pandas."""

import csv
import gzip
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from hospital import ENTRY, patients, write_csv, write_dicom, write_hospital
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import MANIFEST, check_table
from medaudit.data import datasets
from medaudit.data.datasets import source_tables
from medaudit.data.datasets.columns.ages import parse_age
from medaudit.data.datasets.columns.labels import combine
from medaudit.data.readers.dicom_headers import TABLES


@pytest.fixture(autouse=True)
def own_results(tmp_path, monkeypatch):
    """Run in a folder of its own: tables of headers are written into its results."""
    (tmp_path / "run").mkdir()
    monkeypatch.chdir(tmp_path / "run")


def load(folder: Path, **entry: Any) -> datasets.LoadedDataset:
    return datasets.load({"name": "ours", "loader": "columns", "folder": str(folder), **entry})


def small(folder: Path, rows: list[dict[str, Any]], **entry: Any) -> datasets.LoadedDataset:
    """Load rows with the columns ``file`` and ``patient``, and ``y`` as the label."""
    write_csv(folder / "t.csv", rows)
    base = {
        "table": "t.csv",
        "columns": {"path": "file", "patient": "patient"},
        "labels": {"y": "y"},
    }
    return load(folder, **{**base, **entry})


def rows_of(count: int, **columns: Any) -> list[dict[str, Any]]:
    """Return rows; a column is a list, or one value for all."""
    return [
        {
            "file": f"{k}.png",
            "patient": f"p{k // 2}",
            "y": k % 2,
            **{n: v[k] if isinstance(v, list) else v for n, v in columns.items()},
        }
        for k in range(count)
    ]


def test_a_hospitals_tables_give_the_same_as_a_loop_over_their_rows(tmp_path):
    rows = write_hospital(tmp_path / "h", 60)
    with (tmp_path / "h" / "patients.csv").open() as stream:
        people = {row["MRN"]: row for row in csv.DictReader(stream)}
    entry = {k: v for k, v in ENTRY.items() if k != "loader"}
    found = load(tmp_path / "h", **entry)
    frame = found.frame
    check_table(frame, MANIFEST, "ours")
    assert list(frame["image_id"]) == [row["Röntgen-Nr."] for row in rows]
    assert list(frame["path"]) == [f"{r['ImageDir']}/{r['ImageFile']}" for r in rows]
    for row, (_, got) in zip(rows, frame.iterrows(), strict=True):
        person = people[row["MRN"]]
        born, seen = (
            datetime.strptime(d, "%d.%m.%Y") for d in (person["PatientBirth"], row["StudyDate"])
        )
        birthday_passed = (seen.month, seen.day) >= (born.month, born.day)
        assert got["age"] == seen.year - born.year - (not birthday_passed)
        assert got["a_sex"] == {"F": "female", "M": "male"}[person["Gender (M/F)"]]
        assert got["a_ethnicity"] == person["Ethnic group"]
        assert got["a_scanner"] == ("Siemens" if row["Device"] == "D0" else "GE")
        assert got["y_Consolidation"] == (row["Consolidation?"] == "pos")
        expected = {"1": 1.0, "0": 0.0}.get(row["Edema"])
        assert np.isnan(got["y_Edema"]) if expected is None else got["y_Edema"] == expected
        assert got["a_file_format"] == ("DICOM" if row["ImageFile"].endswith("dcm") else "other")
    dose = np.array([float(row["Dosis"].replace(",", ".")) for row in rows])
    means = [
        dose[(frame["a_dose"] == level).to_numpy()].mean() for level in frame["a_dose"].unique()
    ]
    sizes = frame["a_dose"].value_counts()
    assert (
        len(means) == 3 and sizes.max() - sizes.min() <= 2 and min(means) < np.quantile(dose, 1 / 3)
    )
    assert any("DICOM" in note and "format" in note for note in found.notes)
    assert {path.name for path in found.tables.values()} == {
        "radiology_export.csv",
        "patients.csv",
        "scanners.tsv",
    }


def test_a_change_of_any_of_its_tables_makes_the_manifest_again(tmp_path):
    write_hospital(tmp_path / "h", 2)
    found = source_tables({**ENTRY, "folder": str(tmp_path / "h")})
    assert [path.name for path in found] == ["patients.csv", "radiology_export.csv", "scanners.tsv"]


@pytest.mark.parametrize("kind", ["csv", "tsv", "semicolon", "gz", "utf16", "xlsx", "parquet"])
def test_every_kind_of_file_reads_the_same(tmp_path, kind):
    rows = rows_of(6, sex=["F", "M", "", "M", "F", "é"], dose=["0,5", "1", "2,25", "3", "1", "1"])
    rows = [{**row, "patient": f"00{k}"} for k, row in enumerate(rows)]
    frame = pd.DataFrame(rows).astype("str").replace("", None)
    name = {"xlsx": "t.xlsx", "parquet": "t.parquet", "gz": "t.csv.gz"}.get(kind, "t.csv")
    path = tmp_path / name
    if kind == "xlsx":
        frame.assign(y=frame["y"].astype(int)).to_excel(path, index=False)
    elif kind == "parquet":
        frame.assign(y=frame["y"].astype(float)).to_parquet(path)
    else:
        sep = {"tsv": "\t", "semicolon": ";", "utf16": "\t"}.get(kind, ",")
        text = frame.to_csv(index=False, sep=sep)
        data = text.encode("utf-16" if kind == "utf16" else "utf-8")
        path.write_bytes(gzip.compress(data) if kind == "gz" else data)
    found = load(
        tmp_path,
        table=name,
        columns={"path": "file", "patient": "patient"},
        labels={"y": "y"},
        groups={"sex": "sex", "dose": {"column": "dose", "bands": [1, 2]}},
    ).frame
    assert found["y_y"].tolist() == [0, 1, 0, 1, 0, 1]
    assert found["patient_id"].tolist() == [f"00{k}" for k in range(6)]
    assert found["a_sex"].fillna("-").tolist() == ["F", "M", "-", "M", "F", "é"]
    assert found["a_dose"].tolist() == [*("<1", "1 to <2", ">=2", ">=2", "1 to <2", "1 to <2")]


def test_a_header_that_ends_in_a_comma_which_the_rows_lack(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"file,patient,y,\r\na.png,1,0\r\nb.png,2,1\r\n")
    found = load(
        tmp_path, table="t.csv", columns={"path": "file", "patient": "patient"}, labels={"y": "y"}
    ).frame
    assert found["y_y"].tolist() == [0, 1]


LABELS = [
    ("y", ["1", "0", "yes", "No", "TRUE", "", "1.0"], [1, 0, 1, 0, 1, None, 1]),
    ({"positive": ["mel", "bcc"], "negative": "rest"}, ["mel", "NV", " bcc ", ""], [1, 0, 1, None]),
    ({"positive": ["pos*"], "negative": ["neg"]}, ["pos", "positive", "neg"], [1, 1, 0]),
    ({"positive": [True], "negative": [False]}, ["yes", "no", "true", "False"], [1, 0, 1, 0]),
    ({"uncertain": ["-1"], "uncertain_as": "ones"}, ["1", "0", "-1.0"], [1, 0, 1]),
    ({"uncertain": ["-1"], "blank": "zeros"}, ["1", "0", "-1", ""], [1, 0, None, 0]),
    (
        {"contains": ["pneumonia"], "separator": "|"},
        ["Pneumonia|Mass", "No pneumonia", "mass | pneumonia", ""],
        [1, 0, 1, None],
    ),
    (
        {"contains": ["pneumonia", "edema"], "separator": ",", "blank": "zeros"},
        ["['pneumonia', 'mass']", "['mass']", "['edema']", ""],
        [1, 0, 1, 0],
    ),
    ({"contains": ["glauc"]}, ["suspected Glaucoma", "normal"], [1, 0]),
    ({"above": 0}, ["0", "0.5", "2", ""], [0, 1, 1, None]),
    ({"at_least": 4, "at_most": 5}, ["3", "4", "5", "6"], [0, 1, 1, 0]),
    ({"below": 0.4, "uncertain": ["poor"]}, ["0,3", "0,5", "poor"], [1, 0, None]),
]


@pytest.mark.parametrize("spec, cells, expected", LABELS)
def test_labels(tmp_path, spec, cells, expected):
    spec = spec if isinstance(spec, str) else {"column": "y", **spec}
    found = small(tmp_path, rows_of(len(cells), y=cells), labels={"task": spec}).frame["y_task"]
    assert [None if np.isnan(v) else v for v in found] == expected


@pytest.mark.parametrize("rule", ["any", "all", "majority"])
def test_readers_in_columns_and_in_rows_agree_with_a_count(tmp_path, rule):
    rng = np.random.default_rng(3)
    votes = rng.choice(["1", "0", ""], (40, 3), p=[0.4, 0.4, 0.2])
    wide = rows_of(40, **{f"r{k}": votes[:, k].tolist() for k in range(3)})
    label = {"column": ["r0", "r1", "r2"], "rule": rule}
    got = small(tmp_path, wide, labels={"y": label}).frame["y_y"].tolist()
    long = [{**row, "vote": row[f"r{k}"], "who": f"R{k}"} for row in wide for k in range(3)]
    readers = {"rule": rule, "by": "who"}
    again = small(tmp_path, long, labels={"y": "vote"}, readers=readers)
    for mine, other, three in zip(got, again.frame["y_y"], votes, strict=True):
        ones, zeros = (three == "1").sum(), (three == "0").sum()
        if ones + zeros == 0 or (rule == "majority" and ones == zeros):
            assert np.isnan(mine) and np.isnan(other)
        else:
            truth = {"any": ones > 0, "all": zeros == 0, "majority": ones > zeros}[rule]
            assert mine == other == truth
    one = small(tmp_path, long, labels={"y": "vote"}, readers={**readers, "only": ["R1"]}).frame
    assert one["y_y"].fillna(-1).tolist() == [{"1": 1, "0": 0, "": -1}[v] for v in votes[:, 1]]


def test_combine_of_nothing_known_is_missing():
    nothing = np.full((2, 3), np.nan)
    assert all(np.isnan(combine(nothing, rule)).all() for rule in ("any", "all", "majority"))


@pytest.mark.parametrize(
    "text, years, kind",
    [
        ("58", 58, "exact"),
        ("57.0", 57, "exact"),
        ("57,5", 57.5, "exact"),
        ("058Y", 58, "exact"),
        ("006M", 0.5, "exact"),
        ("010W", 70 / 365.2425, "exact"),
        ("020D", 20 / 365.2425, "exact"),
        ("46 years", 46, "exact"),
        ("46 years old", 46, "exact"),
        ("90+", 90, "open"),
        (">89", 90, "open"),
        (">=90", 90, "open"),
        ("85 and older", 85, "open"),
        ("40-49", 45, "band"),
        ("41–60", 51, "band"),
        ("[40, 50)", 45, "band"),
        ("<18", 9, "band"),
        ("-1", -1, "exact"),
        ("unknown", np.nan, "wrong"),
        ("F", np.nan, "wrong"),
    ],
)
def test_ages_as_texts(text, years, kind):
    found = parse_age(text)
    assert found.kind == kind
    assert found.years == pytest.approx(years, nan_ok=True)


def test_ages_in_months_impossible_ages_and_a_year_of_reference(tmp_path):
    rows = rows_of(4, months=["24", "6", "", "36"], age=["30", "-1", "999", "n/k"])
    columns = {"path": "file", "patient": "patient"}
    young = small(
        tmp_path, rows, columns={**columns, "age": {"column": "months", "unit": "months"}}
    )
    assert young.frame["age"].fillna(-1).tolist() == [2, 0.5, -1, 3]
    lenient = {"column": "age", "impossible": "missing"}
    found = small(tmp_path, rows, columns={**columns, "age": lenient})
    assert found.frame["age"].fillna(-1).tolist() == [30, -1, -1, -1]
    assert sum(one["count"] for one in found.exclusions) == 3
    anchor = rows_of(2, anchor_age="60", anchor_year="2150", StudyDate=["21530412", "21490101"])
    age = {"column": "anchor_age", "year": "anchor_year", "study": "StudyDate"}
    assert small(tmp_path, anchor, columns={**columns, "age": age}).frame["age"].tolist() == [
        63,
        59,
    ]


def test_dates_whose_day_and_month_cannot_be_told_apart_are_refused(tmp_path):
    columns = {"path": "file", "patient": "patient", "age": {"birth": "b", "study": "s"}}
    rows = rows_of(2, b="1990-01-02", s=["03/04/2020", "05/06/2020"])
    with pytest.raises(MedauditError, match="columns.age.format"):
        small(tmp_path, rows, columns=columns)
    rows[1]["s"] = "25/06/2020"
    assert small(tmp_path, rows, columns=columns).frame["age"].tolist() == [30, 30]


@pytest.mark.parametrize(
    "born, seen",
    [
        ("19900402", "2020-04-01"),
        ("02.04.1990", "2020/04/01"),
        ("1990-04-02 00:00:00", "2020-04-01T23:59:59"),
        ("1990-04-02", "20200401120000"),
        ("1990/04/02", "20200401.0"),
    ],
)
def test_dates_in_the_usual_forms_and_with_a_time_of_day(tmp_path, born, seen):
    columns = {"path": "file", "patient": "patient", "age": {"birth": "b", "study": "s"}}
    rows = rows_of(2, b=born, s=seen)
    assert small(tmp_path, rows, columns=columns).frame["age"].tolist() == [29, 29]


SEVERAL = {
    "first": "W",
    "last": "B",
    "consistent": None,
    "majority": "B",
    "list": "B|W",
}


@pytest.mark.parametrize("rule", SEVERAL)
def test_a_join_with_several_rows_per_key(tmp_path, rule):
    visits = [
        {"pid": "p0", "race": "B", "year": 2012},
        {"pid": "p0", "race": "W", "year": 2010},
        {"pid": "p0", "race": "B", "year": 2013},
        {"pid": "p1", "race": "A", "year": 2010},
        {"pid": "p1", "race": "A", "year": 2011},
        {"pid": "", "race": "X", "year": 2011},
    ]
    write_csv(tmp_path / "visits.csv", visits)
    join = {"table": "visits.csv", "on": {"patient": "pid"}, "several": rule, "order": "year"}
    found = small(tmp_path, rows_of(6), join=[join], groups={"race": "race"})
    expected = [SEVERAL[rule], SEVERAL[rule], "A", "A", None, None]
    assert found.frame["a_race"].astype(object).where(
        found.frame["a_race"].notna(), None
    ).tolist() == (expected)
    assert [one["count"] for one in found.exclusions] == [2]
    join["required"] = True
    assert len(small(tmp_path, rows_of(6), join=[join], groups={"race": "race"}).frame) == 4


def test_a_join_of_one_to_many_repeats_the_row(tmp_path):
    images = [{"exam": f"p{k // 3}", "png": f"{k}.png"} for k in range(9)]
    write_csv(tmp_path / "images.csv", images)
    exams = [{"patient": f"p{k}", "y": k % 2} for k in range(3)]
    join = [{"table": "images.csv", "on": {"patient": "exam"}, "several": "each"}]
    found = small(tmp_path, exams, join=join, columns={"path": "png", "patient": "patient"}).frame
    assert found["path"].tolist() == [f"{k}.png" for k in range(9)]
    assert found["y_y"].tolist() == [0, 0, 0, 1, 1, 1, 0, 0, 0]


def test_a_join_on_two_columns_and_a_template_and_columns_of_the_same_name(tmp_path):
    write_csv(
        tmp_path / "b.csv", [{"id": "7", "eye": "OD", "y": 1}, {"id": "7", "eye": "OS", "y": 0}]
    )
    rows = [{"file": f"{e}.png", "patient": "0007", "side": e, "y": 0} for e in ("OS", "OD")]
    write_csv(
        tmp_path / "b2.csv", [{"code": "00007-OD", "sex": "F"}, {"code": "00007-OS", "sex": "F"}]
    )
    joins = [
        {"table": "b2.csv", "on": {"{patient:0>5}-{side}": "code"}},
        {"table": "b.csv", "on": {"patient": "{id:0>4}", "side": "eye"}},
    ]
    found = small(tmp_path, rows, join=joins, labels={"y": "b.y"}, groups={"sex": "sex"}).frame
    assert found["y_y"].tolist() == [0, 1] and set(found["a_sex"]) == {"F"}


def test_keep_unpivot_and_several_tables_with_a_split_by_table(tmp_path):
    for name, ages in (("train", (30, 10, 50)), ("valid", (70, 80, 90))):
        write_csv(
            tmp_path / f"{name}.csv",
            [
                {"id": f"{name}{k}", "age": age, "L": f"{name}{k}L.jpg", "R": f"{name}{k}R.jpg",
                 "yL": k % 2, "yR": 1}
                for k, age in enumerate(ages)
            ],
        )  # fmt: skip
    found = load(
        tmp_path,
        tables=["train.csv", "valid.csv"],
        unpivot={"eye": {"left": {"file": "L", "y": "yL"}, "right": {"file": "R", "y": "yR"}}},
        keep=[{"column": "age", "min": 18, "max": 89}, {"column": "id", "other_than": ["valid1"]}],
        columns={
            "path": "{file}",
            "patient": "id",
            "age": "age",
            "view": "eye",
            "split": {"column": "(table)", "train": ["train"], "test": ["valid"]},
        },
        labels={"y": "y"},
    )
    frame = found.frame
    assert frame["path"].tolist() == [
        *("train0L.jpg", "train0R.jpg", "train2L.jpg", "train2R.jpg", "valid0L.jpg", "valid0R.jpg"),
    ]
    assert frame["view"].tolist() == ["left", "right"] * 3
    assert frame["a_official_split"].tolist() == ["train"] * 4 + ["test"] * 2
    assert [one["count"] for one in found.exclusions] == [4, 2]


def test_groups_merge_bands_and_blank(tmp_path):
    rows = rows_of(6, race=["BLACK/CAPE VERDEAN", "WHITE", "BLACK/AFRICAN", "", "OTHER", "WHITE - RUSSIAN"],
                   bmi=["17.5", "22", "24.9", "25", "40", ""])  # fmt: skip
    race = {"column": "race", "levels": {"black": ["BLACK*"], "white": ["WHITE*"]}, "rest": "other"}
    bmi = {"column": "bmi", "bands": {"low": 0, "normal": 18.5, "high": 25}, "blank": "unknown"}
    found = small(tmp_path, rows, groups={"race": race, "bmi": bmi}).frame
    assert found["a_race"].fillna("-").tolist() == [
        "black",
        "white",
        "black",
        "-",
        "other",
        "white",
    ]
    assert found["a_bmi"].tolist() == ["low", "normal", "normal", "high", "high", "unknown"]


def test_the_order_of_the_keys_does_not_matter(tmp_path):
    """A job's settings come as JSON with sorted keys."""
    rows = rows_of(6, race=["Black", "black, latin", "white", "x", "y", "z"], age=list("123456"))
    race = {"zz": ["black*"], "rest": ["*"], "aa": ["black, l*"], "mm": ["white"]}
    bands = {"z": 0, "a": 3, "m": 5}
    for keys in (sorted, lambda names: sorted(names, reverse=True)):
        groups = {
            "race": {"column": "race", "levels": {k: race[k] for k in keys(race)}},
            "age": {"column": "age", "bands": {k: bands[k] for k in keys(bands)}},
        }
        found = small(tmp_path, rows, groups=groups).frame
        assert found["a_race"].tolist() == ["zz", "aa", "mm", "rest", "rest", "rest"]
        assert found["a_age"].tolist() == ["z", "z", "a", "a", "m", "m"]


def test_images_are_found_anywhere_by_the_end_of_their_paths(tmp_path):
    places = ["a/p1/view1.png", "a/p2/view1.png", "b/deep/only.jpg", "c/no_suffix.png"]
    for place in places:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).touch()
    named = [
        "/kaggle/input/a/p1/view1.png",
        "x\\p2\\view1.png",
        "only.jpg",
        "no_suffix",
        "gone.png",
    ]
    rows = [{**row, "file": name} for row, name in zip(rows_of(5), named, strict=True)]
    found = small(tmp_path, rows, locate="anywhere").frame
    assert found["path"].tolist() == [*places, "gone.png"]
    rows[0]["file"] = "view1.png"
    with pytest.raises(MedauditError, match=r"line 2.*view1\.png.*p1/view1"):
        small(tmp_path, rows, locate="anywhere")


def test_a_folder_of_dicom_with_labels_in_a_table(tmp_path):
    people = {row["MRN"]: row for row in patients(8)}
    for k, mrn in enumerate(people):
        write_dicom(
            tmp_path / "d" / f"{k}" / "image.dcm",
            np.full((16, 16), 100 + k),
            PatientID=mrn,
            PatientAge=f"{40 + k:03d}Y",
            PatientSex="FM"[k % 2],
            AccessionNumber=f"A{k}",
            Manufacturer="GE" if k < 4 else "Philips",
            KVP="120.0",
            PixelSpacing=[0.143, 0.143],
            EthnicGroup=people[mrn]["Ethnic group"],
            SmokingStatus="YES" if k == 0 else "NO",
        )
    write_csv(tmp_path / "d" / "labels.csv", [{"acc": f"A{k}", "y": k % 2} for k in range(7)])
    entry = {
        "table": "(dicom)",
        "dicom": {"tags": ["0018,0060"]},
        "join": [{"table": "labels.csv", "on": {"AccessionNumber": "acc"}, "required": True}],
        "columns": {"path": "File", "patient": "PatientID", "age": "PatientAge"},
        "labels": {"y": "y"},
        "groups": {
            "sex": {"column": "PatientSex", "levels": {"female": ["F"], "male": ["M"]}},
            "scanner": "Manufacturer",
            "ethnicity": "EthnicGroup",
            "smoker": "SmokingStatus",
            "spacing": {"column": "PixelSpacing", "bands": [0.1]},
            "kvp": "0018,0060",
        },
    }
    found = load(tmp_path / "d", **entry)
    frame = found.frame
    assert frame["path"].tolist() == [f"{k}/image.dcm" for k in range(7)]
    assert frame["age"].tolist() == [40 + k for k in range(7)]
    assert frame["a_smoker"].tolist() == ["YES"] + ["NO"] * 6
    assert frame["a_scanner"].tolist() == ["GE"] * 4 + ["Philips"] * 3
    assert set(frame["a_kvp"]) == {"120.0"} and set(frame["a_spacing"]) == {">=0.1"}
    assert [one["count"] for one in found.exclusions] == [1]
    table = TABLES / "ours.csv"
    assert len(pd.read_csv(table)) == 8
    before = table.stat().st_mtime_ns
    assert load(tmp_path / "d", **entry).frame.equals(frame)
    assert table.stat().st_mtime_ns == before  # nothing new: not written again
    (tmp_path / "d" / "3" / "image.dcm").write_bytes(b"no pixels")
    changed = load(tmp_path / "d", **entry)
    assert len(changed.frame) == 6 and changed.exclusions[0]["count"] == 1


def test_patients_that_are_not_known_are_said(tmp_path):
    found = small(tmp_path, rows_of(4), columns={"path": "file", "patient": None})
    assert found.frame["patient_id"].tolist() == found.frame["image_id"].tolist()
    assert "does not identify patients" in found.notes[0]
