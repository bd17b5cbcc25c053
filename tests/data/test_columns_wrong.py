"""Wrong tables: the message names the file, the line, the value, and the way out."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from medaudit.core.errors import MedauditError
from medaudit.data import datasets

HEADER = "file,patient,sex,age,y"
GOOD = ["a.png,1,F,30,0", "b.png,2,M,40,1", "c.png,3,F,50,0"]
ENTRY: dict[str, Any] = {
    "name": "ours",
    "loader": "columns",
    "table": "t.csv",
    "columns": {"path": "file", "patient": "patient", "age": "age"},
    "labels": {"y": "y"},
    "groups": {"sex": {"column": "sex", "levels": {"female": ["F"], "male": ["M"]}}},
}
AGES = {"path": "file", "patient": "patient", "age": {"birth": "born", "study": "seen"}}


def with_row(number: int, row: str) -> str:
    rows = [*GOOD]
    rows[number] = row
    return "\n".join([HEADER, *rows])


def with_column(name: str, *values: str) -> str:
    rows = [f"{row},{value}" for row, value in zip(GOOD, values, strict=True)]
    return "\n".join([f"{HEADER},{name}", *rows])


WRONG: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "a code that no level lists": (
        with_row(1, "b.png,2,X,40,1"),
        {},
        ["line 3", "'sex' is 'X'", "`groups.sex`", "rest"],
    ),
    "a label that is neither": (
        with_row(2, "c.png,3,F,50,maybe"),
        {},
        ["line 4", "'y' is 'maybe'", "uncertain", "negative: rest"],
    ),
    "an age in words": (
        with_row(0, "a.png,1,F,old,0"),
        {},
        ["line 2", "'age' is 'old'", "missing_values", "impossible: missing"],
    ),
    "an impossible age": (
        with_row(1, "b.png,2,M,999,1"),
        {},
        ["line 3", "'age' is '999'", "0 to 120", "impossible: missing"],
    ),
    "a negative age": (
        with_row(1, "b.png,2,M,-1,1"),
        {},
        ["line 3", "'age' is '-1'", "impossible: missing"],
    ),
    "a blank patient": (
        with_row(2, "c.png,,F,50,0"),
        {},
        ["line 4", "'patient' is blank", "keep: [{column: patient}]"],
    ),
    "a blank path": (
        with_row(0, ",1,F,30,0"),
        {},
        ["line 2", "'file' is blank", "keep: [{column: file}]"],
    ),
    "an image twice": (
        with_row(2, "a.png,3,F,50,0"),
        {},
        ["'a.png' is listed 2 times", "line 2", "line 4", "readers: {rule: majority}"],
    ),
    "a row with a field too many": (
        with_row(1, "b.png,2,M,40,1,7"),
        {},
        ["line 3 has 6 fields", "header has 5", "double quotes"],
    ),
    "a row with a field too few": (
        with_row(1, "b.png,2,M,40"),
        {},
        ["line 3 has 4 fields", "header has 5", "remove the line"],
    ),
    "a path out of the folder": (
        with_row(1, "../../etc/passwd,2,M,40,1"),
        {},
        ["line 3", "'../../etc/passwd'", "locate: anywhere"],
    ),
    "an absolute path": (
        with_row(1, "/kaggle/input/b.png,2,M,40,1"),
        {},
        ["line 3", "'/kaggle/input/b.png'", "locate: anywhere"],
    ),
    "a column that is spelt otherwise": (
        "\n".join([HEADER.replace("sex", "Sex"), *GOOD]),
        {},
        ["no column 'sex' (did you mean 'Sex'?)", "`groups.sex.column`"],
    ),
    "a column twice": (
        "\n".join([HEADER.replace("age", "sex"), *GOOD]),
        {},
        ["duplicate columns ['sex']", "rename"],
    ),
    "no rows": (HEADER, {}, ["has a header", "no rows", "export it again"]),
    "nothing": ("", {}, ["is empty", "export it again"]),
    "a file of another kind": ("\x00\x01" * 9, {}, ["not text", "CSV, TSV or Parquet"]),
    "a number that is none": (
        with_column("dose", "1.5", "n/m", "2"),
        {"groups": {"dose": {"column": "dose", "bands": [1]}}},
        ["line 3", "'dose' is 'n/m'", "missing_values"],
    ),
    "a date that is none": (
        with_column("born", "1990-01-02", "1991-02-30", "1992-01-01").replace(",born", ",born,seen")
        .replace("-02\n", "-02,2020-01-01\n").replace("-30\n", "-30,2020-01-01\n") + ",2020-01-01",
        {"columns": AGES},
        ["line 3", "'born' is '1991-02-30'", "columns.age.format"],
    ),
    "a birth after the image": (
        with_column("born", "1990", "2021", "1992").replace(",born", ",born,seen")
        .replace("1990\n", "1990,2020\n").replace("2021\n", "2021,2020\n") + ",2020",
        {"columns": AGES},
        ["line 3", "'born' is '2021'", "-1 years"],
    ),
    "an unknown split": (
        with_column("set", "train", "test", "fold3"),
        {"columns": {**ENTRY["columns"], "split": "set"}},
        ["line 4", "'set' is 'fold3'", "rest"],
    ),
    "too many groups": (
        "\n".join([HEADER, *(f"{k}.png,{k},F,30,0" for k in range(150))]),
        {"groups": {"who": "patient"}},
        ["'patient' has 150 values", "`bands` or `quantiles`"],
    ),
    "no row is kept": (
        with_row(0, GOOD[0]),
        {"keep": [{"column": "sex", "values": ["W"]}]},
        ["no row is left", "sex is not W: 3", "change `keep`"],
    ),
    "a positive value that never occurs": (
        with_row(0, GOOD[0]),
        {"labels": {"y": {"column": "y", "positive": ["ill"], "negative": "rest"}}},
        ["no value of column 'y' is in `positive`", "['0', '1']"],
    ),
    "an age column that is not there, among several tables": (
        with_row(0, GOOD[0]),
        {"join": [{"table": "p.csv", "on": {"patient": "pid"}}], "columns": {**AGES, "age": "years"}},
        ["no column 'years'", "`columns.age`", "height"],
    ),
    "a join that finds nothing": (
        with_row(0, GOOD[0]),
        {"join": [{"table": "z.csv", "on": {"patient": "pid"}}]},
        ["no pid", "among the patient", "zeros in front"],
    ),
    "a join with rows that differ": (
        with_row(0, GOOD[0]),
        {"join": [{"table": "d.csv", "on": {"patient": "pid"}}], "groups": {"height": "height"}},
        ["pid '1' has 2 rows (line 2 and line 4)", "differ in ['height']", "set `several`"],
    ),
    "a table that is not there": (
        with_row(0, GOOD[0]),
        {"table": "tabel.csv"},
        ["no table", "tabel.csv", "t.csv"],
    ),
    "readers that differ on the patient": (
        with_row(2, "a.png,3,F,30,0"),
        {"readers": {"rule": "any"}},
        ["line 4", "patient_id '3'", "line 2", "leave the column out"],
    ),
    "several columns without a rule": (
        with_row(0, GOOD[0]),
        {"labels": {"y": {"column": ["y", "sex"]}}},
        ["`labels.y` has several columns", "rule"],
    ),
    "a value in two levels": (
        with_row(0, GOOD[0]),
        {"groups": {"sex": {"column": "sex", "levels": {"female": ["F"], "other": ["f"]}}}},
        ["`groups.sex.levels`", "'f' is in", "list it once"],
    ),
    "a keyword that DICOM does not have": (
        with_row(0, GOOD[0]),
        {"table": "(dicom)", "dicom": {"tags": ["PatientSmell"]}},
        ["'PatientSmell' is no keyword", "0010,0040"],
    ),
}  # fmt: skip


def test_there_are_at_least_twenty():
    assert len(WRONG) >= 20


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    place = tmp_path / "data"
    place.mkdir()
    (place / "p.csv").write_text("pid,height\n1,170\n2,180\n3,190\n")
    (place / "z.csv").write_text("pid,height\n001,170\n002,180\n003,190\n")
    (place / "d.csv").write_text("pid,height\n1,170\n2,180\n1,190\n")
    (place / "x.dcm").write_bytes(b"\0" * 128 + b"DICM")
    return place


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_table_gets_an_error_with_line_and_remedy(folder, case):
    text, changes, said = WRONG[case]
    (folder / "t.csv").write_text(text)
    with pytest.raises(MedauditError) as caught:
        datasets.load({**ENTRY, "folder": str(folder), **changes})
    message = str(caught.value)
    assert [words for words in said if words not in message] == [], message
    assert len(message) < 900


@pytest.mark.parametrize("kind", ["xlsx", "parquet", "quoted"])
def test_the_line_is_that_of_the_file(folder, kind):
    """Rows of Excel count from the header; a quoted text may take several lines."""
    rows = [row.split(",") for row in [HEADER, *GOOD, "d.png,4,?,60,1"]]
    frame = pd.DataFrame(rows[1:], columns=rows[0])
    if kind == "xlsx":
        frame.to_excel(folder / "t.xlsx", index=False)
    elif kind == "parquet":
        frame.to_parquet(folder / "t.parquet")
    else:
        frame.loc[0, "file"] = "a\nb.png"
        frame.to_csv(folder / "t.csv", index=False)
    name = "t.csv" if kind == "quoted" else f"t.{kind}"
    expected = {"xlsx": "line 5", "parquet": "row 4", "quoted": "line 6"}[kind]
    with pytest.raises(MedauditError, match=f"{name}: {expected}: column 'sex' is '\\?'"):
        datasets.load({**ENTRY, "table": name, "folder": str(folder)})


def test_the_line_after_a_join_and_rows_left_out_is_that_of_the_tables(folder):
    (folder / "p.csv").write_text("pid,height\n3,tall\n2,180\n\n1,170\n")
    (folder / "t.csv").write_text("\n".join([HEADER, *GOOD]))
    changes = {
        "join": [{"table": "p.csv", "on": {"patient": "pid"}}],
        "keep": [{"column": "sex", "values": ["F"]}],
        "groups": {"height": {"column": "height", "bands": [175]}},
    }
    with pytest.raises(MedauditError, match="p.csv: line 2: column 'height' is 'tall'"):
        datasets.load({**ENTRY, "folder": str(folder), **changes})
