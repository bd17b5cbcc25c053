"""Owners' tables that are wrong: read as if they were right, or refused with the file's name."""

import logging

import nibabel
import numpy as np
import pandas as pd
import pytest
from openpyxl import Workbook

from hostile_files import edit_zip
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import MANIFEST, check_table
from medaudit.data import datasets
from medaudit.data.datasets.chexpert import FINDINGS
from medaudit.data.datasets.chexpert_race import read_race
from medaudit.data.datasets.papila_tables import read_rows
from medaudit.data.readers.excel_sheet import read_cells, read_table

LONGEST = 4000
NIH = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"
CHEXPERT = "Path,Sex,Age,Frontal/Lateral,AP/PA," + ",".join(FINDINGS)
VIEW = "CheXpert-v1.0-small/train/patient0000{}/study1/view1_frontal.jpg"
TABLES = {
    "nih": ("Data_Entry_2017_v2020.csv", [NIH, "a.png,Mass,0,1,57,M,PA", "b.png,Mass,0,2,33,F,AP"]),
    "chexpert": (
        "train.csv",
        [CHEXPERT, *(f"{VIEW.format(k)},Female,6{k},Frontal,AP{',1' * 14}" for k in (1, 2))],
    ),
    "ham10000": (
        "HAM10000_metadata.csv",
        ["image_id,lesion_id,dx,age,sex", "I1,L1,nv,45.0,male", "I2,L2,mel,55.0,female"],
    ),
    "fitzpatrick17k": (
        "fitzpatrick17k.csv",
        ["md5hash,fitzpatrick_scale,three_partition_label", "a,3,malignant", "b,-1,benign"],
    ),
    "ol3i": (
        "clinical_data.csv",
        ["anon_id,age,sex,label_1y,set_1y", "1,55,M,0,train", "2,66,F,1,test"],
    ),
    "oasis": (
        "oasis_cross-sectional.csv",
        ["ID,M/F,Age,CDR", "OAS1_0001_MR1,F,74,0", "OAS1_0002_MR1,M,55,0.5"],
    ),
    "harvard_gf3300": (
        "data_summary.csv",
        ["filename,age,gender,race,glaucoma,use", "1.npz,50,Male,Asian,yes,test"]
        + ["2.npz,60,Female,Black,no,training"],
    ),
    "papila": (
        "ClinicalData/patient_data_od.csv",
        ["ID,Age,Gender,Diagnosis", "#002,47,0,2", "#003,58,1,1"],
    ),
}
SEX = {"nih": 5, "chexpert": 1, "ham10000": 4, "fitzpatrick17k": 1, "ol3i": 2, "oasis": 1}
SEX |= {"harvard_gf3300": 2, "papila": 2}
AGE = {
    "nih": 4,
    "chexpert": 2,
    "ham10000": 3,
    "ol3i": 1,
    "oasis": 2,
    "harvard_gf3300": 1,
    "papila": 1,
}
FURTHER = {
    "chexpert": {"uncertain": "zeros", "blank": "zeros"},
    "oasis": {"label": "cdr_gt_0", "slices": {"negative": 0.25, "positive": 0.25}},
}


def changed(lines: list[str], column: int, value: str) -> bytes:
    cells = lines[1].split(",")
    cells[column] = value
    return "\n".join([lines[0], ",".join(cells), *lines[2:], ""]).encode()


def without(lines: list[str], column: int) -> bytes:
    rows = [line.split(",") for line in lines]
    return "\n".join(",".join(r[:column] + r[column + 1 :]) for r in rows).encode()


def text(lines: list[str]) -> bytes:
    return "\n".join([*lines, ""]).encode()


def beside(lines: list[str], name: str, cell: str) -> bytes:
    return text([f"{lines[0]},{name}", *(f"{line},{cell}" for line in lines[1:])])


AS_GOOD = {
    "byte-order mark": lambda lines, _: b"\xef\xbb\xbf" + text(lines),
    "Windows line ends": lambda lines, _: text(lines).replace(b"\n", b"\r\n"),
    "no last line end": lambda lines, _: text(lines).rstrip(),
    "blank lines": lambda lines, _: text(lines) + b"\n\n",
    "further column": lambda lines, _: beside(lines, "more", '"a, ""b"", c"'),
    "line end in quotes": lambda lines, _: beside(lines, "more", '"a\nb"'),
    "quoted cells": lambda lines, _: text(
        lines[:1] + ['"' + r.replace(",", '","') + '"' for r in lines[1:]]
    ),
    "semicolons": lambda lines, _: text(lines).replace(b",", b";"),
    "tabs": lambda lines, _: text(lines).replace(b",", b"\t"),
    "UTF-16": lambda lines, _: text(lines).decode().encode("utf-16"),
    "old Mac line ends": lambda lines, _: text(lines).replace(b"\n", b"\r"),
    "comma at the end of the header": lambda lines, _: text([f"{lines[0]},", *lines[1:]]),
    "commas at the end of all lines": lambda lines, _: text([f"{line}," for line in lines]),
    "formula beside": lambda lines, _: beside(lines, "more", "=1+1"),
}
WRONG = {
    "empty": (lambda lines, _: b"", "empty|No columns"),
    "blank": (lambda lines, _: b"\n\n", "empty|No columns"),
    "header only": (lambda lines, _: text(lines[:1]), "no rows|'nothing'"),
    "Latin-1": (
        lambda lines, sex: changed(lines, sex, "m#le").replace(b"#", b"\xe4"),
        "'mäle'.* line 2",
    ),
    "binary": (lambda lines, _: bytes(range(128, 256)) * 9, "lacks"),
    "web page": (lambda lines, _: b"<!DOCTYPE html><html>log in</html>", "lacks"),
    "id twice": (lambda lines, _: text([*lines, lines[1]]), "duplicate.*line 2 and line 4"),
    "id blank": (lambda lines, _: changed(lines, 0, ""), "blank|has|must be unique"),
    "cells too many": (
        lambda lines, _: text([*lines, lines[1] + ",x,y"]),
        r"line \d has \d+ fields",
    ),
    "column twice": (
        lambda lines, sex: beside(lines, lines[0].split(",")[sex], "x"),
        "duplicate|has",
    ),
    "column lacking": (lambda lines, sex: without(lines, sex), "lacks"),
    "unknown sex": (lambda lines, sex: changed(lines, sex, "<script>"), "<script>.* line 2"),
    "long cell": (lambda lines, sex: changed(lines, sex, "x" * 1_000_000), "xxxx"),
}
BAD_AGES = ("999", "-1", "Y", "1e400", "inf", "-inf", "abc")


@pytest.fixture
def load(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDAUDIT_DATA", str(tmp_path))
    logging.disable(logging.WARNING)

    def loaded(loader: str, content: bytes) -> pd.DataFrame:
        path = tmp_path / loader / TABLES[loader][0]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if loader == "papila":
            path.with_name("patient_data_os.csv").write_text(
                "ID,Age,Gender,Diagnosis\n#002,47,0,2\n"
            )
        for name in ("OAS1_0001_MR1", "OAS1_0002_MR1") if loader == "oasis" else ():
            volume = nibabel.AnalyzeImage(np.ones((8, 9, 7), np.int16), np.eye(4))
            volume.to_filename(path.parent / f"{name}_mpr_n4_anon_111_t88_masked_gfc.hdr")
        entry = {"loader": loader, "name": loader, "folder": loader, "phantom": {"planted": []}}
        source = datasets.load(entry | FURTHER.get(loader, {}))
        check_table(source.frame, MANIFEST, loader)
        return source.frame

    yield loaded
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("loader", TABLES)
def test_other_forms_of_the_same_table_are_the_same(load, loader):
    _, lines = TABLES[loader]
    plain = load(loader, text(lines))
    for form, write in AS_GOOD.items():
        pd.testing.assert_frame_equal(load(loader, write(lines, SEX[loader])), plain, obj=form)


@pytest.mark.parametrize("loader", TABLES)
@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_table_is_refused_by_name(load, loader, mistake):
    (file, lines), (write, says) = TABLES[loader], WRONG[mistake]
    with pytest.raises(MedauditError, match=says) as caught:
        load(loader, write(lines, SEX[loader]))
    assert file in str(caught.value) and len(str(caught.value)) < LONGEST


@pytest.mark.parametrize("loader", AGE)
def test_no_impossible_age_becomes_a_group(load, loader):
    _, lines = TABLES[loader]
    for age in BAD_AGES:
        try:
            found = load(loader, changed(lines, AGE[loader], age))["age"]
        except MedauditError as error:
            assert age[:3].lstrip("-").lower() in str(error).lower() or "inf" in str(error), age
        else:
            assert loader == "nih" and age == "999" and np.isnan(found.iloc[0])


@pytest.mark.parametrize("place", ["../../../etc/passwd", "/etc/passwd", "a/../../b"])
@pytest.mark.parametrize("loader", ["nih", "ham10000", "fitzpatrick17k", "harvard_gf3300"])
def test_a_path_in_a_table_does_not_leave_the_folder(load, tmp_path, loader, place):
    from medaudit.data.images.pixel_sources import read_files

    _, lines = TABLES[loader]
    rows = load(loader, changed(lines, 0, place))
    entry = {"loader": loader, "folder": loader, "window": [0, 1]}
    part = read_files(rows, {"dataset": entry, "image_size": 16}, 1)
    outside = "the path leaves the dataset's folder"
    within = place.startswith("/") and loader != "nih"  # below the owner's folder of pictures
    assert part.errors[0] == ("there is no such file" if within else outside)
    assert part.status[1] == "missing"


def test_levels_are_one_printable_line(load):
    _, lines = TABLES["harvard_gf3300"]
    found = load("harvard_gf3300", changed(lines, 3, '"Asian\x1b[2J\n\x07x"'))
    assert found["a_race"].tolist() == ["asian [2j x", "black"]


# ------------------------------------------------------------------ Excel


def workbook(path, rows):
    book = Workbook()
    for row in rows:
        book.active.append(row)
    book.save(path)
    return path


RACES = [
    ["PATIENT", "PRIMARY_RACE", "ETHNICITY", "number", "share", "flag"],
    ["patient1", "White", "Non-Hispanic", 3, 0.5, True],
    ["patient2", None, "NA", 3.0, -0.5, False],
]


def test_a_sheet_is_what_pandas_reads(tmp_path):
    path = workbook(tmp_path / "a.xlsx", RACES)
    pd.testing.assert_frame_equal(read_table(path), pd.read_excel(path, dtype="str"))


def test_wrong_sheets_of_races(tmp_path):
    patients = pd.Series(["patient1", "patient2"])
    race, _ = read_race(workbook(tmp_path / "a.xlsx", RACES), patients)
    assert race.tolist()[0] == "white" and race.isna().tolist() == [False, True]
    for rows, says in (
        ([*RACES, RACES[1]], "'PATIENT' must be unique"),
        (RACES[:1], "no rows"),
        ([RACES[0], [None, "White", "x"]], "has no patient"),
        ([[]], "empty"),
        ([["a"], ["b"]], "lacks the columns"),
        ([[*RACES[0], "PATIENT"], *RACES[1:]], "duplicate columns"),
        ([RACES[0], ["someone", "White", "x"]], "none of its patients"),
    ):
        with pytest.raises(MedauditError, match=says):
            read_race(workbook(tmp_path / "b.xlsx", rows), patients)


def test_wrong_sheets_of_papila(tmp_path):
    header = [["PAPILA"], ["ID", "Age", "Gender", "Diagnosis"], []]
    good = workbook(tmp_path / "od.xlsx", [*header, ["#002", 47, 0, 2]])
    assert read_rows(good)[["Age", "Diagnosis"]].to_numpy().tolist() == [[47, 2]]
    for rows, says in (
        ([*header, ["#002", "old", 0, 2]], "must have numbers"),
        (header, "no row whose first cell"),
        ([["PAPILA"], ["ID", "Years", "Gender", "Diagnosis"], ["#002", 4, 0, 2]], "lacks"),
    ):
        with pytest.raises(MedauditError, match=says):
            read_rows(workbook(tmp_path / "x.xlsx", rows))


def test_what_is_no_workbook(tmp_path):
    good = workbook(tmp_path / "good.xlsx", RACES)
    bad = tmp_path / "bad.xlsx"
    for content in (b"", b"PATIENT,a\n1,2\n", good.read_bytes()[:2000], b"\xd0\xcf\x11\xe0" * 99):
        bad.write_bytes(content)
        with pytest.raises(MedauditError, match="cannot read .*bad.xlsx"):
            list(read_cells(bad))
    edit_zip(good, bad, lambda name, content: None if "sheet1" in name else content)
    with pytest.raises(MedauditError, match="cannot read .*bad.xlsx"):
        list(read_cells(bad))
