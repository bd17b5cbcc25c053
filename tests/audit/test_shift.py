"""The change elsewhere is split as it was planted, and local patients repair what they can."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from medaudit.audit.shift import compare, places_of
from medaudit.audit.shift.local_patients import learning_curves
from medaudit.core.audit_tables import LOCAL, SHIFT
from medaudit.core.table_io import check_table
from two_sites import HOME, PAIR, settings, two_sites

SIZES = (3000, 3000)
RUN = {"cohort": PAIR, "model": "m", "method": "f"}


def split(sites) -> pd.DataFrame:
    home, away = (tuple(reversed(sites[name])) for name in (HOME, PAIR))
    given = settings(PAIR, draws=60)
    found = compare(places_of(home, away, given), given).assign(**RUN)
    check_table(found, SHIFT, "test")
    return found.set_index(["group", "metric", "part"]).sort_index()


def parts(found, group="female", metric="tpr") -> pd.DataFrame:
    return found.loc[(group, metric)].drop(index="change")


def test_the_parts_add_up_to_the_change_that_a_loop_finds():
    sites = two_sites(1, SIZES, lower=0.5, fainter=0.4, prevalence=0.3)
    found = split(sites)
    for metric in ("tpr", "fpr", "selection_rate", "auc"):
        own = found.loc[("female", metric)]
        assert own.drop(index="change")["value"].sum() == pytest.approx(own.loc["change", "value"])
    cut = threshold(sites)
    for metric, rate in (
        ("tpr", lambda y, s: s[y == 1] >= cut),
        ("fpr", lambda y, s: s[y == 0] >= cut),
    ):
        before, after = (rate(*women(sites, name)).mean() for name in (HOME, PAIR))
        assert found.loc[("female", metric, "change"), "value"] == pytest.approx(after - before)
    before, after = (roc_auc_score(*women(sites, name)) for name in (HOME, PAIR))
    assert found.loc[("female", "auc", "change"), "value"] == pytest.approx(after - before)


def women(sites, name):
    cohort, predictions = sites[name]
    test = cohort["split"].eq("test") & cohort["a_sex"].eq("female")
    return cohort.loc[test, "y_Edema"].to_numpy(), predictions.loc[test, "score"].to_numpy()


def threshold(sites) -> float:
    """Youden's threshold on the validation images of home, by a loop."""
    cohort, predictions = sites[HOME]
    val = cohort["split"].eq("val")
    y, score = cohort.loc[val, "y_Edema"].to_numpy(), predictions.loc[val, "score"].to_numpy()
    gains = [
        (score[y == 1] >= c).mean() - (score[y == 0] >= c).mean() for c in np.sort(score)[::-1]
    ]
    return float(np.sort(score)[::-1][int(np.argmax(gains))])


def test_lower_scores_of_all_women_are_a_matter_of_the_threshold():
    own = parts(split(two_sites(2, SIZES, lower=0.8)))
    assert own["gap"].idxmin() == "threshold"
    assert own.loc["threshold", "gap_high"] < -0.1
    assert own.loc["ranking", "gap_low"] < 0 < own.loc["ranking", "gap_high"]


def test_fainter_findings_of_women_are_a_matter_of_the_ranking():
    found = split(two_sites(3, SIZES, fainter=0.9))
    own = parts(found)
    assert own["gap"].idxmin() == "ranking"
    assert own.loc["ranking", "gap_high"] < -0.1
    assert own.loc["threshold", "gap_low"] < 0 < own.loc["threshold", "gap_high"]
    assert found.loc[("female", "auc", "ranking"), "gap_high"] < -0.05
    assert (
        parts(found, "male")["high"].loc["ranking"] > 0 > parts(found, "male")["low"].loc["ranking"]
    )


def test_more_old_patients_are_a_matter_of_the_case_mix():
    same = {"older": 1.2}
    sites = two_sites(4, SIZES, home={**same, "old": 0.2}, old=0.8, **same)
    own = parts(split(sites))
    assert own["value"].abs().idxmax() == "case_mix"
    assert own.loc["case_mix", "high"] < -0.1
    assert abs(own.loc["ranking", "value"]) < 0.05
    assert (own["coverage"] > 0.99).all()


def test_more_positives_change_the_share_flagged_and_no_rate():
    found = split(two_sites(5, SIZES, prevalence=0.7))
    own = parts(found, metric="selection_rate")
    assert own["value"].abs().idxmax() == "prevalence"
    assert (parts(found).loc["prevalence", ["value", "low", "high"]] == 0).all()


def test_a_group_that_is_too_small_has_no_parts():
    sites = two_sites(6, (200, 40))
    cohort, predictions = sites[PAIR]
    female = cohort["a_sex"].eq("female") & cohort["split"].eq("test")
    cohort.loc[female[female].index[3:], "a_sex"] = "male"
    assert (split(sites)["status"] == "too_few").all()


def curve(sites) -> pd.DataFrame:
    given = settings(PAIR)
    home, away = (tuple(reversed(sites[name])) for name in (HOME, PAIR))
    places = places_of(home, away, given)
    samples = (places[0].sample, places[1].sample)
    found = learning_curves(sites[PAIR][1], sites[PAIR][0], samples, given).assign(**RUN)
    check_table(found[list(LOCAL.columns)], LOCAL, "test")
    return found.set_index(["action", "patients"]).sort_index()


def test_thresholds_per_group_repair_lower_scores_and_one_threshold_does_not():
    found = curve(two_sites(7, SIZES, local=800, lower=0.8))
    before = found.loc[("carried", 0), "gap"]
    assert before > 0.15
    assert found.loc[("group_thresholds", 400), "gap"] < 0.08
    assert found.loc[("group_recalibrated", 400), "gap"] < 0.08
    assert found.loc[("threshold", 400), "gap"] > 0.12
    assert found.loc[("recalibrated", 400), "gap"] > 0.12
    few, many = (found.loc[("group_thresholds", n)] for n in (25, 400))
    assert few["gap_high"] - few["gap_low"] > many["gap_high"] - many["gap_low"]
    assert few["share_within"] < many["share_within"]


def test_without_local_patients_nothing_can_be_repaired():
    found = curve(two_sites(8, (600, 600)))
    assert found.loc[("carried", 0), "status"] == "ok"
    assert (found.drop(index=("carried", 0))["status"] == "missing").all()


def test_the_sensitivity_at_a_false_positive_rate_is_that_of_the_curve():
    from sklearn.metrics import roc_curve

    from medaudit.audit.shift.sides import Side

    rng = np.random.default_rng(1)
    margin, positive = rng.normal(size=80).round(1), rng.random(80) < 0.4
    side = Side(margin, positive, np.ones((80, 3)), np.zeros(80, int))
    fpr, tpr, _ = roc_curve(positive, margin, drop_intermediate=False)
    levels = np.array([0.13, 0.5, 1.0])
    upper = {f: tpr[fpr == f].max() for f in fpr}
    expected = np.interp(levels, sorted(upper), [upper[f] for f in sorted(upper)])
    rising = fpr[np.searchsorted(fpr, levels, side="right").clip(max=len(fpr) - 1)]
    first = np.array([tpr[fpr == f].min() for f in rising])
    found = side.sensitivity_at(levels)
    assert (found <= expected + 1e-12).all() and found[2] == 1
    for level, value, after, top in zip(levels[:2], found[:2], rising[:2], first[:2], strict=True):
        before = max(f for f in fpr if f <= level)
        share = (level - before) / (after - before)
        assert value == pytest.approx(upper[before] + share * (top - upper[before]))
    np.testing.assert_allclose(side.auc(), roc_auc_score(positive, margin))
