"""The entries shipped for other owners' datasets, on invented tables in their layouts.

Expected values are recomputed from the tables row by row, without the loader.
"""

import ast
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medaudit.config import jobs
from medaudit.config.validation import check
from medaudit.core.seeds import generator
from medaudit.core.table_io import COHORT, MANIFEST, check_table, read_json, read_table
from medaudit.data import datasets
from medaudit.data.cohort import cohort
from medaudit.data.datasets import embedded_table
from medaudit.data.groups import groups
from medaudit.data.manifest import manifest
from medaudit.data.phantoms.layouts import WRITERS
from shipped_config import SCHEMAS, shipped

CONFIG = check(shipped(), SCHEMAS)
PATIENTS = 200
FEWER = {"midrc": 60}  # their DICOM headers are read for every test


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    found = {}
    for name, write in WRITERS.items():
        found[name] = tmp_path_factory.mktemp(name)
        write(found[name], FEWER.get(name, PATIENTS), generator("entries", name))
    return found


@pytest.fixture(autouse=True)
def own_results(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # tables of DICOM headers are kept in results


@pytest.fixture
def load(folders):
    def loaded(name: str) -> pd.DataFrame:
        entry = {**CONFIG["datasets"][name], "name": name, "folder": str(folders[name])}
        frame = datasets.load(entry).frame
        check_table(frame, MANIFEST, name)
        return frame.set_index("image_id", drop=False)

    return loaded


@pytest.fixture
def table(folders):
    def read(name: str, file: str) -> pd.DataFrame:
        (path,) = folders[name].glob(file)
        separator = "\t" if path.suffix == ".tsv" else ","
        return pd.read_csv(path, dtype="str", sep=separator, keep_default_na=False)

    return read


def same(found: pd.Series, expected: dict) -> None:
    """Check a column by image; None is missing."""
    given = found.astype(object).where(found.notna(), None).to_dict()
    assert given == expected


# ------------------------------------------------------------------ all of them


def test_every_entry_of_the_loader_columns_has_a_layout():
    shipped_entries = {n for n, e in CONFIG["datasets"].items() if e["loader"] == "columns"}
    assert shipped_entries == set(WRITERS)


@pytest.mark.parametrize("name", WRITERS)
def test_an_entry_says_its_licence_and_where_to_get_it_and_docs_whether_it_was_seen(name):
    entry = CONFIG["datasets"][name]
    assert entry["licence"] and entry["source"]
    text = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith(f"| `{name}` |"))
    assert re.search(r"\| (seen|rows seen|not seen)", row)


@pytest.mark.parametrize("name", WRITERS)
def test_a_cohort_of_each_dataset_has_both_classes_in_every_split(name, folders, tmp_path):
    config = shipped()
    config["datasets"][name]["folder"] = str(folders[name])
    config = check(config, SCHEMAS)
    paths = {"manifest": tmp_path / "m.parquet", "manifest_card": tmp_path / "m.json"}
    manifest(
        json.loads(jobs.settings(config, "manifest", dataset=name)),
        output=paths["manifest"],
        card=paths["manifest_card"],
    )
    settings = json.loads(jobs.settings(config, "cohort", cohort=name))
    cohort(settings, **paths, output=tmp_path / "c.parquet", card=tmp_path / "c.json")
    groups(
        json.loads(jobs.settings(config, "groups", cohort=name)),
        cohort=tmp_path / "c.parquet",
        cohort_card=tmp_path / "c.json",
        output=tmp_path / "g.parquet",
        card=tmp_path / "g.json",
    )
    frame, card = read_table(tmp_path / "c.parquet", COHORT), read_json(tmp_path / "g.json")
    task = card["tasks"][0]
    assert frame.groupby("split")[f"y_{task}"].nunique().eq(2).all()
    assert frame.groupby("patient_id")["split"].nunique().max() == 1
    assert card["phantom"] is False  # nothing here says so: only `export` marks what it writes


@pytest.mark.parametrize("name", WRITERS)
def test_paths_are_those_of_the_owner(name, load):
    """One example each, from the owner's documentation or public code."""
    forms = {
        "mimic_cxr": r"files/p1\d/p1\d{7}/s5\d{7}/[\da-f-]+\.jpg",
        "chexpert_plus": r"PNG/train/patient\d{5}/study1/view1_frontal\.png",
        "padchest": r"\d{1,2}/\d+_\d+\.png",
        "vindr_cxr": r"(train|test)/[\da-f]{32}\.dicom",
        "brax": r"images/id_[\da-f]+/Study_[\d.]+/Series_[\d.]+/image-[\d.]+\.png",
        "midrc": r"10000364-\d+/[\d.]+/[\d.]+/[\d.]+\.dcm",
        "embed": r"mnt/NAS2/mammo/anon_dicom/cohort_1/\d+/\d+/[\d.]+\.dcm",
        "brset": r"fundus_photos/img\d{5}\.jpg",
        "mbrset": r"images/\d+\.[12]\.jpg",
        "odir5k": r"preprocessed_images/\d+_(left|right)\.jpg",
        "isic2019": r"ISIC_2019_Training_Input/ISIC_\d{7}\.jpg",
        "isic2020": r"train/ISIC_\d{7}\.jpg",
        "pad_ufes_20": r"PAT_\d+_\d+_\d+\.png",
        "ddi": r"\d{6}\.png",
        "scin": r"dataset/images/-\d+\.png",
    }
    harvard = r"(Training|Validation|Test)/data_\d{5}\.npz#slo_fundus"
    assert load(name)["path"].str.fullmatch(forms.get(name, harvard)).all()


@pytest.mark.parametrize("name", WRITERS)
def test_shuffling_every_table_changes_no_row(name, tmp_path):
    frames = []
    for part in ("plain", "shuffled"):
        folder = tmp_path / part
        WRITERS[name](folder, 30, generator("shuffled", name))
        for path in folder.rglob("*"):
            if part == "shuffled" and path.name.endswith((".csv", ".csv.gz", ".tsv", ".json")):
                shuffle(path)
        entry = {**CONFIG["datasets"][name], "name": name, "folder": str(folder)}
        frames.append(datasets.load(entry).frame.sort_values("image_id", ignore_index=True))
    pd.testing.assert_frame_equal(*frames)


def shuffle(path: Path) -> None:
    if path.suffix == ".json":
        lines = path.read_text().splitlines()
        path.write_text("\n".join(lines[::-1]) + "\n")
        return
    how = {"sep": "\t" if path.suffix == ".tsv" else ",", "index": False}
    table = pd.read_csv(path, dtype="str", sep=how["sep"], keep_default_na=False)
    table = table.rename(columns=lambda name: "" if name.startswith("Unnamed") else name)
    table.sample(frac=1, random_state=3).to_csv(path, **how)


# ------------------------------------------------------------------ radiographs


def test_mimic_cxr_joins_five_tables(load, table):
    frame = load("mimic_cxr")
    films, split, labels = (
        table("mimic_cxr", f"mimic-cxr-2.0.0-{part}.csv.gz")
        for part in ("metadata", "split", "chexpert")
    )
    people = table("mimic_cxr", "patients.csv.gz").set_index("subject_id")
    visits = table("mimic_cxr", "admissions.csv.gz").groupby("subject_id")["race"].agg(set)
    films = films[films["ViewPosition"].isin(["AP", "PA"])].set_index("dicom_id")
    assert set(frame.index) == set(films.index)
    assert (frame["patient_id"] == films["subject_id"]).all()
    person = people.loc[films["subject_id"]].set_index(films.index)
    age = person["anchor_age"].astype(int) + films["StudyDate"].str[:4].astype(int)
    same(frame["age"], (age - person["anchor_year"].astype(int)).astype(float).to_dict())
    same(frame["a_sex"], person["gender"].map({"F": "female", "M": "male"}).to_dict())
    meaning = {"WHITE": "white", "BLACK/AFRICAN AMERICAN": "black", "ASIAN - CHINESE": "asian"}
    meaning |= {"UNKNOWN": "unknown", "OTHER": "other"}
    race = {
        image: meaning[next(iter(visits[who]))] if len(visits[who]) == 1 else None
        for image, who in films["subject_id"].items()
    }
    assert None in race.values()
    same(frame["a_race"], race)
    names = {"train": "train", "validate": "val", "test": "test"}
    same(frame["a_official_split"],
         split.set_index("dicom_id").loc[films.index, "split"].map(names).to_dict())  # fmt: skip
    found = labels.set_index("study_id").loc[films["study_id"]].set_index(films.index)
    for name in ("Edema", "No Finding", "Support Devices"):
        same(frame[f"y_{name}"], (found[name] == "1.0").astype(float).to_dict())


def test_chexpert_plus_takes_its_labels_from_json_lines(load, folders):
    frame = load("chexpert_plus")
    text = (folders["chexpert_plus"] / "chexbert_labels" / "impression_fixed.json").read_text()
    lines = {row["path_to_image"]: row for row in map(json.loads, text.splitlines())}
    assert set(frame.index) == {name for name in lines if "frontal" in name}
    for name in ("Pneumothorax", "Fracture"):
        expected = {image: float(lines[image][name] == 1.0) for image in frame.index}
        assert len(set(expected.values())) == 2
        same(frame[f"y_{name}"], expected)
    assert set(frame["a_race"].dropna()) == {"white", "black", "asian"}


def expect_padchest(raw: pd.DataFrame) -> pd.DataFrame:
    """Recompute PadChest's rows in plain pandas."""
    kept = raw["Projection"].isin(["PA", "AP", "AP_horizontal"]) & (raw["Pediatric"] == "No")
    raw = raw[kept & ~raw["Labels"].isin(["", "nan"])].set_index("ImageID")
    said = raw["Labels"].map(lambda text: {word.strip() for word in ast.literal_eval(text)})
    birth = pd.to_numeric(raw["PatientBirth"], errors="coerce")
    early = raw["StudyDate_DICOM"].str[4:8] < "0701"  # of a birthday, only the year is known
    return pd.DataFrame(
        {
            "patient": raw["PatientID"],
            "age": np.maximum(raw["StudyDate_DICOM"].str[:4].astype(float) - birth - early, 0),
            "sex": raw["PatientSex_DICOM"],
            **{w: said.map(lambda s, w=w: float(w in s)) for w in ("cardiomegaly", "pneumonia")},
            "pleural effusion": said.map(lambda s: float("pleural effusion" in s)),
            "atelectasis": said.map(lambda s: float(any("atelectasis" in w for w in s))),
        }
    )


def check_padchest(frame: pd.DataFrame, expected: pd.DataFrame) -> None:
    expected = expected.loc[frame.index]
    assert (frame["patient_id"] == expected["patient"]).all()
    np.testing.assert_array_equal(
        frame["age"], expected["age"].where(expected["age"].between(0, 110))
    )
    for label, word in (("Cardiomegaly", "cardiomegaly"), ("Pneumonia", "pneumonia"),
                        ("Pleural Effusion", "pleural effusion"), ("Atelectasis", "atelectasis")):  # fmt: skip
        np.testing.assert_array_equal(frame[f"y_{label}"], expected[word])
    sexes = expected["sex"].map({"F": "female", "M": "male", "O": "unknown"})
    assert (frame["a_sex"].fillna("") == sexes.fillna("")).all()


def test_padchest(load, table):
    frame, expected = load("padchest"), expect_padchest(table("padchest", "PADCHEST*"))
    assert set(frame.index) == set(expected.index)
    check_padchest(frame, expected)


def test_the_real_table_of_padchest(tmp_path):
    source = embedded_table("PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz")
    (tmp_path / source.name).symlink_to(source)
    entry = {**CONFIG["datasets"]["padchest"], "name": "padchest", "folder": str(tmp_path)}
    frame = datasets.load(entry).frame.set_index("image_id")
    raw = pd.read_csv(source, dtype="str", keep_default_na=False)
    assert len(raw) == 160_861
    expected = expect_padchest(raw)
    assert set(frame.index) == set(expected.index) and frame.index.is_unique
    check_padchest(frame, expected)
    assert frame["patient_id"].nunique() > 60_000


def test_vindr_cxr_is_what_most_readers_say(load, table):
    frame = load("vindr_cxr")
    train, test = (
        table("vindr_cxr", f"annotations/image_labels_{s}.csv") for s in ("train", "test")
    )
    for name in ("Cardiomegaly", "Lung Opacity", "Nodule/Mass"):
        votes = train[name].astype(int).groupby(train["image_id"]).agg(["sum", "count"])
        assert set(votes["count"]) == {3}
        expected = (votes["sum"] >= 2).astype(float).to_dict()
        expected |= dict(zip(test["image_id"], test[name].astype(float), strict=True))
        same(frame[f"y_{name}"], expected)
    assert set(frame.loc[test["image_id"], "a_official_split"]) == {"test"}
    assert set(frame["a_sex"].dropna()) == {"female", "male", "unknown"}
    assert set(frame["age"].dropna()) == {58, 31}
    assert (frame["patient_id"] == frame["image_id"]).all()


def test_brax_and_midrc(load, table):
    brax, raw = load("brax"), table("brax", "master*").set_index("PngPath")
    raw = raw[raw["ViewPosition"].isin(["AP", "PA"])]
    same(brax["y_Edema"], (raw["Edema"] == "1.0").astype(float).to_dict())
    ages = raw["PatientAge"].replace("85 or more", "85").astype(float)
    same(brax["age"], ages.to_dict())
    midrc, cases = load("midrc"), table("midrc", "*.tsv").set_index("submitter_id")
    assert len(midrc) == 2 * FEWER["midrc"]
    case = cases.loc[midrc["patient_id"]]
    assert (midrc["y_COVID-19"].to_numpy() == (case["covid19_positive"] == "Yes")).all()
    assert (midrc["path"].str.split("/").str[0] == midrc["patient_id"]).all()
    assert (midrc["a_race"].eq("unknown").to_numpy() == (case["race"] == "")).all()


# ------------------------------------------------------------------ breast, eyes, skin


def test_embed_takes_the_worst_finding_of_an_exam(load, table):
    frame = load("embed")
    findings = table("embed", "tables/*clinical.csv")
    films = table("embed", "tables/*metadata.csv")
    films = films[films["FinalImageType"] == "2D"]
    assert len(frame) == len(films)
    worst = findings.groupby("acc_anon")["asses"].agg(set)
    image = films["anon_dicom_path"].str.removeprefix("/")
    expected = {i: float(bool(worst[a] & set("SMK")))
                for i, a in zip(image, films["acc_anon"], strict=True)}  # fmt: skip
    same(frame["y_Suspicious"], expected)
    one = findings.drop_duplicates("acc_anon").set_index("acc_anon")
    age = {i: float(one.loc[a, "age_at_study"])
           for i, a in zip(image, films["acc_anon"], strict=True)}  # fmt: skip
    same(frame["age"], age)
    assert {"black", "white"} <= set(frame["a_race"])


def test_the_eyes_of_brset_mbrset_and_odir5k(load, table):
    brset, raw = load("brset"), table("brset", "labels*").set_index("image_id")
    same(brset["y_Diabetic retinopathy"], raw["DR_ICDR"].map(lambda v: float(int(v) > 0)).to_dict())
    same(brset["a_sex"], raw["patient_sex"].map({"1": "male", "2": "female"}).to_dict())
    same(brset["view"], raw["exam_eye"].map({"1": "OD", "2": "OS"}).to_dict())
    mbrset, raw = load("mbrset"), table("mbrset", "labels*").set_index("file")
    raw = raw[raw["final_icdr"] != ""]
    same(mbrset["y_Macular edema"], (raw["final_edema"] == "yes").astype(float).to_dict())
    odir, raw = load("odir5k"), table("odir5k", "full_df.csv").set_index("filename")
    for name, letter in (("Glaucoma", "G"), ("Myopia", "M"), ("Normal", "N")):
        same(odir[f"y_{name}"], raw["labels"].map(lambda v, x=letter: float(x in v)).to_dict())


@pytest.mark.parametrize(
    ("name", "task", "column", "negative"),
    [("fairvlmed10k", "Glaucoma", "glaucoma", "no"), ("fairvision_amd", "AMD", "amd", "normal")]
    + [("fairvision_dr", "Vision-threatening DR", "dr", "non-vision threatening dr")]
    + [("fairvision_glaucoma", "Glaucoma", "glaucoma", "no")],
)
def test_harvards_arrays(load, table, name, task, column, negative):
    frame, raw = load(name), table(name, "**/data_summary*.csv")
    raw = raw.set_index(raw["filename"].str.removesuffix(".npz"))
    same(frame[f"y_{task}"], (raw[column] != negative).astype(float).to_dict())
    names = {"training": "train", "validation": "val", "test": "test"}
    same(frame["a_official_split"], raw["use"].map(names).to_dict())
    folder = frame["path"].str.split("/").str[0].str.lower()
    assert (folder == raw["use"]).all()


def test_skin(load, table):
    isic, raw = load("isic2019"), table("isic2019", "*GroundTruth.csv").set_index("image")
    lesion = table("isic2019", "*Metadata.csv").set_index("image")["lesion_id"]
    raw = raw[lesion.loc[raw.index] != ""]
    malignant = raw[["MEL", "BCC", "SCC"]].eq("1.0").any(axis=1).astype(float)
    same(isic["y_malignant"], malignant.to_dict())
    pad, raw = load("pad_ufes_20"), table("pad_ufes_20", "metadata.csv").set_index("img_id")
    same(pad["y_malignant"], raw["diagnostic"].isin(["BCC", "SCC", "MEL"]).astype(float).to_dict())
    types = {f"{k}.0": f"type {k}" for k in range(1, 7)} | {"": "unknown"}
    same(pad["a_skin_type"], raw["fitspatrick"].map(types).to_dict())
    ddi, raw = load("ddi"), table("ddi", "ddi_metadata.csv").set_index("DDI_file")
    same(ddi["y_malignant"], (raw["malignant"] == "True").astype(float).to_dict())


def test_scin_has_a_row_per_picture_of_graded_cases(load, table):
    frame = load("scin")
    cases = table("scin", "dataset/scin_cases.csv").merge(
        table("scin", "dataset/scin_labels.csv"), on="case_id"
    )
    cases = cases[~cases["weighted_skin_condition_label"].isin(["", "{}"])]
    pictures = {row[f"image_{k}_path"]: row for row in cases.to_dict("records") for k in (1, 2, 3)}
    pictures.pop("", None)
    assert set(frame.index) == set(pictures)
    for name in ("Eczema", "Psoriasis"):
        said = {
            p: ast.literal_eval(r["weighted_skin_condition_label"]) for p, r in pictures.items()
        }
        same(frame[f"y_{name}"], {p: float(name in s) for p, s in said.items()})
    assert frame["patient_id"].nunique() == len(cases)
