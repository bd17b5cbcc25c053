"""Statistics across metrics, against their plain statements."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from medaudit.core.errors import MedauditError
from medaudit.metrics.intervals import bca_interval, inflated_interval, percentile_interval
from medaudit.metrics.statistics import (
    adjust_p_values,
    delong,
    paired_difference,
    rank_methods,
    split_variance,
)


def draw(n, models, seed=0, levels=20):
    rng = np.random.default_rng(seed)
    y = rng.random(n) < 0.4
    shared = rng.normal(size=n)
    scores = [np.round(shared + rng.normal(size=n) + y, 1) for _ in range(models)]
    return y, np.array(scores)


def test_delong_is_its_plain_statement():
    y, scores = draw(60, 3)
    auc, covariance = delong(y, scores)
    pos, neg = np.flatnonzero(y), np.flatnonzero(~y)
    win = lambda a, b: (a > b) + 0.5 * (a == b)  # noqa: E731
    v10 = [[np.mean([win(s[i], s[j]) for j in neg]) for i in pos] for s in scores]
    v01 = [[np.mean([win(s[i], s[j]) for i in pos]) for j in neg] for s in scores]
    want = np.cov(v10) / len(pos) + np.cov(v01) / len(neg)
    np.testing.assert_allclose(auc, [roc_auc_score(y, s) for s in scores], atol=1e-12)
    np.testing.assert_allclose(covariance, want, atol=1e-12)


def test_clustered_delong_with_one_image_a_patient_is_delong():
    y, scores = draw(80, 2)
    plain = delong(y, scores)[1]
    np.testing.assert_allclose(delong(y, scores, np.arange(80)[::-1])[1], plain, atol=1e-14)


def test_clustered_delong_finds_the_spread_over_samples():
    rng = np.random.default_rng(0)
    found, variances, naive = [], [], []
    for _ in range(400):
        patient = np.repeat(np.arange(80), 3)
        y = rng.random(240) < np.repeat(rng.choice([0.1, 0.7], 80), 3)
        score = y + np.repeat(rng.normal(size=80), 3) + 0.3 * rng.normal(size=240)
        auc, covariance = delong(y, score[None], patient)
        found.append(auc[0])
        variances.append(covariance[0, 0])
        naive.append(delong(y, score[None])[1][0, 0])
    assert np.mean(variances) == pytest.approx(np.var(found), rel=0.2)
    assert np.mean(naive) < 0.8 * np.var(found)


def test_delong_needs_both_classes():
    with pytest.raises(MedauditError, match="both classes"):
        delong(np.ones(5, bool), np.arange(5.0)[None])


def plain_holm(p):
    order, m, running = np.argsort(p), len(p), 0.0
    out = np.empty(m)
    for rank, i in enumerate(order):
        running = max(running, min(1, (m - rank) * p[i]))
        out[i] = running
    return out


def plain_bh(p):
    order, m, running = np.argsort(p)[::-1], len(p), 1.0
    out = np.empty(m)
    for rank, i in zip(range(m, 0, -1), order, strict=True):
        running = min(running, p[i] * m / rank)
        out[i] = running
    return out


@pytest.mark.parametrize(("method", "plain"), [("holm", plain_holm), ("bh", plain_bh)])
def test_corrections_are_within_families(method, plain):
    p = pd.Series([0.01, 0.04, np.nan, 0.03, 0.5, 0.002], index=list("abcdef"))
    family = pd.Series(list("xxxyyy"), index=p.index)
    found = adjust_p_values(p, family, method)
    np.testing.assert_allclose(found[["a", "b"]], plain(np.array([0.01, 0.04])))
    np.testing.assert_allclose(found[["d", "e", "f"]], plain(np.array([0.03, 0.5, 0.002])))
    assert np.isnan(found["c"])
    with pytest.raises(MedauditError, match="unknown"):
        adjust_p_values(p, family, "none")


def test_paired_difference_uses_the_pairing():
    rng = np.random.default_rng(0)
    common = rng.normal(0, 0.1, 999)
    one, two = 0.8 + common, 0.75 + common + rng.normal(0, 0.01, 999)
    found = paired_difference(0.8, 0.75, one, two)
    assert found["difference"] == pytest.approx(0.05)
    assert 0.02 < found["low"] < found["high"] < 0.08
    assert found["p_value"] == pytest.approx(2 / 1000)
    two[:200] = np.nan
    assert np.isnan(paired_difference(0.8, 0.75, one, two)["low"])


def test_ranks_follow_demsar():
    rng = np.random.default_rng(0)
    table = pd.DataFrame(rng.normal(size=(10, 4)) + [0, 0.5, 1, 3], columns=list("abcd"))
    found = rank_methods(table)
    ranks = (-table).rank(axis=1)
    n, k = table.shape
    chi = 12 * n / (k * (k + 1)) * ((ranks.mean() ** 2).sum() - k * (k + 1) ** 2 / 4)
    assert found.statistic == pytest.approx(chi)
    assert found.p_value == pytest.approx(stats.chi2.sf(chi, k - 1))
    assert found.critical_difference == pytest.approx(
        2.569 * np.sqrt(k * (k + 1) / (6 * n)), rel=1e-3
    )
    pd.testing.assert_series_equal(found.mean_rank, ranks.mean())
    for one, two in itertools.combinations("abcd", 2):
        apart = abs(found.mean_rank[one] - found.mean_rank[two])
        assert (found.pairwise.loc[one, two] < 0.05) == (apart > found.critical_difference)
    assert rank_methods(-table, larger_is_better=False).mean_rank.equals(found.mean_rank)
    with pytest.raises(MedauditError, match="at least 3 methods"):
        rank_methods(table[["a", "b"]])


def test_variance_is_split_in_sampling_and_seeds():
    rng = np.random.default_rng(0)
    same = {"cohort": "c", "model": "m", "method": "x", "task": "A", "attribute": "all",
            "group": "all", "metric": "auc", "dialect": "medaudit"}  # fmt: skip
    metrics = pd.DataFrame(
        [{**same, "seed": s, "value": v, "status": "ok"}
         for s, v in (("0", 0.7), ("1", 0.8), ("mean", 0.75))]
    )  # fmt: skip
    drawn = rng.normal(0, [[0.1], [0.2], [5]], (3, 5000))
    found = split_variance(metrics, drawn).iloc[0]
    assert found["n_seeds"] == 2
    assert found["sampling"] == pytest.approx((0.01 + 0.04) / 2, rel=0.05)
    assert found["seeds"] == pytest.approx(0.005)


def test_percentiles_are_numpys_and_need_defined_replicates():
    drawn = np.random.default_rng(0).normal(size=(3, 200))
    drawn[1, :5] = np.nan
    drawn[2, :50] = np.nan
    low, high = percentile_interval(drawn, 0.9)
    for row in range(2):
        want = np.nanquantile(drawn[row], [0.05, 0.95])
        np.testing.assert_allclose((low[row], high[row]), want)
    assert np.isnan(low[2]) and np.isnan(high[2])


def test_bca_is_scipys_for_a_mean():
    rng = np.random.default_rng(0)
    data = rng.exponential(size=40)
    result = stats.bootstrap((data,), np.mean, n_resamples=4000, method="BCa", rng=rng)
    drawn = result.bootstrap_distribution[None]
    left_out = np.array([[np.delete(data, i).mean() for i in range(40)]])
    low, high = bca_interval(np.array([data.mean()]), drawn, left_out, 0.95)
    assert low[0] == pytest.approx(result.confidence_interval.low, abs=2e-3)
    assert high[0] == pytest.approx(result.confidence_interval.high, abs=2e-3)


def test_a_constant_statistic_has_a_point_for_an_interval():
    drawn, value = np.ones((1, 100)), np.ones(1)
    for low, high in (
        percentile_interval(drawn, 0.95),
        bca_interval(value, drawn, np.ones((1, 10)), 0.95),
        inflated_interval(value, drawn, 0.95),
    ):
        assert low[0] == high[0] == 1
