"""Each check finds what was planted, and nothing in clean data."""

import json

import imagehash
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from medaudit.audit.lint import check_cohort, check_images, check_overlap, check_predictions, lint
from medaudit.audit.lint.near_duplicates import close_pairs, near_duplicates, perceptual_hashes
from medaudit.audit.lint.prediction_checks import FEW_TO_CHOOSE, auc_with_error
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import COHORT, IMAGES, PREDICTIONS, write_array, write_table


def clean_cohort(n: int = 240) -> pd.DataFrame:
    rng = np.random.default_rng(5)
    age = np.tile([40.0, 70.0], n // 2)
    return pd.DataFrame(
        {
            "image_id": [f"i{k}" for k in range(n)],
            "patient_id": [f"p{k}" for k in range(n)],
            "path": [f"{k}.png" for k in range(n)],
            "age": age,
            "view": "PA",
            "split": np.repeat(["train", "val", "test"], n // 3),
            "y_Edema": np.tile([0.0, 0, 1, 1], n // 4),
            "a_sex": np.where(rng.random(n) < 0.5, "male", "female"),
            "a_age_group": np.where(age < 60, "<60", ">=60"),
        }
    )


def predictions_of(cohort: pd.DataFrame) -> pd.DataFrame:
    rows = cohort[cohort["split"] != "train"]
    rng = np.random.default_rng(6)
    score = np.clip(0.3 + 0.4 * rows["y_Edema"] + 0.2 * rng.normal(size=len(rows)), 0.001, 0.999)
    return pd.DataFrame(
        {
            "image_id": rows["image_id"].to_numpy(),
            "split": rows["split"].to_numpy(),
            "task": "Edema",
            "seed": 0,
            "y": rows["y_Edema"].to_numpy(),
            "score": score.to_numpy(),
        }
    )


def cohort_findings(cohort, minimum=None):
    return check_cohort(cohort, ["sex", "age_group", ["sex", "age_group"]], minimum)


def one(findings, check, severity=None):
    found = [f for f in findings if f.check == check and severity in (None, f.severity)]
    assert len(found) == 1, [f"{f.check} {f.severity} {f.message}" for f in findings]
    return found[0]


def test_clean_data_have_no_error_and_no_warning():
    cohort = clean_cohort()
    findings = cohort_findings(cohort) + check_predictions(
        predictions_of(cohort), cohort, "binary", {"rule": "best_f1"}
    )
    assert [f for f in findings if f.severity != "info"] == []


def test_patient_overlap_counts_patients():
    cohort = clean_cohort()
    cohort.loc[cohort["image_id"].isin(["i200", "i201"]), "patient_id"] = ["p3", "p4"]
    found = one(cohort_findings(cohort), "patient_overlap")
    assert (found.severity, found.count) == ("error", 2)
    assert "p3" in found.where and "p4" in found.where


def test_one_file_under_two_ids_is_an_error_in_test_only():
    cohort = clean_cohort()
    cohort.loc[cohort["image_id"] == "i230", "path"] = "231.png"
    assert one(cohort_findings(cohort), "resampled_duplicates").severity == "error"
    cohort = clean_cohort()
    cohort.loc[cohort["image_id"] == "i3", "path"] = "4.png"
    assert one(cohort_findings(cohort), "resampled_duplicates").severity == "warning"


@pytest.mark.parametrize(
    ("level", "severity", "text"),
    [
        ("unknown", "info", "level of its own"),
        ("not male", "warning", "sex != M"),
        ("n/a", "warning", "no answer"),
        ("1", "warning", "bare code"),
        ("Male", "warning", "look like one level"),
    ],
)
def test_attribute_levels_that_hide_something(level, severity, text):
    cohort = clean_cohort()
    cohort.loc[[2, 3, 5], "a_sex"] = level
    found = cohort_findings(cohort, {"n": 0, "n_pos": 0, "n_neg": 0})
    found = one(found, "attribute_coding", severity)
    assert text in found.message and found.where == "sex"


def test_one_level_and_missing_levels():
    cohort = clean_cohort()
    cohort["a_sex"] = "female"
    assert "nothing to compare" in one(cohort_findings(cohort), "attribute_coding").message
    cohort = clean_cohort()
    cohort.loc[:99, "a_sex"] = None
    found = one(cohort_findings(cohort), "attribute_missing")
    assert (found.severity, found.count) == ("warning", 100)


def test_ages():
    cohort = clean_cohort()
    cohort.loc[[0, 1, 2], "age"] = [414, -1, 105]
    findings = [f for f in cohort_findings(cohort) if f.check == "age_range"]
    assert {(f.severity, f.count) for f in findings} == {("error", 2), ("warning", 1)}


def test_age_60_in_both_groups_is_an_error():
    cohort = clean_cohort()
    cohort.loc[[0, 1], "age"] = 60.0
    cohort.loc[[0, 1], "a_age_group"] = ["<60", ">=60"]
    found = one(cohort_findings(cohort), "attribute_coding")
    assert found.severity == "error" and "60" in found.where


def test_small_groups_are_counted_as_a_loop_counts_them():
    cohort = clean_cohort()
    minimum = {"n": 21, "n_pos": 9, "n_neg": 9}
    findings = [f for f in cohort_findings(cohort, minimum) if f.check == "small_group"]
    test = cohort[cohort["split"] == "test"]
    expected = 0
    for names in (["a_sex"], ["a_age_group"], ["a_sex", "a_age_group"]):
        for _, rows in test.groupby(names):
            y = rows["y_Edema"]
            expected += len(y) < 21 or y.sum() < 9 or (1 - y).sum() < 9
    assert len(findings) == expected > 0


def test_no_test_split_and_one_class():
    cohort = clean_cohort()
    cohort["split"] = "train"
    assert one(cohort_findings(cohort), "splits").severity == "error"
    cohort = clean_cohort()
    cohort.loc[cohort["split"] == "test", "y_Edema"] = 0.0
    assert one(cohort_findings(cohort), "one_class").severity == "warning"


def test_predictions_that_do_not_belong_to_the_cohort():
    cohort = clean_cohort()
    rows = predictions_of(cohort)
    rows.loc[0, "image_id"] = "stranger"
    rows.loc[1, "split"] = "test"
    rows.loc[2, "y"] = 1 - rows.loc[2, "y"]
    rows = rows[rows["image_id"] != "i239"]
    findings = check_predictions(rows, cohort, "binary", {"rule": "best_f1"})
    for check, severity in (
        ("unknown_id", "error"),
        ("test_touched", "error"),
        ("label_mismatch", "error"),
        ("missing_prediction", "warning"),
    ):
        found = one(findings, check)
        assert (found.severity, found.count) == (severity, 1)


@pytest.mark.parametrize("bad", [1.5, -0.1, np.nan, np.inf])
def test_scores_out_of_range(bad):
    cohort = clean_cohort()
    rows = predictions_of(cohort)
    rows.loc[4, "score"] = bad
    found = one(check_predictions(rows, cohort, "binary"), "score_range")
    assert (found.severity, found.count) == ("error", 1)


def test_decisions_in_place_of_scores_and_constants():
    cohort = clean_cohort()
    rows = predictions_of(cohort)
    rows["score"] = (rows["score"] > 0.5).astype(float)
    assert "decisions" in one(check_predictions(rows, cohort, "binary"), "score_range").message
    rows["score"] = 0.25
    assert "0.25" in one(check_predictions(rows, cohort, "binary"), "score_range").message


def test_classes_must_sum_to_one():
    cohort = clean_cohort().rename(columns={"y_Edema": "y_a"})
    cohort["y_b"] = 1 - cohort["y_a"]
    rows = predictions_of(cohort.rename(columns={"y_a": "Edema"}).assign(y_Edema=cohort["y_a"]))
    rows["task"] = "a"
    both = pd.concat([rows, rows.assign(task="b", y=1 - rows["y"], score=1 - rows["score"])])
    assert not [f for f in check_predictions(both, cohort, "multiclass") if f.severity == "error"]
    both = both.reset_index(drop=True)
    both.loc[0, "score"] += 0.01
    assert one(check_predictions(both, cohort, "multiclass"), "score_range").count == 1


def test_reversed_labels_are_found_and_a_weak_model_is_not_accused():
    cohort = clean_cohort()
    rows = predictions_of(cohort)
    rows["score"] = 1 - rows["score"]
    assert one(check_predictions(rows, cohort, "binary"), "label_polarity").severity == "warning"
    rows["score"] = np.random.default_rng(1).random(len(rows))
    assert not [f for f in check_predictions(rows, cohort, "binary") if f.check == "label_polarity"]


def test_auc_of_the_polarity_check_is_scikit_learns():
    rng = np.random.default_rng(2)
    score, positive = rng.integers(0, 9, 300) / 8, rng.random(300) < 0.3
    assert auc_with_error(score, positive)[0] == pytest.approx(roc_auc_score(positive, score))


def test_a_validation_rule_without_validation_rows_fails():
    cohort = clean_cohort()
    rows = predictions_of(cohort)
    rows = rows[rows["split"] == "test"]
    found = one(check_predictions(rows, cohort, "binary", {"rule": "best_f1"}), "threshold_source")
    assert found.severity == "error"
    found = one(check_predictions(rows, cohort, "binary", {"rule": "fixed"}), "threshold_source")
    assert found.severity == "info"


def test_a_threshold_that_validation_cannot_choose_or_chooses_on_few_images():
    cohort = clean_cohort()
    rows, rule = predictions_of(cohort), {"rule": "sensitivity", "value": 0.9}

    def found(changed):
        every = check_predictions(changed, cohort, "binary", rule)
        return [f for f in every if f.check == "threshold_choice"]

    val, positive = rows["split"] == "val", rows["y"] == 1
    ill = rows.index[val & positive]
    assert len(ill) >= FEW_TO_CHOOSE and found(rows) == []
    few = found(rows.drop(ill[FEW_TO_CHOOSE - 1 :]))[0]
    assert few.severity == "warning" and few.count == FEW_TO_CHOOSE - 1
    negative = (val & ~positive).sum()
    assert f"{FEW_TO_CHOOSE - 1} positive and {negative} negative" in few.message
    none = found(rows.drop(ill))[0]
    assert none.severity == "warning" and "is negative" in none.message
    source = one(check_predictions(rows, cohort, "binary", rule), "threshold_source")
    assert (
        source.message == "thresholds: sensitivity of at least 0.9, chosen on the validation split"
    )
    assert not [f for f in check_predictions(rows, cohort, "binary") if "threshold_c" in f.check]


def test_rows_drawn_twice():
    cohort = clean_cohort()
    cohort.loc[cohort["image_id"] == "i238", "patient_id"] = "p239"
    rows = predictions_of(cohort)
    twin = rows.loc[rows["image_id"] == "i239", "score"].item()
    rows.loc[rows["image_id"] == "i238", "score"] = twin
    assert one(check_predictions(rows, cohort, "binary"), "resampled_duplicates").count == 2


def pictures(n: int, size: int = 64) -> np.ndarray:
    rng = np.random.default_rng(3)
    coarse = rng.integers(0, 255, (n, 8, 8), dtype=np.uint8)
    return np.stack([np.asarray(Image.fromarray(c).resize((size, size))) for c in coarse])


@pytest.mark.parametrize("colour", [False, True])
def test_hash_is_imagehashs(colour):
    images = pictures(20)
    if colour:
        images = np.stack([images, images[::-1], images], axis=1)
    ours = perceptual_hashes(images, np.arange(20))
    pil = [Image.fromarray(np.moveaxis(i, 0, -1) if colour else i) for i in images]
    theirs = [int(str(imagehash.phash(image)), 16) for image in pil]
    np.testing.assert_array_equal(ours, np.array(theirs, np.uint64))


def test_close_pairs_is_the_plain_loop():
    rng = np.random.default_rng(4)
    left = rng.integers(0, 2**63, 40, dtype=np.uint64)
    right = left[:30] ^ (np.uint64(1) << rng.integers(0, 63, 30).astype(np.uint64))
    plain = {
        (i, j)
        for i, a in enumerate(left)
        for j, b in enumerate(right)
        if bin(int(a) ^ int(b)).count("1") <= 1
    }
    assert {tuple(pair) for pair in close_pairs(left, right, 1).tolist()} == plain
    assert len(plain) >= 30


def test_duplicates_across_splits():
    images = pictures(30)
    images[25] = images[2]
    images[26] = np.clip(images[3].astype(int) + 1, 0, 255)
    images[4] = images[5]
    splits = np.array(["train"] * 20 + ["test"] * 10)
    ids = np.array([f"i{k}" for k in range(30)])
    findings = near_duplicates(images, np.arange(30), ids, splits)
    assert {(f.severity, f.count, f.where) for f in findings} == {
        ("error", 1, "i2 (train) = i25 (test)"),
        ("warning", 1, "i3 (train) = i26 (test)"),
    }


def test_stage_writes_its_findings_and_fails_on_errors(tmp_path):
    cohort = clean_cohort()
    write_table(cohort, tmp_path / "c.parquet", COHORT)
    write_table(predictions_of(cohort), tmp_path / "m" / "linear.parquet", PREDICTIONS)
    images = pictures(len(cohort))
    write_array(images, tmp_path / "store" / "images.npy")
    index = pd.DataFrame(
        {"image_id": cohort["image_id"], "row": range(len(cohort)), "status": "ok", "error": None}
    )
    write_table(index, tmp_path / "store" / "index.parquet", IMAGES)
    evaluation = {
        "threshold": {"rule": "best_f1"},
        "minimum": {"n": 10, "n_pos": 3, "n_neg": 3},
    }
    settings = {"cohort": "c", "task_type": "binary", "attributes": ["sex"]}
    settings["evaluation"] = evaluation
    paths = {
        "cohort": tmp_path / "c.parquet",
        "images": tmp_path / "store",
        "predictions": [tmp_path / "m" / "linear.parquet"],
        "output": tmp_path / "lint.json",
    }
    lint(settings, **paths)
    assert json.loads(paths["output"].read_text())["counts"]["error"] == 0
    assert check_images(tmp_path / "store", cohort) == []
    cohort.loc[0, "patient_id"] = "p239"
    write_table(cohort, tmp_path / "c.parquet", COHORT)
    with pytest.raises(MedauditError, match="patient_overlap"):
        lint(settings, **paths)
    assert json.loads(paths["output"].read_text())["findings"][0]["check"] == "patient_overlap"


def test_models_that_have_seen_the_dataset_are_named():
    models = {
        "seen": {"pretraining_data": ["MIMIC-CXR", "CheXpert"]},
        "clean": {"pretraining_data": []},
        "silent": {},
    }
    found = check_overlap(models, "chexpert")
    assert [(finding.where, finding.severity) for finding in found] == [
        ("seen", "warning"),
        ("silent", "warning"),
    ]
    assert "may have seen images" in found[0].message
