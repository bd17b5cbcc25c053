"""Planted encodings and planted gaps are found where they were planted."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import ks_2samp, norm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score, roc_curve
from statsmodels.stats.multitest import multipletests

from medaudit.audit.attribute_probes import attribute_probes, probe_attributes
from medaudit.audit.attribute_probes.marginals import compare_marginals
from medaudit.audit.gap_decomposition.split_gap import (
    Side,
    draw_platt,
    fit_platt,
    operating_point,
    roc_point,
    split_gap,
)
from medaudit.audit.patient_bootstrap import auc_draws, patient_weights, permuted_labels
from medaudit.core.audit_tables import MARGINALS, PROBES
from medaudit.core.table_io import COHORT, EMBEDDINGS, read_table, write_table

EVALUATION = {
    "bootstrap": {"draws": 200, "level": 0.95},
    "null": {"draws": 200},
    "minimum": {"n": 10, "n_pos": 3, "n_neg": 3},
}


def cohort_of(n: int = 600) -> pd.DataFrame:
    rng = np.random.default_rng(8)
    patient = rng.integers(0, n // 2, n)
    split = np.array(["train", "val", "test", "test"])[patient % 4]
    sex = np.array(["female", "male"])[(patient // 4) % 2]
    site = np.array(["a", "b", "c"])[(patient // 7) % 3]
    return pd.DataFrame(
        {
            "image_id": [f"i{k}" for k in range(n)],
            "patient_id": [f"p{k}" for k in patient],
            "path": [f"{k}.png" for k in range(n)],
            "age": np.nan,
            "view": None,
            "split": split,
            "a_sex": pd.Series(sex).where(rng.random(n) > 0.05, None),
            "a_site": site,
        }
    )


def embeddings_of(cohort: pd.DataFrame, shift: float) -> np.ndarray:
    rng = np.random.default_rng(9)
    vectors = rng.normal(size=(len(cohort), 6))
    vectors[:, 2] += shift * (cohort["a_sex"] == "female")
    return vectors.astype(np.float32)


def test_auc_of_draws_is_scikit_learns_with_ties_and_weights():
    rng = np.random.default_rng(0)
    score, positive = rng.integers(0, 6, 80) / 5, rng.random(80) < 0.4
    weights = rng.integers(0, 4, (80, 150))
    expected = [roc_auc_score(positive, score, sample_weight=w) for w in weights.T]
    np.testing.assert_allclose(auc_draws(score, positive, weights), expected, atol=1e-12)
    labels = rng.random((80, 120)) < 0.5
    expected = [roc_auc_score(column, score) for column in labels.T]
    np.testing.assert_allclose(auc_draws(score, labels, np.ones((80, 1))), expected, atol=1e-12)
    assert np.isnan(auc_draws(score, np.ones(80, bool), np.ones((80, 1)))).all()


def test_patients_are_drawn_whole_and_every_stratum_keeps_its_size():
    patients = np.repeat(np.arange(30), 3)
    strata = np.where(patients < 4, "rare", "common")
    weights = patient_weights(patients, strata, 50, np.random.default_rng(0))
    by_patient = weights.reshape(30, 3, 50)
    assert (by_patient == by_patient[:, :1]).all()
    assert (by_patient[:4, 0].sum(axis=0) == 4).all()
    assert (by_patient[4:, 0].sum(axis=0) == 26).all()
    labels = permuted_labels(patients < 12, patients, 40, np.random.default_rng(0))
    labels = labels.reshape(30, 3, 40)
    assert (labels == labels[:, :1]).all() and (labels[:, 0].sum(axis=0) == 12).all()
    assert (labels[:, 0, :1] != labels[:, 0, 1:]).any()


def test_probe_finds_a_planted_attribute_and_not_an_absent_one():
    cohort = cohort_of()
    planted = probe_attributes(
        cohort, embeddings_of(cohort, 2.0), ["sex", "site"], "c", EVALUATION
    ).set_index(["attribute", "group", "probe"])
    assert set(planted.index.get_level_values("group")) == {"female", "a", "b", "c"}
    truth = norm.cdf(2.0 / np.sqrt(2))
    for probe in ("linear", "knn"):
        row = planted.loc["sex", "female", probe]
        assert row["low"] < row["value"] < row["high"]
        assert row["value"] > 0.8 and row["p_value"] < 0.01
        assert row["null_q95"] < 0.62 and abs(row["null_mean"] - 0.5) < 0.02
    assert planted.loc["sex", "female", "linear"]["low"] < truth
    assert planted.loc["sex", "female", "linear"]["high"] > truth - 0.03
    other = planted.loc["site"]
    assert (other["p_value"] > 0.01).all() and other["value"].between(0.35, 0.65).all()


def test_probe_does_not_read_the_labels_of_the_test_rows_when_it_fits():
    cohort = cohort_of()
    vectors = embeddings_of(cohort, 2.0)
    test = cohort["split"] == "test"
    swapped = cohort.copy()
    swapped.loc[test, "a_sex"] = swapped.loc[test, "a_sex"].map(
        {"female": "male", "male": "female"}
    )
    first, second = (
        probe_attributes(table, vectors, ["sex"], "c", EVALUATION)["value"].to_numpy()
        for table in (cohort, swapped)
    )
    np.testing.assert_allclose(first, 1 - second, atol=1e-12)


def test_probe_of_a_small_group_is_too_few():
    cohort = cohort_of()
    cohort["a_rare"] = "no"
    cohort.loc[cohort.index[cohort["split"] == "test"][:4], "a_rare"] = "yes"
    found = probe_attributes(cohort, embeddings_of(cohort, 0), ["rare"], "c", EVALUATION)
    assert set(found["status"]) == {"too_few"} and found["value"].isna().all()
    assert (found["n_pos"].isin([4, (cohort["split"] == "test").sum() - 4])).all()


def test_marginals_are_scipys_tests_with_statsmodels_correction():
    rng = np.random.default_rng(2)
    groups = pd.Series(np.where(rng.random(200) < 0.3, "x", "y"))
    points = {"pca": rng.normal(size=(200, 3)), "tsne": rng.normal(size=(150, 2))}
    points["pca"][:, 1] += groups == "x"
    found = compare_marginals(points, {"g": groups}, 10)
    raw = [
        ks_2samp(axis[groups[: len(axis)] == "x"], axis[groups[: len(axis)] == "y"], method="asymp")
        for axis in [*points["pca"].T, *points["tsne"].T]
    ]
    np.testing.assert_allclose(found["statistic"], [r.statistic for r in raw])
    adjusted = multipletests([r.pvalue for r in raw], method="fdr_by")[1]
    np.testing.assert_allclose(found["p_adjusted"], adjusted)
    assert found.loc[found["p_adjusted"] < 0.01, ["projection", "component"]].values.tolist() == [
        ["pca", 2]
    ]
    few = compare_marginals(points, {"g": groups.where(groups.index < 5, "y")}, 10)
    assert set(few["status"]) == {"too_few"} and few["p_adjusted"].isna().all()


def test_stage_writes_both_tables_and_the_same_bytes_twice(tmp_path):
    cohort = cohort_of(240)
    write_table(cohort, tmp_path / "c.parquet", COHORT)
    vectors = list(embeddings_of(cohort, 3.0))
    table = pd.DataFrame({"image_id": cohort["image_id"], "embedding": vectors})
    write_table(table.iloc[::-1], tmp_path / "e.parquet", EMBEDDINGS)
    settings = {"cohort": "c", "model": "m", "attributes": ["sex", ["sex", "site"]]}
    settings["evaluation"] = EVALUATION
    texts = []
    for run in ("1", "2"):
        paths = {"output": tmp_path / f"{run}.csv", "marginals": tmp_path / f"{run}m.csv"}
        attribute_probes(
            settings, cohort=tmp_path / "c.parquet", embeddings=tmp_path / "e.parquet", **paths
        )
        texts.append([path.read_bytes() for path in paths.values()])
    assert texts[0] == texts[1]
    probes = read_table(tmp_path / "1.csv", PROBES)
    assert probes["probe"].tolist() == ["linear", "knn"] and (probes["value"] > 0.9).all()
    assert set(read_table(tmp_path / "1m.csv", MARGINALS)["projection"]) == {"pca", "tsne"}


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
