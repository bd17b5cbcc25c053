"""OL3I, OASIS-1 and Harvard-GF3300: trees written here as their owners ship them, and real ones."""

import json
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

from medaudit.core.errors import MedauditError
from medaudit.core.files import data_root
from medaudit.core.table_io import COHORT, read_json, read_table
from medaudit.data import cohort as cohorts
from medaudit.data.datasets import load
from medaudit.data.images import images, open_store
from medaudit.data.manifest import manifest
from scan_trees import GF_ROWS, OASIS_ROWS, OL3I_ROWS, settings, write_gf, write_oasis, write_ol3i

# FairTune, Table 12: split, group: label 0, label 1
TABLE_12 = {
    ("train", "<=60"): (3512, 87),
    ("train", ">60"): (1487, 141),
    ("val", "<=60"): (830, 13),
    ("val", ">60"): (417, 43),
    ("test", "<=60"): (1060, 25),
    ("test", ">60"): (478, 46),
    ("train", "male"): (1984, 111),
    ("train", "female"): (3015, 117),
    ("val", "male"): (498, 32),
    ("val", "female"): (749, 24),
    ("test", "male"): (629, 39),
    ("test", "female"): (909, 32),
}
OASIS = {"label": "cdr_gt_0", "slices": {"negative": 0.25, "positive": 0.25}}
OFFICIAL = {"kind": "official", "attribute": "official_split"}
REAL = {
    "ol3i": ("clinical_data.csv", "ol3i_metadata.csv"),
    "oasis": ("oasis_cross-sectional.csv", "oasis_cross-sectional-5708aa0a98d82080.xlsx"),
    "harvard_gf3300": ("data_summary.csv",),
}


def real_or_skip(loader: str) -> Path:
    folder = data_root() / loader
    if not any((folder / name).is_file() for name in REAL[loader]):
        pytest.skip(f"{folder} does not hold the owner's table {' or '.join(REAL[loader])}")
    return folder


def build(tmp_path: Path, dataset: dict, **entry) -> tuple[pd.DataFrame, dict]:
    """Run the stages manifest and cohort; return the cohort and its card."""
    paths = {name: tmp_path / name for name in ("m.parquet", "m.json", "c.parquet", "c.json")}
    manifest(dataset, output=paths["m.parquet"], card=paths["m.json"])
    shared = {"name": "c", "builder": "subjects", "task_type": "binary", "seed": 1}
    cohorts.cohort(
        {**shared, "age_rule": "gt", **entry},
        manifest=paths["m.parquet"],
        manifest_card=paths["m.json"],
        output=paths["c.parquet"],
        card=paths["c.json"],
    )
    return read_table(paths["c.parquet"], COHORT), read_json(paths["c.json"])


def count(frame: pd.DataFrame, task: str, attribute: str) -> dict:
    """Return (negatives, positives) of each split and group by a plain loop."""
    found: dict = {}
    for row in frame.to_dict("records"):
        cell = found.setdefault((row["split"], row[f"a_{attribute}"]), [0, 0])
        cell[int(row[f"y_{task}"])] += 1
    return {key: tuple(cell) for key, cell in found.items()}


def check_table_12(tmp_path: Path, dataset: dict) -> None:
    frame, _ = build(
        tmp_path,
        dataset,
        tasks=["Ischemic heart disease"],
        split=OFFICIAL,
        age_threshold=60,
        attributes=["sex", "age_group"],
    )
    found = count(frame, "Ischemic heart disease", "age_group")
    assert found | count(frame, "Ischemic heart disease", "sex") == TABLE_12


# OL3I


@pytest.mark.parametrize(
    "name", ["clinical_data.csv", "ol3i_metadata.csv", "OL3I/clinical_data.csv"]
)
def test_ol3i(tmp_path, name):
    (tmp_path / "OL3I").mkdir()
    source = load(write_ol3i(tmp_path, name))
    frame = source.frame
    assert (
        frame["image_id"].tolist() == frame["patient_id"].tolist() == ["A1", "A2", "A3", "A4", "A5"]
    )
    where = "OL3I/" if "/" in name else ""
    assert frame["path"].tolist()[0] == f"{where}l3_slices.h5#A1"
    assert frame["a_sex"].tolist()[:3] == ["male", "female", "unknown"]
    assert frame["a_sex"].isna().tolist() == [False, False, False, True, False]
    np.testing.assert_array_equal(frame["age"], [55, 61, 60, np.nan, 70])
    np.testing.assert_array_equal(frame["y_Ischemic heart disease"], [0, 1, 0, 1, np.nan])
    assert frame["a_official_split"].tolist()[:4] == ["train", "val", "test", "train"]
    assert list(source.tables) == ["clinical"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("A2,", "A1,", "must be unique"),
        (",1,61", ",2,61", "'label_1y' has the unknown values"),
        ("male,0,A1", "man,0,A1", "'sex' has the unknown values"),
        ("set_1y,", "set1y,", "lacks the columns"),
        (",A1,", ",,", "is blank in 1 rows"),
        ("0,55", "0,old", "age"),
    ],
)
def test_ol3i_says_what_is_wrong(tmp_path, old, new, message):
    assert old in OL3I_ROWS
    with pytest.raises(MedauditError, match=message):
        load(write_ol3i(tmp_path, text=OL3I_ROWS.replace(old, new, 1)))


def test_ol3i_without_a_table(tmp_path):
    with pytest.raises(MedauditError, match=r"no clinical_data.csv or ol3i_metadata.csv"):
        load(settings("ol3i", tmp_path))


def test_the_official_split_of_a_table_of_its_size_gives_table_12(tmp_path):
    rng = np.random.default_rng(0)
    parts = []
    for split in ("train", "val", "test"):
        for label in (0, 1):
            ages = [TABLE_12[split, group][label] for group in ("<=60", ">60")]
            sexes = [TABLE_12[split, group][label] for group in ("male", "female")]
            assert sum(ages) == sum(sexes)
            young, old = rng.integers(20, 61, ages[0]), rng.integers(61, 99, ages[1])
            sex = rng.permutation(["male"] * sexes[0] + ["female"] * sexes[1])
            one = {"age": [*young, *old], "sex": sex, "set_1y": split, "label_1y": str(label)}
            parts.append(pd.DataFrame(one))
    table = pd.concat(parts, ignore_index=True).sample(frac=1, random_state=0)
    blank = table.head(30).assign(set_1y="", label_1y="")
    table = pd.concat([table, blank], ignore_index=True)
    table["anon_id"] = [f"P{k}" for k in range(len(table))]
    table.to_csv(tmp_path / "clinical_data.csv", index=False)
    check_table_12(tmp_path, settings("ol3i", tmp_path))


def test_the_drawn_table_gives_table_12(tmp_path):
    check_table_12(tmp_path, settings("ol3i", None))


def test_the_real_table_gives_table_12(tmp_path):
    check_table_12(tmp_path, settings("ol3i", real_or_skip("ol3i")))


# OASIS-1


@pytest.mark.parametrize(
    ("name", "flat"),
    [
        ("oasis_cross-sectional.csv", False),
        ("oasis_cross-sectional.csv", True),
        ("oasis_cross-sectional-5708aa0a98d82080.xlsx", False),
    ],
)
def test_oasis(tmp_path, name, flat):
    write_oasis(tmp_path, name=name, flat=flat)
    source = load(settings("oasis", tmp_path, **OASIS))
    frame = source.frame
    assert len(frame) == 4 * 10  # a quarter of 40 slices
    assert frame["patient_id"].unique().tolist() == [
        *("OAS1_0001", "OAS1_0003", "OAS1_0031", "OAS1_0004")
    ]
    one = frame.groupby("patient_id", sort=False).first()
    assert one["y_Dementia"].tolist() == [0, 1, 1, 1]
    assert one["a_sex"].tolist() == ["female", "female", "male", "male"]
    assert one["age"].tolist() == [74, 76, 88, 75]
    first = frame[frame["patient_id"] == "OAS1_0001"]
    assert first["path"].str.rpartition("=")[2].astype(int).tolist() == list(range(15, 25))
    assert first["path"].str.contains("t88_masked_gfc.hdr#coronal=").all()
    assert first["path"].str.startswith("OAS1" if flat else "disc1/OAS1_0001_MR1/").all()
    assert first["image_id"].tolist()[0] == "OAS1_0001_MR1_015"
    counts = {entry["reason"]: entry["count"] for entry in source.exclusions}
    assert counts == {
        "session is a reliability rescan": 2,
        "session has no Clinical Dementia Rating": 1,
    }
    assert "12,156" in source.notes[0]


def test_oasis_labels_as_written_and_its_slices(tmp_path):
    write_oasis(tmp_path)
    shares = {"negative": 0.1, "positive": 0.25}
    source = load(settings("oasis", tmp_path, label="cdr_eq_2", slices=shares))
    counts = source.frame.groupby("patient_id")["y_Moderate dementia"].agg(["size", "first"])
    assert counts.loc["OAS1_0031"].tolist() == [10, 1]
    assert counts.drop("OAS1_0031")["size"].tolist() == [4, 4, 4]
    assert "too few for any estimate" in source.notes[1]
    with pytest.raises(MedauditError, match="'cdr' is|is 'cdr'"):
        load(settings("oasis", tmp_path, label="cdr", slices=shares))


def test_oasis_slices_reach_the_store(tmp_path):
    write_oasis(tmp_path)
    dataset = settings("oasis", tmp_path, window=[0, 1], **OASIS)
    frame, _ = build(
        tmp_path,
        dataset,
        tasks=["Dementia"],
        split={"kind": "shares", "train": 0.5, "val": 0.25, "test": 0.25},
        age_threshold=75,
        attributes=["age_group"],
    )
    assert frame.groupby("patient_id")["split"].nunique().max() == 1
    stage = {"cohort": "c", "dataset": dataset, "image_size": 16}
    images(stage, cohort=tmp_path / "c.parquet", output=tmp_path / "store")
    store = open_store(tmp_path / "store")
    for row, name in enumerate(store.ids):
        wanted = 255 * (int(name[-3:]) + 1) / 39  # sampled voxels: 1, 3, ... 39
        assert np.abs(store.images[row].astype(float) - wanted).max() <= 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda rows: [(rows[0][0], "X", 74, "0"), *rows[1:]],
            r"'M/F' has the unknown values \['X'\], the first in line 2",
        ),
        (lambda rows: [(rows[0][0], "F", 74, "7"), *rows[1:]], "'CDR' has '7' in line 2"),
        (lambda rows: [(rows[0][0], "F", "old", "0"), *rows[1:]], "'Age' has 'old'"),
        (lambda rows: [("OAS2_0001", "F", 74, "0"), *rows[1:]], "'ID' has 'OAS2_0001'"),
        (
            lambda rows: [*rows, rows[0]],
            "duplicate values, e.g. .OAS1_0001_MR1. in 2 rows .line 2 and line 9",
        ),
        (lambda rows: [rows[1]], "no session has"),
    ],
)
def test_oasis_says_what_is_wrong(tmp_path, change, message):
    write_oasis(tmp_path, change(OASIS_ROWS))
    with pytest.raises(MedauditError, match=message):
        load(settings("oasis", tmp_path, **OASIS))


def test_oasis_without_a_volume_or_a_column(tmp_path):
    write_oasis(tmp_path)
    for path in tmp_path.rglob("OAS1_0003*"):
        if path.is_file():
            path.unlink()
    with pytest.raises(MedauditError, match=r"1 of 4 sessions have no .*first OAS1_0003_MR1"):
        load(settings("oasis", tmp_path, **OASIS))
    path = tmp_path / "oasis_cross-sectional.csv"
    path.write_text(path.read_text().replace("CDR", "Rating"))
    with pytest.raises(MedauditError, match=r"lacks the columns \['CDR'\]"):
        load(settings("oasis", tmp_path, **OASIS))


def check_oasis(source) -> None:
    people = source.frame.groupby("patient_id").first()
    old = people["age"] > 75
    assert (len(people), int(people["y_Dementia"].sum())) == (235, 100)
    cells = {
        (o, y): int(((old == o) & (people["y_Dementia"] == y)).sum())
        for o in (0, 1)
        for y in (0, 1)
    }
    assert cells == {(0, 0): 91, (0, 1): 45, (1, 0): 44, (1, 1): 55}
    ill = people.loc[people["y_Dementia"] == 1, "a_sex"].value_counts()
    assert ill.to_dict() == {"female": 59, "male": 41}
    assert ((people["age"] <= 60) & (people["y_Dementia"] == 1)).sum() == 0
    assert ((people["age"] <= 60) & (people["y_Dementia"] == 0)).sum() == 39
    assert {entry["count"] for entry in source.exclusions} == {20, 181}


def test_the_drawn_table_has_oasis_counts():
    check_oasis(load(settings("oasis", None, **OASIS)))


def test_the_real_table_has_oasis_counts():
    source = load(settings("oasis", real_or_skip("oasis"), **OASIS))
    check_oasis(source)
    assert len(source.frame) == 235 * 52


# Harvard-GF3300


@pytest.mark.parametrize("inner", ["", "dataset-001/"])
@pytest.mark.parametrize("ethnicity", ["ethnicity", "hispanic"])
def test_harvard_gf3300(tmp_path, inner, ethnicity):
    write_gf(tmp_path / inner, GF_ROWS.replace("ethnicity", ethnicity))
    frame = load(settings("harvard_gf3300", tmp_path)).frame
    assert frame["patient_id"].tolist() == [f"data_000{k}" for k in (1, 2, 3, 4)]
    assert frame["path"].tolist() == [
        f"{inner}Training/data_0001.npz#rnflt",
        f"{inner}Validation/data_0002.npz#rnflt",
        f"{inner}Test/data_0003.npz#rnflt",
        f"{inner}Training/data_0004.npz#rnflt",
    ]
    np.testing.assert_array_equal(frame["y_Glaucoma"], [0, 1, 1, np.nan])
    np.testing.assert_array_equal(frame["age"], [43.31, 60, 71.2, np.nan])
    assert frame["a_race"].tolist() == ["asian", "black", "white", "white"]
    assert frame["a_sex"].fillna("?").tolist() == ["male", "female", "?", "female"]
    assert frame["a_ethnicity"].fillna("?").tolist() == [
        "non-hispanic",
        "hispanic",
        "?",
        "non-hispanic",
    ]
    assert frame["a_language"].tolist()[1] == "unknown"
    assert frame["a_marital_status"].fillna("?").tolist() == ["single", "unknown", "?", "divorced"]
    assert frame["a_official_split"].tolist() == ["training", "validation", "test", "training"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("data_0002", "data_0001", "must be unique"),
        (",yes,validation", ",maybe,validation", "'glaucoma' has the unknown values"),
        (",test", ",holdout", "'use' has the unknown values"),
        ("gender", "sex", "lacks the columns"),
        ("language", "hispanic", "both 'ethnicity' and 'hispanic'"),
    ],
)
def test_harvard_gf3300_says_what_is_wrong(tmp_path, old, new, message):
    with pytest.raises(MedauditError, match=message):
        load(write_gf(tmp_path, GF_ROWS.replace(old, new, 1)))


@pytest.mark.parametrize(
    ("split", "sizes"),
    [
        (OFFICIAL, (2100, 300, 900)),
        ({"kind": "shares", "train": 0.8, "val": 0.1, "test": 0.1}, (2640, 330, 330)),
    ],
)
def test_both_splits_of_harvard_gf3300_and_its_merged_races(tmp_path, split, sizes):
    frame, card = build(
        tmp_path,
        settings("harvard_gf3300", None),
        tasks=["Glaucoma"],
        split=split,
        levels={"race": {"black": ["black"], "asian or white": ["asian", "white"]}},
        age_threshold=60,
        attributes=["race"],
    )
    assert tuple((frame["split"] == name).sum() for name in ("train", "val", "test")) == sizes
    assert frame["a_race"].value_counts().to_dict() == {"asian or white": 2200, "black": 1100}
    by = {"stratify": []} if split["kind"] == "shares" else {}  # the settings here name none
    assert card["split"] == {**split, **by}


def check_gf(frame: pd.DataFrame) -> None:
    assert frame["a_official_split"].value_counts().to_dict() == {
        "training": 2100,
        "test": 900,
        "validation": 300,
    }
    assert frame["a_sex"].value_counts().to_dict() == {"female": 1812, "male": 1488}
    languages = {"english": 2877, "other languages": 354, "spanish": 38, "unknown": 31}
    assert frame["a_language"].value_counts().to_dict() == languages
    assert set(frame["a_race"]) == {"asian", "black", "white"}


def test_the_drawn_table_has_harvard_counts():
    check_gf(load(settings("harvard_gf3300", None)).frame)


def test_the_real_table_has_harvard_counts():
    check_gf(load(settings("harvard_gf3300", real_or_skip("harvard_gf3300"))).frame)


def test_a_drawn_table_is_the_same_twice_and_says_what_it_is():
    for loader in REAL:
        first, again = (load(settings(loader, None, **OASIS)) for _ in range(2))
        pd.testing.assert_frame_equal(first.frame, again.frame)
        assert first.tables == {}
        assert "not patients" in first.notes[0]
        other = load(settings(loader, None, phantom={"seed": 1}, **OASIS)).frame
        assert not other.equals(first.frame)
        json.dumps(first.exclusions)


def test_hdf5_names_are_the_tables_own(tmp_path):
    dataset = {**write_ol3i(tmp_path), "window": [-160, 240]}
    with h5py.File(tmp_path / "l3_slices.h5", "w") as file:
        for number, name in enumerate(("A1", "A2", "A3", "A4")):
            file[name] = np.full((64, 64), 100 * number - 160, np.int16)
    build(
        tmp_path,
        dataset,
        tasks=["Ischemic heart disease"],
        split=OFFICIAL,
        age_threshold=60,
        attributes=["sex"],
    )
    stage = {"cohort": "c", "dataset": dataset, "image_size": 16}
    images(stage, cohort=tmp_path / "c.parquet", output=tmp_path / "store")
    store = open_store(tmp_path / "store")
    assert store.ids.tolist() == ["A1", "A2", "A3", "A4"]
    assert store.images[:, 0, 0].tolist() == [0, 64, 128, 191]
