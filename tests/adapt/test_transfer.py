"""Scores elsewhere come from the weights of home: on images of home they are the scores of home."""

import numpy as np
import pandas as pd
import pytest

from finetune_case import ENTRY, VIT, data, settings  # noqa: F401  (`data` is a fixture)
from medaudit.adapt.finetune import finetune
from medaudit.adapt.probe import probe
from medaudit.adapt.transfer import transfer
from medaudit.core.embeddings import write_embeddings
from medaudit.core.errors import MedauditError
from medaudit.core.external import at_home
from medaudit.core.table_io import COHORT, PREDICTIONS, read_metadata, read_table, write_table

KEY = ["image_id", "task", "seed"]
HEADS = {
    "linear": {"head": "linear"},
    "mlp": {"head": "mlp", "hidden": 8, "dropout": 0.1},
}


def pair(folder, home: pd.DataFrame):
    """Write an external cohort that is home's own test split."""
    frame = pd.concat([at_home(home[home["split"] == "val"]), home[home["split"] == "test"]])
    write_table(frame, folder / "pair.parquet", COHORT)
    return folder / "pair.parquet"


def compare(home, away, tasks, tolerance):
    """Check test scores against home's, and that validation scores are home's own."""
    old, new = (read_table(path, PREDICTIONS) for path in (home, away))
    assert set(new["task"]) == set(tasks)
    old = old[old["task"].isin(tasks)]
    for split in ("val", "test"):
        one, two = (part[part["split"] == split] for part in (old, new))
        one = at_home(one) if split == "val" else one
        both = one.merge(two, on=KEY, suffixes=("", "_away"))
        assert len(both) == len(one) == len(two) > 0
        exact = 0.0 if split == "val" else tolerance
        np.testing.assert_allclose(both["score_away"], both["score"], rtol=0, atol=exact)
        np.testing.assert_array_equal(both["y_away"], both["y"])


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("task_type", ["multilabel", "multiclass"])
def test_a_probe_predicts_its_own_test_images_as_at_home(tmp_path, head, task_type):
    rng = np.random.default_rng(1)
    z = rng.standard_normal((240, 12)).astype(np.float32)
    z[:, 3] = 7.0  # a constant column
    ids = np.array([f"i{k}" for k in range(240)])
    frame = pd.DataFrame(
        {"image_id": ids, "patient_id": ids, "path": ids, "age": 1.0, "view": "PA"}
    )
    frame["split"] = np.repeat(["train", "val", "test"], 80)
    y = np.eye(2)[(z[:, 0] > 0).astype(int)] if task_type == "multiclass" else z[:, :2] > 0
    frame["y_a"], frame["y_b"] = y.T.astype(float)
    write_table(frame, tmp_path / "c.parquet", COHORT)
    write_embeddings(ids, z, tmp_path / "e.parquet", spec={}, phantom=True)
    entry = {**ENTRY, "kind": "probe", **HEADS[head], "seeds": 2}
    given = {"cohort": "c", "model": "m", "method": "p", "entry": entry, "task_type": task_type}
    given["tasks"] = ["a", "b"]
    paths = {"output": tmp_path / "p.parquet", "weights": tmp_path / "p.safetensors"}
    probe(given, cohort=tmp_path / "c.parquet", embeddings=tmp_path / "e.parquet", **paths)
    kept = ["a", "b"] if task_type == "multiclass" else ["b"]
    transfer(
        {**given, "cohort": "c_to_c", "home": "c", "kept": kept},
        cohort=pair(tmp_path, frame),
        home=paths["output"],
        weights=[paths["weights"]],
        embeddings=tmp_path / "e.parquet",
        output=tmp_path / "away.parquet",
    )
    compare(paths["output"], tmp_path / "away.parquet", kept, 1e-6)
    footer = read_metadata(tmp_path / "away.parquet")
    assert (footer["cohort"], footer["home"], footer["model"]) == ("c_to_c", "c", "m")


@pytest.mark.parametrize(
    "changes",
    [{}, {"tune": "lora", "lora": {"rank": 2, "alpha": 4, "dropout": 0.0, "targets": "auto"}}],
)
def test_tuned_weights_predict_their_own_test_images_as_at_home(tmp_path, data, changes):  # noqa: F811
    entry = {**changes, "epochs": 2, "learning_rates": [3e-3]}
    outputs, weights = [], []
    for seed in ("0-1", "2"):
        outputs.append(tmp_path / f"{seed}.parquet")
        weights.append(tmp_path / f"{seed}.safetensors")
        finetune(settings(entry, VIT, seed=seed), **data, output=outputs[-1], weights=weights[-1])
    table = pd.concat([read_table(path, PREDICTIONS) for path in outputs])
    write_table(table, tmp_path / "home.parquet", PREDICTIONS, **read_metadata(outputs[0]))
    given = settings(entry, VIT, cohort="c_to_c", home="c", kept=["right"])
    given.pop("seed")
    transfer(
        given,
        cohort=pair(tmp_path, read_table(data["cohort"], COHORT)),
        home=tmp_path / "home.parquet",
        weights=weights,
        images=data["images"],
        output=tmp_path / "away.parquet",
    )
    compare(tmp_path / "home.parquet", tmp_path / "away.parquet", ["right"], 1e-6)


def test_heads_that_do_not_fit_the_embeddings_are_refused(tmp_path):
    from medaudit.adapt.carried.heads import write_heads

    ids = np.array(["i1", "i2"])
    frame = pd.DataFrame(
        {"image_id": ids, "patient_id": ids, "path": ids, "age": 1.0, "view": "PA"}
    )
    frame = frame.assign(split="test", y_a=1.0)
    write_table(frame, tmp_path / "c.parquet", COHORT)
    write_embeddings(ids, np.ones((2, 3), np.float32), tmp_path / "e.parquet")
    scale = np.zeros(4, np.float32), np.ones(4, np.float32)
    write_heads(tmp_path / "h", scale, [np.ones((1, 1, 1, 4), np.float32)])
    given = {"cohort": "x", "home": "c", "model": "m", "method": "p", "task_type": "binary"}
    given |= {"entry": {"kind": "probe", "head": "linear"}, "tasks": ["a"], "kept": ["a"]}
    with pytest.raises(MedauditError, match="take 4 features, the embeddings of m have 3"):
        transfer(
            given,
            cohort=tmp_path / "c.parquet",
            home=tmp_path / "none",
            weights=[tmp_path / "h"],
            embeddings=tmp_path / "e.parquet",
            output=tmp_path / "p.parquet",
        )
