"""HAM10000 and Fitzpatrick17k: trees written here in their owners' layouts, and the real tables."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from checkout import ROOT
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import MANIFEST, check_table
from medaudit.data import datasets
from medaudit.data.cohort.subjects import build
from medaudit.data.group_levels import age_group
from skin_trees import LESIONS, write_fitzpatrick, write_ham

COHORTS = yaml.safe_load((ROOT / "config" / "cohorts.yaml").read_text())["cohorts"]
HAM = {"loader": "ham10000", "name": "ham10000", "folder": "ham"}
FITZ = {"loader": "fitzpatrick17k", "name": "fitzpatrick17k", "folder": "fitz"}
# Table 9 and 10 of FairTune: split, group, (negative, positive).
TABLE_9 = {
    ("train", "types 1-3"): (7538, 1312),
    ("train", "types 4-6"): (3541, 418),
    ("val", "types 1-3"): (940, 159),
    ("val", "types 4-6"): (456, 46),
    ("test", "types 1-3"): (934, 180),
    ("test", "types 4-6"): (443, 45),
}
TABLE_10_AGE = {
    ("train", "<=60"): (5218, 545),
    ("train", ">60"): (1618, 586),
    ("val", "<=60"): (604, 69),
    ("val", ">60"): (219, 97),
    ("test", "<=60"): (653, 70),
    ("test", ">60"): (208, 71),
}
TABLE_10_SEX = {
    ("train", "male"): (3609, 725),
    ("train", "female"): (3224, 406),
    ("val", "male"): (419, 104),
    ("val", "female"): (399, 62),
    ("test", "male"): (464, 79),
    ("test", "female"): (395, 62),
}


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("MEDAUDIT_DATA", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "delimiter", "parts"),
    [
        ("HAM10000_metadata", ",", ("part_1", "part_2")),
        ("HAM10000_metadata.tab", "\t", ("part1", "part2")),
        ("HAM10000_metadata.csv", ",", ("part_1", "part_1")),
    ],
)
def test_ham10000_is_read_in_all_its_forms(root, caplog, name, delimiter, parts):
    write_ham(root / "ham", name, delimiter, parts)
    source = datasets.load(HAM)
    frame = source.frame
    check_table(frame, MANIFEST, "ham10000")
    assert frame["image_id"].tolist() == [row[1] for row in LESIONS]
    assert frame["patient_id"].tolist() == [row[0] for row in LESIONS]
    assert frame["y_malignant"].tolist() == [0, 0, 1, 0, 1, 0]
    assert frame["a_sex"].fillna("(missing)").tolist() == [
        *("male", "male", "female", "unknown", "unknown", "(missing)")
    ]
    ages = frame["age"].tolist()
    assert ages[:4] == [80, 80, 60, 75] and math.isnan(ages[4]) and ages[5] == 0
    assert frame["path"][2] == f"HAM10000_images_{parts[0]}/ISIC_0026769.jpg"
    assert all((root / "ham" / path).is_file() for path in frame["path"][:-1])
    assert "1 of 6 images are not below" in caplog.text and "ISIC_0027850" in caplog.text
    assert datasets.source_tables(HAM) == [root / "ham" / name]


def test_bcc_counts_as_benign_unless_told(root):
    write_ham(root / "ham", "HAM10000_metadata", ",")
    plain, changed = datasets.load(HAM), datasets.load(HAM | {"bcc": "malignant"})
    assert (changed.frame["y_malignant"] - plain.frame["y_malignant"]).tolist() == [
        0,
        0,
        0,
        1,
        0,
        0,
    ]
    assert any("(1 images) counts as benign" in note for note in plain.notes)
    assert any("counts as malignant" in note for note in changed.notes)
    with pytest.raises(MedauditError, match="`bcc` is 'maybe'"):
        datasets.load(HAM | {"bcc": "maybe"})


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (",bcc,", ",xyz,", "column 'dx' has the unknown values .'xyz'."),
        (",unknown,", ",n/k,", "column 'sex' has the unknown values .'n/k'."),
        ("ISIC_0025030", "ISIC_0027419", "'image_id' must be unique"),
        (",80.0,", ",800,", "column 'age' has 800 in line 2"),
        ("lesion_id", "lesion", "lacks the columns .'lesion_id'."),
    ],
)
def test_what_is_wrong_with_a_ham10000_table_is_said(root, old, new, message):
    write_ham(root / "ham", "HAM10000_metadata", ",")
    path = root / "ham" / "HAM10000_metadata"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(MedauditError, match=message):
        datasets.load(HAM)


def test_no_ham10000_table_is_said(root):
    (root / "ham").mkdir()
    with pytest.raises(MedauditError, match="no HAM10000_metadata or"):
        datasets.load(HAM)


@pytest.mark.parametrize("pictures", ["images", "finalfitz17k", "data/finalfitz17k"])
def test_fitzpatrick17k_is_read_with_its_pictures_wherever_they_are(root, caplog, pictures):
    hashes = write_fitzpatrick(root / "fitz", pictures)
    source = datasets.load(FITZ)
    frame = source.frame
    check_table(frame, MANIFEST, "fitzpatrick17k")
    assert frame["image_id"].tolist() == frame["patient_id"].tolist() == hashes
    skin = frame["a_skin_type"].fillna("(missing)").tolist()
    assert skin == ["unknown", "type 1", "type 6", "type 3", "(missing)"]
    assert frame["y_malignant"].tolist() == [1, 0, 1, 0, 0]
    assert frame["path"].tolist()[1:] == [f"{pictures}/{name}.jpg" for name in hashes[1:]]
    assert frame["path"][0] == f"images/{hashes[0]}.jpg"
    assert "1 of 5 images" in caplog.text
    assert any("calls 1 images wrongly labelled" in note for note in source.notes)
    assert any("near-duplicates" in note for note in source.notes)


@pytest.mark.parametrize(
    "name", ["fitzpatrick17k.csv", "SimThresh_T_A2_T_0.99_0.70_FC_T_KeepOne_0FST_F.csv"]
)
def test_the_cleaned_fitzpatrick17k_has_other_columns_and_a_split(root, name):
    write_fitzpatrick(root / "fitz", "images")
    path = root / "fitz" / "fitzpatrick17k.csv"
    table = pd.read_csv(path, dtype="str").rename(columns={"fitzpatrick_scale": "fitzpatrick"})
    table = table.drop(columns="fitzpatrick_centaur")
    plain = datasets.load(FITZ).frame
    table.to_csv(path, index=False)
    pd.testing.assert_frame_equal(datasets.load(FITZ).frame, plain)
    table.insert(0, "partition", ["train", "valid", "test", "train", "train"])
    path.unlink()
    table.to_csv(path.with_name(name), index=False)
    source = datasets.load(FITZ)
    assert source.frame["a_official_split"].tolist() == table["partition"].tolist()
    assert any("removed near-duplicates" in note for note in source.notes)


def plain_split(ids: list[str], seeds: tuple[int, int]) -> dict[str, str]:
    """MEDFAIR's 80/10/10 in plain words: shuffle, cut a fifth off, shuffle that, halve it."""
    order = [ids[k] for k in np.random.RandomState(seeds[0]).permutation(len(ids))]
    n = math.ceil(0.2 * len(ids))
    held = [order[:n][k] for k in np.random.RandomState(seeds[1]).permutation(n)]
    tested = held[: math.ceil(0.5 * n)]
    place = dict.fromkeys(order[n:], "train") | dict.fromkeys(held, "val")
    return place | dict.fromkeys(tested, "test")


def settings_of(name: str) -> dict:
    entry, chain = {}, name
    while chain:
        entry = COHORTS[chain] | entry
        chain = COHORTS[chain].get("extends")
    return {"name": name, **entry}


def count_cells(frame: pd.DataFrame, column: str, label: str) -> dict:
    counts = frame.groupby(["split", column, label]).size().unstack(fill_value=0)
    return {key: (int(row[0.0]), int(row[1.0])) for key, row in counts.iterrows()}


def cohort_of(name: str, frame: pd.DataFrame) -> pd.DataFrame:
    settings = settings_of(name)
    if settings.get("age_threshold"):
        frame = frame.assign(a_age_group=age_group(frame["age"], settings))
    return build(frame, settings).frame


def test_the_cohorts_of_a_drawn_ham10000_follow_the_published_recipe():
    raw = datasets.load({"loader": "ham10000", "folder": None}).frame
    assert len(raw) == 10_015
    rows = [row for row in raw.to_dict("records") if not math.isnan(row["age"])]
    place = plain_split(sorted({row["patient_id"] for row in rows}), (0, 0))
    ages, sexes = {}, {}
    for row in rows:
        y, split = int(row["a_dx"] in ("akiec", "mel")), place[row["patient_id"]]
        ages.setdefault((split, ">60" if row["age"] > 60 else "<=60"), [0, 0])[y] += 1
        if row["a_sex"] != "unknown":
            sexes.setdefault((split, row["a_sex"]), [0, 0])[y] += 1
    for name, column, expected in (
        ("ham10000_age", "a_age_group", ages),
        ("ham10000_sex", "a_sex", sexes),
    ):
        found = count_cells(cohort_of(name, raw), column, "y_malignant")
        assert found == {key: tuple(cell) for key, cell in expected.items()}


def test_the_cohort_of_a_drawn_fitzpatrick17k_follows_the_published_recipe():
    raw = datasets.load({"loader": "fitzpatrick17k", "folder": None}).frame
    assert len(raw) == 16_577
    rows = [row for row in raw.to_dict("records") if row["a_skin_type"] != "unknown"]
    place = plain_split(sorted(row["image_id"] for row in rows), (5, 6))
    expected: dict = {}
    for row in rows:
        group = "types 4-6" if int(row["a_skin_type"][-1]) > 3 else "types 1-3"
        cell = expected.setdefault((place[row["image_id"]], group), [0, 0])
        cell[int(row["a_partition"] == "malignant tumour")] += 1
    found = count_cells(cohort_of("fitzpatrick17k_skin_type", raw), "a_skin_type", "y_malignant")
    assert found == {key: tuple(cell) for key, cell in expected.items()}


def test_as_many_pictures_as_published_are_split_as_published():
    n = 16_012
    names = pd.Series([f"{number:032x}" for number in range(n)])
    frame = pd.DataFrame({"image_id": names, "patient_id": names, "y_malignant": 0.0})
    frame["a_skin_type"] = "type 1"
    frame.loc[0, "a_skin_type"] = "type 6"
    sizes = cohort_of("fitzpatrick17k_skin_type", frame)["split"].value_counts()
    assert sizes.to_dict() == {
        split: sum(sum(cell) for key, cell in TABLE_9.items() if key[0] == split)
        for split in ("train", "val", "test")
    }


def real_folder(*patterns: str) -> Path:
    """Return the folder in the data root that holds an owner's real table, or skip."""
    base = datasets.data_root()
    base = base if base.is_absolute() else ROOT / base
    found = [path for pattern in patterns for path in sorted(base.glob(pattern))]
    if not found:
        pytest.skip(f"there is no {' or '.join(patterns)} in {base}: get it from its owner")
    return found[0].parent.absolute()


def test_the_real_ham10000_gives_table_10_in_every_cell():
    folder = real_folder("*/HAM10000_metadata", "*/HAM10000_metadata.*", "HAM10000_metadata*")
    frame = datasets.load(HAM | {"folder": str(folder)}).frame
    ages, sexes = cohort_of("ham10000_age", frame), cohort_of("ham10000_sex", frame)
    assert count_cells(ages, "a_age_group", "y_malignant") == TABLE_10_AGE
    assert count_cells(sexes, "a_sex", "y_malignant") == TABLE_10_SEX
    assert frame["a_sex"].value_counts().to_dict() == {"male": 5406, "female": 4552, "unknown": 57}


def test_the_real_fitzpatrick17k_gives_table_9_in_every_cell():
    folder = real_folder("*/fitzpatrick17k.csv", "fitzpatrick17k.csv")
    frame = datasets.load(FITZ | {"folder": str(folder)}).frame
    cohort = cohort_of("fitzpatrick17k_skin_type", frame)
    assert count_cells(cohort, "a_skin_type", "y_malignant") == TABLE_9
    assert int((frame["a_skin_type"] == "unknown").sum()) == 565
