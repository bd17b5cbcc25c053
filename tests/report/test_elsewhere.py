"""Changes of gaps elsewhere: found where planted, rarely shown where not; orders and selections."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from canvas_check import labels_overlap, leaves_the_canvas, looks_twice, nameless_axes
from medaudit.report.elsewhere.changes import find_changes
from medaudit.report.elsewhere.order import find_orders, find_selections, tau
from medaudit.report.figures.external import external_gaps as external_gaps_figure
from medaudit.report.figures.style import lay_out, style
from medaudit.report.page.external_answers import answer_external
from medaudit.report.studies.context import Context
from medaudit.report.studies.extras import Extras
from medaudit.report.tables.external import external_gaps
from medaudit.report.verdicts import Verdict
from medaudit.report.wording.names import Names
from two_sites import HOME, METRICS, PAIR, evidence_of, two_sites

LEAD = ["auc", "tpr", "fpr"]


def shown(frame: pd.DataFrame, kind: str, measure: str) -> bool:
    own = frame[
        frame["kind"].eq(kind) & frame["measure"].eq(measure) & frame["attribute"].eq("sex")
    ]
    return bool(own["verdict"].eq(Verdict.SHOWN).any())


def test_a_planted_harm_is_found_with_its_size():
    frame = find_changes(evidence_of(two_sites(1, (1500, 1500), lower=0.8)))
    row = frame[frame["kind"].eq("difference") & frame["measure"].eq("tpr")].iloc[0]
    assert row["harmed"] == "female"
    assert row["verdict"] == Verdict.SHOWN
    truth = truth_of(lower=0.8)
    assert row["low"] < truth < row["high"]
    gap = frame[frame["kind"].eq("gap") & frame["measure"].eq("tpr")].iloc[0]
    assert gap["verdict"] == Verdict.SHOWN and gap["value"] > 0 and gap["harmed"] == "female"
    assert gap["home"] == pytest.approx(abs(row["home"]))
    assert gap["away"] == pytest.approx(abs(row["away"]))
    assert not shown(frame, "gap", "auc")


def truth_of(**shift) -> float:
    """Women's sensitivity minus men's elsewhere, from a very large draw; at home it is 0."""
    cohort, predictions = two_sites(99, (1000, 200_000), **shift)[PAIR]
    val, test = cohort["split"].eq("val"), cohort["split"].eq("test")
    score, y = predictions["score"], cohort["y_Edema"]
    cuts = np.linspace(0.2, 0.8, 61)
    gains = [
        ((score >= c) & (y == 1) & val).sum() / (val & (y == 1)).sum()
        - ((score >= c) & (y == 0) & val).sum() / (val & (y == 0)).sum()
        for c in cuts
    ]
    flagged = score >= cuts[int(np.argmax(gains))]
    rates = [flagged[test & (y == 1) & cohort["a_sex"].eq(s)].mean() for s in ("female", "male")]
    return float(rates[0] - rates[1])


def count_shown(seeds, **given) -> dict:
    counts = dict.fromkeys([(k, m) for k in ("difference", "gap") for m in LEAD], 0)
    for seed in seeds:
        frame = find_changes(evidence_of(two_sites(seed, **given)))
        for kind, measure in counts:
            counts[kind, measure] += shown(frame, kind, measure)
    return counts


def test_without_a_shift_a_change_is_rarely_shown_in_a_few_seeds():
    assert max(count_shown(range(8), n=(400, 250)).values()) <= 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "given",
    [{"n": (500, 300)}, {"n": (300, 500), "fainter": 0.8, "home": {"fainter": 0.8}}],
    ids=["fair in both", "equally unfair in both"],
)
def test_without_a_shift_a_change_is_shown_in_at_most_6_of_100_seeds(given):
    counts = count_shown(range(200), **given)
    assert max(counts.values()) <= 12, counts


def test_the_interval_of_the_largest_difference_agrees_with_its_test():
    for seed in range(4):
        frame = find_changes(evidence_of(two_sites(seed, (500, 500), lower=0.3)))
        gaps = frame[frame["kind"] == "gap"]
        outside = (gaps["low"] > 0) | (gaps["high"] < 0)
        assert (outside == (gaps["p_value"] < 0.05)).all()
        assert (gaps["low"] <= gaps["value"]).all() and (gaps["value"] <= gaps["high"]).all()


def test_the_same_test_images_are_compared_in_pairs():
    sites = two_sites(1, (400, 400))
    home = sites[HOME]
    same = {HOME: home, PAIR: home}
    evidence = evidence_of(same)
    cards = {**evidence.cards, PAIR: {**evidence.cards[PAIR], "test_sha256": "1"}}
    frame = find_changes(replace(evidence, cards=cards))
    assert frame["paired"].all()
    values = frame[frame["kind"] != "gap"]
    assert (values["value"] == 0).all()
    assert not frame["verdict"].eq(Verdict.SHOWN).any()


MODELS = {
    "fair": {},
    "unfair": {"lower": 0.9, "home": {"lower": 0.9}},
    "turns": {"lower": 1.4},
    "middle": {"lower": 0.4, "home": {"lower": 0.4}},
}


@pytest.fixture(scope="module")
def several():
    """Four models on the same patients; `turns` is fair at home and the least fair elsewhere."""
    models = {name: two_sites(5, (800, 800), **given) for name, given in MODELS.items()}
    return evidence_of({}, models=models)


def test_kendalls_tau_is_scipys():
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(2, 6, 20))
    expected = [kendalltau(a, b).statistic for a, b in zip(first.T, second.T, strict=True)]
    np.testing.assert_allclose(tau(first, second), expected)


def test_the_order_of_the_models_is_that_of_their_gaps(several):
    row = find_orders(several).set_index(["measure", "attribute"]).loc[("tpr", "sex")]
    frame = find_changes(several)
    gaps = frame[frame["kind"].eq("gap") & frame["measure"].eq("tpr")]
    pairs = combinations(gaps[["home", "away"]].to_numpy(), 2)
    agree = [np.sign(a[0] - b[0]) * np.sign(a[1] - b[1]) for a, b in pairs]
    assert row["value"] == pytest.approx(np.mean(agree))
    assert row["n_runs"] == 4 and row["low"] <= row["value"] <= row["high"]


def test_the_regret_of_a_rule_is_the_gap_above_the_smallest(several):
    found = find_selections(several, pd.DataFrame())
    rules = found[found["measure"] == "tpr"].set_index("rule")
    gaps = find_changes(several)
    gaps = gaps[gaps["kind"].eq("gap") & gaps["measure"].eq("tpr")].set_index("model")
    chosen = rules.loc["smallest gap"]
    assert chosen["model"] == gaps["home"].idxmin()
    assert chosen["best_model"] == gaps["away"].idxmin()
    expected = gaps.loc[chosen["model"], "away"] - gaps["away"].min()
    assert chosen["value"] == pytest.approx(expected)
    assert "least attribute encoding" not in rules.index
    probes = pd.DataFrame({"model": list(MODELS), "value": [0.9, 0.8, 0.55, 0.7]})
    probes = probes.assign(cohort=HOME, attribute="sex", status="ok")
    picked = find_selections(several, probes).set_index(["measure", "rule"])
    assert picked.loc[("tpr", "least attribute encoding"), "model"] == "turns"
    assert picked.loc[("tpr", "least attribute encoding"), "low"] > 0.1


def test_too_few_runs_have_no_order():
    found = find_orders(evidence_of(two_sites(1)))
    assert set(found["status"]) == {"too_few"}


def answers(evidence) -> str:
    frame = external_gaps(
        Context(evidence, pd.DataFrame(), Extras({}, 0.95, *[pd.DataFrame()] * 3, []))
    )
    head = {"lead": LEAD, "headline": "auc", "level": 0.95}
    found = answer_external({"external_gaps": frame.data}, head, Names(cohorts={PAIR: "B"}))
    return " ".join(found[0].sentences)


def test_the_answer_says_who_is_harmed_and_claims_nothing_without_a_shift():
    harmed = answers(evidence_of(two_sites(1, (1500, 1500), lower=0.8)))
    assert "B: a difference between groups is larger elsewhere in 1 of 1 run. Most: m + f" in harmed
    assert "sensitivity by sex" in harmed and "the worst group elsewhere: female" in harmed
    assert "no change of a difference between groups is shown" in answers(evidence_of(two_sites(2)))


def test_all_measures_are_compared():
    frame = find_changes(evidence_of(two_sites(3)))
    assert set(frame["measure"]) == set(METRICS)


def test_the_figure_of_gaps_fits_its_canvas(several):
    context = Context(several, pd.DataFrame(), Extras({}, 0.95, *[pd.DataFrame()] * 3, []))
    with style():
        figure = external_gaps_figure(context)
        lay_out(figure.canvas)
    for check in (leaves_the_canvas, labels_overlap, nameless_axes, looks_twice):
        assert check(figure.canvas) == []
    assert set(figure.data["model"]) == set(MODELS)
