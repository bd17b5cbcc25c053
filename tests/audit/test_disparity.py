"""Gaps against fairlearn and plain loops; the permutation null."""

import itertools

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import MetricFrame
from scipy.optimize import brentq
from scipy.stats import norm
from sklearn import metrics as sk
from statsmodels.stats.proportion import proportion_confint

from evaluate_case import joined, make_case, make_settings, pick
from medaudit.audit.disparity import disparity, find_gaps
from medaudit.audit.evaluate import evaluate
from medaudit.core import table_io
from medaudit.core.errors import MedauditError
from medaudit.metrics.attributes import Attribute
from medaudit.metrics.effective_size import wilson_limits
from medaudit.metrics.gap_intervals import Limits
from medaudit.metrics.gap_statistics import all_pairs
from medaudit.metrics.gap_tests import detectable, p_value
from medaudit.metrics.gaps import GAPS, GapName, parse_gap
from medaudit.metrics.group_audit import audit
from medaudit.metrics.group_intervals import group_intervals
from medaudit.metrics.group_metrics import (
    GroupBlock,
    empty_metrics,
    group_names,
    measure_groups,
    sort_attribute,
    sort_scores,
)
from medaudit.metrics.metrics_table import read_values
from medaudit.metrics.nulls import find_strata, find_units
from medaudit.metrics.permutation import permuted_values
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


@pytest.mark.parametrize("kind", ["separation", "calibration", "calibration, decided", "parity"])
def test_permutations_keep_strata_and_patients_together(case, kind):
    sample = read_sample(*case, make_settings())
    attribute = sample.attributes[3]
    units = find_units(sample, attribute)
    for t in range(2):
        stratum = find_strata(sample, units, np.ones(len(sample.y)), t, kind)
        permuted = permute_groups(units.group, stratum, ("c", "x"), slice(0, 20))
        np.testing.assert_array_equal(
            permuted[:, 5:9], permute_groups(units.group, stratum, ("c", "x"), slice(5, 9))
        )
        taking = stratum >= 0
        want = pd.crosstab(stratum[taking], units.group[taking])
        for b in range(20):
            pd.testing.assert_frame_equal(
                want, pd.crosstab(stratum[taking], permuted[taking, b]), check_names=False,
                check_column_type=False,
            )  # fmt: skip
        moved = (permuted[taking] != units.group[taking, None]).mean()
        assert moved > (0.3 if "decided" in kind else 0.5)


def test_strata_are_what_their_hypotheses_say(case):
    sample = read_sample(*case, make_settings())
    attribute = sample.attributes[1]
    units = find_units(sample, attribute)
    ones = np.ones(len(sample.y))
    known = ~np.isnan(sample.y[:, 0]) & (units.of_image >= 0)
    frame = pd.DataFrame({"unit": units.of_image, "y": sample.y[:, 0]})[known]
    sides = frame.groupby("unit")["y"].agg(["min", "max"])
    stratum = find_strata(sample, units, ones, 0, "separation")
    assert (stratum[np.setdiff1d(np.arange(stratum.size), sides.index)] == -1).all()
    pairs = pd.crosstab(stratum[sides.index], [sides["min"], sides["max"]])
    assert ((pairs > 0).sum(axis=0) == 1).all() and ((pairs > 0).sum(axis=1) == 1).all()
    assert set(find_strata(sample, units, ones, 0, "parity")) <= {-1, 0}
    weight = np.where(np.arange(ones.size) % 3 == 0, 0.0, 1.0)
    lost = np.setdiff1d(np.unique(units.of_image[known]), units.of_image[known & (weight > 0)])
    assert lost.size and (find_strata(sample, units, weight, 0, "parity")[lost] == -1).all()


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


def test_permuted_values_are_those_of_relabelled_patients(case):
    settings = make_settings(metrics=["auc", "selection_rate"], null={"draws": 5})
    sample = read_sample(*case, settings)
    attribute = sample.attributes[1]
    evaluation = settings["evaluation"]
    blocks = [GroupBlock(0, sort_scores(sample, attribute, attribute.codes, 3, 15))]
    metrics = measure_groups(sample, attribute, attribute.levels, blocks, evaluation)
    found = permuted_values(metrics, sample, attribute, settings, 1, rest=True)
    units, ones = find_units(sample, attribute), np.ones(len(sample.y))
    for t, (m, kind) in itertools.product(range(2), enumerate(("separation", "parity"))):
        names = ("c", attribute.name, sample.tasks[t], kind)
        stratum = find_strata(sample, units, ones, t, kind)
        permuted = permute_groups(units.group, stratum, names, slice(0, 5))
        known = ~np.isnan(sample.y[:, t])
        for b in range(5):
            code = permuted[units.of_image, b]
            for g in range(3):
                for values, mine in ((found.group, code == g), (found.rest, code != g)):
                    mine = mine & known
                    y, score = sample.y[mine, t], sample.score[1, mine, t]
                    rate = sample.decision[1, mine, t].mean()
                    want = sk.roc_auc_score(y, score) if m == 0 else rate
                    assert values[g, 1, t, m, b] == pytest.approx(want, abs=1e-6)


def plain_statistic(value, size):
    """The c at which Newcombe's limit of the largest difference is 0, by root finding."""
    best = 0.0
    for i, j in itertools.permutations(range(len(value)), 2):
        apart = value[i] - value[j]
        if apart <= 0:
            continue

        def lower(c, i=i, j=j, apart=apart):
            below = proportion_confint(value[i] * size[i], size[i], 2 * norm.sf(c), "wilson")[0]
            above = proportion_confint(value[j] * size[j], size[j], 2 * norm.sf(c), "wilson")[1]
            return apart - np.hypot(value[i] - below, above - value[j])

        best = max(best, brentq(lower, 1e-9, 8))
    return best


def test_p_values_are_of_the_statistic_at_which_limits_meet(case, found):
    gaps = found[2]
    settings = make_settings(gaps=KINDS, metrics=["auc", "tpr", "fpr", "selection_rate"])
    sample = read_sample(*case, settings)
    attribute = sample.attributes[1]
    names, wanted = group_names(attribute), settings["evaluation"]["metrics"]
    metrics = empty_metrics(sample, attribute, names, wanted)
    read_values(metrics, *found[:2])
    blocks = sort_attribute(sample, attribute, 15)
    own = group_intervals(metrics, blocks, 0.95)
    permuted = permuted_values(
        metrics, sample, attribute, settings, 1, rest=False, design=own.design
    )
    for m, metric in enumerate(wanted):
        row = pick(gaps, task="A", seed="0", attribute="sex", gap="max_min", metric=metric)
        place = (slice(0, 3), 0, 0, m)
        observed = plain_statistic(metrics.value[place], own.sizes.size[place])
        drawn = zip(permuted.group[place].T, permuted.size[place].T, strict=True)
        null = np.array([plain_statistic(value, size) for value, size in drawn])
        assert row["p_value"] == pytest.approx((1 + (null >= observed - 1e-4).sum()) / 61)
        assert row["null"] == ("parity" if metric == "selection_rate" else "separation")


def test_an_interval_excludes_no_gap_if_and_only_if_the_test_rejects():
    checked = 0
    for seed in range(6):
        predictions, cohort = make_case(n=200, seed=seed)
        shift = predictions["image_id"].isin(cohort.loc[cohort["a_sex"] == "female", "image_id"])
        predictions["score"] = (predictions["score"] * np.where(shift, 1 - 0.08 * seed, 1)).clip(
            0, 1
        )
        settings = make_settings(
            gaps=KINDS, metrics=["auc", "tpr", "fpr", "accuracy", "f1", "selection_rate"]
        )
        gaps = run((predictions, cohort), settings)[2]
        gaps = gaps[gaps["status"].eq("ok") & gaps["null_status"].eq("ok")]
        found = gaps["p_value"] <= 0.05
        kinds = gaps["gap"].map(lambda name: parse_gap(name).kind)
        for kind, excludes in {
            "max_min": gaps["low"] > 0,
            "worst_rest": gaps["low"] > 0,
            "std": gaps["low"] > 0,
            "ratio": gaps["high"] < 1,
            "others": (gaps["low"] > 0) | (gaps["high"] < 0),
        }.items():
            own = kinds.eq(kind) & ~(kinds.eq("ratio") & gaps["task"].eq("mean_of_gaps"))
            pd.testing.assert_series_equal(
                found[own], excludes[own], check_names=False, obj=f"{kind} {seed}"
            )
            checked += int(found[own].sum())
        beyond = gaps["value"] > gaps["null_q95"]
        own = kinds.eq("max_min") & gaps["task"].ne("mean_of_gaps")
        assert (beyond[own] == found[own]).all()
    assert checked > 50


def test_who_cannot_exchange_groups_has_no_test():
    predictions, cohort = make_case(n=300, tasks=("A",), seeds=1)
    cohort["a_stage"] = cohort["y_A"].map({1.0: "late", 0.0: "early"}).fillna("early")
    settings = make_settings(
        tasks=["A"], task_type="binary", attributes=["stage", "sex"], gaps=["max_min", "others"],
        metrics=["accuracy", "selection_rate"],
    )  # fmt: skip
    gaps = run((predictions, cohort), settings)[2]
    gaps = gaps[gaps["status"].eq("ok")]
    stage = gaps[gaps["attribute"].eq("stage") & gaps["metric"].eq("accuracy")]
    assert len(stage) and stage["null_status"].eq("undefined:no_null").all()
    assert stage[["p_value", "null_mean", "null_q95"]].isna().all(axis=None)
    assert stage[["value", "low", "high"]].notna().all(axis=None)
    assert (stage["n_movable"] < 0.8 * stage["n_patients"]).all()
    rest = gaps[~gaps.index.isin(stage.index)]
    assert rest["null_status"].eq("ok").all() and rest["p_value"].notna().all()


def test_a_planted_gap_is_found_and_its_group_named():
    predictions, cohort = make_case(n=1500, tasks=("A",), seeds=1, seed=4)
    rng = np.random.default_rng(0)
    female = predictions["image_id"].isin(cohort.loc[cohort["a_sex"] == "female", "image_id"])
    noise = rng.random(len(predictions))
    predictions["score"] = predictions["score"].where(~female, noise)
    settings = make_settings(
        tasks=["A"], task_type="binary", metrics=["auc"], attributes=["sex"],
        gaps=["max_min", "worst_rest"], null={"draws": 200}, bootstrap={
            "draws": 300, "level": 0.95},
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


def test_detectable_difference_of_two_proportions_is_the_textbook_one():
    size = np.array([900.0, 900.0])
    value = np.array([0.8, 0.8])
    limits = Limits(value, size, *wilson_limits(value, size, 1.96), np.full(2, 1.96), value)
    found = detectable(limits, all_pairs(2), 1.96, 0.8, 2, upward=False)
    want = 0.0553  # (1.96 + 0.8416) sqrt(.8 .2 / 900 + .7447 .2553 / 900)
    assert found == pytest.approx(want, rel=0.06)


def test_detectable_difference_of_shares_allows_for_half_a_step_of_their_permutations():
    size, value = np.array([100.0, 20.0]), np.array([0.8, 0.8])
    limits = Limits(value, size, *wilson_limits(value, size, 1.96), np.full(2, 1.96), value)
    plain, counted = (
        detectable(limits, all_pairs(2), 1.96, 0.8, 2, upward=False, counted=counted)
        for counted in (False, True)
    )
    assert counted - plain == pytest.approx((1 / 100 + 1 / 20) / 2)


def test_test_of_average_precision_does_not_depend_on_a_groups_own_bootstrap(case):
    # Permutations have no bootstrap: a test that used it would not be exact.
    settings = make_settings(gaps=["max_min"], metrics=["average_precision"])
    metrics, replicates = audit(*case, settings)
    group = metrics.loc[metrics["attribute"] == "sex", "group"].iloc[0]
    own = ((metrics["attribute"] == "sex") & (metrics["group"] == group)).to_numpy()
    wider = replicates.copy()
    value = metrics["value"].to_numpy(float)[own, None]
    wider[own] = np.clip(value + 0.2 * (replicates[own] - value), 0, 1)
    key = {"attribute": "sex", "task": "A", "seed": "mean", "gap": "max_min"}
    one, two = (
        pick(find_gaps(*case, settings, metrics, drawn)[0], **key) for drawn in (replicates, wider)
    )
    assert two["p_value"] == pytest.approx(one["p_value"], abs=0.03)
    assert two["high"] < one["high"]


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


def test_permutations_are_kept_of_gaps_that_sum_a_run_up_and_of_differences_in_a_task(case, found):
    settings = make_settings(gaps=KINDS, metrics=["auc", "tpr"])
    settings["evaluation"]["null"]["draws"] = 30
    gaps, null = find_gaps(*case, settings, *audit(*case, settings))
    wanted = gaps["task"].isin(["mean", "mean_of_gaps"]) | gaps["gap"].eq("max_min")
    kept = gaps[gaps["seed"].eq("mean") & wanted]
    assert null.shape == (len(kept), 30) and {"A", "B"} < set(kept["task"])
    plain = kept["task"].ne("mean_of_gaps").to_numpy() & kept["status"].eq("ok").to_numpy()
    np.testing.assert_allclose(
        np.nanmean(null, axis=1)[plain], kept["null_mean"].to_numpy(float)[plain], atol=1e-6
    )
    assert plain.any() and np.isnan(null[kept["value"].isna().to_numpy()]).all()
