"""The loader `columns` on owners' real files that packages carry: it agrees with the loaders in Python."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom.data
import pytest

from medaudit.data import datasets
from medaudit.data.datasets import embedded_table
from medaudit.data.datasets.nih import EMBEDDED, FINDINGS
from medaudit.data.readers.dicom_headers import KEYWORDS, find_dicom, read_headers

NIH: dict[str, Any] = {
    "table": EMBEDDED,
    "columns": {
        "path": "Image Index",
        "patient": "Patient ID",
        "age": {"column": "Patient Age", "oldest": 100, "impossible": "missing"},
        "view": "View Position",
    },
    "labels": {
        name: {"column": "Finding Labels", "contains": [name], "separator": "|"}
        for name in FINDINGS
    },
}
CHEXPERT: dict[str, Any] = {
    "table": "chexpert_train.csv.gz",
    "keep": [{"column": "Sex", "values": ["Male", "Female"]}],
    "columns": {"path": "Path", "patient": "Path", "age": "Age", "view": "AP/PA"},
    "labels": {
        name: {"column": name, "uncertain": [-1], "uncertain_as": "ones", "blank": "zeros"}
        for name in ("Edema", "Pleural Effusion", "No Finding")
    },
    "groups": {"side": "Frontal/Lateral"},
}


@pytest.fixture(autouse=True)
def own_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_the_owners_table_of_nih_reads_as_by_its_own_loader():
    folder = embedded_table(EMBEDDED).parent
    header = pd.read_csv(folder / EMBEDDED, nrows=0).columns
    sex = next(
        name for name in header if name.startswith("Patient") and "er" in name or "Sex" in name
    )
    groups = {"sex": {"column": sex, "levels": {"female": ["F"], "male": ["M"]}}}
    entry = {**NIH, "name": "nih", "loader": "columns", "folder": str(folder), "groups": groups}
    found = datasets.load(entry).frame
    own = datasets.load({"name": "nih", "loader": "nih", "folder": None}).frame
    assert len(found) == 112_120
    assert found[own.columns].equals(own[own.columns])


def test_the_owners_table_of_chexpert_gives_the_counts_of_pandas():
    folder = embedded_table(EMBEDDED).parent
    name = next(path.name for path in folder.glob("chexpert_train*"))
    found = datasets.load(
        {**CHEXPERT, "table": name, "name": "c", "loader": "columns", "folder": str(folder)}
    )
    raw = pd.read_csv(folder / name)
    raw = raw[raw["Sex"] != "Unknown"]
    assert [one["count"] for one in found.exclusions] == [1]
    for label in CHEXPERT["labels"]:
        ones = raw[label].isin([1, -1]).astype(float)
        assert np.array_equal(found.frame[f"y_{label}"], ones)
    assert np.array_equal(found.frame["age"], raw["Age"])
    assert (found.frame["view"].isna() == raw["AP/PA"].isna().to_numpy()).all()


def test_three_readers_of_vindr_with_any_number_of_boxes_vote_once_each():
    folder = embedded_table(EMBEDDED).parent
    name = "vinbigdata-train.csv.gz"
    classes = ["Cardiomegaly", "Aortic enlargement", "Pleural effusion"]
    found = datasets.load(
        {
            "name": "v",
            "loader": "columns",
            "folder": str(folder),
            "table": name,
            "columns": {"path": "{image_id}.dicom", "image": "image_id", "patient": None},
            "labels": {
                c: {"column": "class_name", "positive": [c], "negative": "rest"} for c in classes
            },
            "readers": {"rule": "majority", "by": "rad_id"},
        }
    ).frame
    raw = pd.read_csv(folder / name)
    assert len(found) == raw["image_id"].nunique() == 15_000
    readers = raw.groupby("image_id")["rad_id"].nunique()
    assert set(readers) == {3}
    for name in classes:
        seen = raw[raw["class_name"] == name].groupby("image_id")["rad_id"].nunique()
        expected = seen.reindex(found["image_id"]).fillna(0) >= 2
        assert np.array_equal(found[f"y_{name}"] == 1, expected) and expected.sum() > 500


def test_the_headers_of_real_dicom_files_of_every_kind():
    """Those that pydicom carries for its own tests: damaged, empty, multi-frame, without pixels."""
    folder = Path(pydicom.data.__file__).parent / "test_files"
    files = find_dicom(folder)
    sheet = read_headers(folder, {"name": "real"})
    left_out = sum(one["count"] for one in sheet.exclusions)
    assert len(sheet.frame) + left_out == len(files) and len(sheet.frame) > 60 and left_out > 10
    assert set(KEYWORDS) < set(sheet.frame.columns)
    ct = sheet.frame.set_index("File").loc["CT_small.dcm"]
    assert (ct["PatientID"], ct["Modality"], ct["Rows"]) == ("1CT1", "CT", "128")
    assert (ct["PatientAge"], ct["PatientSex"], ct["Manufacturer"]) == (
        "000Y",
        "O",
        "GE MEDICAL SYSTEMS",
    )
    again = read_headers(folder, {"name": "real"})
    assert again.frame.equals(sheet.frame)
