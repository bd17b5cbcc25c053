"""The facts of a study against plain loops over its inputs."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from statsmodels.stats.multitest import multipletests

from medaudit.core.errors import MedauditError
from medaudit.core.table_io import GAPS, METRICS, read_table, write_array, write_json, write_table
from medaudit.report.studies.differences import adjust_differences, compare_paired
from medaudit.report.studies.evidence import Evidence, gather, null_of, replicates_of
from medaudit.report.studies.facts import adjust_gaps, gather_facts
from medaudit.report.studies.multiple_testing import adjust_families
from synthetic_study import MEASURES, card, make_study, write_gaps

INPUTS = ("settings", "metrics", "gaps", "cards")


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> dict:
    return make_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def evidence(study) -> Evidence:
    return gather(**{name: study[name] for name in INPUTS})


@pytest.fixture(scope="module")
def facts(evidence) -> pd.DataFrame:
    return gather_facts(evidence)


def value_of(frame: pd.DataFrame, **wanted: str) -> int:
    """Row number of the one row with these values."""
    found = [k for k, row in enumerate(frame.to_dict("records")) if wanted.items() <= row.items()]
    assert len(found) == 1
    return found[0]


def whole(metric: str) -> dict:
    return {"seed": "mean", "attribute": "all", "group": "all", "metric": metric}


def test_performance_is_the_row_that_sums_up_the_measure(study, facts):
    for path in study["metrics"]:
        rows = read_table(path, METRICS)
        for metric, task in MEASURES.items():
            row = rows.iloc[value_of(rows, task=task, **whole(metric))]
            seeds = rows[
                (rows["task"] == task)
                & rows["seed"].isin(["0", "1"])
                & rows["group"].eq("all")
                & rows["metric"].eq(metric)
            ]
            fact = facts[
                facts["kind"].eq("performance")
                & facts["model"].eq(row["model"])
                & facts["method"].eq(row["method"])
                & facts["metric"].eq(metric)
            ]
            assert len(fact) == 1
            fact = fact.iloc[0]
            assert (fact["value"], fact["low"], fact["high"]) == tuple(
                row[["value", "low", "high"]]
            )
            assert fact["task"] == task
            assert fact["seed_sd"] == pytest.approx(np.std(seeds["value"], ddof=1))


def test_paired_difference_is_that_of_a_plain_loop(study, facts):
    runs = {}
    for path in study["metrics"]:
        rows = read_table(path, METRICS)
        k = value_of(rows, task="mean", **whole("auc"))
        draws = np.load(replicates_of(path))[k]
        runs[rows["model"][0], rows["method"][0]] = rows["value"][k], draws
    best = max(runs, key=lambda run: runs[run][0])
    seen = 0
    for (first, (a, left)), (second, (b, right)) in combinations(runs.items(), 2):
        fact = facts[
            facts["kind"].eq("performance_difference")
            & facts["metric"].eq("auc")
            & facts["model"].eq(first[0])
            & facts["method"].eq(first[1])
            & facts["against_model"].eq(second[0])
            & facts["against_method"].eq(second[1])
        ]
        assert len(fact) == (len(set(first) & set(second)) == 1 or best in (first, second))
        if fact.empty:
            continue
        differences = [float(x) - float(y) for x, y in zip(left, right, strict=True)]
        below = sum(d <= 0 for d in differences)
        above = sum(d >= 0 for d in differences)
        fact, seen = fact.iloc[0], seen + 1
        assert fact["value"] == pytest.approx(a - b)
        assert fact["low"] == pytest.approx(np.percentile(differences, 2.5))
        assert fact["high"] == pytest.approx(np.percentile(differences, 97.5))
        assert fact["p_value"] == pytest.approx(min(1, 2 * (min(below, above) + 1) / 201))
    assert seen >= 4


def test_gap_difference_uses_the_groups_estimable_in_both(study, facts):
    parts = []
    for path in study["metrics"][:2]:
        rows = read_table(path, METRICS)
        kept = rows[
            rows["seed"].eq("mean")
            & rows["task"].eq("mean")
            & rows["metric"].eq("auc")
            & rows["attribute"].eq("sex & age_group")
            & rows["status"].eq("ok")
        ]
        assert len(kept) == 3
        parts.append((kept["value"].to_numpy(), np.load(replicates_of(path))[kept.index]))
    (a, left), (b, right) = parts
    loop = [
        (max(x) - min(x)) - (max(y) - min(y))
        for x, y in zip(left.T.astype(float), right.T.astype(float), strict=True)
    ]
    fact = facts[
        facts["kind"].eq("gap_difference")
        & facts["metric"].eq("auc")
        & facts["attribute"].eq("sex & age_group")
        & facts["model"].eq("pixels")
        & facts["against_model"].eq("pixels")
    ].iloc[0]
    assert fact["value"] == pytest.approx((max(a) - min(a)) - (max(b) - min(b)))
    assert fact["low"] == pytest.approx(np.percentile(loop, 2.5))
    assert fact["high"] == pytest.approx(np.percentile(loop, 97.5))


def test_pairing_narrows_the_interval_and_finds_a_small_true_difference():
    random = np.random.default_rng(1)
    patients = random.normal(0, 0.05, 1000)
    first = 0.80 + patients + random.normal(0, 0.002, 1000)
    second = 0.79 + patients + random.normal(0, 0.002, 1000)
    low, high, p = compare_paired(first, second, 0.95)
    assert 0 < low < 0.01 < high and p < 0.01
    low, high, p = compare_paired(first, random.permutation(second), 0.95)
    assert low < 0 < high and p > 0.05


def test_paired_difference_of_undefined_draws_is_undefined():
    empty = np.full(200, np.nan)
    assert np.isnan(compare_paired(empty, np.zeros(200), 0.95)).all()


def holm(p: np.ndarray) -> np.ndarray:
    return multipletests(p, method="holm")[1]


@pytest.mark.parametrize("seed", range(5))
def test_families_are_adjusted_apart_and_rows_without_a_test_are_left_out(seed):
    p = np.random.default_rng(seed).uniform(0, 0.2, 12).round(2)
    p[[3, 7]] = np.nan
    frame = pd.DataFrame({"family": list("aaaaabbbbbba"), "p_value": p})
    found = adjust_families(frame, ["family"])
    assert found["p_adjusted"].notna().equals(frame["p_value"].notna())
    for _, rows in found.dropna().groupby("family"):
        order = np.argsort(rows["p_value"], kind="stable")
        stepped = rows["p_value"].to_numpy()[order] * np.arange(len(rows), 0, -1)
        expected = np.minimum(np.maximum.accumulate(stepped), 1)
        np.testing.assert_allclose(rows["p_adjusted"].to_numpy()[order], expected)
        assert set(rows["family_size"]) == {len(rows)}
    assert adjust_families(frame.iloc[:0], ["family"]).empty


def test_families_hold_all_gaps_of_a_measure_and_kind(evidence, facts):
    family = facts[facts["kind"].eq("gap") & facts["metric"].eq("f1") & facts["gap"].eq("max_min")]
    assert len(family) == 4 * 3
    assert set(family["family_size"]) == {12}
    assert (family["p_adjusted"] >= family["p_value"]).all()


def test_gaps_are_adjusted_by_the_largest_of_their_permutations(evidence, facts):
    rows = facts[facts["kind"].eq("gap") & facts["metric"].eq("f1") & facts["gap"].eq("max_min")]
    place = evidence.gaps.set_index(
        ["model", "method", "attribute", "metric", "gap", "task", "seed"]
    )
    keys = [
        (*key, "f1", "max_min", "mean", "mean")
        for key in rows[["model", "method", "attribute"]].itertuples(index=False)
    ]
    nulls = [evidence.permutations(place.loc[[key]].reset_index())[0] for key in keys]
    scaled = [(null - null.mean()) / null.std() for null in nulls]
    statistics = [
        (value - null.mean()) / null.std() for value, null in zip(rows["value"], nulls, strict=True)
    ]
    for k, (p, plain) in enumerate(zip(rows["p_adjusted"], rows["p_value"], strict=True)):
        above = [j for j in range(len(keys)) if statistics[j] >= statistics[k]]
        stepped = []
        for j in above:
            left = [i for i in range(len(keys)) if statistics[i] <= statistics[j]]
            over = sum(max(scaled[i][b] for i in left) >= statistics[j] for b in range(200))
            stepped.append((1 + over) / 201)
        assert p == pytest.approx(max(*stepped, plain))


def test_a_planted_gap_among_many_stands_with_few_permutations():
    random = np.random.default_rng(8)
    null = random.normal(0.03, 0.01, (60, 300)).astype(np.float32)
    values = np.r_[0.12, random.normal(0.03, 0.01, 59)]
    p = [(1 + (row >= value).sum()) / 301 for row, value in zip(null, values, strict=True)]
    rows = pd.DataFrame({"gap": "max_min", "value": values, "p_value": p})
    found = adjust_gaps(rows, null)
    assert found[0] < 0.01 < holm(np.array(p))[0] and (found[1:] > 0.05).all()
    fairer = adjust_gaps(rows.assign(gap="ratio", value=1 - values), 1 - null)
    np.testing.assert_allclose(fairer, found)


def test_gaps_without_their_permutations_are_refused(study):
    path = null_of(study["gaps"][0])
    kept = path.read_bytes()
    try:
        path.unlink()
        with pytest.raises(MedauditError, match="run disparity again"):
            gather(**{name: study[name] for name in INPUTS})
    finally:
        path.write_bytes(kept)


def test_an_undefined_gap_keeps_its_row_and_status(tmp_path):
    study = make_study(tmp_path, groups={"all": ["all"], "sex": ["female", "male"]}, too_few="male")
    facts = gather_facts(gather(**{name: study[name] for name in INPUTS}))
    lost = facts[facts["kind"] == "gap"]
    assert len(lost) and set(lost["status"]) == {"too_few"} and lost["value"].isna().all()
    assert lost["p_adjusted"].isna().all()


def test_wrong_inputs_are_named(study, tmp_path):
    inputs = {name: study[name] for name in INPUTS}
    with pytest.raises(MedauditError, match="not of the same runs.*vit_random"):
        gather(**inputs | {"gaps": study["gaps"][:2]})
    with pytest.raises(MedauditError, match="two metrics files"):
        gather(**inputs | {"metrics": [*study["metrics"], study["metrics"][0]]})
    other = tmp_path / "other.json"
    write_json(card("other", {}, phantom=False), other)
    with pytest.raises(MedauditError, match=r"the cards of cohorts \['cells'\]"):
        gather(**inputs | {"cards": [other]})
    moved = tmp_path / "moved.csv"
    write_table(read_table(study["metrics"][0], METRICS), moved, METRICS)
    write_array(np.zeros((3, 200), np.float32), replicates_of(moved))
    with pytest.raises(MedauditError, match=r"has shape \(3, 200\)"):
        gather(**inputs | {"metrics": [moved, *study["metrics"][1:]]})


def test_other_dialects_stay_apart(study, tmp_path):
    gaps = read_table(study["gaps"][0], GAPS)
    both = pd.concat([gaps, gaps.assign(dialect="clip_nih", value=gaps["value"] / 2)])
    path = tmp_path / "gaps.csv"
    write_gaps(both, path)
    inputs = {name: study[name] for name in INPUTS} | {"gaps": [path, *study["gaps"][1:]]}
    facts = gather_facts(gather(**inputs))
    assert "auc (clip_nih)" in set(facts["measure"])
    assert set(facts.loc[facts["measure"] == "auc", "dialect"]) == {"medaudit"}


def test_step_down_is_that_of_a_loop():
    random = np.random.default_rng(4)
    shared = random.normal(0, 1, 300)
    scale = np.array([1, 5, 0.2, 1])[:, None]
    values = np.array([0.5, 12, -0.9, np.nan])
    draws = np.nan_to_num(values)[:, None] + scale * (
        0.8 * shared + 0.6 * random.normal(0, 1, (4, 300))
    )
    statistics, deviations = [], []
    for value, row in zip(values[:3], draws[:3], strict=True):
        statistics.append(abs(value) / np.std(row, ddof=1))
        deviations.append([abs(x - value) / np.std(row, ddof=1) for x in row])
    expected, last = {}, 0.0
    left = {0, 1, 2}
    while left:
        k = max(left, key=lambda i: statistics[i])
        over = sum(max(deviations[i][b] for i in left) >= statistics[k] for b in range(300))
        last = expected[k] = max(last, (1 + over) / 301)
        left.remove(k)
    found = adjust_differences(values, draws)
    np.testing.assert_allclose(found[:3], [expected[k] for k in range(3)])
    assert np.isnan(found[3])


def test_step_down_keeps_false_findings_below_its_level():
    random = np.random.default_rng(5)
    false = 0
    for _ in range(300):
        common = random.normal(0, 1, 200)
        truth = 0.7 * random.normal() + 0.7 * random.normal(0, 1, 20)
        draws = truth[:, None] + 0.7 * common + 0.7 * random.normal(0, 1, (20, 200))
        false += adjust_differences(truth, draws).min() <= 0.05
    assert false <= 300 * 0.05 + 3 * (300 * 0.05 * 0.95) ** 0.5


def test_many_differences_need_no_more_draws_than_few():
    random = np.random.default_rng(6)
    values = np.full(190, 8.0)
    draws = values[:, None] + random.normal(0, 1, (190, 500))
    assert adjust_differences(values, draws).max() < 0.01
    assert holm(np.full(190, 2 / 501)).min() > 0.05


def test_differences_are_adjusted_over_their_family(facts):
    rows = facts[facts["kind"].isin(["performance_difference", "gap_difference"])]
    assert rows["p_adjusted"].notna().equals(rows["p_value"].notna())
    assert (rows["p_adjusted"] >= rows["p_value"])[rows["p_value"].notna()].all()
    for _, family in rows.groupby(["kind", "cohort", "measure"]):
        assert set(family["family_size"].dropna()) <= {family["p_value"].notna().sum()}
