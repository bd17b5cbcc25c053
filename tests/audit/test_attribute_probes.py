"""Planted encodings are found where they were planted."""

import numpy as np
import pandas as pd
from scipy.stats import ks_2samp, norm
from statsmodels.stats.multitest import multipletests

from medaudit.audit.attribute_probes import attribute_probes, probe_attributes
from medaudit.audit.attribute_probes.marginals import compare_marginals
from medaudit.core.audit_tables import MARGINALS, PROBES
from medaudit.core.table_io import COHORT, EMBEDDINGS, read_table, write_table
from medaudit.metrics.resampling import draw_rows, permute_labels

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


def test_patients_are_drawn_whole_and_every_stratum_keeps_its_size():
    patients = np.repeat(np.arange(30), 3)
    strata = np.where(patients < 4, "rare", "common")
    weights = draw_rows(patients, strata, "stream", 50)
    by_patient = weights.reshape(30, 3, 50)
    assert (by_patient == by_patient[:, :1]).all()
    assert (by_patient[:4, 0].sum(axis=0) == 4).all()
    assert (by_patient[4:, 0].sum(axis=0) == 26).all()
    labels = permute_labels(patients < 12, patients, ("stream",), 40)
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
