"""Stage probe: tables in, predictions out, the test split's labels untouched."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits

from medaudit.adapt.probe import probe
from medaudit.adapt.targets import standardise
from medaudit.core.embeddings import write_embeddings
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import COHORT, PREDICTIONS, read_metadata, read_table, write_table

TASKS = ["a", "b", "c"]
ENTRY = {
    "kind": "probe",
    "head": "linear",
    "epochs": 40,
    "batch_size": 32,
    "learning_rates": [0.003, 0.1],
    "weight_decay": 0.0001,
    "seeds": 2,
    "select": "val_loss",
}
SETTINGS = {
    "cohort": "c",
    "model": "m",
    "method": "linear",
    "entry": ENTRY,
    "tasks": TASKS,
    "task_type": "multiclass",
}
MULTILABEL = {**SETTINGS, "task_type": "multilabel"}
MLP = {**SETTINGS, "entry": {**ENTRY, "head": "mlp", "hidden": 16, "dropout": 0.1}}


def make(folder, multiclass=True, rows=320, noise=0.5, inputs=10):
    """Write a cohort whose labels show in the first three numbers of its embeddings."""
    rng = np.random.default_rng(3)
    z = rng.standard_normal((rows, 3))
    y = np.eye(3)[z.argmax(axis=1)] if multiclass else (z > 0.4).astype(float)
    vectors = rng.standard_normal((rows, inputs)).astype(np.float32)
    vectors[:, :3] = 5 + 3 * (z + noise * rng.standard_normal(z.shape))
    ids = [f"i{row}" for row in range(rows)]
    frame = pd.DataFrame({"image_id": ids, "patient_id": ids, "path": ids, "age": 40.0})
    frame = frame.assign(view="PA", split=np.repeat(["train", "val", "test", "train"], rows // 4))
    frame[[f"y_{task}" for task in TASKS]] = y
    write(folder, frame, vectors)
    return frame, vectors


def write(folder, frame, vectors, ids=None):
    write_table(frame, folder / "cohort.parquet", COHORT)
    ids = frame["image_id"].to_numpy() if ids is None else ids
    write_embeddings(ids, vectors, folder / "e.parquet", spec={"kind": "x"}, phantom=True)


def run(folder, settings=SETTINGS, **keywords):
    probe(
        settings,
        cohort=folder / "cohort.parquet",
        embeddings=folder / "e.parquet",
        output=folder / "p.parquet",
        **keywords,
    )
    return read_table(folder / "p.parquet", PREDICTIONS)


@pytest.mark.parametrize("settings", [SETTINGS, MLP, MULTILABEL])
def test_separable_labels_are_found(tmp_path, settings):
    multiclass = settings["task_type"] == "multiclass"
    frame, _ = make(tmp_path, multiclass, noise=0.1)
    table = run(tmp_path, settings)
    assert set(table["split"]) == {"val", "test"}
    assert len(table) == 2 * 160 / 2 * 3 * 2
    for _, part in table[table["split"] == "test"].groupby(["seed", "task"]):
        assert roc_auc_score(part["y"], part["score"]) > 0.95
    truth = frame.set_index("image_id")
    for task in TASKS:
        part = table[table["task"] == task]
        expected = truth.loc[part["image_id"]]
        assert np.array_equal(part["y"], expected[f"y_{task}"])
        assert np.array_equal(part["split"], expected["split"])
    total = table.groupby(["image_id", "seed"])["score"].sum()
    assert np.allclose(total, 1, atol=1e-12) == multiclass
    assert table["score"].between(0, 1).all()


@pytest.mark.parametrize("settings", [MLP, {**MULTILABEL, "entry": {**ENTRY, "select": "val_auc"}}])
def test_labels_of_the_test_split_change_no_score(tmp_path, settings):
    multiclass = settings["task_type"] == "multiclass"
    frame, vectors = make(tmp_path, multiclass)
    before, footer = run(tmp_path, settings), read_metadata(tmp_path / "p.parquet")
    columns = [f"y_{task}" for task in TASKS]
    test = frame["split"] == "test"
    frame.loc[test, columns] = frame.loc[test, columns].sample(frac=1, random_state=0).to_numpy()
    write(tmp_path, frame, vectors)
    after = run(tmp_path, settings)
    assert not before["y"].equals(after["y"])
    assert np.array_equal(before["score"], after["score"])
    assert read_metadata(tmp_path / "p.parquet") == footer


def test_features_of_the_test_split_change_no_other_score(tmp_path):
    frame, vectors = make(tmp_path)
    before = run(tmp_path)
    vectors[(frame["split"] == "test").to_numpy()] *= 100
    write(tmp_path, frame, vectors)
    after = run(tmp_path)
    val = before["split"] == "val"
    np.testing.assert_allclose(before["score"][val], after["score"][val], rtol=0, atol=0)
    assert not np.allclose(before["score"][~val], after["score"][~val])


def test_images_with_missing_labels_get_scores_and_keep_them_missing(tmp_path):
    frame, vectors = make(tmp_path, multiclass=False, noise=0.1)
    hidden = frame.index % 3 == 0
    frame.loc[hidden, "y_b"] = np.nan
    write(tmp_path, frame, vectors)
    masked = run(tmp_path, MULTILABEL)
    part = masked[(masked["task"] == "b") & (masked["seed"] == 0)].set_index("image_id")
    assert (
        part["y"].isna().sum()
        == frame.loc[frame["split"].isin(["val", "test"]), "y_b"].isna().sum()
    )
    assert part["score"].notna().all()
    seen = part[part["y"].notna() & (part["split"] == "test")]
    assert roc_auc_score(seen["y"], seen["score"]) > 0.9


def test_flipping_half_of_the_labels_matters_and_hiding_them_does_not(tmp_path):
    frame, vectors = make(tmp_path, multiclass=False, noise=0.1)
    wrong = frame.index % 2 == 0
    shown = frame.copy()
    shown.loc[wrong, "y_b"] = 1 - shown.loc[wrong, "y_b"]
    write(tmp_path, shown, vectors)
    flipped = run(tmp_path, MULTILABEL)
    shown.loc[wrong, "y_b"] = np.nan
    write(tmp_path, shown, vectors)
    masked = run(tmp_path, MULTILABEL)
    truth = frame.set_index("image_id")["y_b"]
    aucs = []
    for table in (flipped, masked):
        part = table[(table["task"] == "b") & (table["seed"] == 0) & (table["split"] == "test")]
        aucs.append(roc_auc_score(truth.loc[part["image_id"]], part["score"]))
    assert aucs[0] < 0.8
    assert aucs[1] > 0.95


@pytest.mark.parametrize("settings", [SETTINGS, MLP])
def test_the_same_again_gives_the_same_bytes_whatever_the_threads(tmp_path, settings):
    make(tmp_path)
    run(tmp_path, settings, threads=1)
    first = (tmp_path / "p.parquet").read_bytes()
    with threadpool_limits(2):
        run(tmp_path, settings, threads=2)
    assert (tmp_path / "p.parquet").read_bytes() == first


def test_seeds_differ_and_do_not_depend_on_how_many_there_are(tmp_path):
    make(tmp_path)
    two = run(tmp_path, MLP)
    three = run(tmp_path, {**MLP, "entry": {**MLP["entry"], "seeds": 3}})
    scores = [three.loc[three["seed"] == seed, "score"].to_numpy() for seed in range(3)]
    assert not np.allclose(scores[0], scores[1])
    np.testing.assert_allclose(
        two["score"], three.loc[three["seed"] < 2, "score"], rtol=1e-6, atol=1e-6
    )


def test_the_footer_says_how_it_was_made(tmp_path):
    make(tmp_path)
    run(tmp_path, MLP)
    footer = read_metadata(tmp_path / "p.parquet")
    assert (footer["cohort"], footer["model"], footer["method"]) == ("c", "m", "linear")
    assert footer["phantom"] is True
    assert footer["spec"] == {"kind": "x"}
    assert footer["rows"] == {"train": 160, "val": 80, "test": 80}
    assert footer["notes"] == []
    assert [run["seed"] for run in footer["runs"]["chosen"]] == [0, 1]
    for chosen in footer["runs"]["chosen"]:
        curve = chosen["val_loss_by_epoch"]
        assert len(curve) == 40
        assert chosen["learning_rate"] in footer["runs"]["learning_rates"]
        assert chosen["val_loss"] == min(curve) == curve[chosen["epoch"] - 1]
        assert min(chosen["best_by_learning_rate"]) == chosen["val_loss"]
    json.dumps(footer, allow_nan=False)


def test_scores_of_the_chosen_epoch_give_the_loss_in_the_footer(tmp_path):
    make(tmp_path)
    table = run(tmp_path, MLP)
    for chosen in read_metadata(tmp_path / "p.parquet")["runs"]["chosen"]:
        part = table[(table["split"] == "val") & (table["seed"] == chosen["seed"])]
        assert -np.log(part["score"][part["y"] == 1]).mean() == pytest.approx(
            chosen["val_loss"], rel=1e-5
        )


def test_images_without_an_embedding_are_left_out_and_counted(tmp_path, caplog):
    frame, vectors = make(tmp_path)
    order = np.random.default_rng(0).permutation(np.arange(len(frame))[9:])
    expected = run(tmp_path)
    write(tmp_path, frame, vectors[order], frame["image_id"].to_numpy()[order])
    table = run(tmp_path)
    note = "9 of 320 images have no embedding and are left out"
    assert note in caplog.text
    assert read_metadata(tmp_path / "p.parquet")["notes"] == [note]
    assert table["image_id"].tolist() == expected["image_id"].tolist()


def test_a_task_without_positives_is_noted(tmp_path):
    frame, vectors = make(tmp_path, multiclass=False)
    frame["y_b"] = 0.0
    write(tmp_path, frame, vectors)
    run(tmp_path, MULTILABEL)
    assert read_metadata(tmp_path / "p.parquet")["notes"] == [
        "b has 0 positive and 160 negative training images"
    ]


def test_standardising_uses_the_training_rows_and_zeroes_constants():
    rng = np.random.default_rng(0)
    x = (50 + 3 * rng.standard_normal((40, 4))).astype(np.float32)
    x[:, 2] = 7.1
    x[35, 2] = 90
    train = np.arange(40) < 30
    found = standardise(x, train)
    varying = x[:, [0, 1, 3]].astype(float)
    expected = (varying - varying[:30].mean(axis=0)) / varying[:30].std(axis=0)
    np.testing.assert_allclose(found[:, [0, 1, 3]], expected, atol=1e-4)
    assert not found[:, 2].any()


@pytest.mark.parametrize(
    ("damage", "settings", "message"),
    [
        (lambda f: f.assign(y_a=1.0, y_b=1.0), SETTINGS, "exactly one 1 in each row"),
        (lambda f: f.assign(y_a=np.nan), SETTINGS, "exactly one 1"),
        (lambda f: f.assign(y_a=0.5), MULTILABEL, r"1, 0 or missing; 320 rows .*'i0'"),
        (lambda f: f.drop(columns="y_a"), SETTINGS, r"lacks the tasks \['y_a'\]"),
        (lambda f: f.assign(split="train"), SETTINGS, r"splits \['val', 'test'\] have no image"),
        (lambda f: f.assign(image_id="x" + f["image_id"]), SETTINGS, "320 images that are not in"),
    ],
)
def test_tables_that_cannot_be_used_say_why(tmp_path, damage, settings, message):
    frame, vectors = make(tmp_path)
    write(tmp_path, damage(frame), vectors, frame["image_id"].to_numpy())
    with pytest.raises(MedauditError, match=message):
        run(tmp_path, settings)
    assert not (tmp_path / "p.parquet").exists()
