"""Gaps against fairlearn and plain loops; the permutation null."""

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame
from sklearn import metrics as sk

from evaluate_case import joined, make_case, make_settings, pick
from medaudit.audit.disparity import disparity, find_gaps
from medaudit.audit.evaluate import evaluate
from medaudit.core import table_io
from medaudit.core.errors import MedauditError
from medaudit.metrics.attributes import Attribute
from medaudit.metrics.gap_intervals import bound
from medaudit.metrics.gap_tests import detectable, p_value
from medaudit.metrics.gaps import GAPS, GapName, Parts, measure, parse_gap
from medaudit.metrics.group_audit import audit
from medaudit.metrics.group_metrics import GroupBlock, measure_groups, sort_scores
from medaudit.metrics.permutation import find_patterns, find_units, permuted_values
from medaudit.metrics.resampling import permute_groups
from medaudit.metrics.sample import read_sample
from medaudit.metrics.task_dependence import couple_tasks, restore_dependence

KINDS = list(GAPS)


def run(case, settings):
    metrics, replicates = audit(*case, settings)
    return metrics, replicates, find_gaps(*case, settings, metrics, replicates)[0]


@pytest.fixture(scope="module")
def case():
    return make_case()


@pytest.fixture(scope="module")
def found(case):
    settings = make_settings(gaps=KINDS, metrics=["auc", "tpr", "fpr", "selection_rate"])
    return run(case, settings)


def test_differences_and_ratios_are_fairlearns(case, found):
    metrics, _, gaps = found
    rows = joined(case, "A", 0)
    threshold = pick(metrics, task="A", seed="0", metric="threshold")["value"]
    decision = (rows["score"] >= threshold).astype(int)
    frame = MetricFrame(
        metrics={"tpr": sk.recall_score, "auc": sk.roc_auc_score}, y_true=rows["y"],
        y_pred=decision, sensitive_features=rows["a_sex"],
    )  # fmt: skip
    key = {"attribute": "sex", "task": "A", "seed": "0", "metric": "tpr"}
    difference, ratio = frame.difference()["tpr"], frame.ratio()["tpr"]
    assert pick(gaps, gap="max_min", **key)["value"] == pytest.approx(difference, abs=1e-10)
    assert pick(gaps, gap="ratio", **key)["value"] == pytest.approx(ratio, abs=1e-10)
    assert pick(gaps, gap="max_min", **key)["worst"] == frame.by_group["tpr"].idxmin()


def test_every_gap_is_its_plain_statement(case, found):
    gaps = found[2]
    rows = joined(case, "B", 1)
    rows = rows[rows["a_age_group"].notna()]
    name = rows["a_sex"] + " & " + rows["a_age_group"]
    auc = {g: sk.roc_auc_score(p["y"], p["score"]) for g, p in rows.groupby(name)}
    rest = {g: sk.roc_auc_score(rows["y"][name != g], rows["score"][name != g]) for g in auc}
    whole = sk.roc_auc_score(rows["y"], rows["score"])
    values = np.array(list(auc.values()))
    want = {
        "max_min": values.max() - values.min(),
        "ratio": values.min() / values.max(),
        "worst_rest": max(rest[g] - auc[g] for g in auc),
        "std": np.sqrt(np.mean((values - values.mean()) ** 2)),
        "es": whole / (1 + sum(abs(v - whole) for v in values)),
        "dto": np.sqrt(sum((1 - v) ** 2 for v in values)),
        **{f"others:{g}": auc[g] - rest[g] for g in auc},
    }
    part = gaps[
        (gaps["attribute"] == "sex & age_group") & (gaps["task"] == "B") & (gaps["seed"] == "1")
        & (gaps["metric"] == "auc")
    ]  # fmt: skip
    assert set(part["gap"]) == set(want)
    for row in part.itertuples():
        assert row.value == pytest.approx(want[row.gap], abs=1e-10), row.gap
        assert row.low <= row.high
    assert (
        part.loc[~part["gap"].map(lambda name: parse_gap(name).group is not None), "n_groups"]
        == len(auc)
    ).all()


def test_gap_of_means_and_mean_of_gaps(found):
    metrics, _, gaps = found
    key = {"attribute": "sex", "seed": "mean", "metric": "auc"}
    part = metrics[(metrics["attribute"] == "sex") & (metrics["seed"] == "mean")]
    part = part[(part["metric"] == "auc") & (part["group"] != "all")]
    table = part.pivot(index="group", columns="task", values="value")
    mean = pick(gaps, task="mean", gap="max_min", **key)
    assert mean["value"] == pytest.approx(np.ptp(table[["A", "B"]].mean(axis=1)), abs=1e-12)
    means = pick(gaps, task="mean_of_gaps", gap="max_min", **key)
    assert means["value"] == pytest.approx(np.ptp(table[["A", "B"]], axis=0).mean(), abs=1e-12)
    assert means["value"] >= mean["value"] - 1e-12
    assert pd.isna(means["worst"])


def test_gaps_that_do_not_apply_are_not_there(found):
    gaps = found[2]
    assert not ((gaps["gap"] == "es") & (gaps["metric"] == "fpr")).any()
    assert not ((gaps["gap"] == "dto") & (gaps["metric"] == "selection_rate")).any()
    worst = gaps[(gaps["metric"] == "fpr") & (gaps["gap"] == "max_min") & (gaps["task"] == "A")]
    metrics = found[0]
    for row in worst.itertuples():
        part = metrics[
            (metrics["attribute"] == row.attribute) & (metrics["seed"] == row.seed)
            & (metrics["task"] == "A") & (metrics["metric"] == "fpr") & (metrics["group"] != "all")
        ]  # fmt: skip
        assert row.worst == part.loc[part["value"].idxmax(), "group"]


def test_a_gap_over_some_groups_says_so(case):
    predictions, cohort = case[0], case[1].copy()
    site = np.where(np.arange(len(cohort)) % 2 == 0, "north", "south").astype(object)
    site[np.flatnonzero(cohort["split"] == "test")[:4]] = "tiny"
    cohort["a_site"] = site
    settings = make_settings(attributes=["site"], gaps=["max_min", "others"], metrics=["auc"])
    gaps = run((predictions, cohort), settings)[2]
    row = pick(gaps, task="A", seed="0", gap="max_min")
    assert (row["n_groups"], row["n_estimable"], row["status"]) == (3, 2, "ok")
    lost = pick(gaps, task="A", seed="0", gap="others:tiny")
    assert lost["status"] == "too_few" and np.isnan(lost["value"])
    cohort["a_site"] = np.where(site == "south", "north", site)
    gaps = run((predictions, cohort), settings)[2]
    row = pick(gaps, task="mean_of_gaps", seed="0", gap="max_min")
    assert row["status"] == "too_few" and np.isnan(row["value"]) and np.isnan(row["p_value"])


def test_permutations_keep_label_patterns_and_patients_together(case):
    settings = make_settings()
    sample = read_sample(*case, settings)
    attribute = sample.attributes[3]
    units = find_units(sample, attribute)
    for t in range(2):
        pattern = find_patterns(sample, units, t)
        permuted = permute_groups(units.group, pattern, ("c", "x"), slice(0, 20))
        np.testing.assert_array_equal(
            permuted[:, 5:9], permute_groups(units.group, pattern, ("c", "x"), slice(5, 9))
        )
        known = (attribute.codes >= 0) & ~np.isnan(sample.y[:, t])
        y = sample.y[known, t] == 1
        moved = 0
        for b in range(20):
            group = permuted[units.of_image[known], b]
            for label in (True, False):
                np.testing.assert_array_equal(
                    np.bincount(group[y == label], minlength=6),
                    np.bincount(attribute.codes[known][y == label], minlength=6),
                )
            moved += (group != attribute.codes[known]).mean() / 20
        assert moved > 0.5


def test_the_mean_over_dependent_tasks_gets_its_spread_back():
    rng = np.random.default_rng(0)
    covariance = 0.05 * (0.7 + 0.3 * np.eye(4))
    true = rng.multivariate_normal(np.zeros(4), covariance, 5000).T
    alone = np.array([rng.permutation(row) for row in true])
    drawn = 3 + 2 * rng.multivariate_normal(np.zeros(4), covariance, 5000).T
    found = restore_dependence(alone.mean(axis=0), alone, drawn)
    assert alone.mean(axis=0).std() < 0.65 * true.mean(axis=0).std()
    assert found.std() == pytest.approx(true.mean(axis=0).std(), rel=0.03)
    assert found.mean() == pytest.approx(alone.mean(), abs=1e-12)
    drawn[0, :10] = np.nan
    again = restore_dependence(alone.mean(axis=0), alone, drawn)
    assert again.std() == pytest.approx(found.std(), rel=0.01)


def test_coupled_tasks_keep_their_distributions_and_get_the_joint_one():
    rng = np.random.default_rng(1)
    covariance = 0.8 + 0.2 * np.eye(5)
    true = np.abs(rng.multivariate_normal(np.zeros(5), covariance, 4000).T)
    alone = np.array([rng.permutation(row) for row in true])
    drawn = np.abs(rng.multivariate_normal(np.zeros(5), covariance, 4000).T) * 3
    found = couple_tasks(alone, drawn)
    for q in (0.5, 0.95, 0.99):
        assert np.quantile(found, q) == pytest.approx(np.quantile(true.mean(axis=0), q), rel=0.06)
    assert np.quantile(alone.mean(axis=0), 0.95) < 0.9 * np.quantile(true.mean(axis=0), 0.95)
    assert found.mean() == pytest.approx(alone.mean(), rel=1e-3)


def test_the_null_is_the_gap_of_relabelled_patients(case):
    settings = make_settings(metrics=["auc", "selection_rate"], null={"draws": 5})
    sample = read_sample(*case, settings)
    attribute = sample.attributes[1]
    evaluation = settings["evaluation"]
    blocks = [GroupBlock(0, sort_scores(sample, attribute, attribute.codes, 3, 15))]
    metrics = measure_groups(sample, attribute, attribute.levels, blocks, evaluation)
    group, rest = permuted_values(metrics, sample, attribute, settings, 1, rest=True)
    units = find_units(sample, attribute)
    for t in range(2):
        pattern, names = find_patterns(sample, units, t), ("c", attribute.name, sample.tasks[t])
        permuted = permute_groups(units.group, pattern, names, slice(0, 5))
        known = ~np.isnan(sample.y[:, t])
        for b in range(5):
            code = permuted[units.of_image, b]
            for g in range(3):
                for values, mine in ((group, code == g), (rest, code != g)):
                    mine = mine & known
                    y, s = sample.y[mine, t], sample.score[1, mine, t]
                    assert values[g, 1, t, 0, b] == pytest.approx(sk.roc_auc_score(y, s), abs=1e-6)
                    rate = sample.decision[1, mine, t].mean()
                    assert values[g, 1, t, 1, b] == pytest.approx(rate, abs=1e-6)


def test_p_values_null_and_detectable_difference_are_those_of_the_null(case, found):
    gaps = found[2]
    row = pick(gaps, task="A", seed="0", attribute="sex", gap="max_min", metric="auc")
    settings = make_settings(gaps=KINDS, metrics=["auc", "tpr", "fpr", "selection_rate"])
    sample = read_sample(*case, settings)
    attribute = sample.attributes[1]
    blocks = [GroupBlock(0, sort_scores(sample, attribute, attribute.codes, 3, 15))]
    metrics = measure_groups(sample, attribute, attribute.levels, blocks, settings["evaluation"])
    group, _ = permuted_values(metrics, sample, attribute, settings, 1, rest=False)
    null = np.ptp(group[:, 0, 0, 0], axis=0)
    assert row["null_mean"] == pytest.approx(null.mean(), abs=1e-6)
    assert row["null_q95"] == pytest.approx(np.quantile(null, 0.95), abs=1e-6)
    assert row["p_value"] == pytest.approx((1 + (null >= row["value"]).sum()) / 61)
    limit, delta = row["null_q95"], row["smallest_detectable"]
    power = [
        np.mean([np.ptp(v - delta * (np.arange(3) == g)) >= limit - 1e-9
                 for v in group[:, 0, 0, 0].T])
        for g in range(3)
    ]  # fmt: skip
    assert min(power) >= 0.8 - 0.02
    less = [
        np.mean([np.ptp(v - 0.9 * delta * (np.arange(3) == g)) >= limit for v in group[:, 0, 0, 0].T])
        for g in range(3)
    ]  # fmt: skip
    assert min(less) < min(power)


def test_a_planted_gap_is_found_and_its_group_named():
    predictions, cohort = make_case(n=1500, tasks=("A",), seeds=1, seed=4)
    rng = np.random.default_rng(0)
    female = predictions["image_id"].isin(cohort.loc[cohort["a_sex"] == "female", "image_id"])
    noise = rng.random(len(predictions))
    predictions["score"] = predictions["score"].where(~female, noise)
    settings = make_settings(
        tasks=["A"], task_type="binary", metrics=["auc"], attributes=["sex"],
        gaps=["max_min", "worst_rest"], null={"draws": 200}, bootstrap={
            "draws": 300, "level": 0.95, "method": "percentile"},
    )  # fmt: skip
    gaps = run((predictions, cohort), settings)[2]
    for gap in ("max_min", "worst_rest"):
        row = pick(gaps, seed="mean", gap=gap, task="A")
        assert row["worst"] == "female"
        assert row["p_value"] == pytest.approx(1 / 201)
        assert row["low"] > 0 and row["value"] > row["smallest_detectable"]


def test_weights_constant_within_group_and_label_leave_the_null_of_auc_alone(case):
    predictions, cohort = case[0], case[1].copy()
    test = cohort["split"] == "test"
    weight = cohort["a_sex"].map({"male": 3.0, "female": 0.5, "unknown": 1.0})
    cohort["w_sex_A"] = (weight + 2 * cohort["y_A"]).where(test)
    plain = make_settings(attributes=["sex"], metrics=["auc", "ece"])
    weighted = make_settings(
        attributes=["sex"], metrics=["auc", "ece"], test_weights="equal_prevalence"
    )
    one, two = (run((predictions, cohort), s)[2] for s in (plain, weighted))
    key = {"task": "A", "seed": "0", "gap": "max_min", "metric": "auc"}
    for column in ("value", "null_mean", "null_q95", "p_value"):
        assert pick(one, **key)[column] == pytest.approx(pick(two, **key)[column], abs=1e-6)
    key["metric"] = "ece"
    assert pick(one, **key)["null_mean"] != pytest.approx(pick(two, **key)["null_mean"], abs=1e-4)


def test_intervals_never_exclude_no_gap_for_equal_groups_and_hold_large_ones():
    rng = np.random.default_rng(1)
    missed = {"max_min": 0, "std": 0, "ratio": 0}
    for truth in (np.full(8, 0.8), np.array([0.8] * 7 + [0.5])):
        exact = Parts(truth, truth, truth.mean())
        for gap in missed:
            for _ in range(150):
                value = truth + rng.normal(0, 0.03, 8)
                drawn = value[:, None] + rng.normal(0, 0.03, (8, 400))
                low, high = bound(
                    gap, "auc", Parts(value, value, value.mean()),
                    Parts(drawn, drawn, drawn.mean(axis=0)), 0.95,
                )  # fmt: skip
                want = measure(gap, "auc", exact)
                missed[gap] += not low - 1e-12 <= want <= high + 1e-12
    assert all(count <= 0.06 * 300 for count in missed.values()), missed


def test_detectable_difference_of_two_normal_groups_is_the_textbook_one():
    rng = np.random.default_rng(0)
    null = rng.normal(0, 0.05, (2, 20000))
    limit = np.quantile(np.abs(null[0] - null[1]), 0.95)
    found = detectable("max_min", "auc", Parts(null, null, 0), limit)
    assert found == pytest.approx((1.96 + 0.8416) * 0.05 * np.sqrt(2), rel=0.02)


def test_the_stage_writes_the_same_bytes_and_refuses_other_metrics(case, tmp_path):
    paths = {
        name: tmp_path / name for name in ("p.parquet", "c.parquet", "m.csv", "m.parquet", "r.npy")
    }
    table_io.write_table(case[0], paths["p.parquet"], table_io.PREDICTIONS)
    table_io.write_table(case[1], paths["c.parquet"], table_io.COHORT)
    settings = make_settings(metrics=["auc", "tpr"], attributes=["sex"], gaps=KINDS)
    inputs = {"predictions": paths["p.parquet"], "cohort": paths["c.parquet"]}
    made = {"values": paths["m.parquet"], "replicates": paths["r.npy"]}
    evaluate(settings, **inputs, output=paths["m.csv"], **made)
    more = {**inputs, "metrics": paths["m.parquet"], "replicates": paths["r.npy"]}
    for name, threads in (("a", 1), ("b", 2)):
        to = {"output": tmp_path / f"{name}.csv", "null": tmp_path / f"{name}.null.npy"}
        disparity(settings, **more, **to, threads=threads)
    for end in (".csv", ".null.npy"):
        assert (tmp_path / f"a{end}").read_bytes() == (tmp_path / f"b{end}").read_bytes()
    assert len(table_io.read_table(tmp_path / "a.csv", table_io.GAPS)) > 0

    to = {"output": tmp_path / "c.csv", "null": tmp_path / "c.null.npy"}
    fewer = make_settings(metrics=["auc", "tpr"], attributes=["sex"], gaps=["max_min"])
    disparity(fewer, **more, **to)
    other = make_settings(metrics=["auc", "tpr"], attributes=["sex"], gaps=KINDS)
    other["evaluation"]["threshold"] = {"rule": "fixed", "value": 0.3}
    with pytest.raises(MedauditError, match="made from other settings; run evaluate again"):
        disparity(other, **more, **to)
    groups = tmp_path / "g.parquet"
    shuffled = case[1][["image_id", "a_sex"]].assign(a_sex=case[1]["a_sex"].to_numpy()[::-1])
    table_io.write_table(shuffled, groups, table_io.GROUPS)
    with pytest.raises(MedauditError, match="made from other groups; run evaluate again"):
        disparity(settings, **more, **to, groups=groups)
    changed = case[0].assign(score=1 - case[0]["score"])
    table_io.write_table(changed, paths["p.parquet"], table_io.PREDICTIONS)
    with pytest.raises(MedauditError, match="made from other predictions; run evaluate again"):
        disparity(settings, **more, **to)


def test_metrics_are_read_by_key_whatever_the_order_of_their_rows(case):
    settings = make_settings(metrics=["auc", "tpr"], gaps=KINDS)
    metrics, replicates = audit(*case, settings)
    gaps, null = find_gaps(*case, settings, metrics, replicates)
    order = np.random.default_rng(0).permutation(len(metrics))
    mixed = metrics.iloc[order].reset_index(drop=True)
    again, null_again = find_gaps(*case, settings, mixed, replicates[order])
    pd.testing.assert_frame_equal(gaps, again)
    np.testing.assert_array_equal(null, null_again)


def test_metrics_that_lack_a_row_or_a_replicate_are_refused(case):
    settings = make_settings(metrics=["auc", "tpr"], attributes=["sex"])
    metrics, replicates = audit(*case, settings)
    kept = ~(metrics["attribute"].eq("sex") & metrics["group"].eq("male"))
    for rows, drawn in (
        (metrics[kept], replicates[kept.to_numpy()]),
        (metrics, replicates[:-1]),
        (metrics.replace({"group": {"male": "m"}}), replicates),
    ):
        with pytest.raises(MedauditError, match="run evaluate again"):
            find_gaps(*case, settings, rows, drawn)


def test_the_name_of_a_gap_is_read_and_written():
    assert parse_gap("max_min") == GapName("max_min")
    assert parse_gap("others:a: b & c") == GapName("others", "a: b & c")
    assert [str(parse_gap(name)) for name in ("es", "others:f")] == ["es", "others:f"]


def test_an_unknown_gap_is_refused(case):
    settings = make_settings(gaps=["max_mim"])
    with pytest.raises(MedauditError, match="max_mim"):
        find_gaps(*case, settings, pd.DataFrame(), np.empty((0, 1)))


def test_levels_of_units_follow_patients_and_groups():
    class Fake:
        patient = np.array([0, 0, 1, 1, 2])
        stratum = np.zeros(3, int)

    attribute = Attribute("age", ("y", "o"), np.array([0, 1, 1, 1, -1], np.int32))
    units = find_units(Fake, attribute)
    np.testing.assert_array_equal(units.of_image, [0, 1, 2, 2, -1])
    np.testing.assert_array_equal(units.group, [0, 1, 1])


def test_permutations_as_unfair_as_the_observed_one_count_though_they_are_float32():
    values = np.random.default_rng(0).integers(0, 21, (2, 2000))
    null = np.ptp((values / 20).astype(np.float32), axis=0)
    for twentieths in (2, 5, 7, 12):
        as_unfair = (np.ptp(values, axis=0) >= twentieths).sum()
        found = p_value(twentieths / 20, null, "max_min")
        assert found == pytest.approx((1 + as_unfair) / 2001)


def test_permutations_are_kept_for_the_gaps_that_sum_a_run_up(case, found):
    settings = make_settings(gaps=KINDS, metrics=["auc", "tpr"])
    settings["evaluation"]["null"]["draws"] = 30
    gaps, null = find_gaps(*case, settings, *audit(*case, settings))
    kept = gaps[gaps["seed"].eq("mean") & gaps["task"].isin(["mean", "mean_of_gaps"])]
    assert null.shape == (len(kept), 30) and len(kept)
    plain = kept["task"].eq("mean").to_numpy() & kept["status"].eq("ok").to_numpy()
    np.testing.assert_allclose(
        np.nanmean(null, axis=1)[plain], kept["null_mean"].to_numpy(float)[plain], atol=1e-6
    )
    assert plain.any() and np.isnan(null[kept["value"].isna().to_numpy()]).all()
