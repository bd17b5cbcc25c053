"""Outcomes of cases: against scikit-learn, jackknife and bootstrap; level and coverage."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

import outcome_samples
from medaudit.metrics.outcome_gaps import assess_outcome
from medaudit.metrics.outcome_groups import group_outcomes, outcome_limits, sum_units
from medaudit.metrics.outcome_metrics import (
    KAPPA,
    MEAN,
    OUTCOME_METRICS,
    Outcome,
    mean_of,
    moments_of,
)


def values_of(outcome: Outcome, patient: np.ndarray, codes: np.ndarray, groups: int):
    units = sum_units(outcome, patient, codes)
    return units, group_outcomes(units, units.group[:, None], groups)


def sample(kind: str, n: int = 240, seed: int = 0):
    rng = np.random.default_rng(seed)
    patient, codes = np.repeat(np.arange(n // 2), 2), rng.integers(0, 3, n)
    y, noise = rng.integers(0, 5, n).astype(float), rng.integers(-1, 2, n)
    p = np.clip(y + noise, 0, 4)
    if kind == KAPPA:
        return Outcome("x", "kappa", KAPPA, moments_of(y, p), (-1.0, 1.0)), patient, codes, y, p
    return Outcome("x", "mae", MEAN, mean_of(np.abs(p - y))), patient, codes, y, p


def test_kappa_is_that_of_scikit_learn():
    outcome, patient, codes, y, p = sample(KAPPA)
    _, found = values_of(outcome, patient, codes, 3)
    for g in range(3):
        own = codes == g
        expected = cohen_kappa_score(y[own], p[own], weights="quadratic")
        assert found.value[g, 0] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", [MEAN, KAPPA])
def test_the_error_is_that_of_leaving_patients_out(kind):
    outcome, patient, codes, *_ = sample(kind, 600)
    codes[:] = codes[patient * 2]  # a patient is in one group
    _, found = values_of(outcome, patient, codes, 3)
    for g in range(3):
        own = np.unique(patient[codes == g])
        left = []
        for one in own:
            kept = (codes == g) & (patient != one)
            sums = outcome.columns[kept].sum(axis=0)[:, None]
            left.append(float(OUTCOME_METRICS[kind].compute(sums)[0]))
        n = own.size
        jackknife = np.sqrt((n - 1) / n * ((left - np.mean(left)) ** 2).sum())
        assert found.error[g, 0] == pytest.approx(jackknife, rel=0.03)


@pytest.mark.parametrize("kind", [MEAN, KAPPA])
def test_gradients_are_those_of_small_steps(kind):
    outcome, *_ = sample(kind)
    sums = outcome.columns.sum(axis=0)[:, None]
    metric, step = OUTCOME_METRICS[kind], 1e-4
    for k in range(len(sums)):
        moved = sums.copy()
        moved[k] += step
        expected = (metric.compute(moved) - metric.compute(sums)) / step
        assert metric.gradient(sums)[k] == pytest.approx(expected, rel=1e-3, abs=1e-7)


def test_values_that_are_missing_take_no_part():
    values = np.array([1.0, np.nan, 3.0, 5.0])
    outcome = Outcome("x", "x", MEAN, mean_of(values))
    _, found = values_of(outcome, np.arange(4), np.array([0, 0, 0, -1]), 1)
    assert found.value[0, 0] == 2 and found.units[0, 0] == 2


def test_a_rate_of_0_has_an_interval_and_one_patient_has_none():
    outcome = Outcome("x", "x", MEAN, mean_of(np.zeros(30)), (0.0, 1.0))
    _, found = values_of(outcome, np.arange(30), np.zeros(30, int), 1)
    limits = outcome_limits(outcome, found, 0.95)
    assert limits.low[0] == 0 and 0.05 < limits.high[0] < 0.2
    _, found = values_of(outcome, np.zeros(30, int), np.zeros(30, int), 1)
    assert np.isnan(outcome_limits(outcome, found, 0.95).high[0])


def test_the_interval_of_a_gap_excludes_0_if_and_only_if_the_test_rejects():
    for gap in (0.0, 1.0, 3.0):
        rng = np.random.default_rng(int(gap))
        columns, patient, group = outcome_samples.error(rng, (30, 60, 90), gap)
        outcome = Outcome("x", "x", MEAN, columns)
        units, found = values_of(outcome, patient, group, 3)
        kept = np.ones(3, bool)
        assessed, least = assess_outcome(units, found, kept, ("t",), 199, 0.95)
        assert (assessed.low > 0) == (assessed.p_value <= 0.05)
        assert assessed.low <= np.ptp(found.value) <= assessed.high and least > 0
        assert assessed.upper < assessed.high


def test_a_planted_gap_of_the_detectable_size_is_found_in_four_of_five_samples():
    rng = np.random.default_rng(1)
    draw = outcome_samples.error
    least = []
    for _ in range(5):
        columns, patient, group = draw(rng, (60, 60))
        units, found = values_of(Outcome("x", "x", MEAN, columns), patient, group, 2)
        least.append(assess_outcome(units, found, np.ones(2, bool), ("t",), 199, 0.95)[1])
    hits = 0
    for _ in range(150):
        columns, patient, group = draw(rng, (60, 60), float(np.mean(least)))
        units, found = values_of(Outcome("x", "x", MEAN, columns), patient, group, 2)
        hits += assess_outcome(units, found, np.ones(2, bool), ("t",), 199, 0.95)[0].p_value <= 0.05
    assert 0.7 < hits / 150 < 0.9


@pytest.mark.parametrize("name", outcome_samples.CASES)
def test_level_and_coverage(name):
    """300 samples; standard errors about .013. The page docs/outcomes.md has 1,000."""
    level, coverage = outcome_samples.simulate(name, (30, 90), 300)
    assert level <= 0.05 + 3 * 0.0126
    assert coverage >= 0.92
