"""Recalibration and thresholds after training against scikit-learn, fairlearn and loops."""

import numpy as np
import pytest
from scipy.special import expit, logit

from medaudit.adapt import group_thresholds
from medaudit.adapt.after_training import AFTER_TRAINING, Scored, apply_after, needs_group
from medaudit.adapt.recalibrate import CALIBRATORS, by_group, fit_beta, fit_isotonic, fit_platt

MINIMUM = {"n": 10, "n_pos": 3, "n_neg": 3}
RULE = {"rule": "youden"}


def draw(seed, n=400):
    rng = np.random.default_rng(seed)
    group, y = rng.integers(0, 2, n), rng.integers(0, 2, n)
    score = expit(1.6 * y - 1.2 * group + rng.normal(size=n) - 0.3)  # shifted down in group 1
    return Scored(score, y, group)


def test_platt_is_scikit_learns():
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator

    class Logits(ClassifierMixin, BaseEstimator):
        def fit(self, x, y):
            self.classes_ = np.array([0, 1])
            return self

        def decision_function(self, x):
            return x[:, 0]

        def predict(self, x):
            return (x[:, 0] > 0).astype(int)

    val = draw(0)
    x = logit(val.score)[:, None]
    frozen = FrozenEstimator(Logits().fit(x, val.y))
    reference = CalibratedClassifierCV(frozen, method="sigmoid", ensemble=False).fit(x, val.y)
    found = fit_platt(val.score, val.y)(val.score)
    np.testing.assert_allclose(found, reference.predict_proba(x)[:, 1], atol=1e-5)


def test_isotonic_is_scikit_learns():
    from sklearn.isotonic import IsotonicRegression

    val, test = draw(0), draw(1)
    expected = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(val.score, val.y)
    np.testing.assert_allclose(
        fit_isotonic(val.score, val.y)(test.score), expected.predict(test.score)
    )


def test_beta_is_a_logistic_regression_on_two_logarithms():
    from sklearn.linear_model import LogisticRegression

    val = draw(0)
    x = np.column_stack([np.log(val.score), -np.log(1 - val.score)])
    model = LogisticRegression(C=np.inf, tol=1e-10, max_iter=5000).fit(x, val.y)
    assert (model.coef_ >= 0).all()
    found = fit_beta(val.score, val.y)(val.score)
    np.testing.assert_allclose(found, model.predict_proba(x)[:, 1], atol=1e-5)


def test_beta_never_falls_and_a_useless_score_gets_the_prevalence():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 100)
    score = expit(rng.normal(size=200) - y)  # the wrong way round
    grid = np.linspace(0.001, 0.999, 99)
    assert (np.diff(fit_beta(score, y)(grid)) >= -1e-12).all()
    np.testing.assert_allclose(fit_beta(score, y)(grid), 0.5)


def test_saturated_scores_stay_finite():
    y = np.tile([0, 1], 50)
    score = np.where(y == 1, 1.0, 0.0)
    score[:4] = 0.5
    for name, fit in CALIBRATORS.items():
        assert np.isfinite(fit(score, y)(np.array([0.0, 1e-20, 0.5, 1.0]))).all(), name


@pytest.mark.parametrize("name", CALIBRATORS)
def test_by_group_fits_each_group_alone(name):
    val, test = draw(0), draw(1)
    apply, pooled = by_group(CALIBRATORS[name], val.score, val.y, val.group, 3)
    assert pooled == []
    found = apply(test.score, test.group)
    for g in (0, 1):
        own = CALIBRATORS[name](val.score[val.group == g], val.y[val.group == g])
        expected = np.clip(own(test.score[test.group == g]), 0, 1)
        np.testing.assert_allclose(found[test.group == g], expected)
    unknown = np.full(len(test.y), -1)
    np.testing.assert_allclose(
        apply(test.score, unknown), np.clip(CALIBRATORS[name](val.score, val.y)(test.score), 0, 1)
    )


@pytest.mark.parametrize("name", group_thresholds.CONSTRAINTS)
def test_threshold_optimizer_is_fairlearns(name):
    from fairlearn.postprocessing import ThresholdOptimizer
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Given(ClassifierMixin, BaseEstimator):
        def fit(self, x, y=None):
            self.classes_, self.fitted_ = np.array([0, 1]), True
            return self

        def predict_proba(self, x):
            return np.column_stack([1 - x[:, 0], x[:, 0]])

    val, test = draw(0), draw(1)
    constraint, tolerance = group_thresholds.CONSTRAINTS[name]
    direct = ThresholdOptimizer(
        estimator=Given().fit(None),
        constraints=constraint,
        objective="balanced_accuracy_score",
        prefit=True,
        predict_method="predict_proba",
        tol=tolerance,
    ).fit(val.score[:, None], val.y, sensitive_features=val.group)
    expected = direct.predict(test.score[:, None], sensitive_features=test.group, random_state=5)
    found = group_thresholds.optimise_thresholds(
        name, val.score, val.y, val.group, (test.score, test.group), 5
    )
    np.testing.assert_array_equal(found, expected)


def sensitivities(outcome, part):
    return [outcome.decision[(part.group == g) & (part.y == 1)].mean() for g in (0, 1)]


def test_a_threshold_per_group_mends_a_shifted_score():
    val, test = draw(0, 4000), draw(1, 4000)
    plain = apply_after("platt", val, test, RULE, MINIMUM, "t", 0)
    corrected = apply_after("equal_sensitivity", val, test, RULE, MINIMUM, "t", 0)
    before, after = sensitivities(plain, test), sensitivities(corrected, test)
    assert before[0] - before[1] > 0.3
    assert abs(after[0] - after[1]) < 0.1
    np.testing.assert_array_equal(corrected.score, test.score)


def test_group_thresholds_reach_everybodys_sensitivity_on_validation():
    val = draw(0)
    target = 0.7
    own = group_thresholds.equal_sensitivity(val.score, val.y, val.group, target)
    for g, cut in own.items():
        positives = np.sort(val.score[(val.group == g) & (val.y == 1)])
        assert (positives >= cut).mean() >= target
        assert (positives > cut).mean() < target  # the next higher score would miss the target
    assert group_thresholds.one_threshold(val.score, val.y, val.group, target) == min(own.values())


def test_one_threshold_needs_no_group_and_lowers_nobodys_sensitivity():
    val, test = draw(0), draw(1)
    plain = apply_after("platt", val, test, RULE, MINIMUM, "t", 0)
    blind = test._replace(group=np.full(len(test.y), -1))
    found = apply_after("one_threshold", val, blind, RULE, MINIMUM, "t", 0)
    assert (found.decision >= plain.decision).all()
    assert not needs_group("one_threshold") and not needs_group("platt")
    assert needs_group("platt_by_group") and needs_group("equalized_odds")


@pytest.mark.parametrize("name", AFTER_TRAINING)
def test_labels_of_test_are_not_read_and_small_groups_keep_the_common_rule(name):
    val, test = draw(0), draw(1)
    group = val.group.copy()
    group[:4] = 2  # too few for a threshold of its own
    val = val._replace(group=group)
    unread = Scored(test.score, np.empty(0), np.where(np.arange(len(test.y)) < 50, 2, test.group))
    found = apply_after(name, val, unread, RULE, MINIMUM, "t", 0)
    assert set(np.unique(found.decision)) <= {0, 1}
    assert found.score.min() >= 0 and found.score.max() <= 1
    if needs_group(name):
        assert found.pooled == (2,)
        lone = Scored(test.score, np.empty(0), np.full(len(test.y), -1))
        common = apply_after(name, val, lone, RULE, MINIMUM, "t", 0)
        np.testing.assert_array_equal(found.decision[:50], common.decision[:50])


@pytest.mark.parametrize("name", AFTER_TRAINING)
def test_without_both_classes_there_is_no_remedy(name):
    val, test = draw(0), draw(1)
    ones = val._replace(y=np.ones(len(val.y)))
    assert apply_after(name, ones, test, RULE, MINIMUM, "t", 0) is None
