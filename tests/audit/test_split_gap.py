"""A gap with one planted cause is split into that part, and the parts add up."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_curve

from medaudit.audit.gap_decomposition.split_gap import (
    Side,
    draw_platt,
    operating_point,
    roc_point,
    split_gap,
)
from medaudit.metrics.calibration import fit_platt


def binormal(rng, n, separation, prevalence, shift=0.0) -> tuple[np.ndarray, np.ndarray]:
    """Log odds of a calibrated two-normal model, moved by `shift`."""
    y = rng.random(n) < prevalence
    ratio = separation * rng.normal(size=n) + separation**2 / 2 * np.where(y, 1, -1)
    return ratio + np.log(prevalence / (1 - prevalence)) + shift, y


def column(fit: tuple[float, float]) -> np.ndarray:
    return np.array(fit)[:, None]


def parts_of(first: dict, second: dict, n: int = 30_000) -> dict:
    rng = np.random.default_rng(12)
    sides, val = [], []
    for planted in (first, second):
        margin, y = binormal(rng, n, **planted)
        val.append(binormal(rng, n, **planted))
        sides.append(Side(margin, y, np.ones((n, 1)), column(fit_platt(*val[-1]))))
    pooled = column(fit_platt(*(np.concatenate(parts) for parts in zip(*val, strict=True))))
    return {key: values[0] for key, values in split_gap(*sides, 0.0, pooled).items()}


def test_a_pure_ranking_gap():
    found = parts_of({"separation": 2, "prevalence": 0.5}, {"separation": 1, "prevalence": 0.5})
    truth = norm.cdf(1) - norm.cdf(0.5)
    for metric, gap in (("tpr", truth), ("fpr", -truth)):
        assert found[metric, "gap"] == pytest.approx(gap, abs=0.01)
        assert found[metric, "ranking"] == pytest.approx(gap, abs=0.01)
        assert found[metric, "calibration"] == pytest.approx(0, abs=0.015)
        assert found[metric, "threshold"] == pytest.approx(0, abs=0.015)


def test_a_pure_calibration_shift():
    same = {"separation": 1.5, "prevalence": 0.5}
    found = parts_of({**same, "shift": -1.0}, same)
    truth = norm.cdf((1.125 - 1) / 1.5) - norm.cdf(1.125 / 1.5)
    assert found["tpr", "gap"] == pytest.approx(truth, abs=0.01)
    for metric in ("tpr", "fpr"):
        gap = found[metric, "gap"]
        assert found[metric, "calibration"] == pytest.approx(gap, abs=0.015)
        assert found[metric, "ranking"] == pytest.approx(0, abs=0.015)
        assert found[metric, "threshold"] == pytest.approx(0, abs=0.015)


def test_a_shift_common_to_all_is_not_blamed_on_calibration():
    same = {"separation": 1.5, "prevalence": 0.5, "shift": -1.0}
    found = parts_of(same, same)
    assert max(abs(value) for value in found.values()) < 0.015


def test_a_pure_threshold_gap():
    found = parts_of({"separation": 1.5, "prevalence": 0.2}, {"separation": 1.5, "prevalence": 0.5})
    shift = np.log(0.25)
    truth = norm.cdf((1.125 + shift) / 1.5) - norm.cdf(1.125 / 1.5)
    assert found["tpr", "gap"] == pytest.approx(truth, abs=0.012)
    for metric in ("tpr", "fpr"):
        assert found[metric, "threshold"] == pytest.approx(found[metric, "gap"], abs=0.02)
        assert found[metric, "ranking"] == pytest.approx(0, abs=0.015)
        assert found[metric, "calibration"] == pytest.approx(0, abs=0.015)


def random_side(rng, n: int = 60, draws: int = 130) -> Side:
    margin, y = rng.integers(-4, 5, n) / 2, rng.random(n) < 0.5
    return Side(
        margin, y, rng.integers(0, 3, (n, draws)), column((rng.normal(), 0.5 + rng.random()))
    )


def test_parts_add_up_in_every_draw():
    rng = np.random.default_rng(3)
    found = split_gap(random_side(rng), random_side(rng), 0.5, column((0.1, 0.9)))
    for metric in ("tpr", "fpr"):
        total = sum(found[metric, part] for part in ("ranking", "calibration", "threshold"))
        np.testing.assert_allclose(total, found[metric, "gap"], atol=1e-12)
        assert np.isfinite(total).all()


def test_operating_points_and_roc_points_are_scikit_learns():
    side = random_side(np.random.default_rng(4))
    point = operating_point(side, 0.5)
    level = np.linspace(0, 1, side.weights.shape[1])
    on_curve = roc_point(side, level)
    np.testing.assert_allclose(on_curve.mean(axis=0), level, atol=1e-12)
    for draw, w in enumerate(side.weights.T):
        fpr, tpr, cuts = roc_curve(
            side.positive, side.margin, sample_weight=w, drop_intermediate=False
        )
        at = np.flatnonzero(cuts >= 0.5).max()
        np.testing.assert_allclose(point[:, draw], [tpr[at], fpr[at]], atol=1e-12)
        height, expected = (tpr + fpr) / 2, [tpr, fpr]
        expected = [np.interp(level[draw], height, curve) for curve in expected]
        np.testing.assert_allclose(on_curve[:, draw], expected, atol=1e-9)


def test_undefined_parts_are_missing():
    rng = np.random.default_rng(5)
    fine, empty = random_side(rng), random_side(rng)
    empty = Side(empty.margin, np.ones(60, bool), empty.weights, empty.platt)
    flat = Side(fine.margin, fine.positive, fine.weights, column((0.0, -1.0)))
    for other in (empty, flat):
        assert all(np.isnan(v).all() for v in split_gap(fine, other, 0.5, column((0, 1))).values())


def test_platt_is_scikit_learns_on_platts_targets():
    rng = np.random.default_rng(6)
    margin, y = binormal(rng, 300, 1.0, 0.3)
    n1, n0 = y.sum(), (~y).sum()
    target = np.where(y, (n1 + 1) / (n1 + 2), 1 / (n0 + 2))
    fitted = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(
        np.concatenate([margin, margin])[:, None],
        np.repeat([1, 0], 300),
        sample_weight=np.concatenate([target, 1 - target]),
    )
    expected = (fitted.intercept_[0], fitted.coef_[0, 0])
    np.testing.assert_allclose(fit_platt(margin, y), expected, rtol=1e-4)
    separated = fit_platt(np.array([-2.0, -1, 1, 2]), np.array([False, False, True, True]))
    assert np.isfinite(separated).all() and separated[1] > 0
    assert np.isnan(fit_platt(margin, np.ones(300, bool))).all()


def test_drawn_calibrations_spread_as_refitted_ones():
    rng = np.random.default_rng(7)
    margin, y = binormal(rng, 2000, 1.5, 0.3)
    weights = rng.multinomial(2000, np.full(2000, 1 / 2000), 150).T
    fast = draw_platt(margin, y, np.hstack([np.ones((2000, 1), int), weights]))
    np.testing.assert_allclose(fast[:, 0], fit_platt(margin, y), rtol=1e-9)
    refitted = np.array(
        [fit_platt(np.repeat(margin, w), np.repeat(y, w)) for w in weights.T[:60]]
    ).T
    np.testing.assert_allclose(fast[:, 1:61], refitted, atol=0.02)
    assert (fast[:, 1:].std(axis=1) > 0.04).all()


def test_each_draw_has_its_own_cut():
    side = random_side(np.random.default_rng(8), draws=4)
    cuts = np.array([-1.0, 0.0, 0.5, np.nan])
    found = operating_point(side, cuts)
    for draw, cut in enumerate(cuts[:3]):
        np.testing.assert_allclose(found[:, draw], operating_point(side, cut)[:, draw])
    assert np.isnan(found[:, 3]).all()
