"""Effective sizes against loops over patients, and their limits against statsmodels and truth."""

import numpy as np
import pytest
from scipy.stats import binom
from sklearn.metrics import f1_score, roc_auc_score
from statsmodels.stats.proportion import proportion_confint

from medaudit.metrics.effective_size import lattice_shift, ranking_size, wilson_limits
from medaudit.metrics.influence import Moments, UnitSums, _base, _ranking
from medaudit.metrics.sorted_scores import sort_images


def test_limits_without_shift_are_statsmodels_wilson():
    for size in (5, 17, 400):
        for right in (0, 1, size // 2, size):
            found = wilson_limits(np.array(right / size), np.array(float(size)), 1.959963984540054)
            want = proportion_confint(right, size, 0.05, "wilson")
            np.testing.assert_allclose(found, want, atol=1e-12)


def test_moved_limits_cover_every_rate_from_5_trials_on():
    for size in range(5, 301):
        right = np.arange(size + 1)
        trials = np.full(size + 1, float(size))
        low, high = wilson_limits(right / size, trials, 1.959964, lattice_shift(trials))
        assert (high - low).min() > 0
        for rate in np.arange(0.80, 0.981, 0.01):
            shown = binom.pmf(right, size, rate)[(low <= rate) & (rate <= high)].sum()
            assert shown >= 0.929, (size, rate)


def make(clustered: bool, weighted: bool):
    rng = np.random.default_rng(3)
    unit = rng.integers(0, 40, 160) if clustered else np.arange(160)
    y = rng.random(160) < 0.4
    score = np.clip(np.round(0.5 * y + rng.random(160) * 0.6, 2), 0, 1)
    factor = rng.lognormal(0, 0.7, 160) if weighted else np.ones(160)
    decision = score >= 0.6
    scores = sort_images(
        unit=unit, group=np.zeros(160, int), n_groups=1, positive=y, score=score,
        decision=decision, factor=factor, bins=15,
    )  # fmt: skip
    units = int(unit.max()) + 1
    return unit, y, score, decision, factor, UnitSums(scores, units), units


METRICS = {
    "tpr": lambda y, s, d, w: (w * (y & d)).sum() / (w * y).sum(),
    "fpr": lambda y, s, d, w: (w * (~y & d)).sum() / (w * ~y).sum(),
    "ppv": lambda y, s, d, w: (w * (y & d)).sum() / (w * d).sum(),
    "accuracy": lambda y, s, d, w: (w * (y == d)).sum() / w.sum(),
    "f1": lambda y, s, d, w: f1_score(y, d, sample_weight=w),
    "auc": lambda y, s, d, w: roc_auc_score(y, s, sample_weight=w),
}


@pytest.mark.parametrize("clustered", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("metric", METRICS)
def test_variances_are_sums_of_squared_influence_of_patients(metric, clustered, weighted):
    """A patient's influence is the derivative of the metric when the patient weighs more."""
    unit, y, score, decision, factor, sums, units = make(clustered, weighted)
    value = METRICS[metric]
    step = 1e-5
    influence = []
    for one in range(units):
        up, down = (np.where(unit == one, 1 + sign * step, 1) * factor for sign in (1, -1))
        ends = (value(y, score, decision, w) for w in (up, down))
        influence.append(np.subtract(*ends) / (2 * step))
    together = np.zeros((units, 1), np.int16)
    moments = Moments(sums, together, np.ones((2, 1)))
    if metric == "auc":
        at = np.full((1, 1), value(y, score, decision, factor))
        sides = np.array([[y[unit == u].any(), (~y[unit == u]).any()] for u in range(units)])
        patients = [_base(name, moments).patients[0, 0] for name in ("tpr", "fpr")]
        scale = np.select(
            [~sides[:, 1], ~sides[:, 0]],
            [patients[0] / (patients[0] - 1), patients[1] / (patients[1] - 1)],
            min(patients) / (min(patients) - 1),
        )
        _, found = _ranking(sums, moments, together, at, _base("auc", moments))
        assert found[0, 0] == pytest.approx((np.square(influence) * scale).sum(), rel=1e-4)
    else:
        found = moments.variance(metric)[0, 0]
        assert found == pytest.approx(np.square(influence).sum(), rel=1e-5)


def test_an_auc_is_worth_no_more_trials_than_hanley_and_mcneil_give():
    for value, positives, negatives in ((0.8, 20, 60), (0.95, 10, 200), (0.9, 50, 15)):
        size = float(ranking_size(*(np.array(float(x)) for x in (value, positives, negatives))))
        trials = 2 * min(positives, negatives)
        at = (value * trials + 1) / (trials + 2)
        q1, q2 = at / (2 - at), 2 * at**2 / (1 + at)
        variance = at * (1 - at) + (positives - 1) * (q1 - at**2) + (negatives - 1) * (q2 - at**2)
        assert size <= at * (1 - at) / (variance / (positives * negatives)) * (1 + 1e-12)
