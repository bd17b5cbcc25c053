"""The stage `evaluate` from predictions to a table, against scikit-learn, fairlearn and loops."""

import json

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame, selection_rate, true_positive_rate
from sklearn import metrics as sk

from evaluate_case import joined, make_case, make_settings, pick
from medaudit.audit.evaluate import evaluate
from medaudit.core import table_io
from medaudit.core.errors import MedauditError
from medaudit.metrics.group_audit import audit
from medaudit.metrics.resampling import draw_patients
from medaudit.metrics.sample import name_images


@pytest.fixture(scope="module")
def case():
    return make_case()


@pytest.fixture(scope="module")
def audited(case):
    return audit(*case, make_settings())


def test_groups_agree_with_fairlearn(case, audited):
    metrics, _ = audited
    for seed in (0, 1):
        rows = joined(case, "A", seed)
        threshold = pick(metrics, task="A", seed=str(seed), metric="threshold")["value"]
        decision = (rows["score"] >= threshold).astype(int)
        frame = MetricFrame(
            metrics={"tpr": true_positive_rate, "selection_rate": selection_rate,
                     "accuracy": sk.accuracy_score, "f1": sk.f1_score},
            y_true=rows["y"], y_pred=decision, sensitive_features=rows["a_sex"],
        )  # fmt: skip
        for group, row in frame.by_group.iterrows():
            for metric, want in row.items():
                key = {"attribute": "sex", "group": group, "task": "A", "seed": str(seed)}
                assert pick(metrics, metric=metric, **key)["value"] == pytest.approx(
                    want, abs=1e-10
                )


def test_the_threshold_is_the_best_f1_of_validation(case, audited):
    rows = joined(case, "B", 1, "val")
    row = pick(audited[0], task="B", seed="1", metric="threshold")
    precision, recall, thresholds = sk.precision_recall_curve(rows["y"], rows["score"])
    f1 = 2 * precision * recall / (precision + recall)
    assert sk.f1_score(rows["y"], rows["score"] >= row["value"]) == pytest.approx(np.nanmax(f1))
    assert row["value"] in thresholds
    assert (row["n"], row["n_pos"]) == (len(rows), rows["y"].sum())


def test_counts_means_and_missing_groups(case, audited):
    metrics, replicates = audited
    assert len(metrics) == len(replicates)
    rows = joined(case, "A", 0)
    key = {"task": "A", "seed": "0", "attribute": "sex & age_group"}
    inside = rows[(rows["a_sex"] == "female") & (rows["a_age_group"] == ">=60")]
    row = pick(metrics, group="female & >=60", metric="auc", **key)
    assert (row["n"], row["n_pos"], row["n_patients"]) == (
        len(inside), inside["y"].sum(), inside["patient_id"].nunique(),
    )  # fmt: skip
    lost = pick(metrics, group="missing", metric="auc", **key)
    assert lost["status"] == "missing" and np.isnan(lost["value"])
    assert lost["n"] == rows["a_age_group"].isna().sum() > 0
    whole = pick(metrics, group="all", metric="auc", **key)
    known = rows[rows["a_age_group"].notna()]
    assert whole["value"] == pytest.approx(sk.roc_auc_score(known["y"], known["score"]), abs=1e-10)
    assert "missing" not in set(metrics.loc[metrics["attribute"] == "sex", "group"])
    for group in ("female", "all"):
        key = {"attribute": "sex", "group": group, "metric": "f1"}
        values = [[pick(metrics, task=t, seed=s, **key)["value"] for t in "AB"] for s in ("0", "1")]
        assert pick(metrics, task="mean", seed="1", **key)["value"] == pytest.approx(
            np.mean(values[1]), abs=1e-12
        )
        assert pick(metrics, task="mean", seed="mean", **key)["value"] == pytest.approx(
            np.mean(values), abs=1e-12
        )


def test_a_replicate_is_the_metric_of_the_drawn_patients(case, audited):
    metrics, replicates = audited
    cohort = case[1]
    test = cohort[cohort["split"] == "test"]
    patients = sorted(test["patient_id"].unique())
    cell = test["a_sex"] + test["a_age_group"].fillna("?")
    first = cell.groupby(test["patient_id"]).first().reindex(patients)
    sizes = first.map(first.value_counts())
    stratum = pd.factorize(first.where(sizes >= 10, ""), sort=True)[0]
    rows = joined(case, "A", 0)
    for attribute, group in (("sex", "male"), ("all", "all")):
        mask = np.ones(len(rows), bool) if group == "all" else rows["a_sex"] == group
        part = rows[mask]
        position = metrics.index[
            (metrics["attribute"] == attribute) & (metrics["group"] == group)
            & (metrics["task"] == "A") & (metrics["seed"] == "0")
        ]  # fmt: skip
        threshold = pick(metrics, task="A", seed="0", metric="threshold")["value"]
        weights = _strata_weights(stratum, first, name_images(test))
        for b in range(5):
            times = part["patient_id"].map(dict(zip(patients, weights[:, b], strict=True)))
            drawn = part.loc[part.index.repeat(times)]
            decision = drawn["score"] >= threshold
            want = {
                "auc": sk.roc_auc_score(drawn["y"], drawn["score"]),
                "average_precision": sk.average_precision_score(drawn["y"], drawn["score"]),
                "f1": sk.f1_score(drawn["y"], decision),
                "brier": np.mean((drawn["score"] - drawn["y"]) ** 2),
            }
            for index in position:
                metric = metrics.loc[index, "metric"]
                if metric in want:
                    assert replicates[index, b] == pytest.approx(want[metric], abs=1e-6)


def _strata_weights(stratum, first, stream):
    """The draws of the stage: same strata, whatever the order of their numbers."""
    from medaudit.metrics.attributes import Attribute, find_strata

    codes = pd.factorize(first, sort=True)[0].astype(np.int32)
    mine = find_strata(np.arange(len(first)), [Attribute("cell", (), codes)])
    assert (pd.crosstab(mine, stratum) > 0).sum().max() == 1
    sex = pd.factorize(first.str.rstrip("<>=60?"), sort=True)[0].astype(np.int32)
    age_text = first.str.extract(r"(<60|>=60|\?)$")[0].map({"<60": 0, ">=60": 1, "?": -1})
    both = [Attribute("a", (), sex), Attribute("b", (), age_text.to_numpy(np.int32))]
    return draw_patients(find_strata(np.arange(len(first)), both), stream, slice(0, 5))


def test_draws_keep_strata_and_are_paired_and_independent_of_blocks():
    stratum = np.repeat([0, 1, 2], [40, 25, 11])[np.random.default_rng(0).permutation(76)]
    whole = draw_patients(stratum, "c", slice(0, 50))
    for s in range(3):
        assert (whole[stratum == s].sum(axis=0) == (stratum == s).sum()).all()
    np.testing.assert_array_equal(whole[:, 20:30], draw_patients(stratum, "c", slice(20, 30)))
    assert (whole != draw_patients(stratum, "d", slice(0, 50))).any()
    spread = draw_patients(stratum, "c", slice(0, 4000))[stratum == 2].astype(float)
    assert spread.mean() == pytest.approx(1, abs=1e-12)
    assert spread.var(axis=1).mean() == pytest.approx(10 / 11, rel=0.05)


def test_same_bytes_for_any_number_of_threads(case, tmp_path):
    predictions, cohort = tmp_path / "p.parquet", tmp_path / "c.parquet"
    table_io.write_table(case[0], predictions, table_io.PREDICTIONS)
    table_io.write_table(case[1], cohort, table_io.COHORT)
    settings = json.loads(json.dumps(make_settings(bootstrap={
        "draws": 600, "level": 0.95}, metrics=["auc", "ece", "tpr"])))  # fmt: skip
    contents = []
    for name, threads in (("a", 1), ("b", 2), ("c", 1)):
        out, drawn = tmp_path / f"{name}.csv", tmp_path / f"{name}.npy"
        full = tmp_path / f"{name}.parquet"
        evaluate(settings, predictions=predictions, cohort=cohort, output=out, values=full,
                 replicates=drawn, threads=threads)  # fmt: skip
        contents.append([path.read_bytes() for path in (out, full, drawn)])
    assert contents[0] == contents[1] == contents[2]
    table = table_io.read_table(tmp_path / "a.csv", table_io.METRICS)
    assert len(np.load(tmp_path / "a.npy")) == len(table)
    full = table_io.read_table(tmp_path / "a.parquet", table_io.METRICS)
    metrics, _ = audit(*case, settings)
    np.testing.assert_array_equal(full["value"], metrics["value"])
    assert (table["value"].dropna() != full["value"].dropna()).any()


def test_a_missing_row_order_changes_nothing(case, audited):
    rng = np.random.default_rng(5)
    predictions = case[0].iloc[rng.permutation(len(case[0]))]
    again, drawn = audit(predictions, case[1], make_settings())
    pd.testing.assert_frame_equal(again, audited[0])
    np.testing.assert_array_equal(drawn, audited[1])


def test_models_of_a_cohort_share_their_draws(case, audited):
    predictions = case[0].assign(score=1 - case[0]["score"])
    _, turned = audit(predictions, case[1], make_settings())
    rows = (audited[0]["metric"] == "auc") & (audited[0]["status"] == "ok")
    assert rows.any()
    np.testing.assert_allclose(turned[rows], 1 - audited[1][rows], atol=2e-7)


def test_cohorts_with_the_same_test_images_share_their_draws_and_others_do_not(case, audited):
    predictions, cohort = case
    fewer = cohort[(cohort["split"] != "train") | (np.arange(len(cohort)) % 2 == 0)]
    settings = {**make_settings(), "cohort": "balanced"}
    again, drawn = audit(predictions, fewer, settings)
    np.testing.assert_array_equal(drawn, audited[1])
    assert set(again["cohort"]) == {"balanced"}
    gone = cohort.loc[cohort["split"] == "test", "image_id"].iloc[-1]
    without = [frame[frame["image_id"] != gone] for frame in (predictions, cohort)]
    rows, other = audit(*without, settings)
    whole = {"seed": "0", "task": "B", "attribute": "all", "metric": "auc"}
    places = [pick(frame, **whole).name for frame in (again, rows)]
    assert np.abs(drawn[places[0]] - other[places[1]]).mean() > 0.005


def test_what_cannot_be_estimated_says_why(case):
    predictions, cohort = (frame.copy() for frame in case)
    cohort["a_site"] = "big"
    few = cohort.index[cohort["split"] == "test"][:30]
    cohort.loc[few[:5], "a_site"] = "tiny"
    cohort.loc[few[5:30], "a_site"] = "healthy"
    cohort.loc[cohort["split"] == "val", "a_site"] = "val only"
    healthy = cohort.loc[few[5:30], "image_id"]
    predictions.loc[predictions["image_id"].isin(healthy), "y"] = 0.0
    cohort.loc[few[5:30], ["y_A", "y_B"]] = 0.0
    metrics, drawn = audit(predictions, cohort, make_settings(attributes=["site"]))
    part = metrics[(metrics["attribute"] == "site") & (metrics["seed"] == "mean")]
    status = part[part["task"] == "A"].set_index(["group", "metric"])["status"]
    assert status["tiny", "auc"] == "too_few"
    assert status["val only", "accuracy"] == "too_few"
    assert status["healthy", "auc"] == status["healthy", "tpr"] == "undefined:one_class"
    assert status["healthy", "fpr"] == status["healthy", "accuracy"] == "ok"
    assert pick(part, task="mean", group="healthy", metric="auc")["status"] == "undefined:one_class"
    bad = metrics[metrics["status"] != "ok"]
    assert bad[["value", "low", "high"]].isna().all(axis=None)
    assert np.isnan(drawn[bad.index]).all()


def test_a_group_of_one_patient_has_a_value_and_no_interval(case):
    metrics, drawn = audit(case[0], case[1].assign(patient_id="p"), make_settings())
    good = (metrics["status"] == "ok") & (metrics["metric"] != "threshold")
    assert good.any() and metrics.loc[good, "value"].notna().all()
    assert metrics[["low", "high"]].isna().all(axis=None) and np.isnan(drawn).all()


def test_an_attribute_that_is_missing_everywhere_is_refused(case):
    with pytest.raises(MedauditError, match="missing for everybody"):
        audit(case[0], case[1].assign(a_sex=None), make_settings())


def test_without_validation_there_is_no_decision(case):
    predictions = case[0][case[0]["split"] == "test"]
    metrics, _ = audit(predictions, case[1], make_settings())
    row = pick(metrics, task="A", seed="0", metric="threshold")
    assert row["status"] == "undefined:one_class" and np.isnan(row["value"])
    part = metrics[(metrics["attribute"] == "all") & (metrics["task"] == "A")]
    status = part[part["seed"] == "0"].set_index("metric")["status"]
    assert status["tpr"] == status["accuracy"] == "undefined:no_decision"
    assert status["auc"] == status["ece"] == "ok"


def test_multiclass_decides_by_the_largest_score():
    rng = np.random.default_rng(1)
    n, classes = 400, ["A", "B", "C"]
    truth = rng.integers(0, 3, n)
    score = rng.dirichlet(np.ones(3), n) * 0.6 + 0.4 * np.eye(3)[truth]
    cohort = pd.DataFrame({"image_id": [f"i{i}" for i in range(n)], "split": "test",
                           "patient_id": [f"p{i}" for i in range(n)],
                           "a_sex": rng.choice(["f", "m"], n)})  # fmt: skip
    predictions = pd.concat(
        pd.DataFrame({"image_id": cohort["image_id"], "split": "test", "task": name, "seed": 0,
                      "y": (truth == c).astype(float), "score": score[:, c]})
        for c, name in enumerate(classes)
    )  # fmt: skip
    settings = make_settings(task_type="multiclass", tasks=classes, attributes=["sex"])
    metrics, _ = audit(predictions, cohort, settings)
    assert "threshold" not in set(metrics["metric"])
    chosen = score.argmax(axis=1)
    for group in ("f", "m"):
        mine = cohort["a_sex"] == group
        key = {"attribute": "sex", "group": group, "seed": "0"}
        for task, metric, want in (
            ("all", "accuracy", sk.accuracy_score(truth[mine], chosen[mine])),
            ("mean", "f1", sk.f1_score(truth[mine], chosen[mine], average="macro")),
            ("mean", "tpr", sk.balanced_accuracy_score(truth[mine], chosen[mine])),
            ("B", "auc", sk.roc_auc_score(truth[mine] == 1, score[mine, 1])),
        ):
            assert pick(metrics, task=task, metric=metric, **key)["value"] == pytest.approx(want)


def test_importance_weights_belong_to_their_attribute_and_task(case):
    predictions, cohort = case[0], case[1].copy()
    rng = np.random.default_rng(2)
    weights = rng.choice([0.0, 0.5, 2.0], len(cohort))
    cohort["w_sex_A"] = np.where(
        (cohort["split"] == "test") & (rng.random(600) < 0.9), weights, np.nan
    )
    plain, _ = audit(predictions, cohort, make_settings())
    found, _ = audit(predictions, cohort, make_settings(test_weights="equal_prevalence"))
    rows = joined((predictions, cohort), "A", 0)
    rows = rows[(rows["a_sex"] == "male") & (rows["w_sex_A"] > 0)]
    key = {"attribute": "sex", "group": "male", "seed": "0"}
    row = pick(found, task="A", metric="auc", **key)
    want = sk.roc_auc_score(rows["y"], rows["score"], sample_weight=rows["w_sex_A"])
    assert row["value"] == pytest.approx(want, abs=1e-10)
    assert row["n"] == len(rows)
    for other in ({"task": "B"}, {"task": "A", "attribute": "all", "group": "all"}):
        where = {"metric": "auc", **key, **other}
        assert pick(found, **where)["value"] == pick(plain, **where)["value"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p, c: (p.assign(score=p["score"] + 1), c), "outside"),
        (lambda p, c: (p[p.index != p.index[p["y"].notna() & (p["split"] == "test")][0]], c),
         "without a score for A"),
        (lambda p, c: (p.assign(image_id=p["image_id"] + "x"), c), "not in that split"),
        (lambda p, c: (p, c.assign(y_A=1 - c["y_A"])), "not the cohort's"),
        (lambda p, c: (p[p["task"] == "A"], c), "tasks without predictions"),
        (lambda p, c: (p, c.drop(columns="a_sex")), "no attribute sex"),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit_are_refused(case, change, message):
    with pytest.raises(MedauditError, match=message):
        audit(*change(*case), make_settings())


def test_evaluate_imports_no_torch():
    import subprocess
    import sys

    code = "import sys, medaudit.audit.evaluate, medaudit.audit.disparity; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_unwritable_cache_folder_does_not_stop_the_audit(tmp_path):
    import shutil
    import subprocess
    import sys
    from pathlib import Path

    import medaudit

    shutil.copytree(Path(medaudit.__file__).parent / "metrics", tmp_path / "medaudit" / "metrics",
                    ignore=shutil.ignore_patterns("__pycache__"))  # fmt: skip
    code = (
        "import numba.core.caching as c\n"
        "def refuse(*a, **k): raise RuntimeError('cannot cache function: no locator available')\n"
        "c.FunctionCache.__init__ = refuse\n"
        "import numpy as np, medaudit.metrics.bootstrap_kernels as k\n"
        "out = np.zeros((1, 1, 1))\n"
        "k.add_rows(out, np.zeros(1, int), np.ones((1, 1)), np.zeros(1, np.int32),"
        " np.full((1, 1), 3, np.uint8))\n"
        "assert out.item() == 3, out\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
