"""A file of vectors and an ONNX model go through a study, without a line of Python."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from checkout import Checkout
from exported_files import tiny, write_onnx
from medaudit.core.embeddings import read_embeddings
from medaudit.data.image_store import open_store

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("workflow")]
COHORT, TASKS = "nih_6x200_small", ["Cardiomegaly", "Effusion", "Atelectasis", "Pneumothorax", "Edema", "Consolidation"]  # fmt: skip
INPUT = {"size": 32, "channels": 3, "mean": [0.5] * 3, "std": [0.25] * 3, "interpolation": "bicubic"}  # fmt: skip
ALL = {"licence": "ours", "pretraining_data": []}


@pytest.fixture(scope="module")
def copied(finished, tmp_path_factory):
    """A copy of the finished audit: what runs here must not touch the one that others look at."""
    folder = tmp_path_factory.mktemp("own") / "a checkout"
    shutil.copytree(finished.folder, folder, symlinks=True)
    return Checkout(folder)


@pytest.fixture(scope="module")
def audited(copied, tmp_path_factory):
    """The smoke audit's cohort, with vectors and a model of somebody else, audited to the report."""
    root, results = tmp_path_factory.mktemp("theirs"), copied.folder / "results"
    ids, vectors = read_embeddings(results / "embed" / COHORT / "pixels.parquet")
    names = [f"export/{one.removesuffix('.png')}.jpg" for one in ids]
    np.savez(root / "vectors.npz", ids=names, embeddings=vectors.astype(np.float16))
    network = tiny(0, outputs=8)
    write_onnx(network, root / "vendor.onnx", size=32)
    cohort = pd.read_parquet(results / "cohort" / f"{COHORT}.parquet")
    seen = cohort.loc[cohort["split"] == "test", "image_id"].iloc[:7]
    (root / "train_val_list.txt").write_text("\n".join(seen))
    outputs = [TASKS[1], TASKS[0], None, *TASKS[2:5], None, TASKS[5]]
    output = {"name": "logits", "holds": "logits", "tasks": outputs}
    models = {
        "theirs": {"kind": "embeddings", "file": str(root / "vectors.npz"), **ALL, "pretraining_images": [{"file": str(root / "train_val_list.txt")}]},
        "vendor": {"kind": "onnx", "weights": str(root / "vendor.onnx"), "input": INPUT, "output": output, **ALL},
        "tower": {"kind": "onnx", "weights": str(root / "vendor.onnx"), "input": INPUT, "output": {"name": "features", "holds": "embedding"}, **ALL},
    }  # fmt: skip
    study = {"models": ["theirs", "vendor", "tower"], "methods": ["linear", "given"], "tables": ["attribute_probes"], "figures": []}  # fmt: skip
    overlay = copied.folder / "own.yaml"
    few = {"bootstrap": {"draws": 50}, "null": {"draws": 50}}
    overlay.write_text(yaml.safe_dump({"run": ["clip_nih"], "models": models, "studies": {"clip_nih": study}, "evaluation": few}))  # fmt: skip
    done = copied.snakemake(
        *("--configfile", "config/smoke.yaml", "own.yaml", "--cores", "2", "--"),
        *(f"results/disparity/{COHORT}/{run}.csv" for run in ("theirs/linear", "tower/linear", "vendor/given")),
        *(f"results/attribute_probes/{COHORT}/{model}.csv" for model in ("theirs", "tower")),
        f"results/lint/{COHORT}.json",
        timeout=1500,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:]
    return results, network, outputs


def test_vectors_are_probed_and_audited_as_any_model(audited):
    results, _, _ = audited
    ids, theirs = read_embeddings(results / "embed" / COHORT / "theirs.parquet")
    again, pixels = read_embeddings(results / "embed" / COHORT / "pixels.parquet")
    assert ids.tolist() == again.tolist()
    np.testing.assert_array_equal(theirs, pixels.astype(np.float16).astype(np.float32))
    for name in ("theirs", "tower"):
        gaps = pd.read_csv(results / "disparity" / COHORT / name / "linear.csv")
        assert {"sex", "age_group"} <= set(gaps["attribute"])
        probes = pd.read_csv(results / "attribute_probes" / COHORT / f"{name}.csv")
        assert len(probes)
    assert not (results / "predictions" / COHORT / "theirs" / "given.parquet").exists()


def test_the_scores_of_an_onnx_model_are_its_predictions(audited):
    results, network, outputs = audited
    store = open_store(results / "images" / COHORT)
    found = pd.read_parquet(results / "predictions" / COHORT / "vendor" / "given.parquet")
    cohort = pd.read_parquet(results / "cohort" / f"{COHORT}.parquet").set_index("image_id")
    ids = sorted(found["image_id"].unique())
    assert ids == sorted(cohort.index[cohort["split"] != "train"])
    grey = torch.from_numpy(np.stack([np.asarray(one) for one in store.read(ids)])).float()
    small = torch.nn.functional.interpolate(grey[:, None], (32, 32), mode="bicubic", antialias=True)
    pixels = ((small.clamp(0, 255) / 255 - 0.5) / 0.25).expand(-1, 3, -1, -1)
    with torch.no_grad():
        logits = network(pixels)[1][:, [outputs.index(task) for task in TASKS]]
    expected = pd.DataFrame(logits.softmax(dim=1).numpy(), index=ids, columns=TASKS)
    wide = found.pivot(index="image_id", columns="task", values="score").loc[ids, TASKS]
    np.testing.assert_allclose(wide, expected, atol=1e-5)
    assert (found["y"] == [cohort.at[i, f"y_{t}"] for i, t in zip(found["image_id"], found["task"], strict=True)]).all()  # fmt: skip
    assert (results / "disparity" / COHORT / "vendor" / "given.csv").is_file()
    assert not (results / "attribute_probes" / COHORT / "vendor.csv").exists()


def test_the_lint_says_which_test_images_were_seen(audited):
    results, _, _ = audited
    found = json.loads((results / "lint" / f"{COHORT}.json").read_text())["findings"]
    (seen,) = [one for one in found if one["check"] == "pretraining_images"]
    assert seen["where"] == "theirs" and seen["severity"] == "warning" and seen["count"] == 7
    assert "theirs has seen 7 of the" in seen["message"] and "exclude_seen" in seen["message"]


def test_what_needs_weights_is_refused_before_any_job(copied):
    path = copied.folder / "refused.yaml"
    models = {"theirs": {"kind": "embeddings", "file": "none.npz", **ALL}}
    study = {"models": ["theirs"], "methods": ["full"], "tables": [], "figures": []}
    path.write_text(yaml.safe_dump({"run": ["clip_nih"], "models": models, "studies": {"clip_nih": study}}))  # fmt: skip
    done = copied.snakemake("-n", "--configfile", "config/smoke.yaml", "refused.yaml")
    assert done.returncode and "theirs runs with none of the methods full: a model of kind embeddings has no weights to train" in done.stdout  # fmt: skip
    study["methods"] = ["linear"]
    path.write_text(yaml.safe_dump({"run": ["clip_nih"], "models": models, "studies": {"clip_nih": study}}))  # fmt: skip
    done = copied.snakemake("-n", "--configfile", "config/smoke.yaml", "refused.yaml")
    assert done.returncode and "model theirs: there is no file" in done.stdout
