"""What would make a gap vanish: closed forms against enumeration, and planted truths."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix, precision_score, roc_auc_score

from evaluate_case import joined, make_case, make_settings, pick
from medaudit.audit.sensitivity import ask, sensitivity
from medaudit.audit.sensitivity.flagged_shares import Group, factors, follow, reach
from medaudit.audit.sensitivity.label_noise import Rates, explain
from medaudit.audit.sensitivity.missing_groups import Rate, Scores, bound_auc, bound_rate
from medaudit.audit.sensitivity.target_prevalence import (
    at_prevalence,
    equal_benefit,
    prevalence_for,
)
from medaudit.core.audit_tables import SENSITIVITY
from medaudit.core.table_io import COHORT, PREDICTIONS, read_table, write_table

GAP = {"group": "max_min"}


def settings(**changes):
    made = make_settings(metrics=["auc", "tpr", "fpr"], attributes=["sex"])
    made["evaluation"] |= {"threshold": {"rule": "fixed", "value": 0.4}, **changes}
    return made


# ---------------------------------------------------------------------- missing attribute
@pytest.mark.parametrize("seed", range(30))
def test_bounds_of_a_rate_are_those_of_every_assignment(seed):
    rng = np.random.default_rng(seed)
    a, b = (Rate(rng.integers(0, n + 1), n) for n in rng.integers(3, 12, 2))
    high, low = (a, b) if a.top / a.bottom >= b.top / b.bottom else (b, a)
    hits, misses = rng.integers(0, 4, 2)
    found, fewest = [], np.inf
    for places in product(["high", "low", "other"], repeat=int(hits + misses)):
        correct = np.array([k < hits for k in range(hits + misses)], bool)
        rates = []
        for group, name in ((high, "high"), (low, "low")):
            own = np.array([place == name for place in places], bool)
            rates.append((group.top + correct[own].sum()) / (group.bottom + own.sum()))
        found.append(rates[0] - rates[1])
        if found[-1] <= 1e-12:
            fewest = min(fewest, sum(place != "other" for place in places))
    bounds = bound_rate(high, low, (int(hits), int(misses)))
    assert bounds.low == pytest.approx(min(found)) and bounds.high == pytest.approx(max(found))
    assert bounds.fewest == fewest or (np.isnan(bounds.fewest) and np.isinf(fewest))


def scores_of(rng, positives, negatives, shift):
    one, two = rng.normal(shift, 1, positives).round(1), rng.normal(0, 1, negatives).round(1)
    return Scores(one, two, np.ones(positives), np.ones(negatives))


def auc_with(known: Scores, positive, negative) -> float:
    one, two = np.append(known.positive, positive), np.append(known.negative, negative)
    labels = np.append(np.ones(one.size), np.zeros(two.size))
    weight = np.concatenate(
        [known.positive_weight, np.ones(len(positive)), known.negative_weight]
        + [np.ones(len(negative))]
    )
    return roc_auc_score(labels, np.append(one, two), sample_weight=weight)


@pytest.mark.parametrize("seed", range(8))
def test_bounds_of_an_auc_hold_for_every_assignment(seed):
    rng = np.random.default_rng(seed)
    high, low, unknown = (scores_of(rng, p, n, s) for p, n, s in ((6, 7, 2), (5, 6, 1), (2, 3, 1)))
    found, fewest = [], np.inf
    for places in product(range(3), repeat=5):
        one, two = np.array(places[:2]), np.array(places[2:])
        parts = [
            auc_with(group, unknown.positive[one == k], unknown.negative[two == k])
            for k, group in enumerate((high, low))
        ]
        found.append(parts[0] - parts[1])
        if found[-1] <= 1e-12:
            fewest = min(fewest, sum(place < 2 for place in places))
    bounds = bound_auc(high, low, unknown)
    assert bounds.low <= min(found) + 1e-12 and bounds.high >= max(found) - 1e-12
    assert np.isinf(fewest) or bounds.fewest <= fewest


@pytest.mark.parametrize("seed", range(8))
def test_an_auc_is_bounded_exactly_where_one_group_cannot_move(seed):
    rng = np.random.default_rng(seed)
    high, unknown = scores_of(rng, 6, 7, 2), scores_of(rng, 4, 4, 1)
    fixed = scores_of(rng, 20, 20, 0)
    heavy = fixed._replace(positive_weight=np.full(20, 1e9), negative_weight=np.full(20, 1e9))
    found = {}
    for chosen in product([False, True], repeat=8):
        one, two = np.array(chosen[:4]), np.array(chosen[4:])
        value = auc_with(high, unknown.positive[one], unknown.negative[two])
        found[chosen] = value - auc_with(fixed, [], [])
    bounds = bound_auc(high, heavy, unknown)
    assert bounds.low == pytest.approx(min(found.values()), abs=1e-6)
    assert bounds.high == pytest.approx(max(found.values()), abs=1e-6)
    enough = [sum(chosen) for chosen, value in found.items() if value <= 0]
    assert bounds.fewest == min(enough) if enough else np.isnan(bounds.fewest)


def test_many_unknown_images_are_searched_on_a_grid():
    rng = np.random.default_rng(0)
    high, low, unknown = (scores_of(rng, n, n, s) for n, s in ((900, 2), (900, 1), (700, 1)))
    bounds = bound_auc(high, low, unknown)
    least = 1.0
    ordered = np.sort(unknown.positive), -np.sort(-unknown.negative)
    for k, m in product(range(0, 701, 100), repeat=2):
        least = min(least, auc_with(high, ordered[0][:k], ordered[1][:m]))
    most = 1 - min(
        auc_with(
            Scores(low.negative, low.positive, low.negative_weight, low.positive_weight),
            np.sort(unknown.negative)[:m],
            -np.sort(-unknown.positive)[:k],
        )
        for k, m in product(range(0, 701, 100), repeat=2)
    )
    assert bounds.low <= least - most + 1e-12
    assert bounds.low == pytest.approx(least - most, abs=0.01)
    assert 0 < bounds.fewest < 1400


# ---------------------------------------------------------------------------- label noise
def observed(t, f, prevalence, sensitivity, specificity) -> Rates:
    """Enumerate the true state and the label, which errs without regard to the score."""
    cells = {
        (1, 1): prevalence * sensitivity,
        (1, 0): prevalence * (1 - sensitivity),
        (0, 1): (1 - prevalence) * (1 - specificity),
        (0, 0): (1 - prevalence) * specificity,
    }
    total = {y: cells[1, y] + cells[0, y] for y in (0, 1)}
    rate = {y: (cells[1, y] * t + cells[0, y] * f) / total[y] for y in (0, 1)}
    return Rates(rate[1], rate[0], total[1])


@pytest.mark.parametrize("given", [(1.0, 1.0), (0.9, 0.97)])
@pytest.mark.parametrize("prevalence", [0.1, 0.4])
def test_a_planted_error_of_the_label_is_found(given, prevalence):
    best = observed(0.85, 0.1, 0.25, *given)
    worst = observed(0.85, 0.1, prevalence, given[0], 0.9)
    noise = explain("tpr", best, worst, *given)
    assert noise.tipping == pytest.approx(0.9)
    false = (1 - prevalence) * 0.1 / worst.prevalence
    assert noise.share == pytest.approx(false)
    worst = observed(0.85, 0.1, prevalence, 0.7, given[1])
    noise = explain("fpr", best, worst, *given)
    assert noise.tipping == pytest.approx(0.7)
    assert noise.share == pytest.approx(prevalence * 0.3 / (1 - worst.prevalence))


def test_no_error_of_the_label_explains_a_rate_beyond_the_other():
    best = Rates(0.9, 0.3, 0.3)
    assert np.isnan(explain("tpr", best, Rates(0.2, 0.3, 0.3), 1, 1)).all()
    assert np.isnan(explain("fpr", best, Rates(0.9, 0.95, 0.3), 1, 1)).all()
    assert np.isnan(explain("tpr", Rates(0.3, 0.3, 0.3), Rates(0.2, 0.1, 0.3), 1, 1)).all()
    # The label of the best group cannot have more false positives than it has positives.
    assert np.isnan(explain("tpr", Rates(0.9, 0.1, 0.1), Rates(0.8, 0.1, 0.1), 1, 0.8)).all()


# ----------------------------------------------------------------------------- prevalence
def test_values_at_another_prevalence_are_those_of_a_population_with_it():
    tpr, fpr, n, prevalence = 0.8, 0.15, 100_000, 0.07
    tp, fn = tpr * n * prevalence, (1 - tpr) * n * prevalence
    fp, tn = fpr * n * (1 - prevalence), (1 - fpr) * n * (1 - prevalence)
    for metric, expected in (
        ("ppv", tp / (tp + fp)),
        ("npv", tn / (tn + fn)),
        ("net_benefit", (tp - 0.25 * fp) / n),
    ):
        assert at_prevalence(metric, tpr, fpr, prevalence, 0.25) == pytest.approx(expected)
    for metric in ("ppv", "npv"):
        at = prevalence_for(metric, 0.6, 0.2, 0.7)
        assert at_prevalence(metric, 0.6, 0.2, at, np.nan) == pytest.approx(0.7)
    at = equal_benefit((0.9, 0.7), (0.3, 0.1), 0.5)
    benefits = [at_prevalence("net_benefit", t, f, at, 0.5) for t, f in ((0.9, 0.3), (0.7, 0.1))]
    assert 0 < at < 1 and benefits[0] == pytest.approx(benefits[1])
    assert np.isnan(equal_benefit((0.9, 0.7), (0.1, 0.3), 0.5))
    assert np.isnan(at_prevalence("ppv", 0.0, 0.0, 0.3, np.nan))
    assert np.isnan(prevalence_for("ppv", 0.5, 0.0, 0.7))


# ------------------------------------------------------------------------------ threshold
def test_a_gap_is_followed_over_thresholds_and_where_it_vanishes():
    rng = np.random.default_rng(1)
    first, second = rng.normal(1, 1, 400), rng.normal(0, 3, 300)
    everybody = np.concatenate([first, second, rng.normal(-1, 1, 500)])
    groups = (Group(first, np.ones(400)), Group(second, np.ones(300)))
    factor = factors((0.5, 2))
    curve = follow(everybody, groups, factor, 0.2)
    odds = (everybody >= 0.2).sum() / (everybody < 0.2).sum()
    inside = []
    for k, f in enumerate(factor):
        share = odds * f / (1 + odds * f)
        cut = 0.2 if f == 1 else np.sort(everybody)[::-1][max(int(np.ceil(share * 1200)) - 1, 0)]
        expected = (first >= cut).mean() - (second >= cut).mean()
        assert curve.difference[k] == pytest.approx(expected, abs=1e-9)
        inside += [expected] if 0.5 <= f <= 2 else []
    found = reach(curve, (0.5, 2))
    assert (found.low, found.high) == (pytest.approx(min(inside)), pytest.approx(max(inside)))
    assert found.range_low == pytest.approx(odds / (2 + odds))
    gone = [abs(np.log(f)) for f, d in zip(factor, curve.difference, strict=True) if d <= 0]
    chosen = factor[np.argmin(np.abs(curve.share - found.tipping))]
    assert abs(np.log(chosen)) == pytest.approx(min(gone))
    cut = found.threshold_tipping
    assert (first >= cut).mean() <= (second >= cut).mean()


# ------------------------------------------------------------------------------ the table
@pytest.fixture(scope="module")
def case():
    predictions, cohort = make_case(n=2400, seeds=1)
    cohort["a_sex"] = cohort["a_sex"].where(cohort["a_sex"] != "unknown")
    return predictions, cohort


def test_rows_are_those_of_a_loop_over_images(case):
    found = ask(*case, settings())
    rows = joined(case, "A", 0).assign(flagged=lambda d: d["score"] >= 0.4)
    ill = rows[rows["y"] == 1]
    rates = ill.groupby("a_sex")["flagged"].mean()
    row = pick(found, task="A", question="missing_attribute", metric="tpr")
    assert row["value"] == pytest.approx(rates.max() - rates.min())
    assert (row["worst"], row["best"]) == (rates.idxmin(), rates.idxmax())
    unknown = ill["a_sex"].isna()
    assert row["n_unknown"] == unknown.sum() and row["n"] == (~unknown).sum()
    assert row["present"] == pytest.approx(unknown.mean())
    best, worst = ill[ill["a_sex"] == row["best"]], ill[ill["a_sex"] == row["worst"]]
    hits, misses = ill.loc[unknown, "flagged"].sum(), (~ill.loc[unknown, "flagged"]).sum()
    assert row["low"] == pytest.approx(
        best["flagged"].sum() / (len(best) + misses)
        - (worst["flagged"].sum() + hits) / (len(worst) + hits)
    )
    assert (row["vanishes"] == "yes") == (row["low"] <= 0)
    for sex, own in rows.groupby("a_sex"):
        tn, fp, fn, tp = confusion_matrix(own["y"], own["flagged"]).ravel()
        ppv = pick(found, task="A", question="prevalence", metric="ppv", group=sex)
        assert ppv["value"] == pytest.approx(precision_score(own["y"], own["flagged"]))
        target = rows.loc[rows["a_sex"].notna(), "y"].mean()
        assert ppv["assumed"] == pytest.approx(target)
        up, down = tp / (tp + fn) * target, fp / (fp + tn) * (1 - target)
        assert ppv["adjusted"] == pytest.approx(up / (up + down))
        benefit = pick(found, task="A", question="prevalence", metric="net_benefit", group=sex)
        assert benefit["adjusted"] == pytest.approx(up - down * 0.4 / 0.6)


def test_settings_change_what_is_assumed(case):
    assumed = {
        "prevalence": {"A": 0.05},
        "false_positive_harm": 0.1,
        "label_specificity": 0.99,
        "flagged": [0.25, 4],
    }
    found, plain = ask(*case, settings(sensitivity=assumed)), ask(*case, settings())
    rows = found[found["question"] == "prevalence"]
    assert (rows.loc[rows["task"] == "A", "assumed"] == 0.05).all()
    assert (rows.loc[rows["task"] == "B", "assumed"] > 0.2).all()
    noise = pick(found, task="A", question="label_noise", metric="tpr")
    assert noise["present"] == 0.99
    wide, narrow = (pick(f, task="A", question="threshold", metric="fpr") for f in (found, plain))
    assert wide["range_low"] < narrow["range_low"] < wide["present"] < wide["range_high"]
    assert wide["low"] <= narrow["low"] and wide["high"] >= narrow["high"]


def test_false_positive_labels_in_one_group_are_named():
    """The model is fair to the truth; in men one in five positive labels is false."""
    rng = np.random.default_rng(11)
    n = 60_000
    male, ill = rng.random(n) < 0.5, rng.random(n) < 0.3
    flagged = rng.random(n) < np.where(ill, 0.85, 0.1)
    label = ill | (male & (rng.random(n) < 0.3 / 4 / 0.7))
    ids = [f"i{k}" for k in range(n)]
    cohort = pd.DataFrame({"image_id": ids, "patient_id": ids, "path": "x", "split": "test"})
    cohort = cohort.assign(age=np.nan, view=None, a_sex=np.where(male, "male", "female"))
    keys = {"image_id": ids, "split": "test", "task": "A", "seed": 0, "y": label.astype(float)}
    predictions = pd.DataFrame({**keys, "score": np.where(flagged, 0.9, 0.1)})
    asked = {**settings(), "tasks": ["A"], "task_type": "binary"}
    row = pick(ask(predictions, cohort, asked), question="label_noise", metric="tpr")
    assert row["worst"] == "male" and row["vanishes"] == "yes"
    assert row["share"] == pytest.approx(0.2, abs=0.03)
    assert row["tipping"] == pytest.approx(1 - 0.3 / 4 / 0.7, abs=0.02)


def test_what_cannot_be_said_has_a_status(case):
    predictions, cohort = case
    few = cohort.assign(a_sex=cohort["a_sex"].where(cohort["a_sex"] == "male"))
    few.loc[few.index[:3], "a_sex"] = "female"
    found = ask(predictions, few, settings())
    gaps = found[found["group"] == "max_min"]
    assert (gaps["status"] != "ok").all() and gaps["value"].isna().all()
    assert gaps["vanishes"].isna().all()
    full = cohort.assign(a_sex=cohort["a_sex"].fillna("male"))
    row = pick(
        ask(predictions, full, settings()), task="A", question="missing_attribute", metric="auc"
    )
    assert row["n_unknown"] == 0
    assert [row["low"], row["high"]] == pytest.approx([row["value"]] * 2)
    assert row["vanishes"] == "no" and np.isnan(row["tipping"])


def test_equal_groups_are_two_groups(case):
    predictions, cohort = case
    alike = predictions.assign(score=0.9)
    found = ask(alike, cohort, settings())
    gaps = found[(found["group"] == "max_min") & (found["status"] == "ok")]
    assert len(gaps) and (gaps["worst"] != gaps["best"]).all()
    rates = gaps[gaps["metric"].isin(["auc", "tpr", "fpr"])]
    assert (rates["value"] == 0).all()


def test_classes_have_no_threshold_to_choose():
    rng = np.random.default_rng(3)
    n, names = 600, ("a", "b", "c")
    truth = rng.integers(0, 3, n)
    raw = rng.random((n, 3)) + np.eye(3)[truth]
    score = raw / raw.sum(axis=1, keepdims=True)
    ids = [f"i{k}" for k in range(n)]
    cohort = pd.DataFrame({"image_id": ids, "patient_id": ids, "path": "x", "split": "test"})
    cohort = cohort.assign(age=np.nan, view=None, a_sex=rng.choice(["female", "male"], n))
    parts = [
        {"image_id": ids, "split": "test", "task": t, "seed": 0, "y": 1.0 * (truth == k)}
        | {"score": score[:, k]}
        for k, t in enumerate(names)
    ]
    predictions = pd.concat(map(pd.DataFrame, parts), ignore_index=True)
    asked = {**settings(), "task_type": "multiclass", "tasks": list(names)}
    found = ask(predictions, cohort, asked)
    assert set(found["task"]) == set(names)
    by = found[found["group"] == "max_min"].groupby(["question", "metric"])["status"]
    assert set(by.get_group(("threshold", "tpr"))) == {"undefined:no_decision"}
    assert set(by.get_group(("prevalence", "net_benefit"))) == {"undefined:no_decision"}
    assert set(by.get_group(("prevalence", "ppv"))) == {"ok"}


def test_seeds_are_averaged_and_the_stage_writes_its_table(tmp_path):
    predictions, cohort = make_case(n=1200, seeds=2)
    write_table(predictions, tmp_path / "p.parquet", PREDICTIONS)
    write_table(cohort, tmp_path / "c.parquet", COHORT)
    paths = {"predictions": tmp_path / "p.parquet", "cohort": tmp_path / "c.parquet"}
    sensitivity(settings(), **paths, output=tmp_path / "out.csv")
    written = read_table(tmp_path / "out.csv", SENSITIVITY)
    means = []
    for seed in (0, 1):
        rows = joined((predictions, cohort), "A", seed)
        rows = rows[rows["y"] == 0].assign(flagged=lambda d: d["score"] >= 0.4)
        means.append(rows.groupby("a_sex")["flagged"].mean())
    rates = sum(means) / 2
    for question in ("missing_attribute", "threshold", "label_noise"):
        row = pick(written, task="A", question=question, metric="fpr")
        assert row["value"] == pytest.approx(rates.max() - rates.min(), rel=1e-5)
        assert (row["worst"], row["best"]) == (rates.idxmax(), rates.idxmin())
    row = pick(written, task="A", question="threshold", metric="fpr")
    assert row["low"] <= row["value"] <= row["high"]
