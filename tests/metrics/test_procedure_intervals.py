"""Intervals of the procedure that chooses a threshold: by loops, and in simulated studies."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, t

from evaluate_case import ALL_METRICS, make_case, make_settings, pick
from medaudit.metrics.group_audit import audit
from medaudit.metrics.procedure_intervals import DECIDED, choose_again
from medaudit.metrics.resampling import draw_patients
from medaudit.metrics.sample import read_sample
from medaudit.metrics.thresholds import choose_threshold

RULE = {"rule": "sensitivity", "value": 0.9}


@pytest.fixture(scope="module")
def case():
    return make_case()


@pytest.fixture(scope="module")
def metrics(case):
    return audit(*case, make_settings(threshold=RULE))[0]


def test_thresholds_are_chosen_again_in_draws_of_patients(case):
    predictions, cohort = case
    settings = make_settings(threshold=RULE)
    sample = read_sample(predictions, cohort, settings)
    found = choose_again(sample, settings["evaluation"])
    val = cohort[cohort["split"] == "val"]
    ids = sorted(val["patient_id"].unique())
    stream = f"validation {sample.validation.stream}"
    drawn = draw_patients(np.zeros(len(ids), int), stream, slice(0, 60))
    rows = predictions[(predictions["split"] == "val") & (predictions["task"] == "B")]
    rows = rows[(rows["seed"] == 1) & rows["y"].notna()]
    patient = rows.merge(val[["image_id", "patient_id"]], on="image_id")["patient_id"]
    for b in (0, 7, 59):
        times = drawn[[ids.index(p) for p in patient], b]
        score, y = (np.repeat(rows[c].to_numpy(), times) for c in ("score", "y"))
        assert found[1, 1, b] == choose_threshold(score, y == 1, *RULE.values())


def test_all_runs_on_the_same_patients_share_the_draws(case):
    predictions, cohort = case
    settings = make_settings(threshold={"rule": "fpr", "value": 0.2})
    found = choose_again(read_sample(predictions, cohort, settings), settings["evaluation"])
    other = predictions.assign(score=predictions["score"] ** 2)
    again = choose_again(read_sample(other, cohort, settings), settings["evaluation"])
    np.testing.assert_allclose(again, found**2, rtol=1e-12)


def test_limits_contain_the_choice(case, metrics):
    """TPR of the women at every chosen threshold, by a loop; limits add up as independent errors."""
    predictions, cohort = case
    settings = make_settings(threshold=RULE)
    sample = read_sample(predictions, cohort, settings)
    chosen = choose_again(sample, settings["evaluation"])[0, 0]
    rows = predictions[(predictions["split"] == "test") & (predictions["task"] == "A")]
    rows = rows[(rows["seed"] == 0) & (rows["y"] == 1)].merge(cohort, on="image_id")
    score = rows.loc[rows["a_sex"] == "female", "score"].to_numpy()
    row = pick(metrics, task="A", seed="0", attribute="sex", group="female", metric="tpr")
    drawn = np.array([(score >= threshold).mean() for threshold in chosen])
    val = predictions[(predictions["split"] == "val") & (predictions["task"] == "A")]
    val = val[val["seed"] == 0].merge(cohort[["image_id", "patient_id"]], on="image_id")
    rarer = min(val.loc[val["y"] == label, "patient_id"].nunique() for label in (0, 1))
    drawn = row["value"] + t.ppf(0.975, rarer - 1) / norm.ppf(0.975) * (drawn - row["value"])
    rms = norm.ppf(0.975) * np.sqrt(np.mean((drawn - row["value"]) ** 2))
    expected = (
        max(row["value"] - np.hypot(row["value"] - row["low"], rms), 0),
        min(row["value"] + np.hypot(row["high"] - row["value"], rms), 1),
    )
    assert tuple(row[["procedure_low", "procedure_high"]]) == pytest.approx(expected)


def test_never_narrower_never_a_point_and_only_for_decisions(metrics):
    known = metrics[metrics["low"].notna() & metrics["metric"].isin(DECIDED)]
    assert len(known) > 100
    assert (known["procedure_low"] <= known["low"]).all()
    assert (known["procedure_high"] >= known["high"]).all()
    assert (known["procedure_high"] > known["procedure_low"]).all()
    assert known["procedure_low"].ge(0).all() and known["procedure_high"].le(1).all()
    others = metrics[~metrics["metric"].isin([*DECIDED, "threshold"])]
    assert set(others["metric"]) == set(ALL_METRICS) - set(DECIDED)
    assert others[["procedure_low", "procedure_high"]].isna().all(axis=None)


def test_the_threshold_itself_has_an_interval(metrics):
    rows = metrics[metrics["metric"] == "threshold"]
    assert rows[["low", "high"]].isna().all(axis=None)
    assert (rows["procedure_low"] < rows["procedure_high"]).all()
    assert rows["value"].between(rows["procedure_low"], rows["procedure_high"]).all()


def test_where_no_threshold_is_chosen_both_intervals_are_one(case):
    fixed = make_settings(threshold={"rule": "fixed", "value": 0.5})
    classes = make_case(tasks=("A", "B"))
    predictions, cohort = classes
    label = (predictions["image_id"].str[1:].astype(int) % 2 == 0) == (predictions["task"] == "A")
    predictions = predictions.assign(y=label.astype(float))
    for task in ("A", "B"):
        own = predictions[(predictions["task"] == task) & (predictions["seed"] == 0)]
        cohort[f"y_{task}"] = own.set_index("image_id")["y"].reindex(cohort["image_id"]).to_numpy()
    argmax = make_settings(task_type="multiclass")
    for data, settings in ((case, fixed), ((predictions, cohort), argmax)):
        rows = audit(*data, settings)[0]
        rows = rows[rows["metric"].isin(DECIDED) & rows["low"].notna()]
        assert len(rows) > 100
        assert rows["procedure_low"].equals(rows["low"].rename("procedure_low"))
        assert rows["procedure_high"].equals(rows["high"].rename("procedure_high"))


@pytest.mark.slow
@pytest.mark.parametrize("n_val", [55, 175, 1000])
@pytest.mark.parametrize("rule", ["best_f1", "youden", "fpr", "sensitivity"])
def test_the_average_tpr_of_the_procedure_is_covered(n_val, rule):
    """400 studies with validation and 400 test images; the truth by 4,000 validation samples."""
    value = {"fpr": 0.1, "sensitivity": 0.9}.get(rule)
    rng = np.random.default_rng(n_val)

    def draw(n):
        y = rng.random(n) < 0.3
        return y, 1 / (1 + np.exp(-(rng.normal(size=n) + 1.6 * y - 1)))

    rates = []
    for _ in range(4000):
        y, score = draw(n_val)
        threshold = choose_threshold(score, y, rule, value)
        rates.append(norm.sf(np.log(threshold / (1 - min(threshold, 1 - 1e-12))) + 1 - 1.6))
    truth, hits, plain = np.nanmean(rates), 0, 0
    for study in range(400):
        (y_val, s_val), (y, s) = draw(n_val), draw(400)
        ids = [f"i{i}" for i in range(n_val + 400)]
        split = np.repeat(["val", "test"], [n_val, 400])
        keys = {"image_id": ids, "split": split}
        cohort = pd.DataFrame({**keys, "patient_id": [f"{study} {i}" for i in ids]})
        label, score = np.append(y_val, y).astype(float), np.append(s_val, s)
        predictions = pd.DataFrame({**keys, "task": "A", "seed": 0, "y": label, "score": score})
        settings = make_settings(
            metrics=["tpr"], attributes=[], tasks=["A"], task_type="binary",
            threshold={"rule": rule, **({} if value is None else {"value": value})},
            bootstrap={"draws": 300, "level": 0.95},
        )  # fmt: skip
        row = pick(audit(predictions, cohort, settings)[0], seed="0", metric="tpr")
        hits += row["procedure_low"] <= truth <= row["procedure_high"]
        plain += row["low"] <= truth <= row["high"]
    print(f"{rule} {n_val}: procedure {hits / 400:.3f}, as chosen {plain / 400:.3f}")
    assert hits / 400 >= 0.92
