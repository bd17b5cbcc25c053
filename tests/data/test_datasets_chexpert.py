"""CheXpert: the real table, and trees written here as its owner ships them."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chisquare

from chexpert_tree import HEADER, ROWS, VALID, settings_of, touch, write_table
from medaudit.core.errors import MedauditError
from medaudit.data.datasets import load
from medaudit.data.datasets.chexpert import FINDINGS

# label: 1 / 0 / -1 / blank in the real train.csv
REAL_CODES = {
    "No Finding": (22381, 0, 0, 201033),
    "Enlarged Cardiomediastinum": (10798, 21638, 12403, 178575),
    "Cardiomegaly": (27000, 11116, 8087, 177211),
    "Lung Opacity": (105581, 6599, 5598, 105636),
    "Lung Lesion": (9186, 1270, 1488, 211470),
    "Edema": (52246, 20726, 12984, 137458),
    "Consolidation": (14783, 28097, 27742, 152792),
    "Pneumonia": (6039, 2799, 18770, 195806),
    "Atelectasis": (33376, 1328, 33739, 154971),
    "Pneumothorax": (19448, 56341, 3145, 144480),
    "Pleural Effusion": (86187, 35396, 11628, 90203),
    "Pleural Other": (3523, 316, 2653, 216922),
    "Fracture": (9040, 2512, 642, 211220),
    "Support Devices": (116001, 6137, 1079, 100197),
}


@pytest.fixture(scope="module")
def real():
    return load({"loader": "chexpert", "folder": None, "uncertain": "ignore"})


@pytest.fixture
def folder(tmp_path):
    base = tmp_path / "CheXpert-v1.0-small"
    write_table(base / "train.csv", ROWS)
    write_table(base / "valid.csv", VALID)
    touch(base, [*ROWS, *VALID])
    return tmp_path


@pytest.fixture
def demographics(folder):
    """Write CHEXPERT DEMO.xlsx with (patient, race, ethnicity) rows below the folder."""

    def write(rows, name="CHEXPERT DEMO.xlsx", columns=("PATIENT", "PRIMARY_RACE", "ETHNICITY")):
        frame = pd.DataFrame(rows, columns=columns).assign(GENDER="x", AGE_AT_CXR=1)
        frame.to_excel(folder / name, index=False, sheet_name="CheXpert Demo 11-13")

    return write


def test_the_real_table_has_its_published_counts(real):
    frame = real.frame
    assert (len(frame), frame["patient_id"].nunique()) == (223_414, 64_540)
    assert frame["a_sex"].value_counts().to_dict() == {
        "male": 132_636, "female": 90_777, "unknown": 1
    }  # fmt: skip
    assert frame.index[frame["a_sex"] == "unknown"] == [137_795]
    assert frame["patient_id"][137_795] == "patient33093"
    assert frame["view"].value_counts().to_dict() == {
        "AP": 161_590, "PA": 29_420, "LL": 16, "RL": 1, "lateral": 32_387
    }  # fmt: skip
    assert ((frame["age"] <= 60).sum(), (frame["age"] > 60).sum()) == (105_497, 117_917)
    assert (frame["age"] == 0).sum() == 3
    assert "7579 images have 90" in real.notes[0]
    frontal = frame[frame["view"] != "lateral"]
    assert frontal["patient_id"].nunique() == 64_534
    assert frontal["a_sex"].value_counts().to_list() == [112_151, 78_875, 1]


@pytest.mark.parametrize("uncertain", ["zeros", "ones", "ignore"])
@pytest.mark.parametrize("blank", ["zeros", "ignore"])
def test_labels_follow_the_named_policies(uncertain, blank, real):
    settings = {"loader": "chexpert", "folder": None, "uncertain": uncertain, "blank": blank}
    frame = real.frame if (uncertain, blank) == ("ignore", "zeros") else load(settings).frame
    for label, (ones, zeros, unsure, silent) in REAL_CODES.items():
        y = frame[f"y_{label}"]
        assert (y == 1).sum() == ones + unsure * (uncertain == "ones")
        assert (y == 0).sum() == zeros + unsure * (uncertain == "zeros") + silent * (
            blank == "zeros"
        )
        assert y.isna().sum() == unsure * (uncertain == "ignore") + silent * (blank == "ignore")


def test_race_is_drawn_once_a_patient_at_the_published_shares(real):
    people = real.frame.groupby("patient_id")["a_race"].agg(["nunique", "first"])
    assert (people["nunique"] == 1).all()
    counts = people["first"].value_counts()[["white", "asian", "black"]].to_numpy()
    assert chisquare(counts, len(people) * np.array([0.78, 0.15, 0.07])).pvalue > 1e-4
    again = load({"loader": "chexpert", "folder": None}).frame["a_race"]
    assert again.equals(real.frame["a_race"])
    assert any(note.startswith("Race is not real") for note in real.notes)


@pytest.mark.parametrize("root", ["CheXpert-v1.0-small", "CheXpert-v1.0"])
@pytest.mark.parametrize("parent", [True, False])
def test_both_trees_and_both_roots(tmp_path, root, parent):
    base = tmp_path / root
    write_table(base / "train.csv", ROWS, root)
    write_table(base / "valid.csv", VALID, root)
    touch(base, [*ROWS, *VALID])
    folder = tmp_path if parent else base
    source = load(settings_of(folder))
    assert list(source.frame["image_id"]) == [row[0] for row in [*ROWS, *VALID]]
    assert all((folder / path).is_file() for path in source.frame["path"])
    assert set(source.tables) == {"train", "valid"}
    assert list(source.frame["patient_id"]) == [row[0].split("/")[1] for row in [*ROWS, *VALID]]
    assert list(source.frame["view"]) == ["AP", "PA", "lateral", "LL", "AP"]
    assert list(source.frame["a_sex"]) == ["female", "female", "male", "unknown", "male"]
    assert list(source.frame["y_No Finding"]) == [1, 0, 0, 0, 1]
    assert list(source.frame["y_Fracture"]) == [0, 0, 0, 1, 0]


def test_the_validation_folder_may_be_called_val(folder):
    base = folder / "CheXpert-v1.0-small"
    (base / "valid").rename(base / "val")
    frame = load(settings_of(folder)).frame
    assert frame["image_id"].iloc[-1].startswith("valid/")
    assert (folder / frame["path"].iloc[-1]).is_file()


@pytest.mark.parametrize("inner", ["", "train/"])
def test_the_batches_of_the_aimi_download(tmp_path, inner):
    first, others = "CheXpert-v1.0 batch 1 (validate & csv)", "CheXpert-v1.0 batch {} (train {})"
    write_table(tmp_path / first / "train.csv", ROWS, "CheXpert-v1.0")
    write_table(tmp_path / first / "valid.csv", VALID, "CheXpert-v1.0")
    touch(tmp_path / first, VALID)
    for row, batch in zip(ROWS, (2, 2, 3, 4), strict=True):
        place = tmp_path / others.format(batch, batch - 1)
        touch(place, [(inner + row[0].removeprefix("train/"),)])
    paths = load(settings_of(tmp_path)).frame["path"]
    assert all((tmp_path / path).is_file() for path in paths)
    assert paths[2].startswith("CheXpert-v1.0 batch 3 (train 2)/")


def test_missing_images_keep_their_place(folder):
    (folder / "CheXpert-v1.0-small" / ROWS[0][0]).unlink()
    frame = load(settings_of(folder)).frame
    assert frame["path"][0] == f"CheXpert-v1.0-small/{ROWS[0][0]}"


def test_without_demographics_race_is_missing_unless_asked_for(folder):
    source = load(settings_of(folder))
    assert source.frame["a_race"].isna().all()
    assert any(note.startswith("Race is missing") for note in source.notes)
    drawn = load(settings_of(folder, race="draw"))
    assert drawn.frame["a_race"].isin(["white", "asian", "black"]).all()
    assert any(note.startswith("Race is not real") for note in drawn.notes)


def test_race_and_ethnicity_from_the_demographics_file(folder, demographics):
    said = {
        "White": "white", "White, non-Hispanic": "white", "White or Caucasian": "white",
        "Asian": "asian", "Asian - Historical Conv": "asian", "Black, Hispanic": "black",
        "Black or African American": "black", "Other": "other", "Unknown": "unknown",
        "Race and Ethnicity Unknown": "unknown", "Patient Refused": "unknown",
        "Native Hawaiian or Other Pacific Islander": "pacific islander",
        "Pacific Islander, Hispanic": "pacific islander", "Other, Hispanic": "other",
        "American Indian or Alaska Native": "native american", None: None,
        "Native American, non-Hispanic": "native american",
    }  # fmt: skip
    ethnicities = {
        "Non-Hispanic/Non-Latino": "non-hispanic", "Not Hispanic": "non-hispanic",
        "Hispanic/Latino": "hispanic", "Unknown": "unknown", None: None,
    }  # fmt: skip
    spoken = [e for e, _ in zip(list(ethnicities) * 9, said, strict=False)]
    rows = [(f"train/patient{i:05d}/study1/view1_frontal.jpg", "Male", "50", "Frontal", "AP")
            for i in range(len(said) + 1)]  # fmt: skip
    write_table(folder / "CheXpert-v1.0-small" / "train.csv", rows, labels=["," * 13] * len(rows))
    demographics([(f"patient{i:05d}", r, spoken[i]) for i, r in enumerate(said)])
    source = load(settings_of(folder))
    frame = source.frame.iloc[: len(rows)].astype(object)
    frame = frame.where(frame.notna(), None)
    assert list(frame["a_race"]) == [*said.values(), None]
    assert list(frame["a_ethnicity"]) == [*(ethnicities[e] for e in spoken), None]
    assert set(source.tables) == {"train", "valid", "demographics"}
    assert not any("Race" in note for note in source.notes)


def test_wrong_demographics_are_refused(folder, demographics):
    with pytest.raises(MedauditError, match="there is no demographics file"):
        load(settings_of(folder, demographics="demo.xlsx"))
    demographics([("patient00001", "White", "x"), ("patient00001", "Black", "x")])
    with pytest.raises(
        MedauditError, match="duplicate values, e.g. 'patient00001' in 2 rows .line 2 and line 3"
    ):
        load(settings_of(folder))
    demographics([("p1", "White", "x")])
    with pytest.raises(MedauditError, match="none of its patients"):
        load(settings_of(folder))
    demographics([("patient00001", "White", "x")], columns=("PATIENT", "RACE", "ETHNICITY"))
    with pytest.raises(MedauditError, match=r"lacks the columns \['PRIMARY_RACE'\]"):
        load(settings_of(folder))
    (folder / "CHEXPERT DEMO.xlsx").write_text("no workbook")
    with pytest.raises(MedauditError, match="lacks the columns"):
        load(settings_of(folder))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"header": HEADER.replace("Edema", "Oedema")}, r"lacks the columns \['Edema'\]"),
        ({"labels": ["2.0" + "," * 13] * 4}, "'No Finding' has 2 in line 2"),
        ({"labels": ["yes" + "," * 13] * 4}, "'No Finding'.*yes"),
        ({"rows": [("frontal.jpg", *ROWS[0][1:])]}, "'Path' has .*frontal.jpg' in line 2"),
        ({"rows": [(ROWS[0][0], "X", *ROWS[0][2:])]}, r"'Sex' has the unknown values \['X'\]"),
        ({"rows": [ROWS[0], ROWS[0]]}, "1 duplicate values, .* in 2 rows"),
        ({"rows": []}, "no rows"),
    ],
)
def test_wrong_tables_are_refused(folder, change, said):
    write_table(folder / "CheXpert-v1.0-small" / "train.csv", **{"rows": ROWS, **change})
    with pytest.raises(MedauditError, match=said):
        load(settings_of(folder))


def test_wrong_settings_are_refused(folder):
    for key in ("uncertain", "blank", "race"):
        with pytest.raises(MedauditError, match=f"`{key}` is 'guess'"):
            load(settings_of(folder, **{key: "guess"}))
    write_table(folder / "CheXpert-v1.0" / "train.csv", ROWS)
    with pytest.raises(MedauditError, match="set `table`"):
        load(settings_of(folder))
    assert len(load(settings_of(folder, table="CheXpert-v1.0/train.csv")).frame) == 4
    with pytest.raises(MedauditError, match="no other.csv"):
        load(settings_of(folder, table="other.csv"))


@pytest.mark.parametrize(
    "root", ["", "chexpert", "/data/CheXpert-v1.0-small", "CheXpert-v1.0 batch 2"]
)
def test_paths_may_have_any_folders_in_front(tmp_path, root):
    write_table(tmp_path / "train.csv", ROWS, root or ".")
    touch(tmp_path, ROWS)
    frame = load(settings_of(tmp_path)).frame
    assert list(frame["image_id"]) == [row[0] for row in ROWS]
    assert all((tmp_path / path).is_file() for path in frame["path"])


def test_a_table_of_another_name_is_read_alone(folder):
    source = load(settings_of(folder, table="CheXpert-v1.0-small/valid.csv"))
    assert list(source.frame["image_id"]) == [VALID[0][0]]
    assert set(source.tables) == {"valid"}


def test_the_test_set_that_radiologists_labelled(folder, demographics):
    base = folder / "CheXpert-v1.0-small"
    settings = settings_of(folder, expert_test=True)
    with pytest.raises(MedauditError, match="no .*test_labels.csv; put the table"):
        load(settings)
    names = [
        "test/patient64741/study1/view1_frontal.jpg",
        "test/patient64742/study1/view1_lateral.jpg",
    ]
    labels = ",".join(FINDINGS[1:] + FINDINGS[:1])  # the owner has No Finding last
    cells = ["0," * 13 + "1", "1," + "0," * 12 + "0"]
    rows = [f"{name},{cell}" for name, cell in zip(names, cells, strict=True)]
    (base / "test_labels.csv").write_text("\n".join([f"Path,{labels}", *rows, ""]))
    touch(base, [(name,) for name in names])
    unknown = load(settings).frame.tail(2)
    assert unknown["a_sex"].isna().all() and unknown["age"].isna().all()
    demographics([("patient64741", "White", "x"), ("patient00001", "Black", "x")])
    path = folder / "CHEXPERT DEMO.xlsx"
    demo = pd.read_excel(path).assign(GENDER=["Female", "Male"], AGE_AT_CXR=[47, 12])
    demo.to_excel(path, index=False)
    frame = load(settings).frame.set_index("image_id")
    assert list(frame["a_official_split"]) == ["train"] * 4 + ["valid", "test", "test"]
    first = frame.loc[names[0]]
    assert (first["a_sex"], first["age"], first["a_race"]) == ("female", 47, "white")
    assert (first["view"], frame.loc[names[1], "view"]) == ("frontal", "lateral")
    assert (first["y_No Finding"], frame.loc[names[1], "y_Enlarged Cardiomediastinum"]) == (1, 1)
    assert frame.loc[ROWS[0][0], "a_sex"] == "female"  # the image's own value, not the file's
    assert (folder / first["path"]).is_file()
    assert "a_official_split" not in load(settings_of(folder)).frame
