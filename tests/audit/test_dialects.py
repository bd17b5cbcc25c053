"""Definitions on cases worked by hand, fairlearn's where it is the definition, and rankings."""

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import demographic_parity_difference, equalized_odds_difference
from scipy.stats import kendalltau
from sklearn.metrics import f1_score, roc_auc_score

from medaudit.audit.dialects import dialects, score_dialects
from medaudit.audit.dialects.catalogue import METRICS_NEEDED
from medaudit.audit.dialects.dialect_rows import summarise
from medaudit.audit.dialects.rankings import rank_measures
from medaudit.core.audit_tables import DIALECTS
from medaudit.core.table_io import COHORT, PREDICTIONS, read_table, write_table
from medaudit.metrics import fairness_definitions as d
from medaudit.metrics.group_audit import audit

EVALUATION = {
    "metrics": list(METRICS_NEEDED),
    "threshold": {"rule": "fixed", "value": 0.5},
    "bootstrap": {"draws": 20, "level": 0.95},
    "minimum": {"n": 2, "n_pos": 1, "n_neg": 1},
}


def column(*values: float) -> np.ndarray:
    """Groups of one draw."""
    return np.array(values, float)[:, None]


def test_gaps_by_hand():
    auc = column(0.9, 0.7, 0.8)
    assert d.spread(auc) == pytest.approx(0.2)
    assert d.smallest(auc) == pytest.approx(0.7)
    assert d.equity_scaled(auc, np.array([0.85])) == pytest.approx(0.85 / 1.25)
    assert d.disparity_ratio(auc) == pytest.approx(7 / 9)


def test_odds_by_hand():
    tpr, fpr = column(0.9, 0.6), column(0.1, 0.2)
    assert d.equalized_odds_difference(tpr, fpr) == pytest.approx(0.3)
    assert d.mean_odds_difference(tpr, fpr) == pytest.approx(0.2)
    assert d.equalized_odds_score(tpr, fpr) == pytest.approx(0.8)
    assert d.equal_opportunity_ratio(tpr, fpr) == pytest.approx((6 / 9 + 8 / 9) / 2)
    assert d.demographic_parity_ratio(column(0.2, 0.4)) == pytest.approx((1 / 2 + 3 / 4) / 2)


def test_fairmedfm_states_the_same_with_true_negative_rates():
    tpr, fpr = column(0.9, 0.6, 0.7), column(0.1, 0.25, 0.2)
    stated = 1 - 0.5 * (np.ptp(tpr) + np.ptp(1 - fpr))
    assert d.equalized_odds_score(tpr, fpr) == pytest.approx(stated)


def test_clip_nih_by_hand():
    f1 = column(0.6, 0.5, 0.4, 0.1)
    gender, age = ["m", "m", "f", "f"], ["young", "old", "young", "old"]
    assert d.crossed_difference(f1, gender) == pytest.approx(0.55 - 0.25)
    assert d.crossed_difference(f1, age) == pytest.approx(0.5 - 0.3)
    assert np.isnan(d.crossed_difference(column(0.6, np.nan, 0.4, 0.1), gender))
    f1 = np.array([0.2, 0.4, 0.9, 0.1, 0.3, 0.5])
    assert d.class_variance(f1) == pytest.approx(np.sum((f1 - 0.4) ** 2) / 5)


def test_groups_that_cannot_be_estimated_are_passed_over_never_zero():
    assert d.spread(column(0.9, np.nan, 0.8)) == pytest.approx(0.1)
    for lone in (column(0.9, np.nan), column(np.nan, np.nan)):
        for compute in (d.spread, d.smallest, d.disparity_ratio):
            assert np.isnan(compute(lone)).all()
    assert np.isnan(d.disparity_ratio(column(0.0, 0.0)))
    assert d.disparity_ratio(column(0.0, 0.5)) == 0


def data(n: int = 300, seed: int = 0, tasks: tuple = ("a",)) -> tuple[pd.DataFrame, pd.DataFrame]:
    rng = np.random.default_rng(seed)
    ids = [f"i{k}" for k in range(n)]
    cohort = pd.DataFrame(
        {
            "image_id": ids,
            "patient_id": ids,
            "split": "test",
            "a_race": rng.choice(["x", "y", "z"], n),
            "a_sex": rng.choice(["f", "m"], n),
        }
    )
    rows = []
    for task in tasks:
        y = rng.random(n) < 0.4
        score = np.round(np.clip(0.3 + 0.3 * y + 0.3 * rng.normal(size=n), 0, 1), 2)
        rows.append(
            pd.DataFrame({"image_id": ids, "split": "test", "task": task, "seed": 0}).assign(
                y=y.astype(float), score=score
            )
        )
        cohort[f"y_{task}"] = y.astype(float)
    return cohort, pd.concat(rows, ignore_index=True)


def settings(task_type: str, model: str = "m", attributes=("race",)) -> dict:
    return {
        "cohort": "c",
        "model": model,
        "method": "given",
        "task_type": task_type,
        "attributes": list(attributes),
        "evaluation": EVALUATION,
    }


def scored(cohort, predictions, task_type="binary", **others) -> pd.DataFrame:
    metrics, drawn = audit(predictions, cohort, settings(task_type, **others))
    found = score_dialects(metrics, drawn, task_type)
    found = found[found["seed"] == "mean"]
    return found.set_index(["attribute", "dialect", "measure"]).sort_index()


def test_a_file_scored_as_fairlearn_and_scikit_learn_do():
    cohort, predictions = data()
    found = scored(cohort, predictions).loc["race"]
    y, decision = predictions["y"] == 1, predictions["score"] >= 0.5
    expected = equalized_odds_difference(y, decision, sensitive_features=cohort["a_race"])
    assert found.loc[("FairTune", "EOddsD (fairlearn)"), "value"] == pytest.approx(expected)
    expected = demographic_parity_difference(y, decision, sensitive_features=cohort["a_race"])
    assert found.loc[("FairTune", "DPD (fairlearn)"), "value"] == pytest.approx(expected)
    auc = {
        g: roc_auc_score(y[cohort["a_race"] == g], predictions["score"][cohort["a_race"] == g])
        for g in "xyz"
    }
    gap = max(auc.values()) - min(auc.values())
    for measure in ("fairness gap (gap of means)", "fairness gap (mean of gaps)"):
        assert found.loc[("How fair", measure), "value"] == pytest.approx(gap)
    total = roc_auc_score(y, predictions["score"])
    expected = total / (1 + sum(abs(total - a) for a in auc.values()))
    assert found.loc[("FairCLIP", "ES-AUC"), "value"] == pytest.approx(expected)
    assert (found["se"] > 0).all() and set(found["status"]) == {"ok"}


def test_gap_of_means_and_mean_of_gaps_differ_as_in_a_plain_loop():
    cohort, predictions = data(tasks=("a", "b", "c"))
    found = scored(cohort, predictions, "multilabel").loc[("race", "How fair")]["value"]
    auc = np.array(
        [
            [
                roc_auc_score(rows["y"][own], rows["score"][own])
                for own in ((cohort["a_race"] == g).to_numpy() for g in "xyz")
            ]
            for _, rows in predictions.groupby("task")
        ]
    )
    assert found["fairness gap (gap of means)"] == pytest.approx(np.ptp(auc.mean(axis=0)))
    assert found["fairness gap (mean of gaps)"] == pytest.approx(np.ptp(auc, axis=1).mean())
    assert found["fairness gap (mean of gaps)"] > found["fairness gap (gap of means)"]


def multiclass(n: int = 400) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 3, n)
    power = np.exp(rng.normal(size=(n, 3)) + 1.5 * np.eye(3)[truth])
    share = power / power.sum(axis=1, keepdims=True)
    cohort, _ = data(n)
    cohort = cohort.drop(columns="y_a").assign(
        **{f"y_{c}": (truth == k).astype(float) for k, c in enumerate("abc")}
    )
    rows = pd.concat(
        pd.DataFrame(
            {"image_id": cohort["image_id"], "split": "test", "task": c, "seed": 0}
        ).assign(y=(truth == k).astype(float), score=share[:, k])
        for k, c in enumerate("abc")
    )
    return cohort, rows, truth, share.argmax(axis=1)


def test_multiclass_dialects_are_the_plain_loops():
    cohort, rows, truth, chosen = multiclass()
    found = scored(cohort, rows, "multiclass", attributes=["sex", "race", ["sex", "race"]])
    female = (cohort["a_sex"] == "f").to_numpy()
    sides = (female, ~female)
    odds, dpm, eom = [], [], []
    for k in range(3):
        tpr = [np.mean(chosen[g & (truth == k)] == k) for g in sides]
        fpr = [np.mean(chosen[g & (truth != k)] == k) for g in sides]
        rate = [np.mean(chosen[g] == k) for g in sides]
        odds.append((abs(tpr[0] - tpr[1]) + abs(fpr[0] - fpr[1])) / 2)
        dpm.append(min(rate) / max(rate))
        eom.append(min(tpr) / max(tpr))
    accuracy = [np.mean(chosen[g] == truth[g]) for g in sides]
    sex = found.loc["sex"]["value"]
    assert sex["CLIP on NIH 6x200", "EqOdds"] == pytest.approx(np.mean(odds))
    assert sex["FairDisCo", "DPM"] == pytest.approx(np.mean(dpm))
    assert sex["FairDisCo", "EOM"] == pytest.approx(np.mean(eom))
    assert sex["FairDisCo", "PQD"] == pytest.approx(min(accuracy) / max(accuracy))
    macro = {
        (s, r): f1_score(truth[own], chosen[own], average="macro")
        for s in "fm"
        for r in "xyz"
        for own in [((cohort["a_sex"] == s) & (cohort["a_race"] == r)).to_numpy()]
    }
    means = [np.mean([macro[s, r] for r in "xyz"]) for s in "fm"]
    crossed = found.loc[("sex & race", "CLIP on NIH 6x200")]["value"]
    assert crossed["F1 delta sex"] == pytest.approx(abs(means[0] - means[1]))
    means = [np.mean([macro[s, r] for s in "fm"]) for r in "xyz"]
    assert crossed["F1 delta race"] == pytest.approx(np.ptp(means))
    classes = f1_score(truth, chosen, average=None)
    expected = np.var(classes, ddof=1)
    assert found.loc[("all", "CLIP on NIH 6x200", "Var_F1"), "value"] == pytest.approx(expected)


def test_weights_reach_the_dialects():
    cohort, predictions = data()
    rng = np.random.default_rng(9)
    weights = rng.integers(1, 4, len(cohort)).astype(float)
    cohort["w_race_a"] = weights
    given = {**settings("binary"), "test_weights": "equal_prevalence"}
    found = score_dialects(*audit(predictions, cohort, given), "binary")
    found = found[found["seed"] == "mean"].set_index(["attribute", "measure"])
    y, decision = predictions["y"] == 1, predictions["score"] >= 0.5
    expected = equalized_odds_difference(
        y, decision, sensitive_features=cohort["a_race"], sample_weight=weights
    )
    assert found.loc[("race", "EOddsD (fairlearn)"), "value"] == pytest.approx(expected)


def test_a_group_without_positives_is_left_out_and_counted():
    cohort, predictions = data()
    none = (cohort["a_race"] == "x").to_numpy()
    predictions.loc[none, "y"] = 0.0
    cohort.loc[none, "y_a"] = 0.0
    found = scored(cohort, predictions).loc[("race", "FairTune", "EOddsD (fairlearn)")]
    assert (found["n_groups"], found["n_estimable"]) == (3, 2)
    y, decision = predictions["y"] == 1, predictions["score"] >= 0.5
    tpr = [decision[y & (cohort["a_race"] == g)].mean() for g in "yz"]
    fpr = [decision[~y & (cohort["a_race"] == g)].mean() for g in "xyz"]
    assert found["value"] == pytest.approx(max(np.ptp(tpr), np.ptp(fpr)))
    only = cohort["a_race"].where(cohort["a_race"] == "x")
    lone = scored(cohort.assign(a_race=only), predictions).loc["race"]
    assert set(lone["status"]) == {"too_few"} and lone["value"].isna().all()


def test_seeds_are_averaged_after_the_gap():
    cohort, predictions = data()
    second = data(seed=7)[1].assign(seed=1, y=predictions["y"])
    metrics, drawn = audit(pd.concat([predictions, second]), cohort, settings("binary"))
    found = score_dialects(metrics, drawn, "binary")
    values = found[found["measure"] == "gap AUC"].set_index("seed")["value"]
    assert values["mean"] == pytest.approx((values["0"] + values["1"]) / 2)


def table(model: str, **values: tuple[float, str]) -> pd.DataFrame:
    rows = [
        {"measure": name, "value": value, "better": better}
        for name, (value, better) in values.items()
    ]
    return pd.DataFrame(rows).assign(
        cohort="c", model=model, method="x", seed="mean", attribute="sex", dialect="D"
    )


def test_swapped_pairs_and_kendalls_tau():
    scored = pd.concat(
        [
            table("a", gap=(0.1, "lower"), score=(0.9, "higher"), flat=(1.0, "lower")),
            table("b", gap=(0.2, "lower"), score=(0.5, "higher"), flat=(1.0, "lower")),
            table("c", gap=(0.3, "lower"), score=(0.7, "higher"), flat=(1.0, "lower")),
        ]
    )
    found = rank_measures(scored).set_index(["first", "second"])
    row = found.loc["D: gap", "D: score"]
    assert (row["n_runs"], row["n_swapped"], row["swapped"]) == (3, 1, "b / x > c / x")
    assert row["tau"] == pytest.approx(kendalltau([-0.1, -0.2, -0.3], [0.9, 0.5, 0.7]).statistic)
    random = np.random.default_rng(2)
    many = random.integers(0, 5, (2, 12)) / 10
    tables = [table(f"m{k}", p=(a, "lower"), q=(b, "higher")) for k, (a, b) in enumerate(many.T)]
    tied = rank_measures(pd.concat(tables)).iloc[0]
    assert tied["tau"] == pytest.approx(kendalltau(-many[0], many[1]).statistic)
    flat = found.loc["D: gap", "D: flat"]
    assert flat["status"] == "undefined:no_decision" and np.isnan(flat["tau"])
    assert set(rank_measures(table("a", x=(1, "lower"), y=(2, "lower")))["status"]) == {"too_few"}


def run_files(folder, cohort, predictions):
    """Write a run's inputs and return the stage's paths."""
    folder.mkdir(parents=True)
    cohort = cohort.assign(path="p", view="PA", age=50.0)
    write_table(cohort, folder / "cohort.parquet", COHORT)
    write_table(predictions, folder / "predictions.parquet", PREDICTIONS)
    return {
        "predictions": folder / "predictions.parquet",
        "cohort": folder / "cohort.parquet",
        "output": folder / "d.csv",
        "replicates": folder / "d.replicates.npy",
    }


def test_stage_is_the_metrics_of_evaluate_in_other_words(tmp_path):
    cohort, rows, truth, chosen = multiclass()
    given = settings("multiclass", attributes=["sex", "race", ["sex", "race"]])
    given["tasks"] = list("abc")
    given["evaluation"] = {**EVALUATION, "metrics": ["auc"], "null": {"draws": 30}}
    paths = run_files(tmp_path / "run", cohort, rows)
    dialects(given, **paths)
    found, drawn = read_table(paths["output"], DIALECTS), np.load(paths["replicates"])
    assert drawn.shape == (len(found), EVALUATION["bootstrap"]["draws"])
    full = {**given, "evaluation": {**EVALUATION, "metrics": list(METRICS_NEEDED)}}
    metrics, replicates = audit(rows, cohort, full)
    wanted = (metrics["metric"] == "accuracy") & (metrics["seed"] == "mean")
    wanted &= metrics["attribute"].eq("sex") & metrics["task"].eq("all")
    by_group = dict(zip(metrics["group"][wanted], replicates[wanted], strict=True))
    place = found[found["measure"].eq("PQD") & found["attribute"].eq("sex")].index
    pair = np.stack([by_group["f"], by_group["m"]]).astype(float)
    np.testing.assert_allclose(drawn[place[-1]], pair.min(axis=0) / pair.max(axis=0), rtol=1e-5)
    assert found.loc[place[-1], "se"] == pytest.approx(np.std(drawn[place[-1]], ddof=1), rel=1e-4)
    everybody = found[(found["attribute"] == "all") & (found["seed"] == "mean")]
    everybody = everybody.set_index(["measure", "task"])["value"]
    assert everybody["accuracy", "all"] == pytest.approx(np.mean(truth == chosen), abs=1e-5)
    macro = f1_score(truth, chosen, average=None)
    assert everybody["macro F1", "mean"] == pytest.approx(macro.mean(), abs=1e-5)
    assert everybody["F1", "b"] == pytest.approx(macro[1], abs=1e-5)
    again = {**paths, "output": tmp_path / "e.csv", "replicates": tmp_path / "e.replicates.npy"}
    dialects(given, **again, threads=2)
    for name in ("output", "replicates"):
        assert paths[name].read_bytes() == again[name].read_bytes()


def test_both_calibration_errors_and_the_textbook_gaps_by_a_plain_loop():
    cohort, rows, truth, chosen = multiclass()
    found = scored(cohort, rows, "multiclass", attributes=["race"]).loc["race"]["value"]
    share = rows.pivot(index="image_id", columns="task", values="score")
    share = share.loc[cohort["image_id"]].to_numpy()
    confidence, right = share.max(axis=1), chosen == truth
    errors, calibration, macro = [], [], []
    for g in "xyz":
        own = (cohort["a_race"] == g).to_numpy()
        errors.append(np.mean(abs(right[own] - confidence[own])))
        bins = np.minimum((confidence[own] * 15).astype(int), 14)
        calibration.append(
            sum(abs(np.sum(right[own][bins == b] - confidence[own][bins == b])) for b in range(15))
            / own.sum()
        )
        macro.append(f1_score(truth[own], chosen[own], average="macro"))
    assert found["CLIP on NIH 6x200", "mean |p - y| delta (its ECE)"] == pytest.approx(
        np.ptp(errors)
    )
    assert found["textbook", "ECE delta"] == pytest.approx(np.ptp(calibration))
    assert found["textbook", "F1 delta"] == pytest.approx(np.ptp(macro))
    assert found["textbook", "EqOdds"] == found["FairTune", "EOddsD (fairlearn)"]


def test_null_reference_finds_a_planted_gap_and_spares_a_fair_model(tmp_path):
    cohort, fair = data(600, seed=3)
    harmed = (cohort["a_sex"] == "f").to_numpy()
    random = np.random.default_rng(5)
    planted = fair.copy()
    planted.loc[harmed, "score"] = random.permutation(planted.loc[harmed, "score"])
    given = settings("binary", attributes=["sex"])
    given["evaluation"] = {**EVALUATION, "null": {"draws": 200}}
    p = {}
    for name, rows in (("fair", fair), ("planted", planted)):
        paths = run_files(tmp_path / name, cohort, rows)
        dialects(given, **paths)
        found = read_table(paths["output"], DIALECTS)
        found = found[(found["seed"] == "mean") & (found["attribute"] == "sex")]
        p[name] = found.set_index(["dialect", "measure"])
    for key in (("FairTune", "gap AUC"), ("textbook", "EqOdds"), ("MEDFAIR", "EqOdds score")):
        assert p["planted"].loc[key, "p_value"] <= 0.01
        assert p["fair"].loc[key, "p_value"] > 0.05
    row = p["planted"].loc[("FairCLIP", "ES-AUC")]
    assert row["value"] < row["null_q95"] < row["null_mean"]
    assert p["planted"].loc[("FairTune", "gap AUC"), "low"] > 0


def test_intervals_cover_fair_and_unfair_truths():
    random = np.random.default_rng(0)
    n, classes, draws, cohorts = 40, 6, 150, 150
    for rates in ((0.7, 0.7), (0.85, 0.55)):
        covered = 0
        for _ in range(cohorts):
            seen = random.binomial(n, np.array(rates)[None], (classes, 2)) / n
            drawn = random.binomial(n, seen[..., None], (classes, 2, draws)) / n
            tpr = np.concatenate([seen[..., None], drawn], axis=2)
            values = d.mean_odds_difference(tpr, tpr * 0).mean(axis=0)
            row = {"seed": "0", "attribute": "sex", "dialect": "D", "measure": "m", "task": "mean"}
            row |= {"better": "lower", "noisy": True, "values": values, "status": "ok"}
            row |= {"n_groups": 2, "n_estimable": 2}
            names = {"cohort": "c", "model": "m", "method": "x"}
            found = summarise([row], names, draws, 0.95)[0].iloc[0]
            truth = abs(rates[0] - rates[1]) / 2
            covered += found["low"] <= truth <= found["high"]
        assert covered / cohorts >= 0.92


def test_tasks_that_depend_on_each_other_do_not_make_a_fair_model_look_unfair(tmp_path):
    """Ten tasks that are one: the null of their mean must be that of the one.

    A third group is too small, which must change nothing.
    """
    cohort, rows = data(300, seed=3)
    tasks = [f"t{k}" for k in range(10)]
    copies = pd.concat([rows.assign(task=name) for name in tasks], ignore_index=True)
    many = cohort.drop(columns="y_a").assign(**dict.fromkeys(tasks, np.nan))
    many = many.drop(columns=tasks).assign(**{f"y_{name}": cohort["y_a"] for name in tasks})
    spread = {}
    for table in (cohort, many):
        table.loc[:3, "a_sex"] = "x"
    for name, table, given in (("one", cohort, rows), ("ten", many, copies)):
        task_type = "binary" if name == "one" else "multilabel"
        chosen = settings(task_type, attributes=["sex"])
        bootstrap = {**EVALUATION["bootstrap"], "draws": 200}
        chosen["evaluation"] = {**EVALUATION, "bootstrap": bootstrap, "null": {"draws": 400}}
        chosen["evaluation"]["minimum"] = {"n": 10, "n_pos": 1, "n_neg": 1}
        paths = run_files(tmp_path / name, table, given)
        dialects(chosen, **paths)
        found = read_table(paths["output"], DIALECTS)
        found = found[(found["seed"] == "mean") & (found["attribute"] == "sex")]
        spread[name] = found.set_index(["dialect", "measure"])
    gap = [("FairTune", "gap AUC"), ("textbook", "F1 delta"), ("CLIP on NIH 6x200", "EqOdds")]
    for key in gap:
        one, ten = (spread[name].loc[key] for name in ("one", "ten"))
        assert ten["value"] == pytest.approx(one["value"], abs=1e-5)
        assert (ten["n_estimable"], ten["n_groups"]) == (2, 3)
        assert ten["null_q95"] == pytest.approx(one["null_q95"], rel=0.25)
        assert ten["p_value"] == pytest.approx(one["p_value"], abs=0.12)


def test_fairtunes_decisions_are_by_the_largest_score(tmp_path):
    cohort, predictions = data()
    rule = {"rule": "fixed", "value": 0.3}
    given = settings("binary")
    given["evaluation"] = {**EVALUATION, "threshold": rule, "null": {"draws": 30}}
    paths = run_files(tmp_path / "run", cohort, predictions)
    dialects(given, **paths)
    found = read_table(paths["output"], DIALECTS)
    assert len(np.load(paths["replicates"])) == len(found)
    found = found[found["seed"].eq("mean") & found["attribute"].eq("race")].set_index("measure")
    y, race = predictions["y"] == 1, cohort["a_race"]
    oracles = {"EOddsD": equalized_odds_difference, "DPD": demographic_parity_difference}
    for name, oracle in oracles.items():
        for which, threshold in (("argmax", 0.5), ("fairlearn", 0.3)):
            value = oracle(y, predictions["score"] >= threshold, sensitive_features=race)
            assert found.loc[f"{name} ({which})", "value"] == pytest.approx(value, rel=1e-5)
            assert found.loc[f"{name} ({which})", "low"] <= value
        assert len(set(found.loc[[f"{name} (argmax)", f"{name} (fairlearn)"], "value"])) == 2


def cut_ece(score: pd.Series, y: pd.Series, bins: int = 10) -> float:
    """The ECE of MEDFAIR's and FairMedFM's code, restated: ``pandas.cut`` over the scores' range."""
    frame = pd.DataFrame({"p": score, "y": y, "bin": pd.cut(score, bins, labels=False)})
    means = frame.groupby("bin").agg(p=("p", "mean"), y=("y", "mean"), n=("p", "size"))
    return float(np.average(np.abs(means["p"] - means["y"]), weights=means["n"]))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_medfair_and_fairmedfm_bin_scores_over_each_groups_range(tmp_path, seed):
    cohort, predictions = data(seed=seed)
    given = settings("binary")
    given["evaluation"] = {**EVALUATION, "null": {"draws": 20}}
    paths = run_files(tmp_path / "run", cohort, predictions)
    dialects(given, **paths)
    found = read_table(paths["output"], DIALECTS)
    found = found[found["seed"].eq("mean") & found["attribute"].eq("race")]
    found = found.set_index(["dialect", "measure"])
    eces = [
        cut_ece(predictions["score"][own], predictions["y"][own])
        for own in ((cohort["a_race"] == g).to_numpy() for g in "xyz")
    ]
    for key in (("MEDFAIR", "ECE gap"), ("FairMedFM", "ece-gap")):
        assert found.loc[key, "value"] == pytest.approx(np.ptp(eces), rel=1e-5)
        assert found.loc[key, "status"] == "ok"
        assert 0 < found.loc[key, "p_value"] <= 1
    textbook = found.loc[("textbook", "ECE delta"), "value"]
    assert textbook != pytest.approx(np.ptp(eces), abs=1e-3)


def test_fairmedfm_decides_only_above_the_threshold(tmp_path):
    """Its threshold is one of the scores: with few different ones, ``>`` and ``>=`` differ."""
    cohort, predictions = data()
    predictions["score"] = predictions["score"].round(1)
    given = settings("binary")
    rule = {"rule": "fixed", "value": 0.4}
    given["evaluation"] = {**EVALUATION, "threshold": rule, "null": {"draws": 20}}
    paths = run_files(tmp_path / "run", cohort, predictions)
    dialects(given, **paths)
    found = read_table(paths["output"], DIALECTS)
    found = found[found["seed"].eq("mean") & found["attribute"].eq("race")]
    found = found[found["dialect"] == "FairMedFM"].set_index("measure")["value"]
    y, race = predictions["y"] == 1, cohort["a_race"]

    def stated(decision: pd.Series) -> tuple[float, float]:
        tpr = [decision[(race == g) & y].mean() for g in "xyz"]
        tnr = [(~decision[(race == g) & ~y]).mean() for g in "xyz"]
        return 1 - (np.ptp(tpr) + np.ptp(tnr)) / 2, np.ptp(tpr)

    for ending, decision in (
        ("", predictions["score"] >= 0.4),
        (" (score > threshold)", predictions["score"] > 0.4),
    ):
        eod, eo = stated(decision)
        assert found[f"eod{ending}"] == pytest.approx(eod, rel=1e-5)
        assert found[f"eo{ending}"] == pytest.approx(eo, rel=1e-5)
    assert found["eod"] != found["eod (score > threshold)"]
