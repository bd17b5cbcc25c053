"""Every training end to end: killed and resumed, in turn, on two processes, and on a planted conflict."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import tiny_groups
from medaudit.adapt.finetune import finetune
from medaudit.adapt.merge_seeds import merge_seeds
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import COHORT, PREDICTIONS, read_metadata, read_table, write_table
from medaudit.training.checkpoints import Checkpoints
from tiny_baselines import write_data
from tiny_groups import BY_GROUP, FLAT, settings, write_conflict

TRAININGS = [*BY_GROUP, *FLAT]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_data(tmp_path_factory.mktemp("data"))


class Killed(BaseException):
    """Stands for a kill right after a checkpoint has been written."""


@pytest.mark.parametrize("training", TRAININGS)
def test_a_killed_run_ends_with_the_same_bytes(data, tmp_path, training, monkeypatch):
    """Two seeds and two rates in turn; killed after each of three steps, and in the last epoch."""
    monkeypatch.setenv("MEDAUDIT_CHECKPOINT_SECONDS", "0")
    given = settings(training, "0-1", learning_rates=[1e-3, 1e-2], together=3)
    if training == "swad":
        given["entry"]["swad"] = {"optimum_patience": 1, "overfit_patience": 2, "tolerance": 2.0}
    whole, killed = tmp_path / "whole.parquet", tmp_path / "killed.parquet"
    finetune(given, **data, output=whole)
    save = Checkpoints.save
    for last in (3, 10, 17):

        def save_and_die(self, step, state, last=last):
            save(self, step, state)
            if step >= last:
                raise Killed

        monkeypatch.setattr(Checkpoints, "save", save_and_die)
        with pytest.raises(Killed):
            finetune(given, **data, output=killed)
        assert not killed.exists()
    monkeypatch.setattr(Checkpoints, "save", save)
    finetune(given, **data, output=killed)
    assert killed.read_bytes() == whole.read_bytes()
    runs = read_metadata(whole)["runs"]
    assert len(runs["chosen"]) == 2 and len(runs["trials"]) == 4


@pytest.mark.parametrize("training", TRAININGS)
def test_trainings_in_turn_have_the_numbers_of_trainings_alone(data, tmp_path, training):
    alone = []
    for seed in ("0", "1"):
        alone.append(tmp_path / f"{seed}.parquet")
        finetune(settings(training, seed), **data, output=alone[-1])
    finetune(settings(training, "0-1", together=2), **data, output=tmp_path / "0-1.parquet")
    merge_seeds({}, seeds=alone, output=tmp_path / "merged.parquet")
    expected, found = (
        read_table(tmp_path / f"{name}.parquet", PREDICTIONS) for name in ("merged", "0-1")
    )
    assert expected.equals(found) and found["score"].between(0, 1).all()
    assert found.groupby("seed")["score"].mean().nunique() == 2


def test_no_training_reads_labels_or_groups_of_the_test_split(data, tmp_path):
    frame = read_table(data["cohort"], COHORT)
    test = frame["split"] == "test"
    changed = frame.assign(
        y_sick=np.where(test, 1 - frame["y_sick"], frame["y_sick"]),
        a_site=np.where(test, "b", frame["a_site"]),
    )
    write_table(changed, tmp_path / "changed.parquet", COHORT)
    for training in TRAININGS:
        scores = []
        for cohort in (data["cohort"], tmp_path / "changed.parquet"):
            output = tmp_path / "p.parquet"
            given = settings(training, epochs=1)
            finetune(given, cohort=cohort, images=data["images"], output=output)
            scores.append(read_table(output, PREDICTIONS)["score"])
        assert scores[0].equals(scores[1]), training


def test_a_group_without_training_images_is_refused_before_training(data, tmp_path):
    frame = read_table(data["cohort"], COHORT)
    first = frame.index[frame["split"] == "val"][0]
    frame.loc[first, "a_site"] = "d"
    write_table(frame, tmp_path / "c.parquet", COHORT)
    given = {"cohort": tmp_path / "c.parquet", "images": data["images"]}
    with pytest.raises(MedauditError, match="site has 'd' only in other splits"):
        finetune(settings("groupdro"), **given, output=tmp_path / "p.parquet")
    finetune(settings("sam", epochs=1), **given, output=tmp_path / "p.parquet")
    with pytest.raises(MedauditError, match="no attribute shoe_size"):
        lacking = settings("lnl", attribute="shoe_size")
        finetune(lacking, **data, output=tmp_path / "p.parquet")


def test_groups_may_be_an_intersection(data, tmp_path):
    frame = read_table(data["cohort"], COHORT)
    frame["a_sex"] = np.where(np.arange(len(frame)) % 2, "female", "male")
    write_table(frame, tmp_path / "c.parquet", COHORT)
    output = tmp_path / "p.parquet"
    given = {"cohort": tmp_path / "c.parquet", "images": data["images"]}
    finetune(settings("groupdro", attribute=["site", "sex"], epochs=1), **given, output=output)
    weights = read_metadata(output)["runs"]["chosen"][0]["group_weights"]
    assert set(weights) == {f"{a} & {b}" for a in "abc" for b in ("female", "male")} | {"unknown"}
    assert sum(weights.values()) == pytest.approx(1, abs=1e-5)


def worst_groups(tmp_path_factory, trainings) -> dict[str, np.ndarray]:
    """Return each seed's AUC of the group with the lowest one on the test split."""
    folder = tmp_path_factory.mktemp("conflict")
    data = write_conflict(folder)
    sites = read_table(data["cohort"], COHORT).set_index("image_id")["a_site"]
    found = {}
    for training in trainings:
        output = folder / f"{training}.parquet"
        own = {"groupdro": {"groupdro": {"step_size": 0.1, "adjustment": 0.0}}}.get(training, {})
        entry = {"epochs": 8, "augmentation": None, "drop_path": 0.0, "batch_size": 32, **own}
        finetune(settings(training, "0-2", **entry), **data, output=output)
        table = read_table(output, PREDICTIONS)
        table = table[table["split"] == "test"]
        site = sites[table["image_id"]].to_numpy()
        parts = table.groupby([site, "seed"])
        aucs = parts[["y", "score"]].apply(lambda part: roc_auc_score(part["y"], part["score"]))
        found[training] = aucs.unstack().min(axis=0).to_numpy()
    return found


def test_balanced_trainings_raise_the_worst_group_of_a_planted_conflict(tmp_path_factory):
    """Plain training follows the sign that misleads one in ten patients; the others do so less."""
    remedies = ["resampling", "reweighting", "groupdro"]
    found = worst_groups(tmp_path_factory, ["erm", *remedies])
    assert found["erm"].max() < 0.25, found
    for training in remedies:
        assert found[training].mean() > found["erm"].mean() + 0.08, found
        assert (found[training] > found["erm"]).all(), found


SCRIPT = """
import json, sys
from contextlib import nullcontext
from pathlib import Path
from medaudit.adapt import finetune
from medaudit.training.distributed import join_processes
given, cohort, images, folder = sys.argv[1:]
with join_processes() as processes:
    finetune.join_processes = lambda: nullcontext(processes)  # one group of processes for all
    for settings in json.loads(given):
        output = Path(folder) / (settings["entry"]["training"] + ".parquet")
        finetune.finetune(settings, cohort=Path(cohort), images=Path(images), output=output)
"""


def test_two_processes_give_the_predictions_of_one(data, tmp_path):
    """40 images in batches of 13 leave one for the last batch, so that one process has none.

    EnD forms its pairs within each process, so it is another training there.
    """
    trainings = [name for name in TRAININGS if name != "end"]
    jobs = [settings(name, batch_size=13, drop_path=0.0) for name in trainings]
    for number, job in enumerate(jobs):
        finetune(job, **data, output=tmp_path / f"{trainings[number]}.parquet")
    (tmp_path / "two").mkdir()
    (tmp_path / "all.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += [str(tmp_path / "all.py"), json.dumps(jobs), str(data["cohort"])]
    command += [str(data["images"]), str(tmp_path / "two")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    for training in trainings:
        one, two = (folder / f"{training}.parquet" for folder in (tmp_path, tmp_path / "two"))
        first, second = (read_metadata(path)["runs"]["trials"][0] for path in (one, two))
        np.testing.assert_allclose(second["curve"], first["curve"], rtol=1e-4, err_msg=training)
        scores = [read_table(path, PREDICTIONS)["score"] for path in (one, two)]
        np.testing.assert_allclose(*scores, atol=1e-3, err_msg=training)
        if training == "groupdro":
            weights = [list(run["group_weights"].values()) for run in (first, second)]
            np.testing.assert_allclose(*weights, atol=1e-4)


def test_every_training_of_the_catalogue_is_tested():
    from medaudit.config.trainings import BY_GROUP as NAMES

    assert set(NAMES) == set(tiny_groups.BY_GROUP)
