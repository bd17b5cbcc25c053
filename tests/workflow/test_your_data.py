"""A hospital's tables and pictures become a report by configuration alone, in ten minutes."""

import json
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from checkout import Checkout
from hospital import ETHNIC, patients, picture, write_csv, write_dicom, write_hospital

pytestmark = [pytest.mark.workflow, pytest.mark.slow]
LIMIT = 600  # seconds from the folder to the report, on two cores


@pytest.fixture
def checkout(tmp_path) -> Checkout:
    return Checkout.copy(tmp_path / "a copy")


def medaudit(checkout: Checkout, *arguments: str) -> str:
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "medaudit", *arguments],
        cwd=checkout.folder,
        env=checkout.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, (old, text)
    path.write_text(text.replace(old, new))


def audit(checkout: Checkout) -> tuple[Path, str]:
    printed = medaudit(checkout, "check", "--configfile", "medaudit.yaml")
    assert "Everything that the run needs is there." in printed
    done = checkout.snakemake("--configfile", "medaudit.yaml", "--cores", "2", timeout=LIMIT)
    assert done.returncode == 0, done.stdout
    return checkout.folder / "results", printed


def test_png_and_dicom_with_three_tables(checkout, tmp_path):
    rows = write_hospital(tmp_path / "our hospital")
    start = time.monotonic()
    medaudit(checkout, "init", str(tmp_path / "our hospital"))
    overlay = checkout.folder / "medaudit.yaml"
    edit(overlay, "Consolidation: 'Consolidation?'", "Consolidation: {column: 'Consolidation?', positive: [pos], negative: [neg]}")  # fmt: skip
    edit(overlay, "uncertain: ['-1']}", "uncertain: ['-1'], uncertain_as: zeros}")
    edit(overlay, "# dosis: {column: Dosis, quantiles: 4}", "dose: {column: Dosis, quantiles: 3}")
    edit(overlay, "age_threshold: 60", "age_bands: {young: 0, middle: 40, old: 65}")
    edit(
        overlay,
        "    attributes: [sex, age_group, ethnic_group, insurance, [sex, age_group]]",
        "    attributes: [sex, age_group, ethnic_group, dose, file_format, [sex, age_group, insurance]]",
    )
    results, printed = audit(checkout)
    taken = time.monotonic() - start
    assert (
        "ethnic_group Unknown has" in printed and "200 of 200 sampled pictures are there" in printed
    )
    assert taken < LIMIT
    card = json.loads((results / "groups" / "our_hospital.json").read_text())
    assert card["n_images"] == len(rows) == 300 and card["n_patients"] == 150
    assert any("DICOM" in note for note in card["notes"])
    cohort = pd.read_parquet(results / "cohort" / "our_hospital.parquet")
    assert cohort.groupby("patient_id")["split"].nunique().max() == 1
    ages = {
        name: cohort.loc[cohort["a_age_group"] == name, "age"]
        for name in ("young", "middle", "old")
    }
    assert ages["young"].max() < 40 <= ages["middle"].min() and ages["middle"].max() < 65 <= ages["old"].min()  # fmt: skip
    truth = {
        row["ImageDir"] + "/" + row["ImageFile"]: row["Consolidation?"] == "pos" for row in rows
    }
    assert (cohort["y_Consolidation"] == cohort["path"].map(truth)).all()
    groups = pd.read_parquet(results / "groups" / "our_hospital.parquet")
    assert set(groups["a_ethnic_group"]) <= set(ETHNIC)
    gaps = pd.read_csv(results / "disparity" / "our_hospital" / "pixels" / "linear.csv")
    assert {"sex", "ethnic_group", "dose", "file_format", "sex & age_group & insurance"} <= set(gaps["attribute"])  # fmt: skip
    page = (results / "report.html").read_text()
    assert "DICOM files, shown through the window" in page and "Black/African" in page


def write_dicom_folder(folder: Path, count: int = 300) -> None:
    """Write DICOM files named by number, and a table of labels by accession number."""
    rng, people = np.random.default_rng(1), patients(count // 2)
    labels = []
    for k in range(count):
        person, sick = people[k // 2], bool(rng.random() < 0.4)
        write_dicom(
            folder / "export" / f"{k // 100}" / f"{k:06d}",  # no suffix, as archives export them
            picture(sick, rng),
            PatientID=person["MRN"],
            PatientSex=person["Gender (M/F)"],
            PatientAge=f"{rng.integers(20, 95):03d}Y",
            EthnicGroup=person["Ethnic group"],
            AccessionNumber=f"ACC{k:07d}",
            Manufacturer=("GE", "Philips")[k % 2],
            ViewPosition=("PA", "AP")[int(rng.integers(2))],
            StudyDate=f"2019{1 + k % 12:02d}15",
        )
        labels.append({"Accession": f"ACC{k:07d}", "Effusion": "yes" if sick else "no"})
    rng.shuffle(labels)
    write_csv(folder / "findings.csv", labels)


def test_dicom_alone_with_labels_in_a_table(checkout, tmp_path):
    write_dicom_folder(tmp_path / "pacs")
    start = time.monotonic()
    medaudit(checkout, "init", str(tmp_path / "pacs"))
    entry = yaml.safe_load((checkout.folder / "medaudit.yaml").read_text())["datasets"]["pacs"]
    assert entry["table"] == "(dicom)"
    assert entry["join"] == [{"table": "findings.csv", "on": {"AccessionNumber": "Accession"}}]
    assert entry["columns"]["patient"] == "PatientID" and entry["columns"]["age"] == "PatientAge"
    results, _ = audit(checkout)
    assert time.monotonic() - start < LIMIT
    headers = pd.read_csv(results / "dicom_headers" / "pacs.csv")
    assert len(headers) == 300 and {"PatientID", "Manufacturer", "KVP"} <= set(headers)
    cohort = pd.read_parquet(results / "cohort" / "pacs.parquet")
    assert len(cohort) == 300 and set(cohort["a_sex"]) == {"female", "male"}
    gaps = pd.read_csv(results / "disparity" / "pacs" / "pixels" / "linear.csv")
    assert {"sex", "age_group", "ethnicgroup"} & set(gaps["attribute"])
    assert (results / "report.html").is_file()
