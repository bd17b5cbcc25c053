"""Gaps at equal age and view: values by independent loops and fairlearn, and planted truths."""

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import (
    MetricFrame,
    false_positive_rate,
    selection_rate,
    true_positive_rate,
)
from sklearn.metrics import accuracy_score, roc_auc_score

from evaluate_case import joined, make_case, make_settings, pick
from medaudit.audit.conditional_gaps import conditional_gaps, find_conditional_gaps
from medaudit.audit.conditional_gaps.columns import METRICS
from medaudit.audit.conditional_gaps.strata import find_support
from medaudit.core.audit_tables import CONDITIONAL, CRUDE, STANDARDISED
from medaudit.core.errors import MedauditError
from medaudit.core.table_io import COHORT, PREDICTIONS, read_table, write_table
from medaudit.metrics.group_audit import audit


def settings(*attributes, control=("age_group",), draws=99, **changes):
    made = make_settings(attributes=list(attributes) or ["sex"], tasks=None, **changes)
    made["evaluation"] |= {"control": list(control), "null": {"draws": draws}}
    return {key: value for key, value in made.items() if value is not None}


def planted(
    rng, n=(500, 150), old=(0.3, 0.7), gap=0.0, images=2, strength=(2.2, 0.8)
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Group B is older, the model is worse in the old; `gap` weakens it in group B as well."""
    race = np.repeat(["A", "B"], n)
    is_old = rng.random(race.size) < np.where(race == "A", *old)
    patient = np.repeat(np.arange(race.size), rng.integers(1, images + 1, race.size))
    y = (rng.random(patient.size) < 0.35).astype(float)
    signal = np.where(is_old[patient], *reversed(strength)) - gap * (race[patient] == "B")
    own = 0.7 * rng.normal(size=race.size)[patient]
    margin = 1.5 * signal * (y - 0.5) + own + 0.7 * rng.normal(size=patient.size)
    ids = [f"i{k}" for k in range(patient.size)]
    cohort = pd.DataFrame(
        {
            "image_id": ids,
            "patient_id": [f"p{k}" for k in patient],
            "path": "x",
            "age": np.nan,
            "view": rng.choice(["PA", "AP"], patient.size),
            "split": "test",
            "a_race": race[patient],
            "a_age_group": np.where(is_old, ">=60", "<60")[patient],
            "y_A": y,
        }
    )
    keys = {"image_id": ids, "split": "test", "task": "A", "seed": 0, "y": y}
    return pd.DataFrame({**keys, "score": 1 / (1 + np.exp(-margin))}), cohort


def fixed(*attributes, metrics=("auc", "tpr", "fpr"), **changes):
    threshold = {"rule": "fixed", "value": 0.5}
    made = settings(*attributes, metrics=list(metrics), threshold=threshold, **changes)
    return {**made, "task_type": "binary"}


def decide(rows: pd.DataFrame, case, task: str, seed: int) -> pd.Series:
    metrics, _ = audit(*case, make_settings(metrics=["tpr"], attributes=["sex"]))
    threshold = pick(metrics, task=task, seed=str(seed), metric="threshold")["value"]
    return (rows["score"] >= threshold).astype(int)


@pytest.fixture(scope="module")
def case():
    return make_case(n=3000, seeds=1)


def test_values_within_strata_are_those_of_fairlearns_control_features(case):
    found = find_conditional_gaps(*case, settings("sex"))
    rows = joined(case, "A", 0)
    rows = rows[rows["a_sex"].notna() & rows["a_age_group"].notna()].reset_index(drop=True)
    oracles = {
        "tpr": true_positive_rate,
        "fpr": false_positive_rate,
        "selection_rate": selection_rate,
        "accuracy": accuracy_score,
    }
    frame = MetricFrame(
        metrics=oracles,
        y_true=rows["y"],
        y_pred=decide(rows, case, "A", 0),
        sensitive_features=rows["a_sex"],
        control_features=rows["a_age_group"],
    )
    part = found[found["task"] == "A"]
    for metric in oracles:
        for stratum, differences in frame.difference().iterrows():
            gap = pick(part, stratum=stratum, kind="gap", metric=metric)
            assert gap["value"] == pytest.approx(differences[metric], abs=1e-9)
            for group in ("female", "male", "unknown"):
                value = pick(part, stratum=stratum, kind="value", metric=metric, group=group)
                expected = frame.by_group.loc[(stratum, group), metric]
                assert value["value"] == pytest.approx(expected, abs=1e-9)
                assert value["low"] < value["high"]


def test_standardised_values_are_means_over_strata_weighted_by_their_share(case):
    found = find_conditional_gaps(*case, settings("sex"))
    rows = joined(case, "B", 0)
    rows = rows[rows["a_age_group"].notna()]
    share = rows["a_age_group"].value_counts(normalize=True)
    expected = {}
    for sex, own in rows.groupby("a_sex"):
        parts = {age: roc_auc_score(p["y"], p["score"]) for age, p in own.groupby("a_age_group")}
        expected[sex] = sum(share[age] * auc for age, auc in parts.items())
        row = pick(found, task="B", stratum=STANDARDISED, metric="auc", group=sex)
        assert row["value"] == pytest.approx(expected[sex], abs=1e-9)
        assert row["n"] == len(own) and row["n_pos"] == own["y"].sum()
    gap = pick(found, task="B", stratum=STANDARDISED, metric="auc", kind="gap")
    assert gap["value"] == pytest.approx(max(expected.values()) - min(expected.values()), abs=1e-9)
    assert gap["worst"] == min(expected, key=expected.get)
    for name, value in (("n_strata", 2), ("n_compared", 2), ("n_groups", 3), ("coverage", 1)):
        assert gap[name] == value


def test_seeds_tasks_and_strata_of_two_attributes_are_averaged():
    predictions, cohort = make_case(n=3000, seeds=2)
    cohort["view"] = np.where(np.arange(len(cohort)) % 3, "PA", "AP")
    cohort["a_sex"] = cohort["a_sex"].where(cohort["a_sex"] != "unknown")
    case = (predictions, cohort)
    found = find_conditional_gaps(*case, settings("sex", control=("age_group", "view")))
    expected = []
    for task in ("A", "B"):
        for seed in (0, 1):
            rows = joined(case, task, seed)
            rows = rows[rows[["a_sex", "a_age_group"]].notna().all(axis=1)]
            rows["flagged"] = decide(rows, case, task, seed)
            shares = rows.groupby(["a_age_group", "view"]).size() / len(rows)
            tpr = rows[rows["y"] == 1].groupby(["a_age_group", "view", "a_sex"])["flagged"].mean()
            expected.append(tpr.unstack().mul(shares, axis=0).sum())
    mean = np.mean(expected, axis=0)
    row = pick(found, task="mean", stratum=STANDARDISED, metric="tpr", kind="gap")
    assert row["value"] == pytest.approx(abs(mean[0] - mean[1]), abs=1e-9)
    assert row["n_strata"] == 4 and set(found["control"]) == {"age_group & view"}


def test_importance_weights_count_in_values_and_shares():
    predictions, cohort = make_case(n=2000, seeds=1, tasks=("A",))
    rng = np.random.default_rng(5)
    cohort["w_sex_A"] = np.where(cohort["split"] == "test", rng.integers(0, 4, len(cohort)), np.nan)
    case = (predictions, cohort)
    asked = {**settings("sex"), "task_type": "binary", "test_weights": "resample"}
    found = find_conditional_gaps(*case, asked)
    rows = joined(case, "A", 0)
    rows = rows[rows["a_age_group"].notna() & (rows["w_sex_A"] > 0)]
    again = rows.loc[rows.index.repeat(rows["w_sex_A"].astype(int))]
    share = again["a_age_group"].value_counts(normalize=True)
    for sex, own in again.groupby("a_sex"):
        parts = {age: roc_auc_score(p["y"], p["score"]) for age, p in own.groupby("a_age_group")}
        row = pick(found, stratum=STANDARDISED, metric="auc", group=sex)
        assert row["value"] == pytest.approx(sum(share[a] * v for a, v in parts.items()), abs=1e-9)


def test_the_crude_gap_is_that_of_the_audit(case):
    found = find_conditional_gaps(case[0], case[1].fillna({"a_age_group": "<60"}), settings("sex"))
    metrics, _ = audit(*case, make_settings(attributes=["sex"]))
    for metric in METRICS:
        if metric not in make_settings()["evaluation"]["metrics"]:
            continue
        for task in ("A", "B", "mean"):
            rows = metrics[(metrics["metric"] == metric) & (metrics["task"] == task)]
            rows = rows[
                (rows["seed"] == "mean") & rows["group"].isin(["female", "male", "unknown"])
            ]
            gap = pick(found, stratum=CRUDE, metric=metric, task=task, kind="gap")
            expected = rows["value"].max() - rows["value"].min()
            assert gap["value"] == pytest.approx(expected, abs=1e-9), (metric, task)


def test_a_gap_that_age_explains_vanishes_at_equal_age():
    found = find_conditional_gaps(*planted(np.random.default_rng(1), (4000, 2000)), fixed("race"))
    for metric in ("auc", "tpr", "fpr"):
        crude = pick(found, stratum=CRUDE, metric=metric, kind="gap")
        equal = pick(found, stratum=STANDARDISED, metric=metric, kind="gap")
        assert crude["low"] > 0.03 and crude["p_value"] == 0.01 and crude["worst"] == "B"
        assert equal["value"] < 0.02 and equal["low"] == 0 and equal["p_value"] > 0.05


def test_a_real_gap_stays_at_equal_age():
    case = planted(np.random.default_rng(2), (3000, 1500), gap=0.8)
    found = find_conditional_gaps(*case, fixed("race"))
    for metric in ("auc", "tpr", "fpr"):
        equal = pick(found, stratum=STANDARDISED, metric=metric, kind="gap")
        assert equal["low"] > 0.03 and equal["p_value"] == 0.01 and equal["worst"] == "B"


@pytest.mark.parametrize("gap", [0.0, 0.9])
def test_level_and_power_in_a_small_simulation(gap):
    """Equal at equal age: at most 8 of 60 samples rejected (binomial .05: P = .003 above)."""
    rejected = 0
    for sample in range(60):
        case = planted(np.random.default_rng(100 + sample), (250, 60), gap=gap, images=4)
        found = find_conditional_gaps(*case, fixed("race", metrics=["auc"]))
        row = pick(found, stratum=STANDARDISED, kind="gap")
        assert (row["low"] > 0) == (row["p_value"] <= 0.05)
        assert row["low"] <= row["value"] <= row["high"] and row["low"] < row["high"]
        rejected += row["p_value"] <= 0.05
    assert rejected >= 50 if gap else rejected <= 8


def test_the_variance_of_an_auc_is_that_of_delong():
    predictions, cohort = planted(np.random.default_rng(3), (300, 200), images=1)
    cohort["a_age_group"] = "<60"
    found = find_conditional_gaps(predictions, cohort, fixed("race", metrics=["auc"]))
    limits = {}
    for race, ids in cohort.groupby("a_race")["image_id"]:
        rows = predictions[predictions["image_id"].isin(ids)]
        one, two = (rows.loc[rows["y"] == label, "score"].to_numpy() for label in (1, 0))
        won = (one[:, None] > two[None]).mean(axis=1), (one[:, None] > two[None]).mean(axis=0)
        units = len(rows)
        variance = sum(((v - v.mean()) ** 2).sum() / v.size**2 for v in won)
        limits[race] = (won[0].mean(), variance * units / (units - 1))
    (a, va), (b, vb) = limits["A"], limits["B"]
    row = pick(found, stratum="<60", kind="gap")
    assert row["value"] == pytest.approx(abs(a - b), abs=1e-9)
    half = 1.959964 * np.sqrt(va + vb)
    assert row["high"] == pytest.approx(abs(a - b) + half, rel=0.02)


def test_images_of_a_patient_in_two_strata_are_no_two_patients():
    predictions, cohort = planted(np.random.default_rng(4), (400, 200), images=1)
    twins = cohort.assign(image_id="twin " + cohort["image_id"], view="AP")
    both = pd.concat([cohort.assign(view="PA"), twins], ignore_index=True)
    scores = pd.concat(
        [predictions, predictions.assign(image_id="twin " + predictions["image_id"])],
        ignore_index=True,
    )
    single = find_conditional_gaps(
        predictions, cohort.assign(view="PA"), fixed(control=["view"]) | {"attributes": ["race"]}
    )
    double = find_conditional_gaps(scores, both, fixed(control=["view"]) | {"attributes": ["race"]})
    for metric in ("auc", "tpr"):
        rows = [
            pick(f, stratum=STANDARDISED, kind="value", group="B", metric=metric)
            for f in (single, double)
        ]
        assert rows[0]["value"] == pytest.approx(rows[1]["value"])
        widths = [row["high"] - row["low"] for row in rows]
        assert widths[1] == pytest.approx(widths[0], rel=0.03)


def test_no_interval_is_a_point_where_everybody_is_right():
    predictions, cohort = planted(np.random.default_rng(6), (60, 40), images=1)
    predictions["score"] = np.where(predictions["y"] == 1, 0.9, 0.1)
    found = find_conditional_gaps(predictions, cohort, fixed("race", metrics=["auc", "tpr", "fpr"]))
    kept = found[found["status"] == "ok"]
    assert len(kept) and (kept["high"] - kept["low"] > 0.005).all()
    gaps = kept[(kept["kind"] == "gap") & kept["stratum"].isin([CRUDE, STANDARDISED])]
    assert (gaps["value"] == 0).all() and (gaps["p_value"] == 1).all()


def test_a_stratum_that_lacks_a_group_is_left_out_and_counted():
    predictions, cohort = planted(np.random.default_rng(7), (600, 300))
    young = (cohort["a_age_group"] == "<60") & (cohort["a_race"] == "A")
    cohort.loc[young[young].index[:150], "a_age_group"] = "child"
    found = find_conditional_gaps(predictions, cohort, fixed("race", metrics=["auc"]))
    gap = pick(found, stratum=STANDARDISED, kind="gap")
    assert (gap["status"], gap["n_strata"], gap["n_compared"]) == ("ok", 3, 2)
    assert gap["coverage"] == pytest.approx(1 - 150 / len(cohort))
    lacking = pick(found, stratum="child", group="B")
    assert lacking["status"] != "ok" and np.isnan(lacking["value"]) and lacking["n"] == 0
    assert pick(found, stratum="child", kind="gap")["status"] != "ok"
    within = find_conditional_gaps(
        predictions[(cohort["a_age_group"] != "child").to_numpy()],
        cohort[cohort["a_age_group"] != "child"],
        fixed("race", metrics=["auc"]),
    )
    assert pick(within, stratum=STANDARDISED, kind="gap")["value"] == pytest.approx(gap["value"])


def test_groups_that_share_no_stratum_cannot_be_compared():
    predictions, cohort = planted(np.random.default_rng(8), (200, 100))
    cohort["a_age_group"] = np.where(cohort["a_race"] == "A", "<60", ">=60")
    found = find_conditional_gaps(predictions, cohort, fixed("race", metrics=["auc"]))
    gap = pick(found, stratum=STANDARDISED, kind="gap")
    assert gap["status"] == "too_few" and gap["n_compared"] == 0
    assert np.isnan(gap["value"]) and gap["coverage"] == 0


def test_without_patients_who_can_exchange_groups_there_is_no_test():
    predictions, cohort = planted(np.random.default_rng(9), (300, 150), images=1)
    both = pd.concat([cohort.assign(view="PA"), cohort.assign(view="AP")], ignore_index=True)
    both["image_id"] = both["image_id"] + both["view"]
    scores = pd.concat([predictions] * 2, ignore_index=True).assign(image_id=both["image_id"])
    # Every patient of group A has both views, every patient of group B only one of them.
    number = both["patient_id"].str[1:].astype(int)
    kept = (both["a_race"] == "A") | (both["view"] == np.where(number % 2, "PA", "AP"))
    asked = fixed("race", metrics=["auc"], control=["view"])
    found = find_conditional_gaps(scores[kept], both[kept], asked)
    gap = pick(found, stratum=STANDARDISED, kind="gap")
    assert gap["status"] == "ok" and gap["null_status"] == "undefined:no_null"
    assert np.isnan(gap["p_value"]) and gap["n_movable"] == 0 and gap["low"] < gap["high"]


def test_a_small_group_is_dropped_rather_than_most_strata():
    estimable = np.array([[True, True, False], [True, True, False], [True, True, True]])
    support = find_support(estimable, np.array([0.5, 0.3, 0.2]))
    assert support.groups.tolist() == [True, True, False]
    assert support.strata.all() and support.coverage == 1 and support.comparable
    alone = find_support(estimable[:, 1:], np.array([0.5, 0.3, 0.2]))
    assert not alone.comparable and alone.coverage == pytest.approx(0.2)


def test_what_is_controlled_for_is_not_compared_and_numbers_are_refused(case):
    found = find_conditional_gaps(*case, settings("sex", "age_group", ["sex", "age_group"]))
    assert set(found["attribute"]) == {"sex"}
    with pytest.raises(MedauditError, match="age holds numbers"):
        find_conditional_gaps(*case, settings("sex", control=["age"]))
    with pytest.raises(MedauditError, match="no attribute scanner"):
        find_conditional_gaps(*case, settings("sex", control=["scanner"]))
    many = case[1].assign(a_site=[f"s{k}" for k in range(len(case[1]))])
    with pytest.raises(MedauditError, match="at most 100"):
        find_conditional_gaps(case[0], many, settings("sex", control=["site"]))


def test_the_stage_writes_its_table(tmp_path, case):
    write_table(case[0], tmp_path / "p.parquet", PREDICTIONS)
    write_table(case[1], tmp_path / "c.parquet", COHORT)
    paths = {"predictions": tmp_path / "p.parquet", "cohort": tmp_path / "c.parquet"}
    conditional_gaps(settings("sex"), **paths, output=tmp_path / "out.csv")
    written = read_table(tmp_path / "out.csv", CONDITIONAL)
    expected = find_conditional_gaps(*case, settings("sex"))
    np.testing.assert_allclose(written["value"], expected["value"], rtol=1e-5)
    assert len(written) == len(expected) and "ece" not in set(written["metric"])
