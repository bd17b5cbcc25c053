"""Intervals against NumPy, SciPy and their plain statements."""

import numpy as np
import pytest
from scipy import stats

from medaudit.metrics.intervals import bca_interval, inflated_interval, percentile_interval


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
