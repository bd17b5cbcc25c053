"""Thresholds against an exhaustive search, draws against repeated rows, rows of the table."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from evaluate_case import make_case, make_settings, pick
from medaudit.config import cross_checks
from medaudit.core.errors import MedauditError
from medaudit.metrics.group_audit import audit
from medaudit.metrics.thresholds import (
    NEEDS_VALUE,
    choose_threshold,
    choose_thresholds,
    describe_rule,
    value_for,
)

RULES = {"best_f1": None, "youden": None, "fpr": 0.2, "specificity": 0.8, "sensitivity": 0.9}


def exhaustive(score, positive, rule, value):
    """The threshold by trying every candidate, from the highest down, with plain counts."""
    candidates = sorted({*score, np.nextafter(score.max(), 2)}, reverse=True)
    counts = [
        (int((score >= t)[positive].sum()), int((score >= t)[~positive].sum())) for t in candidates
    ]
    n_pos, n_neg = int(positive.sum()), int((~positive).sum())
    if rule == "best_f1":
        quality = [sk.f1_score(positive, score >= t) for t in candidates]
    elif rule == "youden":
        quality = [tp / n_pos - fp / n_neg for tp, fp in counts]
    elif rule == "sensitivity":
        quality = [tp * 100 >= round(value * 100) * n_pos for tp, _ in counts]
    else:
        allowed = round(100 * (value if rule == "fpr" else 1 - value)) * n_neg
        kept = [t for t, (_, fp) in zip(candidates, counts, strict=True) if fp * 100 <= allowed]
        return kept[-1]
    best = max(quality) - (0 if rule == "sensitivity" else 1e-12)
    return next(t for t, q in zip(candidates, quality, strict=True) if q >= best)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6), n=st.integers(2, 40), levels=st.sampled_from([3, 100]),
    rule=st.sampled_from(list(RULES)), value=st.sampled_from([0.05, 0.07, 0.3, 0.57, 0.9, 0.95]),
)  # fmt: skip
def test_thresholds_are_the_best_by_exhaustion(seed, n, levels, rule, value):
    rng = np.random.default_rng(seed)
    score = rng.integers(0, levels + 1, n) / levels
    positive = rng.random(n) < 0.4
    found = choose_threshold(score, positive, rule, value)
    if positive.all() or not positive.any():
        assert np.isnan(found)
    else:
        assert found == exhaustive(score, positive, rule, value)


@pytest.mark.parametrize(("wanted", "n"), [(0.95, 20), (0.07, 100), (0.9, 10), (0.29, 100)])
def test_a_rate_that_is_met_exactly_counts_as_met(wanted, n):
    """0.07 x 100 is 7.000000000000001 in binary: 7 of 100 still are 7 %."""
    score = np.concatenate([np.linspace(0.01, 0.99, n), [0.005, 0.995]])
    positive = np.concatenate([np.ones(n, bool), [False, False]])
    tpr = (score >= choose_threshold(score, positive, "sensitivity", wanted))[positive].mean()
    assert tpr == pytest.approx(wanted)
    threshold = choose_threshold(score, ~positive, "specificity", wanted)
    assert (score < threshold)[positive].mean() == pytest.approx(wanted)


@pytest.mark.parametrize("rule", RULES)
def test_a_draw_is_the_sample_with_rows_repeated(rule):
    rng = np.random.default_rng(4)
    score, positive = rng.integers(0, 30, 50) / 30, rng.random(50) < 0.3
    weights = rng.multinomial(50, np.full(50, 0.02), 40).T
    found = choose_thresholds(score, positive, weights, rule, RULES[rule])
    for b, threshold in enumerate(found):
        rows = np.repeat(np.arange(50), weights[:, b])
        assert threshold == choose_threshold(score[rows], positive[rows], rule, RULES[rule])


def test_a_draw_without_a_class_has_no_threshold():
    weights = np.array([[1, 2, 0], [1, 0, 2]])
    found = choose_thresholds(np.array([0.2, 0.7]), np.array([False, True]), weights, "youden")
    assert found[0] == 0.7 and np.isnan(found[1:]).all()


def test_a_fixed_threshold_needs_no_validation():
    assert choose_threshold(np.empty(0), np.empty(0, bool), "fixed", 0.3) == 0.3
    assert np.isnan(choose_threshold(np.empty(0), np.empty(0, bool), "best_f1"))


def test_rules_that_cannot_be():
    score, positive = np.array([0.1, 0.9]), np.array([False, True])
    with pytest.raises(MedauditError, match="'best' is unknown; known:.*sensitivity"):
        choose_threshold(score, positive, "best")
    for rule in NEEDS_VALUE:
        with pytest.raises(MedauditError, match=f"{rule} needs a `value`"):
            choose_threshold(score, positive, rule)
    assert cross_checks.NEEDS_VALUE == NEEDS_VALUE


def test_values_by_task():
    rule = {"rule": "fixed", "value": {"A": 0.3}}
    assert value_for(rule, "A") == 0.3 and value_for({"rule": "youden"}, "A") is None
    with pytest.raises(MedauditError, match=r"values for \['A'\] and none for the task 'B'"):
        value_for(rule, "B")
    assert describe_rule({"rule": "fpr", "value": 0.1}) == "false positive rate of at most 0.1"


def test_a_vendors_thresholds_decide_by_task():
    predictions, cohort = make_case()
    fixed = {"A": 0.35, "B": 0.6}
    rule = {"rule": "fixed", "value": fixed}
    metrics, _ = audit(predictions, cohort, make_settings(threshold=rule, metrics=["tpr"]))
    for task, threshold in fixed.items():
        rows = predictions[(predictions["task"] == task) & (predictions["seed"] == 0)]
        rows = rows[(rows["split"] == "test") & (rows["y"] == 1)]
        row = pick(metrics, task=task, seed="0", attribute="all", metric="tpr")
        assert row["value"] == pytest.approx((rows["score"] >= threshold).mean())
        assert row["procedure_low"] == row["low"] and row["procedure_high"] == row["high"]
        assert pick(metrics, task=task, seed="mean", metric="threshold")["value"] == threshold


def test_the_mean_over_seeds_has_a_threshold_where_every_seed_has_one():
    predictions, cohort = make_case()
    lost = (predictions["task"] == "B") & (predictions["split"] == "val")
    predictions.loc[lost & predictions["y"].eq(1), "y"] = 0.0
    cohort.loc[cohort["split"] == "val", "y_B"] = cohort["y_B"].where(cohort["y_B"].isna(), 0.0)
    metrics, _ = audit(predictions, cohort, make_settings(metrics=["tpr"]))
    rows = metrics[metrics["metric"] == "threshold"].set_index(["task", "seed"])
    assert rows.loc[("A", "mean"), "status"] == "ok"
    mean = rows.loc[[("A", "0"), ("A", "1")], "value"].mean()
    assert rows.loc[("A", "mean"), "value"] == pytest.approx(mean)
    for seed in ("0", "1", "mean"):
        assert rows.loc[("B", seed), "status"] == "undefined:one_class"
        assert np.isnan(rows.loc[("B", seed), "value"])
    decisions = metrics[(metrics["task"] == "B") & (metrics["metric"] == "tpr")]
    assert not (decisions["status"] == "ok").any()
    assert decisions[["procedure_low", "procedure_high"]].isna().all(axis=None)
