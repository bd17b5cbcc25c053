"""Percentile intervals against NumPy."""

import numpy as np

from medaudit.metrics.intervals import percentile_interval


def test_percentiles_are_numpys_and_need_defined_replicates():
    drawn = np.random.default_rng(0).normal(size=(3, 200))
    drawn[1, :5] = np.nan
    drawn[2, :50] = np.nan
    low, high = percentile_interval(drawn, 0.9)
    for row in range(2):
        want = np.nanquantile(drawn[row], [0.05, 0.95])
        np.testing.assert_allclose((low[row], high[row]), want)
    assert np.isnan(low[2]) and np.isnan(high[2])
