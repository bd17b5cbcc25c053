"""Shrunken estimates against numerical integration, and in simulated cohorts."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from scipy.stats import binom, multivariate_normal, norm

from evaluate_case import make_case, make_settings
from medaudit.metrics import shrinkage
from medaudit.metrics.group_audit import audit
from medaudit.metrics.shrinkage import Likelihood, add_shrunk, main_effects, shrink

SIZES = np.array([12, 15, 20, 25, 30, 40, 50, 60, 80, 100, 150, 200])
CELLS = np.array([f"{s} & {r} & {a}" for s in "FM" for r in "ABCD" for a in "xyz"])


def no_effects(groups: int) -> np.ndarray:
    return np.empty((groups, 0))


def of_counts(right: np.ndarray, size: np.ndarray) -> Likelihood:
    size = np.broadcast_to(size, right.shape).astype(float)
    return Likelihood(right / size, size, True)


def grid_weights(density: np.ndarray) -> np.ndarray:
    """Weights of the grid's spreads from the density of the data at each."""
    spread = shrinkage.GRID
    prior = spread * np.exp(-((spread / shrinkage.SPREAD) ** 2) / 2) * np.gradient(spread)
    return density * prior / (density * prior).sum()


def test_normal_values_have_the_exact_posterior():
    value, variance = np.array([1.3, 0.7, 1.1, 0.2]), np.array([0.04, 0.3, 0.1, 0.5])
    found = shrink(Likelihood(value[None], 1 / variance[None], False), no_effects(4), 0.9)[0]
    noise, density, means, variances = np.diag(variance), [], [], []
    for spread in shrinkage.GRID:
        prior = shrinkage.MEAN_SPREAD**2 * np.ones((4, 4)) + spread**2 * np.eye(4)
        density.append(multivariate_normal(cov=prior + noise).pdf(value))
        gain = prior @ np.linalg.inv(prior + noise)
        means.append(gain @ value)
        variances.append(np.diag(prior - gain @ prior))
    weight = grid_weights(np.array(density))[:, None]
    mean = (weight * means).sum(axis=0)
    deviation = np.sqrt((weight * (np.array(variances) + (means - mean) ** 2)).sum(axis=0))
    np.testing.assert_allclose(found[:, 0], mean, atol=1e-6)
    np.testing.assert_allclose(found[:, 1], mean - norm.ppf(0.95) * deviation, atol=1e-6)
    np.testing.assert_allclose(found[:, 2], mean + norm.ppf(0.95) * deviation, atol=1e-6)


@pytest.mark.parametrize("right", [(40, 8), (55, 3), (30, 10), (58, 9)])
def test_proportions_against_numerical_integration(right):
    """Two groups of 60 and 10: the posterior on a fine lattice of both logits."""
    size, right = np.array([60, 10]), np.array(right)
    found = shrink(of_counts(right[None], size), no_effects(2), 0.95)[0]
    axis = np.linspace(-8, 9, 500)
    first, second = np.meshgrid(axis, axis, indexing="ij")
    points = np.stack([first, second], axis=-1)
    likelihood = binom.pmf(right[0], 60, expit(first)) * binom.pmf(right[1], 10, expit(second))
    density, tables = [], []
    for spread in shrinkage.GRID:
        prior = shrinkage.MEAN_SPREAD**2 * np.ones((2, 2)) + spread**2 * np.eye(2)
        tables.append(likelihood * multivariate_normal(cov=prior).pdf(points))
        density.append(tables[-1].sum())
        tables[-1] /= density[-1]
    posterior = np.tensordot(grid_weights(np.array(density)), np.array(tables), axes=1)
    for group in (0, 1):
        total = np.cumsum(posterior.sum(axis=1 - group))
        ends = expit(np.interp([0.5, 0.025, 0.975], total, axis))
        # Laplace's approximation is symmetric in logits: near 1 its lower ends are cautious.
        assert found[group, 0] == pytest.approx(ends[0], abs=0.012)
        np.testing.assert_allclose(found[group], ends, atol=0.1 if group else 0.03)


def test_large_groups_keep_their_values_and_small_ones_move():
    found = shrink(
        of_counts(np.array([[8000, 6000, 7000, 5]]), np.array([10000, 10000, 10000, 5])),
        no_effects(4),
        0.95,
    )[0]
    np.testing.assert_allclose(found[:3, 0], [0.8, 0.6, 0.7], atol=0.002)
    assert 0.7 < found[3, 0] < 0.95 and found[3, 2] < 1
    assert (found[:, 1] < found[:, 0]).all() and (found[:, 0] < found[:, 2]).all()


def test_groups_without_an_error_have_an_interval():
    found = shrink(of_counts(np.array([[12, 5, 30], [0, 0, 0]]), np.array([12, 5, 30])),
                   no_effects(3), 0.95)  # fmt: skip
    assert (found[..., 1] < found[..., 2]).all()
    assert (found[0, :, 0] < 1).all() and (found[0, :, 2] < 1).all()
    np.testing.assert_allclose(found[1], 1 - found[0][:, [0, 2, 1]], atol=1e-9)


def test_the_order_of_groups_and_other_sets_change_nothing():
    rng = np.random.default_rng(0)
    right, design = rng.binomial(30, 0.8, (5, 24)), main_effects("s & r & a", CELLS)
    found = shrink(of_counts(right, 30), design, 0.95)
    order = rng.permutation(24)
    again = shrink(of_counts(right[:, order], 30), design[order], 0.95)
    np.testing.assert_allclose(again, found[:, order], atol=1e-6)
    alone = shrink(of_counts(right[:1], 30), design, 0.95)
    np.testing.assert_allclose(alone[0], found[0], atol=1e-4)


def test_an_empty_cell_of_an_intersection_learns_from_its_attributes():
    """Women .9, men .6: a cell without images is predicted by its sex."""
    size = np.full(24, 400.0)
    truth = np.where([cell.startswith("F") for cell in CELLS], 0.9, 0.6)
    size[[0, 23]] = 0
    found = shrink(
        Likelihood(truth[None], size[None], True), main_effects("s & r & a", CELLS), 0.95
    )
    np.testing.assert_allclose(found[0, [0, 23], 0], [0.9, 0.6], atol=0.04)
    pooled = shrink(Likelihood(truth[None], size[None], True), no_effects(24), 0.95)
    assert abs(pooled[0, 0, 0] - 0.9) > 0.05


def table(groups, attribute="race", **columns) -> pd.DataFrame:
    size = len(groups)
    frame = {"attribute": attribute, "group": groups, "metric": "tpr", "seed": "mean", "task": "A"}
    frame |= {"value": 0.8, "size": 50.0, "status": "ok", **columns}
    return pd.DataFrame({k: v if np.ndim(v) else [v] * size for k, v in frame.items()})


def test_which_rows_have_an_estimate():
    frame = pd.concat(
        [
            table(
                ["a", "b", "c", "all", "missing"], status=["ok", "ok", "too_few", "ok", "missing"]
            ),
            table(["a", "b"], metric="ece"),
            table(["a", "b"], task="B", status=["ok", "too_few"]),
            table(["all"], "all"),
        ],
        ignore_index=True,
    )
    add_shrunk(frame, np.zeros((len(frame), 5)), 0.95)
    have = frame["shrunk"].notna()
    assert list(np.flatnonzero(have)) == [0, 1]
    assert frame.loc[have, "shrunk"].between(0.75, 0.85).all()
    assert frame[have].eval("shrunk_low < shrunk < shrunk_high").all()


def test_calibration_is_shrunk_with_the_variance_of_its_replicates():
    frame = table(["a", "b", "c"], metric="calibration_slope", value=[0.9, 1.0, 2.0], size=np.nan)
    draws = np.random.default_rng(0).normal(0, 1, (3, 4000)) * np.array([[0.05], [0.05], [1.0]])
    add_shrunk(frame, draws, 0.95)
    found = frame["shrunk"].to_numpy()
    np.testing.assert_allclose(found[:2], [0.9, 1.0], atol=0.02)
    assert 0.95 < found[2] < 1.6


def test_the_audit_fills_the_columns():
    metrics, _ = audit(*make_case(), make_settings())
    groups = metrics[~metrics["group"].isin(["all", "missing"]) & metrics["status"].eq("ok")]
    shrunk = groups[~groups["metric"].isin(shrinkage.BIASED)]
    assert shrunk[["shrunk", "shrunk_low", "shrunk_high"]].notna().all(axis=None)
    assert shrunk.eval("shrunk_low < shrunk < shrunk_high").all()
    assert metrics.loc[metrics["status"] != "ok", "shrunk"].isna().all()
    cells = shrunk[(shrunk["attribute"] == "sex & age_group") & shrunk["metric"].eq("tpr")]
    by_seed = cells.groupby(["seed", "task"])[["value", "shrunk"]].std()
    assert (by_seed["shrunk"] < by_seed["value"]).all()


def at_an_end(values: np.ndarray, size: np.ndarray) -> float:
    """Share of samples in which a group of the smallest quarter has the largest or least value."""
    small = np.argsort(size, kind="stable")[: len(size) // 4]
    ends = [np.isin(place, small) for place in (values.argmax(axis=1), values.argmin(axis=1))]
    return float((ends[0] | ends[1]).mean())


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.5, 0.85, 0.95])
@pytest.mark.parametrize("spread", [0, 0.3, 0.6, 1.0])
def test_simulated_groups_are_covered_and_nearer_than_raw_values(rate, spread):
    rng = np.random.default_rng(int(100 * rate + 10 * spread))
    truth = expit(logit(rate) + spread * rng.normal(size=(600, 12)))
    right = rng.binomial(SIZES, truth)
    check(f"12 groups, rate {rate}, spread {spread}", truth, right, SIZES, no_effects(12))


@pytest.mark.slow
@pytest.mark.parametrize("rate", [0.85, 0.95])
@pytest.mark.parametrize("spreads", [(0, 0), (0.4, 0), (0.4, 0.3), (0, 0.5)])
def test_simulated_intersections(rate, spreads):
    rng = np.random.default_rng(int(100 * rate + 1000 * sum(spreads)))
    size = np.clip(rng.lognormal(3.4, 1, 24).round(), 12, 400).astype(int)
    design = main_effects("s & r & a", CELLS)
    main = spreads[0] * rng.normal(size=(600, design.shape[1])) @ design.T
    truth = expit(logit(rate) + main + spreads[1] * rng.normal(size=(600, 24)))
    check(f"sex x race x age, {rate}, {spreads}", truth, rng.binomial(size, truth), size, design)


def check(name, truth, right, size, design):
    found = shrink(of_counts(right, size), design, 0.95)
    covered = ((found[..., 1] <= truth) & (truth <= found[..., 2])).mean()
    error = np.sqrt(((found[..., 0] - truth) ** 2).mean())
    raw = np.sqrt(((right / size - truth) ** 2).mean())
    ends = at_an_end(found[..., 0], size), at_an_end(right / size, size)
    print(f"{name}: coverage {covered:.3f}, error {error:.4f} (raw {raw:.4f}), small {ends}")
    assert covered >= 0.92 and error < raw
    assert ends[0] < ends[1] and ends[0] < 0.5
