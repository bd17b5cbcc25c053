"""`balanced_cells`: the maximum flow, exact splits, and NIH 6x200 from the real table."""

from collections import Counter

import networkx as nx
import numpy as np
import pytest

from medaudit.core.errors import MedauditError
from medaudit.data.cohort.balanced_cells import build
from medaudit.data.cohort.cell_flow import fill_cells
from medaudit.data.cohort.patient_split import split_cells
from medaudit.data.datasets import load
from medaudit.data.group_levels import age_group

SIX = ["Cardiomegaly", "Effusion", "Atelectasis", "Pneumothorax", "Edema", "Consolidation"]
NIH = {
    "name": "nih_6x200",
    "tasks": SIX,
    "exclusivity": "six",
    "views": ["AP", "PA"],
    "age_threshold": 60,
    "age_rule": "ge",
    "cell_size": 50,
    "images_per_patient": 1,
    "split": {"train": 35, "val": 5, "test": 10},
    "seed": 77,
}


@pytest.fixture(scope="module")
def nih():
    return load({"loader": "nih", "folder": None}).frame


def build_nih(frame, **changes):
    settings = {**NIH, **changes}
    groups = age_group(frame["age"], settings)
    return build(frame.assign(a_age_group=groups), settings)


def most(patients, cells, n_cells, size, limit):
    """Return how many images fit, by another library."""
    network = nx.DiGraph()
    network.add_nodes_from(["source", "sink"])
    for patient in set(patients.tolist()):
        network.add_edge("source", ("patient", patient), capacity=limit)
    for (patient, cell), n in Counter(zip(patients.tolist(), cells.tolist(), strict=True)).items():
        network.add_edge(("patient", patient), ("cell", cell), capacity=n)
    for cell in range(n_cells):
        network.add_edge(("cell", cell), "sink", capacity=size)
    return nx.maximum_flow_value(network, "source", "sink")


@pytest.mark.parametrize("seed", range(40))
def test_as_many_images_are_chosen_as_fit(seed):
    rng = np.random.default_rng(seed)
    n, n_cells, size = int(rng.integers(5, 60)), int(rng.integers(2, 6)), int(rng.integers(1, 8))
    limit = int(rng.integers(1, 4))
    patients = rng.integers(0, max(2, n // 2), n)
    cells = rng.integers(0, n_cells, n)
    chosen, short = fill_cells(patients, cells, n_cells, size, limit, np.random.default_rng(seed))
    assert Counter(patients[chosen].tolist()).most_common(1)[0][1] <= limit
    counts = [(cells[chosen] == cell).sum() for cell in range(n_cells)]
    assert [size - count for count in counts] == short.tolist()
    assert short.min() >= 0
    assert chosen.sum() == most(patients, cells, n_cells, size, limit)


def test_a_scarce_cell_gets_its_patient():
    """Patients 0 to 3 have the rich cell 0; patient 0 alone has the scarce cell 1."""
    patients, cells = np.array([0, 0, 1, 2, 3]), np.array([0, 1, 0, 0, 0])
    for seed in range(20):
        chosen, short = fill_cells(patients, cells, 2, 1, 1, np.random.default_rng(seed))
        assert not short.any()
        assert chosen[1]


def test_every_possible_choice_is_made_by_some_seed():
    patients, cells = np.arange(6), np.array([0, 0, 0, 1, 1, 1])
    seen = {
        tuple(np.flatnonzero(fill_cells(patients, cells, 2, 1, 1, np.random.default_rng(seed))[0]))
        for seed in range(200)
    }
    assert len(seen) == 9


@pytest.mark.parametrize(
    ("exclusivity", "threshold", "fit"),
    [
        ("all", 50, 1200),
        ("all", 55, 1200),
        ("all", 60, 1178),
        ("all", 65, 1133),
        ("six", 50, 1200),
        ("six", 55, 1200),
        ("six", 60, 1200),
        ("six", 65, 1177),
    ],
)
def test_nih_fits_as_published(nih, exclusivity, threshold, fit):
    changes = {"exclusivity": exclusivity, "age_threshold": threshold}
    if fit == 1200:
        frame = build_nih(nih, **changes).frame
        assert (len(frame), frame["patient_id"].nunique()) == (1200, 1200)
    else:
        with pytest.raises(MedauditError, match=f"{fit} of 1200 images can be chosen"):
            build_nih(nih, **changes)


def test_every_cell_of_nih_is_full_and_split_exactly(nih):
    frame = build_nih(nih).frame
    young = frame["age"] < 60
    assert (frame["a_age_group"] == np.where(young, "<60", ">=60")).all()
    assert (frame[[f"y_{task}" for task in SIX]].sum(axis=1) == 1).all()
    task = frame[[f"y_{task}" for task in SIX]].idxmax(axis=1)
    counts = frame.groupby([task, "a_sex", "a_age_group", "split"]).size().unstack()
    assert len(counts) == 24
    assert (counts == [10, 35, 5]).all(axis=None)
    assert list(counts) == ["test", "train", "val"]


@pytest.mark.parametrize(
    ("exclusivity", "task", "counts"),
    [
        ("six", "Edema", (622, 123, 556, 115)),
        ("six", "Effusion", (2854, 1292, 2321, 870)),
        ("all", "Cardiomegaly", (388, 120, 445, 140)),
        ("all", "Consolidation", (620, 151, 417, 122)),
    ],
)
def test_cells_hold_the_published_number_of_images(nih, exclusivity, task, counts):
    """An impossible size makes the message tell all counts: YM, OM, YF, OF."""
    with pytest.raises(MedauditError) as caught:
        build_nih(nih, exclusivity=exclusivity, cell_size=10**6,
                  split={"train": 10**6 - 2, "val": 1, "test": 1})  # fmt: skip
    lines = str(caught.value).splitlines()
    cells = [f"{task}, {s}, {a}" for s in ("male", "female") for a in ("<60", ">=60")]
    found = [next(line for line in lines if cell in line) for cell in cells]
    assert [int(line.split("(")[1].split()[0]) for line in found] == list(counts)
    assert len([line for line in lines if " missing (" in line]) == 24


def test_an_infeasible_request_names_every_short_cell(nih):
    with pytest.raises(MedauditError) as caught:
        build_nih(nih, exclusivity="all")
    lines = [line.strip() for line in str(caught.value).splitlines() if " missing (" in line]
    assert sorted(lines) == [
        "Edema, female, >=60: 16 missing (47 images of 34 patients)",
        "Edema, male, >=60: 6 missing (53 images of 44 patients)",
    ]


def test_a_task_or_group_without_any_image_is_named(nih):
    children = nih[nih["age"] < 18]
    with pytest.raises(MedauditError, match="Edema, male, >=60: 50 missing"):
        build_nih(children)
    with pytest.raises(MedauditError, match=r"no image is eligible; .*none of the tasks \(\d+\)"):
        build_nih(nih[nih["y_Hernia"] == 1].assign(**{f"y_{task}": 0.0 for task in SIX}))


def test_options(nih):
    other = ["Infiltration", "Atelectasis", "Nodule", "Effusion", "Mass", "Pneumothorax"]
    frame = build_nih(nih, tasks=other, exclusivity="all", views=["PA"]).frame
    assert len(frame) == 1200
    assert set(frame["view"]) == {"PA"}
    assert (frame.filter(like="y_").sum(axis=1) == 1).all()
    frame = build_nih(nih, views=None, age_threshold=55, age_rule="gt").frame
    assert (frame["a_age_group"] == np.where(frame["age"] > 55, ">55", "<=55")).all()
    assert 55 in set(frame["age"])
    small = build_nih(nih, cell_size=4, split={"train": 2, "val": 1, "test": 1}).frame
    assert small.groupby("split").size().to_dict() == {"test": 24, "train": 48, "val": 24}


@pytest.mark.parametrize("limit", [2, None])
def test_several_images_of_a_patient_stay_in_one_split(nih, limit):
    frame = build_nih(nih, images_per_patient=limit).frame
    sizes = frame.groupby("patient_id").size()
    assert sizes.max() > 1
    assert limit is None or sizes.max() <= limit
    assert (frame.groupby("patient_id")["split"].nunique() == 1).all()
    task = frame[[f"y_{task}" for task in SIX]].idxmax(axis=1)
    counts = frame.groupby([task, "a_sex", "a_age_group", "split"]).size().unstack()
    assert (counts == [10, 35, 5]).all(axis=None)


def test_the_seed_alone_decides(nih):
    first, again, other = (build_nih(nih, seed=seed).frame for seed in (77, 77, 78))
    assert first.equals(again)
    assert set(first["image_id"]) != set(other["image_id"])


def test_unknown_sex_missing_age_and_missing_labels_are_left_out_and_counted(nih):
    frame = nih.copy()
    ill = frame.index[frame["y_Edema"] == 1]
    frame.loc[ill[:7], "y_Effusion"] = np.nan
    frame.loc[ill[7:12], "a_sex"] = "unknown"
    frame.loc[ill[12:20], "age"] = np.nan
    selection = build_nih(frame)
    counts = {e["reason"]: e["count"] for e in selection.exclusions}
    single = frame.loc[ill[7:20], [f"y_{task}" for task in SIX]].sum(axis=1) == 1
    assert counts["a label is missing"] == 7
    assert counts["sex is missing or unknown"] == single[:5].sum()
    assert counts["age is missing"] == single[5:].sum()
    assert len(frame) - sum(counts.values()) == len(selection.frame) == 1200
    assert not set(ill[:20]) & set(selection.frame.index)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"exclusivity": "any"}, r"exclusivity is 'any'; use one of \['six', 'all'\]"),
        ({"cell_size": 60}, "must sum to cell_size, 60"),
        ({"age_threshold": None}, "needs `age_threshold`"),
    ],
)
def test_wrong_options_are_refused(nih, change, said):
    with pytest.raises(MedauditError, match=said):
        build(nih, {**NIH, **change})


def test_a_patient_too_large_for_any_split_is_refused():
    patients, cells = np.zeros(10, int), np.zeros(10, int)
    with pytest.raises(MedauditError, match="one patient has 10 images"):
        split_cells(patients, cells, {"train": 7, "val": 1, "test": 2}, np.random.default_rng(0))
